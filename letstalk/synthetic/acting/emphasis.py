"""Which syllables of a speech stand out, and where its phrases begin and end: read from the sound and the phones.

Voice engines do not tell their stress marks, and real recordings have none, so stress is what listeners hear: louder,
longer and higher than the neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.voice.phonemes import is_vowel
from letstalk.synthetic.voice.speech import SILENCE, Speech
from letstalk.types import SAMPLE_RATE_HZ

MIN_PAUSE_SECONDS = 0.16  # shorter silences are closures or hesitations within a phrase
_PITCH_WINDOW = 640  # 40 ms
_PITCH_RANGE_HZ = (70, 420)
_NEIGHBOURHOOD = 7  # syllables that a syllable is compared with


@dataclass(frozen=True)
class Syllable:
    middle_seconds: float
    phone: int  # index of its vowel in Speech.phones
    prominence: float  # 0..1; about one in four is above 0.65


@dataclass(frozen=True)
class Phrase:
    start_seconds: float
    end_seconds: float


def phrases(speech: Speech) -> list[Phrase]:
    """Stretches of speech between pauses."""
    result: list[Phrase] = []
    for phone in speech.phones:
        if phone.symbol == SILENCE:
            continue
        if result and phone.start_seconds - result[-1].end_seconds < MIN_PAUSE_SECONDS:
            result[-1] = Phrase(result[-1].start_seconds, phone.end_seconds)
        else:
            result.append(Phrase(phone.start_seconds, phone.end_seconds))
    return result


def syllables(speech: Speech) -> list[Syllable]:
    """One for each vowel."""
    vowels = [
        (index, phone)
        for index, phone in enumerate(speech.phones)
        if phone.symbol != SILENCE and is_vowel(phone, speech.alphabet)
    ]
    if not vowels:
        return []
    seconds = np.array([phone.seconds for _, phone in vowels])
    middles = np.array([0.5 * (phone.start_seconds + phone.end_seconds) for _, phone in vowels])
    loudness = np.array([_loudness_db(speech.samples, phone.start_seconds, phone.end_seconds) for _, phone in vowels])
    pitch = np.array([_pitch_semitones(speech.samples, middle) for middle in middles])
    score = 0.5 * _stands_out(loudness) + 0.6 * _stands_out(np.log(seconds)) + 0.6 * _stands_out(pitch)
    prominence = 1 / (1 + np.exp(-1.3 * (score - 0.25)))
    return [
        Syllable(float(middle), index, float(value))
        for (index, _), middle, value in zip(vowels, middles, prominence, strict=True)
    ]


def phone_loudness(speech: Speech) -> np.ndarray:
    """(num_phones,) factor of effort, 1 for the usual loudness of a vowel in this speech, 0.8..1.25."""
    levels = np.array([_loudness_db(speech.samples, p.start_seconds, p.end_seconds) for p in speech.phones])
    vowels = np.array([phone.symbol != SILENCE and is_vowel(phone, speech.alphabet) for phone in speech.phones])
    if not vowels.any() or np.ptp(levels[vowels]) < 1e-6:
        return np.ones(len(levels))
    return np.clip(1 + 0.02 * (levels - np.median(levels[vowels])), 0.8, 1.25)


def _stands_out(values: np.ndarray) -> np.ndarray:
    """Difference from the neighbours in units of the clip's spread; clipped, lest one outlier be the only accent."""
    padded = np.pad(values, _NEIGHBOURHOOD // 2, mode="reflect" if len(values) > _NEIGHBOURHOOD // 2 else "edge")
    local = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEIGHBOURHOOD), axis=1)
    return np.clip((values - local) / (values.std() + 1e-6), -2, 2) if values.std() > 1e-9 else np.zeros(len(values))


def _loudness_db(samples: np.ndarray, start_seconds: float, end_seconds: float) -> float:
    piece = samples[int(start_seconds * SAMPLE_RATE_HZ) : int(end_seconds * SAMPLE_RATE_HZ)]
    return 10 * float(np.log10(np.mean(np.square(piece, dtype=np.float64)) + 1e-7)) if len(piece) else -70.0


def _pitch_semitones(samples: np.ndarray, middle_seconds: float) -> float:
    """Pitch of a vowel's middle by autocorrelation; coarse is enough to tell high from low."""
    first = max(0, int(middle_seconds * SAMPLE_RATE_HZ) - _PITCH_WINDOW // 2)
    piece = samples[first : first + _PITCH_WINDOW].astype(np.float64)
    if len(piece) < _PITCH_WINDOW or np.max(np.abs(piece)) < 1e-4:
        return 0.0
    spectrum = np.fft.rfft((piece - piece.mean()) * np.hanning(len(piece)), 2 * _PITCH_WINDOW)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)
    low, high = (SAMPLE_RATE_HZ // hertz for hertz in reversed(_PITCH_RANGE_HZ))
    return 12 * float(np.log2(SAMPLE_RATE_HZ / (low + np.argmax(correlation[low:high])) / 100))
