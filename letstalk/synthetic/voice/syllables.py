"""A voice without an engine: nonsense syllables by source and filter. Any machine can train and be tested with it.

Nobody would take it for a person, but what lips do is heard as in speech: vowels differ in their formants, m hums, p is
a silence with a burst, s and f hiss.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence
from letstalk.types import SAMPLE_RATE_HZ, num_samples_for_frames

VOICE_NAME = "syllables"
# IPA symbol -> its first three formants in hertz.
_VOWELS: dict[str, tuple[int, int, int]] = {
    "a": (800, 1250, 2600), "ɛ": (560, 1850, 2550), "i": (290, 2250, 3000), "ɔ": (520, 850, 2450),
    "u": (310, 780, 2300), "ə": (500, 1500, 2500),
}  # fmt: skip
# IPA symbol -> centre of its hiss in hertz; 0 for a hum, -1 for a stop.
_CONSONANTS: dict[str, int] = {"m": 0, "n": 0, "p": -1, "t": -1, "k": -1, "s": 6000, "ʃ": 3200, "f": 4500}
_HUM_FORMANTS = (250, 1100, 2200)
_EDGE_SECONDS = 0.012
_SYLLABLES_BEFORE_PAUSE = (3, 12)


def spoken_syllables(num_frames: int, seed: int) -> Speech:
    """Phrases of consonant and vowel with pauses between them; 640 samples for each frame, phones exactly in time."""
    random = numpy_generator(seed, "syllables")
    num_samples = num_samples_for_frames(num_frames)
    voice = _Throat(pitch_hz=float(np.exp(random.uniform(np.log(90), np.log(260)))), size=random.uniform(0.88, 1.15))
    samples, phones, now = np.zeros(num_samples), [], random.uniform(0.1, 0.6)
    left = int(random.integers(*_SYLLABLES_BEFORE_PAUSE))
    while now * SAMPLE_RATE_HZ < num_samples:
        for symbol in (_pick(_CONSONANTS, random), _pick(_VOWELS, random)):
            seconds = random.uniform(0.06, 0.12) if symbol in _CONSONANTS else random.uniform(0.09, 0.28)
            _add(samples, now, voice.sound(symbol, seconds, random))
            phones.append(Phone(now, now + seconds, symbol))
            now += seconds
        left -= 1
        if left == 0:
            now += random.uniform(0.2, 1.4)
            left = int(random.integers(*_SYLLABLES_BEFORE_PAUSE))
    spoken = fill_silence(phones, num_samples / SAMPLE_RATE_HZ)
    peak = float(np.abs(samples).max())
    loud = samples * (0.5 / peak) if peak > 0 else samples
    text = "".join(phone.symbol for phone in spoken if phone.symbol != SILENCE)
    return Speech(loud.astype(np.float32), spoken, "ipa", VOICE_NAME, "", text)


class _Throat:
    """One speaker: pitch, and the size of the vocal tract, which scales all formants."""

    def __init__(self, pitch_hz: float, size: float) -> None:
        self.pitch_hz, self.size = pitch_hz, size

    def sound(self, symbol: str, seconds: float, random: np.random.Generator) -> np.ndarray:
        count = round(seconds * SAMPLE_RATE_HZ)
        if symbol in _VOWELS:
            return self._voiced(count, _VOWELS[symbol], random) * _edges(count)
        hiss = _CONSONANTS[symbol]
        if hiss == 0:
            return 0.35 * self._voiced(count, _HUM_FORMANTS, random) * _edges(count)
        if hiss > 0:
            return 0.25 * _hiss(count, hiss, random) * _edges(count)
        burst = _hiss(count, 2500, random) * np.exp(-np.arange(count)[::-1] / 60.0)  # at the end of the closure
        return 0.3 * burst

    def _voiced(self, count: int, formants: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
        """Harmonics of the pitch, weighted by the resonances."""
        glide = self.pitch_hz * np.exp(np.linspace(random.normal(0, 0.06), random.normal(0, 0.06), count))
        phase = 2 * np.pi * np.cumsum(glide) / SAMPLE_RATE_HZ
        harmonics = np.arange(1, int(4000 / self.pitch_hz))
        frequencies = harmonics * self.pitch_hz
        gain = sum(
            1 / (1 + ((frequencies - self.size * formant) / (60 + 0.05 * formant)) ** 2) / (place + 1)
            for place, formant in enumerate(formants)
        )
        return np.sin(phase[:, None] * harmonics) @ gain


def _hiss(count: int, centre_hz: int, random: np.random.Generator) -> np.ndarray:
    """Noise of unit power round one frequency."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    band = np.fft.irfft(spectrum * np.exp(-(((frequencies - centre_hz) / 1500) ** 2)), count)
    return band / (band.std() + 1e-9)


def _edges(count: int) -> np.ndarray:
    place = np.arange(count) / (_EDGE_SECONDS * SAMPLE_RATE_HZ)
    return np.clip(np.minimum(place, place[::-1]), 0, 1)


def _add(samples: np.ndarray, start_seconds: float, sound: np.ndarray) -> None:
    first = round(start_seconds * SAMPLE_RATE_HZ)
    room = samples[first : first + len(sound)]
    room += sound[: len(room)]


def _pick(table: Mapping[str, object], random: np.random.Generator) -> str:  # type: ignore[type-arg]
    return list(table)[int(random.integers(len(table)))]
