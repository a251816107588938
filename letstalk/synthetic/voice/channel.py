"""What lies between a mouth and a listener: room, noise, microphone, codec. Nothing here moves a sound in time."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, istft, oaconvolve, resample_poly, sosfiltfilt, stft

from letstalk.types import SAMPLE_RATE_HZ

_NOISE_KINDS = ("white", "pink", "brown", "hum", "babble")
_QUIET_POWER = 1e-4  # what noise is measured against where there is no speech
_CODECS = ("telephone", "mu-law", "narrow", "low bit rate")


def in_room(samples: np.ndarray, random: np.random.Generator, reverberation_seconds: float) -> np.ndarray:
    """A synthetic room: direct sound at its time, a few early echoes, a tail that decays by 60 dB in the given time."""
    length = int(reverberation_seconds * SAMPLE_RATE_HZ)
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    tail = random.standard_normal(length) * np.exp(-6.9 * seconds / reverberation_seconds)
    tail *= np.clip((seconds - 0.006) / 0.02, 0, 1)  # the first echo comes from a wall some metres away
    tail = np.convolve(tail, [0.25, 0.5, 0.25], mode="same")  # walls swallow the highest tones
    response = np.zeros(length)
    for _ in range(int(random.integers(3, 8))):
        delay = random.uniform(0.002, min(0.03, 0.5 * reverberation_seconds))
        response[int(delay * SAMPLE_RATE_HZ)] += random.uniform(-0.5, 0.5)
    distance = random.uniform(0.1, 1.0)  # from close microphone to far: how much of the sound is room
    energy = np.sqrt(np.sum(tail**2)) + 1e-9
    response = distance * (response + tail / energy * random.uniform(0.5, 1.3))
    response[0] = 1.0
    return oaconvolve(samples, response)[: len(samples)].astype(np.float32)


def with_noise(samples: np.ndarray, random: np.random.Generator, snr_db: float) -> np.ndarray:
    """One kind of noise at `snr_db` below the speech, swelling and fading a little.

    Where nobody speaks the noise is that of a quiet room: a model must learn that noise moves no lips.
    """
    kind = _NOISE_KINDS[int(random.integers(len(_NOISE_KINDS)))]
    noise = _babble(samples, random) if kind == "babble" else _steady_noise(kind, len(samples), random)
    speech_power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise_power = float(np.mean(noise**2))
    if speech_power < 1e-10:
        speech_power = _QUIET_POWER
    knots = random.uniform(0.6, 1.4, 2 + len(samples) // SAMPLE_RATE_HZ)
    swell = np.interp(np.linspace(0, len(knots) - 1, len(samples)), np.arange(len(knots)), knots)
    return (samples + noise * swell * np.sqrt(speech_power / max(noise_power, 1e-12)) * 10 ** (-snr_db / 20)).astype(
        np.float32
    )


def _steady_noise(kind: str, length: int, random: np.random.Generator) -> np.ndarray:
    if kind == "hum":
        seconds = np.arange(length) / SAMPLE_RATE_HZ
        base = random.choice([50.0, 60.0])
        levels = random.uniform(0.1, 1.0, 8) / np.arange(1, 9)
        phases = random.uniform(0, 2 * np.pi, 8)
        tones = [
            a * np.sin(2 * np.pi * base * (k + 1) * seconds + p)
            for k, (a, p) in enumerate(zip(levels, phases, strict=True))
        ]
        return np.sum(tones, axis=0) + 0.02 * random.standard_normal(length)
    spectrum = np.fft.rfft(random.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ)
    slope = {"white": 0.0, "pink": 0.5, "brown": 1.0}[kind]
    return np.fft.irfft(spectrum / np.maximum(frequencies, 40.0) ** slope, length)


def _babble(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A murmur of many voices, made of the speech itself: shifted, at other pitches and half of them backwards."""
    total = np.zeros(len(samples))
    for _ in range(6):
        up, down = random.choice([(9, 10), (10, 9), (7, 8), (8, 7), (6, 7), (7, 6)])
        voice = resample_poly(samples, up, down)
        voice = voice[::-1] if random.random() < 0.5 else voice
        voice = np.resize(voice, len(samples))
        total += np.roll(voice, int(random.integers(len(samples)))) * random.uniform(0.5, 1.0)
    return total


def equalise(samples: np.ndarray, random: np.random.Generator, most_db: float) -> np.ndarray:
    """A random smooth response, as of a microphone and its place."""
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    knots_hz = np.array([0.0, 120.0, 300.0, 800.0, 2000.0, 4000.0, 8000.0])
    gains_db = random.uniform(-most_db, most_db, len(knots_hz))
    octaves = np.log2(np.maximum(frequencies, 50.0))
    response = 10 ** (np.interp(octaves, np.log2(np.maximum(knots_hz, 50.0)), gains_db) / 20)
    return np.fft.irfft(np.fft.rfft(samples) * response, len(samples)).astype(np.float32)


def clip_peaks(samples: np.ndarray, share: float) -> np.ndarray:
    """Cuts off the highest `share` of the samples, as an overdriven input does."""
    limit = float(np.quantile(np.abs(samples), 1 - share)) if len(samples) else 0.0
    return np.clip(samples, -limit, limit).astype(np.float32) if limit > 0 else samples


def through_codec(samples: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What a telephone, a cheap recorder or a meeting at low bit rate leaves of a voice."""
    kind = _CODECS[int(random.integers(len(_CODECS)))]
    if kind == "telephone":
        return _mu_law(_band(samples, 300.0, 3400.0), 256)
    if kind == "mu-law":
        return _mu_law(samples, int(random.choice([64, 128, 256])))
    if kind == "narrow":
        return _band(samples, random.uniform(40.0, 120.0), random.uniform(2800.0, 6500.0))
    return _few_bits(samples, step_db=random.uniform(3.0, 7.0), floor_db=random.uniform(22.0, 40.0))


def _band(samples: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    filter_sections = butter(3, (low_hz, high_hz), btype="bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return sosfiltfilt(filter_sections, samples).astype(np.float32) if len(samples) > 64 else samples


def _mu_law(samples: np.ndarray, num_levels: int) -> np.ndarray:
    mu = 255.0
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    squeezed = np.sign(samples) * np.log1p(mu * np.abs(samples) / peak) / np.log1p(mu)
    squeezed = np.round(squeezed * (num_levels / 2)) / (num_levels / 2)
    return (np.sign(squeezed) * np.expm1(np.abs(squeezed) * np.log1p(mu)) / mu * peak).astype(np.float32)


def _few_bits(samples: np.ndarray, step_db: float, floor_db: float) -> np.ndarray:
    """Levels in coarse steps, and what lies far below the loudest tone of its moment dropped: the sound of a codec."""
    if len(samples) < 512:
        return samples.astype(np.float32)
    _, _, spectrum = stft(samples, nperseg=512)
    level_db = 20 * np.log10(np.abs(spectrum) + 1e-7)
    coarse = 10 ** ((np.round(level_db / step_db) * step_db - level_db) / 20)
    kept = level_db > level_db.max(axis=0, keepdims=True) - floor_db
    _, result = istft(spectrum * coarse * kept, nperseg=512)
    return np.pad(result, (0, max(0, len(samples) - len(result))))[: len(samples)].astype(np.float32)
