"""How far phone labels stand from the sound: where closures, frication, nasals and pauses begin and end, measured.

For every boundary of a known kind the level in one band is taken in the middle of both phones; the sound changes
where the level, in decibels, passes half-way between the two. A positive offset means that the sound comes after its
label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from letstalk.synthetic.voice.sentences import draw_sentences
from letstalk.synthetic.voice.speech import Phone, Speech
from letstalk.synthetic.voice.timing import BoundaryKind, boundary_kind
from letstalk.synthetic.voice.voices import Voice, speak
from letstalk.types import SAMPLE_RATE_HZ

_BANDS_HZ: dict[BoundaryKind, tuple[int, int]] = {
    "closure": (60, 7000), "frication_start": (4500, 7900), "frication_end": (4500, 7900),
    "nasal_start": (600, 3000), "nasal_end": (600, 3000), "silence_start": (60, 7000), "silence_end": (60, 7000),
}  # fmt: skip
_STEP_SAMPLES = 16  # levels are read every millisecond
_STEP_SECONDS = _STEP_SAMPLES / SAMPLE_RATE_HZ
_WINDOW_SECONDS = 0.008  # a box: how far it blurs an edge has an end
# The edge is looked for no deeper than this below the louder side: deeper, the blur of the window counts as sound. Into
# and out of silence voices fade, so there it is sought deeper.
_MOST_DEPTH_DB, _MOST_DEPTH_OF_SILENCE_DB = 15.0, 30.0
_SEARCH_SECONDS = 0.07
_LEAST_CONTRAST_DB = 8.0  # below it there is no edge to speak of


@dataclass(frozen=True)
class SyncResult:
    """Offsets of one kind of boundary in one voice (or pooled over voices), milliseconds."""

    voice: str
    kind: str
    num_boundaries: int  # labelled
    num_measured: int  # with an edge clear enough to measure
    median_ms: float
    low_ms: float  # a tenth of the offsets lies below
    high_ms: float  # a tenth of the offsets lies above


def offsets_ms(speech: Speech) -> dict[BoundaryKind, list[float | None]]:
    """Sound minus label for every boundary; None where there is no clear edge within 70 ms."""
    levels = {band: _levels_db(speech.samples, *band) for band in set(_BANDS_HZ.values())}
    result: dict[BoundaryKind, list[float | None]] = defaultdict(list)
    for before, after in zip(speech.phones[:-1], speech.phones[1:], strict=True):
        kind = boundary_kind(before, after, speech.alphabet)
        if kind is not None:
            moment = _edge_seconds(levels[_BANDS_HZ[kind]], before, after, kind)
            result[kind].append(None if moment is None else 1000 * (moment - after.start_seconds))
    return result


def measure_voice(voice: Voice, num_sentences: int, seed: int) -> list[SyncResult]:
    """Speaks sentences of the voice's split and measures every kind of boundary in them."""
    pooled: dict[str, list[float | None]] = defaultdict(list)
    for sentence in draw_sentences(voice.language, voice.split, seed, num_sentences):
        for kind, found in offsets_ms(speak(sentence, voice)).items():
            pooled[kind] += found
    return [summarise(voice.name, kind, pooled[kind]) for kind in sorted(pooled)]


def summarise(voice: str, kind: str, offsets: Iterable[float | None]) -> SyncResult:
    offsets = list(offsets)
    measured = np.array([offset for offset in offsets if offset is not None])
    if not len(measured):
        return SyncResult(voice, kind, len(offsets), 0, float("nan"), float("nan"), float("nan"))
    low, median, high = np.quantile(measured, [0.1, 0.5, 0.9])
    return SyncResult(voice, kind, len(offsets), len(measured), float(median), float(low), float(high))


def _levels_db(samples: np.ndarray, low_hz: int, high_hz: int) -> np.ndarray:
    """Level of one band at every millisecond. Filter and window are symmetric: they move nothing in time."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    spectrum[(frequencies < low_hz) | (frequencies > high_hz)] = 0
    power = np.fft.irfft(spectrum, len(samples)) ** 2
    smooth = uniform_filter1d(power, round(_WINDOW_SECONDS * SAMPLE_RATE_HZ))[::_STEP_SAMPLES]
    return 10 * np.log10(np.maximum(smooth, 0) + 1e-9)


def _edge_seconds(levels: np.ndarray, before: Phone, after: Phone, kind: BoundaryKind) -> float | None:
    """The moment nearest to the label at which the level crosses the middle between both phones, the right way."""
    from_level = _core_level(levels, before)
    # The quietest moment of a stop is its closure; its middle may already be the burst.
    to_level = _quietest(levels, after) if kind == "closure" else _core_level(levels, after)
    if abs(to_level - from_level) < _LEAST_CONTRAST_DB:
        return None
    depth = _MOST_DEPTH_OF_SILENCE_DB if kind in ("silence_start", "silence_end") else _MOST_DEPTH_DB
    middle = max(0.5 * (from_level + to_level), max(from_level, to_level) - depth)
    rises = to_level > from_level
    label = after.start_seconds / _STEP_SECONDS
    reach = int(_SEARCH_SECONDS / _STEP_SECONDS)
    first = max(0, int(label) - reach)
    part = levels[first : int(label) + reach + 1] - middle
    crossings = np.flatnonzero((part[:-1] < 0) & (part[1:] >= 0) if rises else (part[:-1] >= 0) & (part[1:] < 0))
    if not len(crossings):
        return None
    nearest = crossings[np.argmin(np.abs(crossings + first - label))]
    return (first + nearest + part[nearest] / (part[nearest] - part[nearest + 1])) * _STEP_SECONDS


def _core_level(levels: np.ndarray, phone: Phone) -> float:
    centre, half = 0.5 * (phone.start_seconds + phone.end_seconds), 0.2 * phone.seconds
    first = min(int((centre - half) / _STEP_SECONDS), len(levels) - 1)
    return float(np.median(levels[first : int((centre + half) / _STEP_SECONDS) + 1]))


def _quietest(levels: np.ndarray, phone: Phone) -> float:
    first = min(int(phone.start_seconds / _STEP_SECONDS), len(levels) - 1)
    return float(levels[first : max(first + 3, int(phone.end_seconds / _STEP_SECONDS))].min())
