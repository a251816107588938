"""One rendered frame with its truth -> the patches that the four networks see, and what they should say.

Patches are cut as `predict.py` cuts them, but from a place that is a little wrong, as the place that a detector or the
previous step gives is. Pixels are changed by `augment.py` before anything is cut, so that all patches agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from letstalk.reader import augment, patterns
from letstalk.reader.geometry import (
    EYE,
    FACE,
    MOUTH,
    PatchShape,
    angle_of,
    apply,
    compose,
    cut_patch,
    invert,
    mirrored_rotations,
    patch_to_picture,
    place_of,
    scale_of,
    turned_in_plane,
)
from letstalk.reader.network import FinderNet, ReaderConfig

FINDER_SIZE = 192
FINDER_SMALLEST, FINDER_LARGEST = 6.0, 56.0  # eye distances in pixels that the finder answers for


@dataclass(frozen=True)
class Record:
    """One frame and its truth. Sides are the character's; lengths in eye distances, angles in radians."""

    picture: np.ndarray  # (h, w, 3) uint8
    landmarks: np.ndarray  # (num_landmarks, 2) pixels
    visible: np.ndarray  # (num_landmarks,) bool
    gap: float
    width: float
    lid_opening: np.ndarray  # (2,)
    gaze: np.ndarray  # (2,) yaw, pitch against the head
    rotation: np.ndarray  # (3, 3)
    background: np.ndarray  # (h, w) uint8, 255 where nothing of the person is


