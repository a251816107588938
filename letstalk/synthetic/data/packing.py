"""Arrays of a clip as compact bytes: pictures, sound and label arrays, and back.

Everything here is a pure function of its input, so that a shard has the same hash whenever and wherever it is written
with the same libraries.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from letstalk.errors import InputError, SettingsError
from letstalk.types import SAMPLE_RATE_HZ

PictureFormat = Literal["jpeg", "webp", "png"]
_DEFLATE_LEVEL = 6
_PCM_SCALE = 32767.0


@dataclass(frozen=True)
class PictureCodec:
    """How frames are stored. JPEG keeps full colour resolution: lips and eyes are small and coloured."""

    picture_format: PictureFormat = "jpeg"
    quality: int = 95  # ignored by png, which loses nothing

    def __post_init__(self) -> None:
        if self.picture_format not in ("jpeg", "webp", "png"):
            raise SettingsError(f"There is no picture format {self.picture_format!r}.", "Use jpeg, webp or png.")
        if not 1 <= self.quality <= 100:
            raise SettingsError(f"Quality {self.quality} is not between 1 and 100.", "95 is usual.")

    def encode(self, frame: np.ndarray) -> bytes:
        """(height, width, 3) uint8 RGB."""
        import cv2

        full_colour = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
        options = {
            "jpeg": [cv2.IMWRITE_JPEG_QUALITY, self.quality, *full_colour],
            "webp": [cv2.IMWRITE_WEBP_QUALITY, self.quality],
            "png": [cv2.IMWRITE_PNG_COMPRESSION, 4],
        }[self.picture_format]  # fmt: skip
        fine, data = cv2.imencode(f".{self.picture_format}", frame[..., ::-1], options)
        assert fine, "encoding into memory cannot fail"
        return data.tobytes()


def decode_picture(data: bytes | np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 RGB from the bytes of any of the formats."""
    import cv2

    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError("A stored frame cannot be decoded.", "The shard is damaged: delete it and render again.")
    return np.ascontiguousarray(bgr[..., ::-1])


def encode_flac(samples: np.ndarray) -> bytes:
    """16-bit FLAC of float32 mono sound at 16 kHz."""
    import soundfile

    pcm = np.rint(np.clip(samples, -1, 1) * _PCM_SCALE).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode_flac(data: bytes | np.ndarray) -> np.ndarray:
    """(num_samples,) float32 in [-1, 1]."""
    import soundfile

    pcm, rate = soundfile.read(io.BytesIO(bytes(data)), dtype="int16")
    assert rate == SAMPLE_RATE_HZ and pcm.ndim == 1, (rate, pcm.shape)
    return (pcm / np.float32(_PCM_SCALE)).astype(np.float32)


def deflate(array: np.ndarray) -> np.ndarray:
    """Bytes (n,) uint8 of a deflated label array; shape and type travel apart.

    Two-byte arrays that run through time along their first axis (tracks of vertices, ids, depths) are stored as
    differences: exact, and half as large.
    """
    return np.frombuffer(zlib.compress(_differences(array).tobytes(), _DEFLATE_LEVEL), np.uint8)


def inflate(data: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        raw = zlib.decompress(bytes(data))
    except zlib.error as error:
        raise InputError(
            "A stored label cannot be unpacked.", "The shard is damaged: delete it and render again."
        ) from error
    array = np.frombuffer(raw, dtype).reshape(shape).copy()
    if _runs_through_time(array):
        steps = array.view(np.uint16)
        np.cumsum(steps, axis=0, dtype=np.uint16, out=steps)
    return array


def _runs_through_time(array: np.ndarray) -> bool:
    return array.dtype.itemsize == 2 and array.ndim >= 2


def _differences(array: np.ndarray) -> np.ndarray:
    """Of the bits, not the values: overflow wraps round and comes back exactly, for floats too."""
    array = np.ascontiguousarray(array)
    if not _runs_through_time(array):
        return array
    bits = array.view(np.uint16)
    return np.concatenate([bits[:1], bits[1:] - bits[:-1]])


def join_bytes(parts: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """All parts one after another (num_bytes,) uint8, and where each ends (num_parts,) int64."""
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return np.frombuffer(b"".join(parts), np.uint8), ends
