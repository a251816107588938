"""Mouth shapes in time -> smooth tracks of jaw, lips and tongue in which lips that must touch do touch.

Every shape pulls each articulator towards its target; the pull fades with distance in time, so neighbours share the
space between them (dominance functions after Cohen and Massaro, 1993). Averages never close a mouth, so contacts (m b
p, f v, silence) are separate tracks, built as plateaus that last longer than a frame, and the jaw makes way for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from letstalk.synthetic.visemes import (
    CHANNELS,
    GROUP_OF_CHANNEL,
    JAW,
    ROUNDING,
    SIL,
    VISEMES,
    resistance_matrix,
    target_matrix,
)
from letstalk.synthetic.voice.phonemes import Segment
from letstalk.types import FPS

GRID_PER_FRAME = 8  # time steps in a frame: 5 ms
GRID_HZ = FPS * GRID_PER_FRAME
MAX_SEALED_JAW = 0.1  # the lips of the least gifted face still meet at this opening of the jaw

_REACH_SECONDS = np.array([0.055, 0.055, 0.075, 0.045])  # jaw, lips, rounding, tongue: how far a shape pulls
_EARLY_SECONDS = np.array([0.015, 0.025, 0.055, 0.015])  # shapes are prepared before their sound; rounding first of all
_PULL_EXPONENT = 1.6
_REST_PULL = 2e-3  # where nothing pulls, the face goes to rest
_JAW_PER_SECOND = 7.5  # opening units; a real jaw takes 80 ms to drop
_SMOOTHING_SECONDS = 0.014
_CONTACT_EDGE_SECONDS = 0.05  # the last way of the lips to each other
_MIN_CONTACT_SECONDS = 0.046  # longer than a frame, so that one frame at least shows it
REST_AFTER_SECONDS = 0.12  # the mouth closes this long after the last sound ...
REST_BEFORE_SECONDS = 0.14  # ... and opens this long before the next
_MIN_REST_SECONDS = 0.1
# What is left of a unit while the lips are pressed together.
_KEPT_IN_CONTACT = {
    "mouth-part-later": 0.0, "mouth-parling": 0.0, "mouth-elevation": 0.0, "mouth-eversion": 0.0,
    "mouth-pursing": 0.7, "mouth-protusion": 0.5, "mouth-retraction": 0.6,
}  # fmt: skip
_STOP_SHARE = 0.75  # of a p or b the rest is the burst, lips already apart


@dataclass(frozen=True)
class Articulation:
    """How a person moves the mouth, from lazy to clear."""

    opening: float = 1.0  # of the jaw in vowels
    rounding: float = 1.0
    spreading: float = 1.0
    clarity: float = 1.0  # below 1 neighbours blur more, above 1 every shape is reached
    early_seconds: float = 0.02  # added to the lead of the lips over the sound


@dataclass(frozen=True)
class MouthTracks:
    """On frame centres, float64."""

    channels: np.ndarray  # (num_frames, len(CHANNELS))
    lip_seal: np.ndarray  # (num_frames,) 0..1
    lip_to_teeth: np.ndarray  # (num_frames,) 0..1


def mouth_tracks(
    segments: Sequence[Segment], num_frames: int, effort: np.ndarray, articulation: Articulation, released: set[int]
) -> MouthTracks:
    """Tracks for the first `num_frames` frames.

    `effort` holds one factor per segment on the opening of vowels (1 is usual; loud and stressed ones have more).
    `released` holds the segments whose lip contact ends in a burst (p b, not m).
    """
    assert len(effort) == len(segments)
    grid_seconds = (np.arange(num_frames * GRID_PER_FRAME) + 0.5) / GRID_HZ
    channels = _blend(segments, grid_seconds, effort, articulation)
    seal = _contacts(segments, grid_seconds, articulation, released)
    rest = _rests(segments, grid_seconds)
    teeth = _teeth(segments, grid_seconds, articulation) * (1 - seal)
    channels = gaussian_filter1d(channels, _SMOOTHING_SECONDS * GRID_HZ, axis=0, mode="nearest")
    channels = _make_way(channels, np.maximum(seal, rest), teeth)
    centre = slice(GRID_PER_FRAME // 2, None, GRID_PER_FRAME)
    return MouthTracks(channels[centre], np.maximum(seal, rest)[centre], teeth[centre])


def _blend(
    segments: Sequence[Segment], grid_seconds: np.ndarray, effort: np.ndarray, articulation: Articulation
) -> np.ndarray:
    """(num_grid, num_channels) averages of all targets, weighted by how hard each pulls at that moment."""
    targets, resistance = _personal_targets(articulation), resistance_matrix()
    total = np.zeros((len(grid_seconds), len(CHANNELS)))
    weight_sum = np.full((len(grid_seconds), len(_REACH_SECONDS)), _REST_PULL)
    reach = _REACH_SECONDS / articulation.clarity
    window = int(6 * reach.max() * GRID_HZ)
    for segment, factor in zip(segments, effort, strict=True):
        first = max(0, int(segment.start_seconds * GRID_HZ) - window)
        part = slice(first, int(segment.end_seconds * GRID_HZ) + window)
        early = _EARLY_SECONDS + articulation.early_seconds
        middle = 0.5 * (segment.start_seconds + segment.end_seconds) - early
        # The core of a shape, in which it pulls with full force, is shorter than its sound; a held sound is all core.
        seconds = segment.end_seconds - segment.start_seconds
        core = max(0.3 * seconds, 0.5 * seconds - 0.04)
        distance = np.maximum(np.abs(grid_seconds[part, None] - middle) - core, 0.0) / reach
        pull = resistance[segment.viseme] * np.exp(-(distance**_PULL_EXPONENT))
        target = targets[segment.viseme].copy()
        if VISEMES[segment.viseme].vowel:
            target[JAW] *= factor
        total[part] += pull[:, GROUP_OF_CHANNEL] * target
        weight_sum[part] += pull
    return total / weight_sum[:, GROUP_OF_CHANNEL]


def _personal_targets(articulation: Articulation) -> np.ndarray:
    targets = target_matrix()
    targets[:, JAW] *= articulation.opening
    targets[:, GROUP_OF_CHANNEL == ROUNDING] *= articulation.rounding
    targets[:, CHANNELS.index("mouth-retraction")] *= articulation.spreading
    return targets


def _plateau(grid_seconds: np.ndarray, start: float, end: float, rise: float, fall: float) -> np.ndarray:
    """0 before start - rise, 1 from start to end, 0 after end + fall, with soft corners."""
    ramp = np.minimum((grid_seconds - start) / rise + 1, (end - grid_seconds) / fall + 1)
    ramp = np.clip(ramp, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def _contacts(
    segments: Sequence[Segment], grid_seconds: np.ndarray, articulation: Articulation, released: set[int]
) -> np.ndarray:
    """Lips pressed together. A stop's silence is the closed mouth itself, so its contact starts with it, not before."""
    seal = np.zeros(len(grid_seconds))
    for index, segment in enumerate(segments):
        if not VISEMES[segment.viseme].seals_lips:
            continue
        seconds = segment.end_seconds - segment.start_seconds
        held = seconds * (_STOP_SHARE if index in released else 1.0)
        held = max(held - 0.01, _MIN_CONTACT_SECONDS)
        start = segment.start_seconds + min(0.0, (seconds - held) / 2) - 0.25 * articulation.early_seconds
        edge = _CONTACT_EDGE_SECONDS / articulation.clarity
        part = _near(segment, grid_seconds)
        seal[part] = np.maximum(seal[part], _plateau(grid_seconds[part], start, start + held, edge, 0.8 * edge))
    return seal