@dataclass(frozen=True)
class Jitter:
    """Spread of the place from which a patch is cut: shift in eye distances, log of the scale, radians."""

    shift: float
    log_scale: float
    angle: float

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A similarity (1, 2, 3) near the identity."""
        scale, angle = np.exp(rng.normal(0, self.log_scale)), rng.normal(0, self.angle)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        shift = rng.normal(0, self.shift, 2)
        return np.array([[[cos, -sin, shift[0]], [sin, cos, shift[1]]]])


FROM_DETECTOR = Jitter(0.22, 0.16, 0.22)
FROM_FIRST_LOOK = Jitter(0.05, 0.04, 0.05)
DETAIL = Jitter(0.035, 0.05, 0.05)


def mirror(record: Record, swapped: np.ndarray) -> Record:
    """As a mirror shows it: left and right change their names, `swapped` (num_landmarks,) says which with which."""
    landmarks = record.landmarks[swapped].copy()
    landmarks[:, 0] = record.picture.shape[1] - 1 - landmarks[:, 0]
    return replace(
        record,
        picture=np.ascontiguousarray(record.picture[:, ::-1]),
        background=np.ascontiguousarray(record.background[:, ::-1]),
        landmarks=landmarks,
        visible=record.visible[swapped],
        lid_opening=record.lid_opening[::-1],
        gaze=record.gaze * np.array([-1.0, 1.0]),
        rotation=mirrored_rotations(record.rotation),
    )


class SampleMaker:
    """Holds what all samples share. Every draw comes from the generator that is passed in."""

    def __init__(
        self, config: ReaderConfig, mean_face: np.ndarray, swapped: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.config = config
        self.mean_face = mean_face
        self.swapped = swapped
        self.noise = augment.Noise(rng)
        self.backdrops = patterns.Backdrops(rng)

    def _place(self, record: Record) -> np.ndarray:
        return place_of(record.landmarks[None], self.mean_face, self.config.stable)

    def changed(self, rng: np.random.Generator, record: Record, plain_share: float) -> Record:
        """The frame in another mirror and place; in another light and style too, but for `plain_share` of them."""
        if rng.random() < 0.5:
            record = mirror(record, self.swapped)
        picture = record.picture
        place = self._place(record)
        if rng.random() < 0.35:
            behind = self.backdrops.draw(rng, picture.shape[0])
            picture = patterns.blend(picture, behind, record.background, rng.uniform(0.4, 1.2))
        if rng.random() < 0.25:
            outer, inner = (record.landmarks[points] for points in self.config.lip_contours)
            picture = patterns.paint_lips(rng, picture, outer, inner)
        if rng.random() < 0.25:
            cover = self.backdrops.draw(rng, 64)
            picture = patterns.occlude(rng, picture, place[0, :, 2], float(scale_of(place)[0]), cover)
        if rng.random() >= plain_share:
            picture = augment.appearance(rng, picture, self.noise)
        return replace(record, picture=picture)

    def make(self, rng: np.random.Generator, record: Record, parts: Sequence[str]) -> dict[str, np.ndarray]:
        """Patches as uint8 and truths as float32, for `record` as it comes from `changed`.

        `parts` of "face", "mouth", "eye" are made.
        """
        place = self._place(record)
        makers = {"face": self._face, "mouth": self._mouth, "eye": self._eyes}
        chosen = [maker for name, maker in makers.items() if name in parts]
        return {key: value for maker in chosen for key, value in maker(rng, record, place).items()}

    def _face(self, rng: np.random.Generator, record: Record, place: np.ndarray) -> dict[str, np.ndarray]:
        picture, is_face = record.picture, True
        jitter = (FROM_DETECTOR if rng.random() < 0.5 else FROM_FIRST_LOOK).draw(rng)
        seen_from = compose(place, jitter)
        if rng.random() < 0.25:
            is_face = False
            picture, seen_from = self._no_face(rng, picture, place, seen_from)
        to_picture = patch_to_picture(seen_from, FACE)
        points = apply(invert(to_picture), record.landmarks[None])[0]
        rotation = turned_in_plane(record.rotation[None], -angle_of(to_picture))[0]
        return {
            "face": cut_patch(picture, to_picture[0], FACE),
            "face_points": points.astype(np.float32),
            "face_visible": record.visible.astype(np.float32),
            "face_rotation": rotation.astype(np.float32),
            "is_face": np.asarray(is_face, np.float32),
        }

    def _no_face(
        self, rng: np.random.Generator, picture: np.ndarray, place: np.ndarray, seen_from: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A picture and a placement in it with no face at the right place and size."""
        kind = rng.random()
        if kind < 0.35:
            other = self.backdrops.draw(rng, picture.shape[0])
            return augment.appearance(rng, other, self.noise), _anywhere(rng, picture.shape[0])
        if kind < 0.5:
            return patterns.scrambled(rng, picture), _anywhere(rng, picture.shape[0])
        if kind < 0.6:  # head down
            turned = seen_from.copy()
            turned[0, :, :2] *= -1
            return picture, turned
        for _ in range(8):
            candidate = _anywhere(rng, picture.shape[0])
            ratio = float(scale_of(candidate)[0] / scale_of(place)[0])
            beside = np.hypot(*(candidate[0, :, 2] - place[0, :, 2])) / float(scale_of(place)[0])
            if not 0.5 < ratio < 2 or beside > 1.3 * max(ratio, 1.0):
                return picture, candidate
        return self.backdrops.draw(rng, picture.shape[0]), seen_from

    def _mouth(self, rng: np.random.Generator, record: Record, place: np.ndarray) -> dict[str, np.ndarray]:
        jittered = compose(place, DETAIL.draw(rng))
        points = record.landmarks[self.config.mouth]
        to_picture = self._patch_round(rng, jittered, points, MOUTH, False)
        return {
            "mouth": cut_patch(record.picture, to_picture[0], MOUTH),
            "mouth_points": apply(invert(to_picture), points[None])[0].astype(np.float32),
            "mouth_visible": record.visible[self.config.mouth].astype(np.float32),
            "gap": np.asarray(record.gap, np.float32),
            "width": np.asarray(record.width, np.float32),
        }

    def _eyes(self, rng: np.random.Generator, record: Record, place: np.ndarray) -> dict[str, np.ndarray]:
        jittered = compose(place, DETAIL.draw(rng))
        patches, targets, visible, gazes = [], [], [], []
        for side, indices in enumerate(self.config.eyes):
            points, mirrored = record.landmarks[indices], side == 1
            to_picture = self._patch_round(rng, jittered, points, EYE, mirrored)
            patches.append(cut_patch(record.picture, to_picture[0], EYE))
            targets.append(apply(invert(to_picture), points[None])[0])
            visible.append(record.visible[indices])
            gazes.append(record.gaze * np.array([-1.0 if mirrored else 1.0, 1.0]))
        return {
            "eyes": np.stack(patches),
            "eye_points": np.stack(targets).astype(np.float32),
            "eye_visible": np.stack(visible).astype(np.float32),
            "lid_opening": np.asarray(record.lid_opening, np.float32),
            "gaze": np.stack(gazes).astype(np.float32),
        }

    def _patch_round(
        self, rng: np.random.Generator, place: np.ndarray, points: np.ndarray, shape: PatchShape, mirrored: bool
    ) -> np.ndarray:
        centre = apply(invert(place), points[None]).mean(1) + rng.normal(0, DETAIL.shift, (1, 2))
        return patch_to_picture(place, shape, centre, mirrored)

    def finder_canvas(self, rng: np.random.Generator, records: list[Record]) -> dict[str, np.ndarray]:
        """A scene of zero to three of the given people, and the finder's truth for it."""
        canvas = self.backdrops.draw(rng, FINDER_SIZE)
        count = int(rng.choice([0, 1, 2, 3], p=[0.2, 0.5, 0.2, 0.1]))
        if count == 0 and rng.random() < 0.4:
            canvas = patterns.scrambled(rng, _resized(records[0].picture, FINDER_SIZE))
        places: list[np.ndarray] = []
        for record in records[:count]:
            place = self._place(record)
            to_canvas = self._onto_canvas(rng, place, alone=count == 1)
            landing = compose(to_canvas, place)
            if any(_too_near(landing, other) for other in places):
                continue
            places.append(landing)
            canvas = _pasted(canvas, record, to_canvas[0], whole=count == 1 and rng.random() < 0.5)
        return {"canvas": canvas, **finder_truth(np.concatenate([*places, np.zeros((0, 2, 3))]))}

    def _onto_canvas(self, rng: np.random.Generator, place: np.ndarray, alone: bool) -> np.ndarray:
        """A similarity (1, 2, 3) that puts the face at a random place and size of the canvas."""
        largest = FINDER_LARGEST if alone else 30.0
        unit = np.exp(rng.uniform(np.log(FINDER_SMALLEST), np.log(largest)))
        turn = Jitter(0.0, 0.0, 0.15).draw(rng)
        margin = min(1.3 * unit, FINDER_SIZE / 2 - 1)
        target = turn * unit
        target[0, :, 2] = rng.uniform(margin, FINDER_SIZE - margin, 2)
        return compose(target, invert(place))


