"""Sound -> log-mel levels relative to how loud the speaker is. Everything here is float32 and looks no further ahead
than its window.

Loudness is followed by a leaky maximum: it rises with the voice at once and sinks slowly, so that a pause is not
amplified into speech. Its value before any speech is a floor, so that neither is the murmur of a quiet room.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from letstalk.types import SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, exact_div

HOP_SAMPLES = 160  # 100 levels a second
HOPS_PER_FRAME = exact_div(SAMPLES_PER_FRAME, HOP_SAMPLES)
WINDOW_SAMPLES = 400  # 25 ms, centred on its hop
FFT_SIZE = 512
NUM_BANDS = 80
LOWEST_HZ, HIGHEST_HZ = 50.0, 7600.0
# Hop t is seen from the samples [160 t - REACH_BACK, 160 (t + 1) + REACH_AHEAD); one more back for the difference.
REACH_AHEAD = exact_div(WINDOW_SAMPLES - HOP_SAMPLES, 2)
REACH_BACK = REACH_AHEAD + 1

NUM_FEATURES = NUM_BANDS + 1
SMOOTHING_HOPS = 10  # a click of some milliseconds must not count as a voice
LOUDNESS_FLOOR_DB = -45.0  # root mean square below full scale: speech of -23 dB may be four times weaker
HEARD_DB = 6.0  # above the floor: somebody has spoken
SINKING_DB_PER_HOP = 0.015  # 1.5 dB a second
VOICE_BAND_HZ = (150.0, 3200.0)  # the part of the sound that every telephone carries
NOTHING_DB = -88.0  # white noise of this root mean square and less is nothing: converters of 16 bits murmur at -98
LOWEST_DB, RANGE_DB = -35.0, 55.0  # of a band, relative to the voice


def mel_power(samples: Tensor) -> Tensor:
    """Samples (B, n) -> power per band (B, T, 80), T = (n - REACH_BACK - REACH_AHEAD) / 160; no padding anywhere.

    The samples are differenced first: that takes any constant offset away and evens out the slope of a voice.
    """
    frames = samples.float().diff(dim=1).unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)  # (B, T, 400)
    constants = _constants(samples.device)
    spectrum = torch.fft.rfft(frames * constants.window, FFT_SIZE)  # (B, T, 257)
    with torch.autocast(samples.device.type, enabled=False):  # whose products would be of half precision
        return (spectrum.real.square() + spectrum.imag.square()) @ constants.filters


def features(samples: Tensor, loudness: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (B, n) and the loudness (B,) in dB before the first hop -> features (B, T, 81) and loudness (B, T).

    The first SMOOTHING_HOPS - 1 hops only smooth: T is that much less than of `mel_power`. Features lie in 0..1: bands
    relative to the voice, and whether a voice has been heard at all.
    """
    power = mel_power(samples)
    constants = _constants(samples.device)
    with torch.autocast(samples.device.type, enabled=False):
        smooth = (power @ constants.voice_weights).unfold(1, SMOOTHING_HOPS, 1).mean(-1)  # (B, T)
    loudness = leaky_maximum(_decibels(smooth), loudness)
    bands_db = _decibels(power[:, SMOOTHING_HOPS - 1 :] - constants.nothing) - loudness[..., None]
    bands = ((bands_db - LOWEST_DB) / RANGE_DB).clamp(0, 1)
    heard = ((loudness - LOUDNESS_FLOOR_DB) / HEARD_DB).clamp(0, 1)
    return torch.cat([bands, heard[..., None]], -1), loudness


def leaky_maximum(levels_db: Tensor, before: Tensor) -> Tensor:
    """(B, T) levels and the value (B,) just before them -> (B, T) values, never under the floor.

    value_t = max(level_t, value_(t-1) - leak), solved without a loop: values plus their leak so far only grow.
    """
    steps = torch.arange(levels_db.shape[1] + 1, device=levels_db.device, dtype=torch.float64)
    # In float64: hours of sound add up a leak beside which a tenth of a decibel would be lost.
    levels = torch.cat([before[:, None], levels_db], 1).double().clamp_min(LOUDNESS_FLOOR_DB)
    leak = steps * SINKING_DB_PER_HOP
    return ((levels + leak).cummax(1).values - leak)[:, 1:].float()


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp_min(1e-12).log10()


class _Constants(NamedTuple):
    window: Tensor  # (400,)
    filters: Tensor  # (257, 80)
    voice_weights: Tensor  # (80,): they sum power per band to the mean square of the voice
    nothing: Tensor  # (80,) power per band of what is taken as silence


@lru_cache(maxsize=4)
def _constants(device: torch.device) -> _Constants:
    """Not buffers of a module: those would be rounded with its weights."""
    filters, centres_hz = mel_filters()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    differencing = 4 * np.sin(np.pi * centres_hz / SAMPLE_RATE_HZ) ** 2  # what it does to the power of a band
    white = np.sum(window**2) * differencing  # power per band of white noise of unit mean square
    share_of_band = np.gradient(centres_hz) * 2 / SAMPLE_RATE_HZ  # of the whole spectrum
    in_voice = (centres_hz > VOICE_BAND_HZ[0]) & (centres_hz < VOICE_BAND_HZ[1])

    def on_device(values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    return _Constants(
        on_device(window),
        on_device(filters),
        on_device(np.where(in_voice, share_of_band / white, 0.0)),
        on_device(white * 10 ** (NOTHING_DB / 10)),
    )


def mel_filters() -> tuple[np.ndarray, np.ndarray]:
    """Triangles (257, 80), each of sum 1 over the bins, and their centres in Hz; mel as 2595 log10(1 + f / 700)."""

    def to_mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    points_mel = np.linspace(to_mel(LOWEST_HZ), to_mel(HIGHEST_HZ), NUM_BANDS + 2)
    points_hz = 700 * (10 ** (points_mel / 2595) - 1)
    bins_hz = np.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE_HZ / FFT_SIZE
    low, centre, high = points_hz[:-2], points_hz[1:-1], points_hz[2:]
    rising = (bins_hz[:, None] - low) / (centre - low)
    falling = (high - bins_hz[:, None]) / (high - centre)
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    return triangles / triangles.sum(0), centre