def _teeth(segments: Sequence[Segment], grid_seconds: np.ndarray, articulation: Articulation) -> np.ndarray:
    """Lower lip on the upper teeth."""
    teeth = np.zeros(len(grid_seconds))
    for segment in segments:
        if not VISEMES[segment.viseme].lip_on_teeth:
            continue
        middle = 0.5 * (segment.start_seconds + segment.end_seconds) - 0.5 * articulation.early_seconds
        half = 0.5 * max(0.8 * (segment.end_seconds - segment.start_seconds), _MIN_CONTACT_SECONDS)
        part = _near(segment, grid_seconds)
        contact = _plateau(grid_seconds[part], middle - half, middle + half, 0.06, 0.05)
        teeth[part] = np.maximum(teeth[part], contact)
    return teeth


def _near(segment: Segment, grid_seconds: np.ndarray) -> slice:
    margin = 0.25
    first = int(max(0.0, segment.start_seconds - margin) * GRID_HZ)
    return slice(first, min(len(grid_seconds), int((segment.end_seconds + margin) * GRID_HZ) + 1))


def _rests(segments: Sequence[Segment], grid_seconds: np.ndarray) -> np.ndarray:
    """Lips together in silence; a pause too short to rest in leaves them apart."""
    rest = np.zeros(len(grid_seconds))
    end_of_all = segments[-1].end_seconds if segments else 0.0
    for segment in segments:
        if segment.viseme != SIL:
            continue
        first, last = segment.start_seconds <= 0, segment.end_seconds >= end_of_all
        start = -1.0 if first else segment.start_seconds + REST_AFTER_SECONDS
        end = end_of_all + 1.0 if last else segment.end_seconds - REST_BEFORE_SECONDS
        if end - start >= _MIN_REST_SECONDS:
            rise, fall = min(0.12, REST_AFTER_SECONDS + 0.04), 0.12
            rest = np.maximum(rest, _plateau(grid_seconds, start, end, rise, fall))
    return rest


def _make_way(channels: np.ndarray, seal: np.ndarray, teeth: np.ndarray) -> np.ndarray:
    """What would keep lips apart gives way to the contact, and the jaw moves no faster than a jaw can.

    The jaw is held under a slope-limited lower envelope: limiting its speed by averaging would open a closed mouth.
    """
    result = channels.copy()
    jaw_limit = 1.0 - (1.0 - MAX_SEALED_JAW) * seal
    jaw_limit = np.minimum(jaw_limit, 1.0 - 0.82 * teeth)
    result[:, JAW] = _limit_slope(np.minimum(result[:, JAW], jaw_limit), _JAW_PER_SECOND / GRID_HZ)
    for name, kept in _KEPT_IN_CONTACT.items():
        result[:, CHANNELS.index(name)] *= 1 - (1 - kept) * seal
    result[:, CHANNELS.index("mouth-pursing")] *= 1 - 0.5 * teeth
    return result


def _limit_slope(values: np.ndarray, step: float) -> np.ndarray:
    """The greatest curve under `values` that changes by no more than `step` from one grid point to the next."""
    ramp = step * np.arange(len(values))
    forward = np.minimum.accumulate(values - ramp) + ramp
    backward = (np.minimum.accumulate((forward - ramp[::-1])[::-1]))[::-1] + ramp[::-1]
    return np.minimum(forward, backward)
