"""The same speech in another throat, another room, through another microphone. Phones move with their sounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.voice import channel, voicing
from letstalk.synthetic.voice.speech import Phone, Speech, fill_silence
from letstalk.types import SAMPLE_RATE_HZ


@dataclass(frozen=True)
class AugmentSettings:
    """How often each change is made, and how strong it may be. Shares are 0..1."""

    voice_share: float = 0.7  # pitch and formants
    speed_share: float = 0.4
    room_share: float = 0.5
    noise_share: float = 0.6
    codec_share: float = 0.35
    equaliser_share: float = 0.5
    clipping_share: float = 0.06
    most_pitch: float = 1.3  # factor; its inverse is the least
    most_formant: float = 1.16
    most_speed: float = 1.25
    snr_db: tuple[float, float] = (5.0, 40.0)
    reverberation_seconds: tuple[float, float] = (0.12, 0.8)
    level_db: tuple[float, float] = (-34.0, -14.0)  # root mean square of the result


def augment(speech: Speech, seed: int, settings: AugmentSettings | None = None) -> Speech:
    """Another recording of the same speech, the same for the same seed. Its length changes only with its speed.

    Reverberation keeps the direct sound where it was, so phones still stand where they are heard.
    """
    if not len(speech.samples):
        return speech
    settings = settings or AugmentSettings()
    random = numpy_generator(seed, "augment")
    result = _change_voice(speech, random, settings)
    samples = result.samples
    if random.random() < settings.equaliser_share:
        samples = channel.equalise(samples, random, most_db=9.0)
    if random.random() < settings.room_share:
        samples = channel.in_room(samples, random, _log_uniform(random, *settings.reverberation_seconds))
    if random.random() < settings.noise_share:
        samples = channel.with_noise(samples, random, float(random.uniform(*settings.snr_db)))
    if random.random() < settings.clipping_share:
        samples = channel.clip_peaks(samples, share=float(random.uniform(0.001, 0.02)))
    if random.random() < settings.codec_share:
        samples = channel.through_codec(samples, random)
    return replace(result, samples=_at_level(samples, float(random.uniform(*settings.level_db))))


def change_speed(speech: Speech, factor: float) -> Speech:
    """Faster above 1, at the same pitch; phones keep to their sounds."""
    samples = voicing.stretch(speech.samples, 1.0 / factor)
    scale = len(samples) / max(1, len(speech.samples))
    phones = [Phone(p.start_seconds * scale, p.end_seconds * scale, p.symbol) for p in speech.phones]
    return replace(speech, samples=samples, phones=fill_silence(phones, len(samples) / SAMPLE_RATE_HZ))


def _change_voice(speech: Speech, random: np.random.Generator, settings: AugmentSettings) -> Speech:
    pitch = _around_one(random, settings.most_pitch)
    formant = _around_one(random, settings.most_formant)
    speed = _around_one(random, settings.most_speed)
    if random.random() < settings.voice_share:
        speech = replace(speech, samples=voicing.change_voice(speech.samples, pitch, formant))
    if random.random() < settings.speed_share:
        speech = change_speed(speech, speed)
    return speech


def _around_one(random: np.random.Generator, most: float) -> float:
    return float(np.exp(random.uniform(-1, 1) * np.log(most)))


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    """Root mean square at `level_db` below full scale, less where peaks would pass it."""
    power = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    if power < 1e-6:
        return samples.astype(np.float32)
    gain = min(10 ** (level_db / 20) / power, 0.99 / float(np.abs(samples).max()))
    return (samples * gain).astype(np.float32)
