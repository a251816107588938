"""Windows of talks as microphones hear them: another level, other sounds in the room, an offset.

A batch is a function of the talks, the seed and the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from letstalk.models import mel
from letstalk.runtime import numpy_generator
from letstalk.training.talks import Talk
from letstalk.types import SAMPLES_PER_FRAME

_LOUDNESS_SAMPLES = mel.SMOOTHING_HOPS * mel.HOP_SAMPLES


@dataclass(frozen=True)
class WindowShape:
    """F frames, and what an encoder must hear before and after them."""

    num_frames: int
    past_samples: int
    future_samples: int

    @property
    def num_samples(self) -> int:
        return self.past_samples + self.num_frames * SAMPLES_PER_FRAME + self.future_samples


@dataclass(frozen=True)
class HearingSettings:
    """Shares are probabilities for each row."""

    fresh_share: float = 0.4  # the recording begins with the window: silence before, nobody heard yet
    noise_share: float = 0.35  # another talk's noise (or music) lies under the voice
    snr_db: tuple[float, float] = (3.0, 30.0)
    gain_db: tuple[float, float] = (-14.0, 8.0)
    offset_share: float = 0.1
    most_offset: float = 0.05
    earlier_loudness_db: tuple[float, float] = (-8.0, 6.0)  # of the unheard past, relative to the window


@dataclass(frozen=True)
class AudioBatch:
    """B windows of F frames."""

    samples: Tensor  # (B, past + 640 F + future) float32
    loudness: Tensor  # (B,) dB, carried into the window
    motion: Tensor  # (B, F, len(MOTION_NAMES)) float32
    viseme: Tensor  # (B, F) int64
    speaking: Tensor  # (B, F) float32, 0 or 1

    def to(self, device: torch.device) -> AudioBatch:
        return replace(self, **{item.name: getattr(self, item.name).to(device) for item in fields(self)})


def draw_batch(
    talks: Sequence[Talk], shape: WindowShape, num_rows: int, settings: HearingSettings, seed: int, step: int
) -> AudioBatch:
    random = numpy_generator(seed, "hearing", step)
    noises = [talk for talk in talks if not talk.speaking.any()]
    rows = [_draw_row(talks, noises, shape, settings, random) for _ in range(num_rows)]
    samples, fresh, motion, viseme, speaking = (np.stack(part) for part in zip(*rows, strict=True))
    sound = torch.from_numpy(samples)
    return AudioBatch(
        samples=sound,
        loudness=_earlier_loudness(sound, torch.from_numpy(fresh), settings, random),
        motion=torch.from_numpy(motion),
        viseme=torch.from_numpy(viseme),
        speaking=torch.from_numpy(speaking),
    )


def _draw_row(
    talks: Sequence[Talk], noises: Sequence[Talk], shape: WindowShape, settings: HearingSettings,
    random: np.random.Generator,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    talk = talks[int(random.integers(len(talks)))]
    first = int(random.integers(max(1, talk.num_frames - shape.num_frames + 1)))
    samples = _cut(talk, first, shape)
    if noises and random.random() < settings.noise_share:
        noise = noises[int(random.integers(len(noises)))]
        samples = _mixed(samples, _cut(noise, int(random.integers(noise.num_frames)), shape), settings, random)
    samples = np.clip(samples * 10 ** (random.uniform(*settings.gain_db) / 20), -1, 1)
    if random.random() < settings.offset_share:
        samples = samples + random.uniform(-1, 1) * settings.most_offset
    fresh = random.random() < settings.fresh_share
    if fresh:
        samples[: shape.past_samples] = 0
    frames = slice(first, first + shape.num_frames)
    return (
        samples.astype(np.float32), np.array(fresh), _filled(talk.motion[frames].astype(np.float32), shape, talk),
        _filled(talk.viseme[frames].astype(np.int64), shape, talk),
        _filled(talk.speaking[frames].astype(np.float32), shape, talk),
    )  # fmt: skip


def _cut(talk: Talk, first_frame: int, shape: WindowShape) -> np.ndarray:
    """(num_samples,) float32; silence where the window reaches past the talk."""
    first = first_frame * SAMPLES_PER_FRAME - shape.past_samples
    inside = talk.sound(max(0, first), max(0, first + shape.num_samples))
    before = max(0, -first)
    return np.pad(inside, (before, shape.num_samples - before - len(inside)))


def _filled(track: np.ndarray, shape: WindowShape, talk: Talk) -> np.ndarray:
    """Repeats the last frame where a talk is shorter than the window: talks end as they began, in silence or cut."""
    assert len(track) or talk.num_frames == 0
    missing = shape.num_frames - len(track)
    return np.concatenate([track, np.repeat(track[-1:], missing, axis=0)]) if missing else track


def _mixed(voice: np.ndarray, noise: np.ndarray, settings: HearingSettings, random: np.random.Generator) -> np.ndarray:
    """Noise under the voice, measured where the voice sounds; under silence it stays as loud as it is."""
    sounding = np.abs(voice) > 0.01
    voice_power = float(np.mean(voice[sounding] ** 2)) if sounding.any() else 0.0
    noise_power = float(np.mean(noise**2))
    if voice_power == 0 or noise_power < 1e-10:
        return voice + noise
    snr = 10 ** (random.uniform(*settings.snr_db) / 10)
    return voice + noise * np.sqrt(voice_power / noise_power / snr)


def _earlier_loudness(samples: Tensor, fresh: Tensor, settings: HearingSettings, random: np.random.Generator) -> Tensor:
    """(B,) dB: what the ear had heard before the window. Like the loudest 100 ms of it, or nothing yet."""
    steady = samples - samples.mean(1, keepdim=True)
    pieces = steady.unfold(1, _LOUDNESS_SAMPLES, _LOUDNESS_SAMPLES)
    loudest_db = 10 * pieces.square().mean(-1).amax(1).clamp_min(1e-9).log10()
    offset = torch.from_numpy(random.uniform(*settings.earlier_loudness_db, samples.shape[0])).float()
    earlier = (loudest_db + offset).clamp_min(mel.LOUDNESS_FLOOR_DB)
    return torch.where(fresh, torch.full_like(earlier, mel.LOUDNESS_FLOOR_DB), earlier)