def _anywhere(rng: np.random.Generator, size: int) -> np.ndarray:
    """A placement (1, 2, 3) of any size at any place of a square picture, hardly turned."""
    unit = np.exp(rng.uniform(np.log(0.02 * size), np.log(0.5 * size)))
    place = unit * Jitter(0.0, 0.0, 0.2).draw(rng)
    place[0, :, 2] = rng.uniform(0, size, 2)
    return place


def _resized(picture: np.ndarray, size: int) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def _too_near(one: np.ndarray, other: np.ndarray) -> bool:
    reach = 2.2 * (scale_of(one)[0] + scale_of(other)[0])
    return bool(np.hypot(*(one[0, :, 2] - other[0, :, 2])) < reach)


def _pasted(canvas: np.ndarray, record: Record, to_canvas: np.ndarray, whole: bool) -> np.ndarray:
    """The person on the canvas, cut out by the mask; or the `whole` picture, its edges running on."""
    import cv2

    size = (FINDER_SIZE, FINDER_SIZE)
    factor = float(scale_of(to_canvas))
    picture, person = record.picture, 255 - record.background
    if factor < 0.6:
        blurred = 0.4 / factor
        picture, person = (cv2.GaussianBlur(image, (0, 0), blurred) for image in (picture, person))
    if whole:
        return cv2.warpAffine(picture, to_canvas, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = cv2.warpAffine(picture, to_canvas, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(person, to_canvas, size, flags=cv2.INTER_LINEAR)
    return patterns.blend(canvas, moved, mask, 0.5)


def finder_truth(places: np.ndarray, size: int = FINDER_SIZE) -> dict[str, np.ndarray]:
    """What the finder should say of faces at `places` (n, 2, 3): (4, cells, cells) and where each part counts.

    `finder_score` is 1 at cells near a centre, 0 elsewhere; cells in between do not count.
    """
    cells = size // FinderNet.STRIDE
    centres = (np.arange(cells) + 0.5) * FinderNet.STRIDE - 0.5
    truth, counts = np.zeros((4, cells, cells), np.float32), np.ones((cells, cells), np.float32)
    for place in places:
        unit, (x, y) = float(scale_of(place)), place[:, 2]
        dx, dy = (x - centres)[None, :], (y - centres)[:, None]
        distance = np.hypot(dx, dy)
        nearest = distance == distance.min()
        inside = (distance < 0.4 * unit) | nearest
        counts[(distance < 1.1 * unit) & ~inside] = 0
        counts[inside] = 1
        truth[0][inside] = 1
        truth[1][inside] = np.broadcast_to(dx / FinderNet.STRIDE, inside.shape)[inside]
        truth[2][inside] = np.broadcast_to(dy / FinderNet.STRIDE, inside.shape)[inside]
        truth[3][inside] = np.log(unit / FinderNet.TYPICAL_SIZE)
    return {"finder_truth": truth, "finder_counts": counts}
