"""Shapes in time that living movement is made of: drift, beats and glides, on frame centres."""

from __future__ import annotations

import numpy as np

from letstalk.types import FPS

_MARGIN_FRAMES = 100  # the FFT wraps round: what is cut off keeps start and end apart


def frame_seconds(num_frames: int) -> np.ndarray:
    """(num_frames,) the middle of each frame."""
    return (np.arange(num_frames) + 0.5) / FPS


def drift(random: np.random.Generator, num_frames: int, num_tracks: int, cutoff_hz: float) -> np.ndarray:
    """(num_frames, num_tracks) noise of unit variance whose spectrum falls off at `cutoff_hz`; it has no period.

    Scaled by the filter's gain, not by the clip's own variance: a short clip holds only a piece of a slow movement.
    """
    length = num_frames + 2 * _MARGIN_FRAMES + int(2 * FPS / cutoff_hz)
    white = random.standard_normal((length, num_tracks))
    gain = np.exp(-((np.fft.rfftfreq(length, 1 / FPS) / cutoff_hz) ** 2))
    power = (gain[0] ** 2 + 2 * np.sum(gain[1:] ** 2)) / length
    smooth = np.fft.irfft(np.fft.rfft(white, axis=0) * gain[:, None], length, axis=0)
    return smooth[_MARGIN_FRAMES : _MARGIN_FRAMES + num_frames] / np.sqrt(power)


def pulse(seconds: np.ndarray, middle: float, rise: float, fall: float) -> np.ndarray:
    """0..1, one hump with its top at `middle`; rise and fall may differ, corners are soft."""
    offset = seconds - middle
    ramp = np.clip(1 - np.where(offset < 0, -offset / rise, offset / fall), 0, 1)
    return ramp**3 * (10 - 15 * ramp + 6 * ramp**2)


def plateau(seconds: np.ndarray, start: float, end: float, rise: float, fall: float) -> np.ndarray:
    """0..1: 1 from `start` to `end`, ramps of `rise` before and `fall` after."""
    ramp = np.clip(np.minimum((seconds - start) / rise + 1, (end - seconds) / fall + 1), 0, 1)
    return ramp**3 * (10 - 15 * ramp + 6 * ramp**2)


def glide(seconds: np.ndarray, key_seconds: np.ndarray, values: np.ndarray, move_seconds: np.ndarray) -> np.ndarray:
    """Holds `values[k]` (num_keys, num_tracks) until `key_seconds[k + 1]`, then moves on in `move_seconds[k + 1]`.

    The moves are those of least jerk, as of a limb between two targets.
    """
    assert len(key_seconds) == len(values) == len(move_seconds)
    result = np.repeat(values[:1], len(seconds), axis=0).astype(float)
    for key in range(1, len(values)):
        ramp = np.clip((seconds - key_seconds[key]) / move_seconds[key], 0, 1)
        ramp = ramp**3 * (10 - 15 * ramp + 6 * ramp**2)
        result += ramp[:, None] * (values[key] - values[key - 1])
    return result


def event_times(random: np.random.Generator, duration: float, mean_seconds: float, shape: float = 2.0) -> np.ndarray:
    """Irregular events: gaps are gamma-distributed, so neither a rhythm nor bunches. The first comes at any phase."""
    times, now = [], random.uniform(0.15, 1.0) * random.gamma(shape, mean_seconds / shape)
    while now < duration:
        times.append(now)
        now += max(0.25, random.gamma(shape, mean_seconds / shape))
    return np.array(times)
