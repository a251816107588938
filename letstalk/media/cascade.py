"""Faces and eyes by OpenCV's cascades: no weights to fetch, and they know paintings as well as photographs.

One cascade alone sees faces in curtains and misses tilted ones. Here two frontal ones vote, eyes vote too, and harder
looks (contrast, profile, roll, finer scale) are taken only while nothing convincing was found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from letstalk.media.framing import FaceCandidate

WORKING_SIDE = 480  # longer side that is searched first; more takes longer and finds no more portraits
FINE_SIDE = 1400  # second look for small faces
MIN_FACE = 36  # pixels at the searched scale; below it cascades see faces everywhere
SCALE_STEP, COARSE_STEP = 1.12, 1.2  # the coarse one for the harder looks, which search several pictures
ROLLS_DEGREES = (-20.0, 20.0, -40.0, 40.0)
CONVINCING = 0.95
# Cats and coins reach 0.9 without eyes, dark or tilted faces fall to 0.75 with them.
ACCEPTED_WITH_EYES, ACCEPTED = 0.65, 0.95
ALL_VOTES = 2.5

# What a cascade's stage sum means as a vote of 0..1: (sum that is worth nothing, sum that is worth all).
VOTES = {"frontalface_default": (0.0, 12.0), "frontalface_alt2": (52.0, 58.0), "profileface": (0.0, 8.0)}
EYES_VOTE = 0.5

# The face that a cascade's square box stands for, in box sides from its middle: hair line, chin, cheek.
HAIR_LINE, CHIN, CHEEK = -0.42, 0.48, 0.36

EYE_PATCH = 200  # pixels; the box is brought to this size before eyes are sought
EYE_BAND = (0.15, 0.62)  # rows of the box that can hold eyes
EYE_LINE_IN_BOX = 0.39
EYE_DISTANCE_IN_BOX = 0.40
EYE_CASCADES = {"eye_tree_eyeglasses": 1.0, "eye": 0.6}  # how far each is believed


@dataclass(frozen=True)
class _Hit:
    """A square that looks like a face to one or several cascades; middle and side in pixels of the full picture."""

    x: float
    y: float
    side: float
    roll: float  # radians by which the picture was turned when it was seen
    votes: dict[str, float]
    eyes: tuple[tuple[float, float], tuple[float, float]] | None = None

    @property
    def score(self) -> float:
        return sum(self.votes.values())


class OpenCvCascade:
    """Call `detect`; an instance must not be used by two threads at once (OpenCV's classifier keeps state)."""

    name = "opencv"

    def __init__(self) -> None:
        import cv2

        if not hasattr(cv2, "CascadeClassifier"):
            raise ImportError(f"OpenCV {cv2.__version__} has no cascade classifier; 4.x has")
        folder = Path(cv2.__file__).parent / "data"
        self._cascades = {}
        for name in (*VOTES, *EYE_CASCADES):
            cascade = cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml"))
            if cascade.empty():
                raise ImportError(f"OpenCV's cascade {name} is not in {folder}")
            self._cascades[name] = cascade

    def detect(self, pixels: np.ndarray) -> list[FaceCandidate]:
        """Faces in uint8 RGB (height, width, 3), best first; empty where nothing is plausible."""
        import cv2

        found: list[_Hit] = []
        try:
            grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
            for hits in self._looks(grey):
                found = _merged([*found, *(self._with_eyes(grey, hit) for hit in _merged(hits))])
                if found and found[0].score >= CONVINCING:
                    break
        except cv2.error as error:
            raise RuntimeError(f"OpenCV failed: {error}") from error
        return [_face_of(hit) for hit in found if hit.score >= (ACCEPTED_WITH_EYES if hit.eyes else ACCEPTED)]

    def _looks(self, grey: np.ndarray) -> Iterator[list[_Hit]]:
        """Ever harder looks; each is taken only when the caller asks for it."""
        import cv2

        frontal = ("frontalface_default", "frontalface_alt2")
        small = _Searched.scaled(grey, WORKING_SIDE)
        yield self._search(small, frontal)
        contrast = replace(small, grey=cv2.createCLAHE(3.0, (4, 4)).apply(small.grey))
        yield self._search(contrast, frontal, COARSE_STEP)
        sides = (small, small.mirrored())
        yield [hit for side in sides for hit in self._search(side, ("profileface",), COARSE_STEP)]
        turned = (small.turned(math.radians(roll)) for roll in ROLLS_DEGREES)
        yield [hit for picture in turned for hit in self._search(picture, frontal, COARSE_STEP)]
        if small.is_coarser_than(grey):
            yield self._search(_Searched.scaled(grey, FINE_SIDE), frontal, COARSE_STEP)

    def _search(self, searched: _Searched, names: tuple[str, ...], step: float = SCALE_STEP) -> list[_Hit]:
        hits = []
        for name in names:
            boxes, _, sums = self._cascades[name].detectMultiScale3(
                searched.grey, step, 3, minSize=(MIN_FACE, MIN_FACE), outputRejectLevels=True
            )
            nothing, everything = VOTES[name]
            for (x, y, side, _), stage_sum in zip(boxes, np.ravel(sums), strict=True):
                vote = float(np.clip((stage_sum - nothing) / (everything - nothing), 0, 1))
                hits.append(searched.hit(x + (side - 1) / 2, y + (side - 1) / 2, side, {name: vote}))
        return hits

    def _with_eyes(self, grey: np.ndarray, hit: _Hit) -> _Hit:
        """The hit with its two eyes and their vote, or as it was."""
        import cv2

        scale = EYE_PATCH / hit.side
        cos, sin = scale * math.cos(hit.roll), scale * math.sin(hit.roll)
        middle = (EYE_PATCH - 1) / 2
        to_patch = np.array(
            [[cos, sin, middle - cos * hit.x - sin * hit.y], [-sin, cos, middle + sin * hit.x - cos * hit.y]]
        )
        reduce = max(1, int(1 / scale))  # warpAffine takes single pixels: a large face is averaged first
        if reduce > 1:
            grey = cv2.resize(grey, (grey.shape[1] // reduce, grey.shape[0] // reduce), interpolation=cv2.INTER_AREA)
            to_patch = to_patch @ np.array([[reduce, 0, (reduce - 1) / 2], [0, reduce, (reduce - 1) / 2], [0, 0, 1]])
        patch = cv2.warpAffine(grey, to_patch, (EYE_PATCH, EYE_PATCH), borderMode=cv2.BORDER_REPLICATE)
        pair, vote = _best_pair(self._eye_spots(patch))
        if pair is None:
            return hit
        back = cv2.invertAffineTransform(to_patch)
        points = np.array(pair) @ back[:, :2].T + back[:, 2]
        if reduce > 1:
            points = points * reduce + (reduce - 1) / 2
        eyes = ((float(points[0, 0]), float(points[0, 1])), (float(points[1, 0]), float(points[1, 1])))
        return replace(hit, votes=hit.votes | {"eyes": EYES_VOTE * vote}, eyes=eyes)

    def _eye_spots(self, patch: np.ndarray) -> list[tuple[float, float, float]]:
        """(x, y, weight) of everything that looks like an eye in a patch of the size of `EYE_PATCH`."""
        top, bottom = (round(share * EYE_PATCH) for share in EYE_BAND)
        band = np.ascontiguousarray(patch[top:bottom])
        spots = []
        for name, belief in EYE_CASCADES.items():
            boxes, _, sums = self._cascades[name].detectMultiScale3(
                band, 1.08, 3, minSize=(28, 28), maxSize=(80, 80), outputRejectLevels=True
            )
            for (x, y, width, height), stage_sum in zip(boxes, np.ravel(sums), strict=True):
                weight = belief * float(np.clip(stage_sum / 3.0, 0.2, 1))
                spots.append((x + (width - 1) / 2, y + (height - 1) / 2 + top, weight))
        return spots


@dataclass(frozen=True)
class _Searched:
    """A grey picture that is searched, and where its pixels lie in the full one."""

    grey: np.ndarray
    to_full: np.ndarray  # (2, 3), pixel centres
    roll: float = 0.0

    @classmethod
    def scaled(cls, grey: np.ndarray, longest: int) -> _Searched:
        """Shrunk to `longest` pixels, or enlarged up to twice: the cascades see no face under 24 pixels."""
        import cv2

        height, width = grey.shape
        factor = max(0.5, max(grey.shape) / longest)
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        x_step, y_step = width / size[0], height / size[1]
        to_full = np.array([[x_step, 0, (x_step - 1) / 2], [0, y_step, (y_step - 1) / 2]])
        interpolation = cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC
        return cls(cv2.resize(grey, size, interpolation=interpolation), to_full)

    def is_coarser_than(self, grey: np.ndarray) -> bool:
        return max(self.grey.shape) < max(grey.shape)

    def mirrored(self) -> _Searched:
        flip = np.array([[-1.0, 0, self.grey.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        return _Searched(np.ascontiguousarray(self.grey[:, ::-1]), self.to_full @ flip, self.roll)

    def turned(self, roll: float) -> _Searched:
        """Turned so that a face of this roll (clockwise on the screen) stands upright."""
        import cv2

        height, width = self.grey.shape
        cos, sin = math.cos(roll), math.sin(roll)
        linear = np.array([[cos, -sin], [sin, cos]])
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        to_grey = np.concatenate([linear, (middle - linear @ middle)[:, None]], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        grey = cv2.warpAffine(self.grey, to_grey, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return _Searched(grey, self.to_full @ np.concatenate([to_grey, [[0, 0, 1]]]), self.roll + roll)

    def hit(self, x: float, y: float, side: float, votes: dict[str, float]) -> _Hit:
        full_x, full_y = self.to_full @ (x, y, 1)
        scale = math.sqrt(abs(np.linalg.det(self.to_full[:, :2])))
        return _Hit(float(full_x), float(full_y), float(side) * scale, self.roll, votes)


def _merged(hits: list[_Hit]) -> list[_Hit]:
    """One hit for each face, best first: hits whose middles and sizes agree pool their votes."""
    merged: list[_Hit] = []
    for hit in sorted(hits, key=lambda item: -item.score):
        for index, kept in enumerate(merged):
            near = math.hypot(hit.x - kept.x, hit.y - kept.y) < 0.35 * max(hit.side, kept.side)
            if near:
                merged[index] = _pooled(kept, hit) if 0.5 < hit.side / kept.side < 2 else kept
                break
        else:
            merged.append(hit)
    return sorted(merged, key=lambda item: -item.score)


def _pooled(first: _Hit, second: _Hit) -> _Hit:
    """Votes of one cascade count once; the place is the mean, weighted by the votes."""
    votes = {name: max(first.votes.get(name, 0), second.votes.get(name, 0)) for name in first.votes | second.votes}
    if abs(first.roll - second.roll) > 0.1:
        return replace(first, votes=votes)
    total = max(first.score + second.score, 1e-6)
    x, y, side = (
        (getattr(first, key) * first.score + getattr(second, key) * second.score) / total for key in ("x", "y", "side")
    )
    if not first.score + second.score:
        x, y, side = first.x, first.y, first.side
    return _Hit(x, y, side, first.roll, votes, first.eyes or second.eyes)


def _best_pair(
    spots: list[tuple[float, float, float]],
) -> tuple[tuple[tuple[float, float], tuple[float, float]] | None, float]:
    """The two spots that lie as eyes do in an upright face, and how sure it is, 0..1."""
    best, best_vote = None, 0.0
    for left, right in product(spots, spots):
        distance = (right[0] - left[0]) / EYE_PATCH
        slope = (right[1] - left[1]) / EYE_PATCH
        line = (left[1] + right[1]) / 2 / EYE_PATCH
        middle = (left[0] + right[0]) / 2 / EYE_PATCH
        if not 0.24 < distance < 0.56 or abs(slope) > 0.16 or not 0.25 < line < 0.52 or abs(middle - 0.5) > 0.16:
            continue
        error = (
            ((distance - EYE_DISTANCE_IN_BOX) / 0.12) ** 2 + (slope / 0.08) ** 2
            + ((line - EYE_LINE_IN_BOX) / 0.07) ** 2 + ((middle - 0.5) / 0.1) ** 2
        )  # fmt: skip
        vote = math.sqrt(left[2] * right[2]) * math.exp(-error / 8)
        if vote > best_vote:
            best, best_vote = ((left[0], left[1]), (right[0], right[1])), vote
    return best, best_vote


def _face_of(hit: _Hit) -> FaceCandidate:
    box = (
        hit.x - CHEEK * hit.side,
        hit.y + HAIR_LINE * hit.side,
        hit.x + CHEEK * hit.side,
        hit.y + CHIN * hit.side,
    )
    return FaceCandidate(box, min(1.0, hit.score / ALL_VOTES), OpenCvCascade.name, hit.eyes)
