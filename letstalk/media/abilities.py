"""What the installed FFmpeg libraries can do for us."""

from __future__ import annotations

NEEDED_ENCODERS = {"libx264": "H.264", "aac": "AAC"}


def missing_encoders() -> tuple[str, ...]:
    """Names of the encoders that a finished video needs and that this build of PyAV lacks; empty when all is well."""
    import av

    return tuple(name for codec, name in NEEDED_ENCODERS.items() if codec not in av.codecs_available)
