"""Values that cross the borders between modules, and the exact arithmetic of frames and samples.

Time: 25 frames a second, 16 000 samples a second, 640 samples a frame. Frame i shows the samples [640 i, 640 (i + 1)).
Pictures are uint8 RGB, (height, width, 3). Sound is float32 mono in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


def exact_div(numerator: int, denominator: int) -> int:
    """Division that must leave no rest: a rate that does not divide fails at once, not as slow audio drift."""
    assert numerator % denominator == 0, f"{numerator} is not a multiple of {denominator}"
    return numerator // denominator


FPS = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE_HZ, FPS)  # 640


def num_frames_for_samples(num_samples: int) -> int:
    """Frames that cover every sample: the last, partial frame counts, so that no sound is ever dropped."""
    assert num_samples >= 0
    return -(-num_samples // SAMPLES_PER_FRAME)


def num_samples_for_frames(num_frames: int) -> int:
    assert num_frames >= 0
    return num_frames * SAMPLES_PER_FRAME


def seconds_for_frames(num_frames: int) -> float:
    return num_frames / FPS


@dataclass(frozen=True)
class Audio:
    """Mono speech at 16 kHz, and where it came from so that the user's own sound can be muxed."""

    samples: np.ndarray  # (num_samples,) float32 in [-1, 1]
    source: Path | None = None
    notes: tuple[str, ...] = ()  # what was done to it, for the user to read

    def __post_init__(self) -> None:
        assert self.samples.ndim == 1 and self.samples.dtype == np.float32, (self.samples.shape, self.samples.dtype)

    @property
    def num_frames(self) -> int:
        return num_frames_for_samples(len(self.samples))

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class PixelShape:
    num_frames: int
    height: int
    width: int

    def latent(self, spatial_factor: int, num_channels: int, temporal_factor: int = 1) -> LatentShape:
        """Shape after an autoencoder; the first frame stands apart when time is compressed (1 + 4k frames)."""
        extra = exact_div(self.num_frames - 1, temporal_factor)
        height, width = exact_div(self.height, spatial_factor), exact_div(self.width, spatial_factor)
        return LatentShape(1 + extra, num_channels, height, width)


@dataclass(frozen=True)
class LatentShape:
    num_frames: int
    num_channels: int
    height: int
    width: int

    @property
    def tokens_per_frame(self) -> int:
        return self.height * self.width


@dataclass(frozen=True)
class Framing:
    """Where the square crop lies in the full picture: an affine map and its exact inverse.

    `crop_to_full` maps crop pixel centres (x, y, 1) to full-picture pixel centres; (0, 0) is the centre of the first
    pixel.
    """

    crop_to_full: np.ndarray  # (2, 3) float64
    crop_size: int
    full_height: int
    full_width: int

    @property
    def full_to_crop(self) -> np.ndarray:
        linear = np.linalg.inv(self.crop_to_full[:, :2])
        return np.concatenate([linear, -linear @ self.crop_to_full[:, 2:]], axis=1)

    @property
    def scale(self) -> float:
        """Full-picture pixels for one crop pixel."""
        return float(np.sqrt(abs(np.linalg.det(self.crop_to_full[:, :2]))))


@dataclass(frozen=True)
class Portrait:
    """A framed face, the picture it came from and how it was found."""

    crop: np.ndarray  # (size, size, 3) uint8
    full: np.ndarray  # (height, width, 3) uint8
    framing: Framing
    detector: str  # which detector found the face; "centre" when none did
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class VideoChunk:
    """Frames and the sound that belongs to them. The last chunk of a job may hold sound for a partial last frame."""

    first_frame: int
    frames: np.ndarray  # (num_frames, height, width, 3) uint8
    samples: np.ndarray  # (num_samples,) float32 at 16 kHz
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.frames.ndim == 4 and self.frames.dtype == np.uint8, (self.frames.shape, self.frames.dtype)
        assert num_frames_for_samples(len(self.samples)) == len(self.frames), (len(self.samples), len(self.frames))
