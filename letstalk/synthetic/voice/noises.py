"""Sounds that nobody makes with the mouth: music, knocks, rooms. A model must learn that none of them moves lips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from letstalk.synthetic.voice.channel import in_room, with_noise
from letstalk.types import SAMPLE_RATE_HZ

_SCALES = ((0, 3, 5, 7, 10), (0, 2, 4, 7, 9), (0, 2, 3, 5, 7, 8, 11))  # semitones
_LEVEL_DB = (-50.0, -16.0)
_SILENT_SHARE = 0.1


def not_speech(num_samples: int, random: np.random.Generator) -> np.ndarray:
    """(num_samples,) float32: some minutes of one kind of sound, at any level from a murmur to loud."""
    if random.random() < _SILENT_SHARE:
        return np.zeros(num_samples, np.float32)
    sound = _KINDS[int(random.integers(len(_KINDS)))](num_samples, random)
    if random.random() < 0.4:
        sound = in_room(sound, random, float(random.uniform(0.15, 0.8)))
    power = float(np.sqrt(np.mean(np.square(sound)))) + 1e-9
    gain = min(10 ** (random.uniform(*_LEVEL_DB) / 20) / power, 0.95 / (float(np.abs(sound).max()) + 1e-9))
    return (sound * gain).astype(np.float32)


def _room(num_samples: int, random: np.random.Generator) -> np.ndarray:
    """Hiss, hum or rumble, steady but for a slow swell."""
    return with_noise(np.zeros(num_samples, np.float32), random, 0.0) + 1e-6 * random.standard_normal(num_samples)


def _music(num_samples: int, random: np.random.Generator) -> np.ndarray:
    """Plucked and bowed notes over chords, with or without a drum: pitched, loud and rhythmic like a voice."""
    beat = int(SAMPLE_RATE_HZ * 60 / random.uniform(70, 150) / 2)
    scale, base_hz = _SCALES[int(random.integers(len(_SCALES)))], random.uniform(90, 220)
    decay, brightness, drum = random.uniform(0.08, 0.9), random.uniform(0.6, 1.6), random.random() < 0.6
    sound = np.zeros(num_samples)
    for place, first in enumerate(range(0, num_samples, beat)):
        degrees = random.choice(scale, int(random.integers(1, 3))) + 12 * random.integers(0, 3)
        if place % 8 == 0:
            degrees = np.array([scale[0], scale[2], scale[-2]]) + 12 * random.integers(0, 2)
        if random.random() < 0.75:
            _add_notes(sound[first:], base_hz * 2 ** (degrees / 12), decay, brightness)
        if drum and place % 2 == 0:
            _add_burst(sound[first:], random, seconds=0.05, strength=0.8)
    return sound


def _add_notes(room: np.ndarray, pitches_hz: np.ndarray, decay: float, brightness: float) -> None:
    seconds = np.arange(min(len(room), int(3 * decay * SAMPLE_RATE_HZ))) / SAMPLE_RATE_HZ
    envelope = np.minimum(seconds / 0.01, 1) * np.exp(-seconds / decay)
    for pitch in pitches_hz:
        harmonics = np.arange(1, max(2, min(10, int(7000 / pitch))))
        waves = np.sin(2 * np.pi * pitch * seconds[:, None] * harmonics) @ (1.0 / harmonics**brightness)
        room[: len(seconds)] += envelope * waves


def _knocks(num_samples: int, random: np.random.Generator) -> np.ndarray:
    """Keys, steps, clicks, doors: bursts of noise at irregular moments over a quiet room."""
    sound = 1e-3 * random.standard_normal(num_samples)
    gap_seconds = random.uniform(0.08, 1.5)
    place = 0
    while place < num_samples:
        _add_burst(sound[place:], random, seconds=random.uniform(0.004, 0.12), strength=random.uniform(0.2, 1.0))
        place += int(SAMPLE_RATE_HZ * random.gamma(2.0, gap_seconds / 2)) + 160
    return sound


def _add_burst(room: np.ndarray, random: np.random.Generator, seconds: float, strength: float) -> None:
    """Noise round one frequency that dies away in `seconds`."""
    length = min(len(room), int(4 * seconds * SAMPLE_RATE_HZ))
    if not length:
        return
    spectrum = np.fft.rfft(random.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    centre = np.exp(random.uniform(np.log(80), np.log(5000)))
    burst = np.fft.irfft(spectrum * np.exp(-((np.log((frequencies + 1) / centre) / 0.9) ** 2)), length)
    room[:length] += (
        strength * burst / (np.abs(burst).max() + 1e-9) * np.exp(-np.arange(length) / (seconds * SAMPLE_RATE_HZ))
    )


_KINDS: tuple[Callable[[int, np.random.Generator], np.ndarray], ...] = (_room, _music, _music, _knocks)
