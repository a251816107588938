"""What the bytes of a sound file promise about its length, for the formats where FFmpeg corrects or guesses instead
of telling.

FFmpeg takes the length of PCM in WAV from the file's size, so a cut file looks whole; the length of an MP3 without a
frame count is an estimate; Ogg states no length but marks its last page.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

WAV_OPEN_ENDED_BYTES = 1 << 16
OGG_TAIL_BYTES = 1 << 17  # more than the longest page, 65 307 bytes
OGG_LAST_PAGE = 0x04


def _is_open_ended(size: int) -> bool:
    """Recorders that cannot seek leave 0, or about the largest number of 31 or 32 bits, for "until the end"."""
    return size == 0 or min(abs(size - bound) for bound in (1 << 31, 1 << 32)) <= WAV_OPEN_ENDED_BYTES


def wav_missing_share(path: Path) -> float:
    """Share of the announced sample bytes that are not in a WAV file, 0 when nothing is announced or all are there."""
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return 0.0
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                present = file_bytes - file.tell()
                return 0.0 if _is_open_ended(size) else max(0.0, 1.0 - present / size)
            file.seek(size + size % 2, 1)
    return 0.0


def has_mp3_frame_count(path: Path) -> bool:
    """Encoders leave a "Xing" or "Info" frame with the exact length after the tags."""
    with path.open("rb") as file:
        _skip_id3(file)
        first_frame = file.read(256)
    return b"Xing" in first_frame or b"Info" in first_frame


def _skip_id3(file: BinaryIO) -> None:
    head = file.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(10 + size)
    else:
        file.seek(0)


def has_ogg_end_mark(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_TAIL_BYTES))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + 5 and bool(tail[page + 5] & OGG_LAST_PAGE)
