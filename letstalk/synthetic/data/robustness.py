"""Renders many people and looks for what must not happen: errors, values that are no numbers, holes, empty faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from letstalk.errors import LetsTalkError
from letstalk.synthetic.acting.rehearsal import random_performance
from letstalk.synthetic.controls import LANDMARK_INDEX
from letstalk.synthetic.data.clip_renderer import cached_renderer
from letstalk.synthetic.data.workers import in_workers
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.pictures.labels import FrameLabels, read_labels
from letstalk.synthetic.pictures.renderer import Renderer
from letstalk.synthetic.pictures.scene import sample_scene

NUM_POSES = 3  # moments of a random performance, apart from each other
_POSE_STRIDE = 25
_LEAST_FACE_SHARE = 0.02  # of the picture
_LEAST_CONTRAST = 3.0  # grey levels, spread within the face
_MOST_HOLE_PIXELS = 2
_SEE_PAST = ("background", "hair", "glasses", "accessory")
_OUTLINE = ("brow", "cheek", "jaw", "chin", "mouth_corner", "nose")


@dataclass(frozen=True)
class SeedReport:
    seed: int
    problems: tuple[str, ...]  # nothing when all is well
    detail: str = ""


@dataclass(frozen=True)
class RobustnessReport:
    seeds: tuple[SeedReport, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(problem for seed in self.seeds for problem in seed.problems)

    @property
    def failed(self) -> tuple[SeedReport, ...]:
        return tuple(seed for seed in self.seeds if seed.problems)


def check_seeds(
    seeds: range, size_px: int = 96, assets: Path | None = None, procedural: bool = False, num_workers: int = 1
) -> Iterator[SeedReport]:
    """One report for each seed, in order, as they are done."""
    yield from in_workers(partial(check_seed, size_px, assets, procedural), seeds, num_workers)


def check_seed(size_px: int, assets: Path | None, procedural: bool, seed: int) -> SeedReport:
    """A person in a scene of the same seed, in a few poses far from each other."""
    renderer_of_people = cached_renderer(assets, procedural)
    problems: set[str] = set()
    try:
        prepared = renderer_of_people.person(seed, procedural)
        renderer = Renderer(prepared, sample_scene(seed, prepared.person), size_px)
        performance = random_performance(NUM_POSES * _POSE_STRIDE, seed)
        for index in range(0, performance.num_frames, _POSE_STRIDE):
            frame = renderer.draw(pose_vertices(prepared.person, performance, index), index)
            labels = read_labels(renderer, frame, performance, index)
            problems |= set(frame_problems(frame.picture, frame.vertices, labels))
    except LetsTalkError:
        raise  # no pack, for instance: nothing that a seed could do about it
    except Exception as error:  # whatever it is, it is what this check looks for
        return SeedReport(seed, ("error",), f"{type(error).__name__}: {error}")
    return SeedReport(seed, tuple(sorted(problems)))


def frame_problems(picture: np.ndarray, vertices: np.ndarray, labels: FrameLabels) -> Iterator[str]:
    """Names of what is wrong with one frame."""
    numbers = (
        vertices,
        labels.landmarks,
        labels.head.rotation,
        labels.lid_opening,
        labels.mouth_gap,
        labels.mouth_width,
    )
    if not all(np.isfinite(value).all() for value in numbers):
        yield "not a number"
        return
    face = labels.mask("face", "lips", "mouth", "eyes", "brows")
    if face.mean() < _LEAST_FACE_SHARE:
        yield "empty face"
        return
    if not labels.mask("lips", "mouth").any():
        yield "no lips"
    if picture.mean(axis=2)[face].std() < _LEAST_CONTRAST:
        yield "flat face"
    if _holes(labels).sum() > _MOST_HOLE_PIXELS:
        yield "hole"


def _holes(labels: FrameLabels) -> np.ndarray:
    """(size, size) bool: background that shows through the face, shut in by skin on all sides.

    Beside a nose in profile there is background within the outline of the landmarks too, but it is open to the border,
    if only past glasses or hair.
    """
    import cv2

    points = labels.landmarks[[LANDMARK_INDEX[name] for name in LANDMARK_INDEX if name.startswith(_OUTLINE)]]
    outline = np.zeros(labels.regions.shape, np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    behind = labels.mask("background")
    _, pieces = cv2.connectedComponents(labels.mask(*_SEE_PAST).astype(np.uint8), connectivity=4)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return behind & ~np.isin(pieces, np.unique(border)) & outline.astype(bool)
