"""Speech whose phones are known: the values that voice engines, alignment files, augmentation and performance share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from letstalk.types import SAMPLE_RATE_HZ

SILENCE = ""  # the symbol of every pause, whatever an engine calls it
_SNAP_SECONDS = 1e-4  # holes shorter than this are rounding


class Phone(NamedTuple):
    """One sound, [start_seconds, end_seconds); `symbol` is in the alphabet of its `Speech`, `SILENCE` in a pause."""

    start_seconds: float
    end_seconds: float
    symbol: str

    @property
    def seconds(self) -> float:
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class Speech:
    """Sound and its phones, which lie in order and cover [0, duration) without a hole."""

    samples: np.ndarray  # (num_samples,) float32 in [-1, 1], 16 kHz mono
    phones: tuple[Phone, ...]
    alphabet: str = "ipa"  # a key of phonemes.ALPHABETS
    voice: str = ""
    language: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        assert self.samples.ndim == 1 and self.samples.dtype == np.float32, (self.samples.shape, self.samples.dtype)

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def fill_silence(phones: Iterable[Phone], duration_seconds: float) -> tuple[Phone, ...]:
    """Orders and cuts phones to [0, duration) and puts silence into every hole; empty phones vanish, pauses merge."""
    result: list[Phone] = []

    def add(phone: Phone) -> None:
        if phone.symbol == SILENCE and result and result[-1].symbol == SILENCE:
            result[-1] = result[-1]._replace(end_seconds=phone.end_seconds)
        else:
            result.append(phone)

    now = 0.0
    for phone in sorted(phones):
        start, end = max(phone.start_seconds, now), min(phone.end_seconds, duration_seconds)
        if end - start <= _SNAP_SECONDS:
            continue
        if start - now > _SNAP_SECONDS:
            add(Phone(now, start, SILENCE))
            now = start
        add(Phone(now, end, phone.symbol))
        now = end
    if duration_seconds - now > _SNAP_SECONDS:
        add(Phone(now, duration_seconds, SILENCE))
    elif result:
        result[-1] = result[-1]._replace(end_seconds=duration_seconds)
    return tuple(result)


def silent_speech(num_samples: int) -> Speech:
    """Nobody says anything."""
    samples = np.zeros(num_samples, np.float32)
    return Speech(samples, fill_silence((), num_samples / SAMPLE_RATE_HZ))


def join(parts: Sequence[Speech]) -> Speech:
    """One after another; all parts that speak share alphabet and voice."""
    speaking = [part for part in parts if part.text] or list(parts)
    assert len({part.alphabet for part in speaking}) == 1, "alphabets differ"
    phones, num_samples = [], 0
    for part in parts:
        offset = num_samples / SAMPLE_RATE_HZ
        phones += [Phone(p.start_seconds + offset, p.end_seconds + offset, p.symbol) for p in part.phones]
        num_samples += len(part.samples)
    samples = np.concatenate([part.samples for part in parts])
    text = " ".join(part.text for part in parts if part.text)
    return replace(speaking[0], samples=samples, phones=fill_silence(phones, num_samples / SAMPLE_RATE_HZ), text=text)


def cut(speech: Speech, first_sample: int, num_samples: int) -> Speech:
    """A window of exactly `num_samples`, with silence where it reaches past the end."""
    assert first_sample >= 0
    samples = speech.samples[first_sample : first_sample + num_samples]
    samples = np.pad(samples, (0, num_samples - len(samples)))
    offset = first_sample / SAMPLE_RATE_HZ
    moved = (Phone(p.start_seconds - offset, p.end_seconds - offset, p.symbol) for p in speech.phones)
    return replace(speech, samples=samples, phones=fill_silence(moved, num_samples / SAMPLE_RATE_HZ))


def trim(speech: Speech, keep_seconds: float = 0.02) -> Speech:
    """Cuts the silence before the first and after the last sound; a speech of silence becomes empty."""
    sounding = [phone for phone in speech.phones if phone.symbol != SILENCE]
    if not sounding:
        return cut(speech, 0, 0)
    first = max(0, round((sounding[0].start_seconds - keep_seconds) * SAMPLE_RATE_HZ))
    last = min(len(speech.samples), round((sounding[-1].end_seconds + keep_seconds) * SAMPLE_RATE_HZ))
    return cut(speech, first, last - first)


def to_16k_mono(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """int16 or float samples at any rate to float32 at 16 kHz; the filter is linear-phase, so times stay."""
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32768.0
    if rate_hz != SAMPLE_RATE_HZ:
        import soxr

        samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return np.clip(samples, -1.0, 1.0).astype(np.float32)
