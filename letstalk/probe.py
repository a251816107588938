"""`letstalk probe FILE`: what we see in a picture or sound file, before anything is generated from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from letstalk.errors import InputError


@dataclass(frozen=True)
class ProbeReport:
    name: str
    kind: str  # "picture" or "sound"
    facts: dict[str, Any]
    notes: tuple[str, ...]  # what would be done to it, and what looks unfit

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def probe_file(path: Path) -> ProbeReport:
    """Decided by content, never by the name's ending. Raises the same `InputError` as generating would."""
    from letstalk.media.files import check_input_file

    check_input_file(path, "picture or sound file")
    return _probe_picture(path) if is_picture(path) else _probe_sound(path)


def is_picture(path: Path) -> bool:
    """Whether the header is that of a picture format that we read; damaged pictures count as pictures."""
    import warnings

    from PIL import Image

    from letstalk.media.image import FORMATS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path, formats=FORMATS).close()
    except Image.UnidentifiedImageError:
        return False
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return True  # its header was recognised; `load_image` says what is wrong with the rest
    return True


def _probe_picture(path: Path) -> ProbeReport:
    from letstalk.media.face import find_faces, frame_portrait
    from letstalk.media.image import load_image
    from letstalk.reader.detector import as_detector
    from letstalk.reader.predict import FaceReader

    image = load_image(path)
    reader = FaceReader.load()
    faces = find_faces(image.pixels, reader=as_detector(reader))
    portrait = frame_portrait(image, faces, size=256)
    height, width = image.pixels.shape[:2]
    facts: dict[str, Any] = {"size": f"{width} x {height} pixels", "faces": len(faces.candidates)}
    facts["found by"] = portrait.detector
    facts["crop"] = f"{portrait.framing.scale * 256:.0f} pixels wide, shown at 256"
    if faces.main is not None:
        reading = reader.read(portrait.crop[None])
        gap, is_open = float(reading.mouth_gap[0]), bool(reading.mouth_open_probability[0] > 0.5)
        facts["mouth"] = f"open by {gap:.0%} of the eye distance" if is_open else "closed"
    facts["brightness"] = f"{image.pixels.mean():.0f} of 255"
    return ProbeReport(path.name, "picture", facts, portrait.notes)


def _probe_sound(path: Path) -> ProbeReport:
    from letstalk.media.audio import probe_audio

    try:
        info = probe_audio(path)
    except InputError as error:
        raise InputError(error.problem, error.advice or "Choose a picture or sound file.") from error
    facts: dict[str, Any] = {
        "format": f"{info.codec} in {info.container}",
        "rate": f"{info.rate_hz} Hz, {info.num_channels} channel{'s' if info.num_channels != 1 else ''}",
        "length": f"{info.duration_seconds:.2f} s",
        "loudness": f"{info.loudness_lufs:.1f} LUFS" if math.isfinite(info.loudness_lufs) else "silence",
        "peak": f"{info.peak:.3f}",
        "speech": f"{info.speech_share:.0%} of the time",
    }
    notes = list(info.notes)
    if info.speech_share < 0.05:
        notes.append("Hardly any speech was heard: the face would stay idle.")
    elif info.loudness_lufs < -40:
        notes.append("It is very quiet; it is used as it is.")
    return ProbeReport(path.name, "sound", facts, tuple(notes))
