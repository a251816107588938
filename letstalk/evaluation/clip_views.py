"""What suites draw from the clips of the benchmark: pairs of frames, masks, the calmest frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.data.benchmark import BenchmarkClip
from letstalk.types import FPS

LEAST_GAP_SECONDS, MOST_GAP_SECONDS = 0.5, 5.0
STILL_GAP = 0.02  # eye distances: a mouth whose gap spreads less does not speak, and nobody can follow it


@dataclass(frozen=True)
class Examination:
    """What may be chosen of an examination; everything else is fixed."""

    seed: int = 0
    pairs_per_clip: int = 8  # for pictures; flow has the pairs that the benchmark labels
    frame_step: int = 3  # series are made and read at every so many frames


def gap_frames(num_frames: int) -> tuple[int, int]:
    """The least and the largest distance of a pair in a clip, both allowed."""
    least = int(np.ceil(LEAST_GAP_SECONDS * FPS))
    return least, min(int(MOST_GAP_SECONDS * FPS), num_frames - 1)


def draw_pairs(clip: BenchmarkClip, count: int, seed: int) -> np.ndarray:
    """(count, 2) frames (target, reference), half a second to five seconds apart, in either order of time."""
    random = numpy_generator(seed, "pairs", clip.name)
    least, most = gap_frames(clip.num_frames)
    assert least <= most, f"{clip.name} is too short for pairs"
    gaps = random.integers(least, most + 1, count)
    first = random.integers(0, clip.num_frames - gaps)
    pairs = np.stack([first, first + gaps], 1)
    turned = random.random(count) < 0.5
    pairs[turned] = pairs[turned, ::-1]
    return pairs


def mouth_masks(clip: BenchmarkClip, frames: np.ndarray) -> np.ndarray:
    """(n, size, size) bool: the boxes round the lips of the given frames (n,)."""
    masks = np.zeros((len(frames), clip.size, clip.size), bool)
    for mask, (left, top, right, bottom) in zip(masks, clip.labels["mouth_box"][frames], strict=True):
        mask[top:bottom, left:right] = True
    return masks


def calm_frame(clip: BenchmarkClip) -> int:
    """The frame most like a portrait: mouth closed, eyes open, looking ahead. Change of latents is counted from it."""
    labels = clip.labels
    turned, away = np.abs(labels["head_angles"]).sum(1), np.abs(labels["gaze"]).sum(1)
    return int(np.argmin(turned + 0.3 * away + labels["mouth_gap"] + labels["lid_closure"].max(1)))


def speaks(gaps: np.ndarray) -> bool:
    """Whether a series (n,) of mouth gaps moves enough to be followed."""
    return bool(gaps.std() >= STILL_GAP)
