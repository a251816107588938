"""Where a face lies in a picture, and the patches that are cut from it. Pure functions on arrays.

A *placement* is a similarity (2, 3) that maps face coordinates to pixel centres of the picture. Face coordinates are
those of the mean face: unit = distance between the eye centres, origin in the middle of the face, x to the right of the
picture, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PatchShape:
    """A patch of `width` x `height` pixels that spans `span` eye distances across; its pixels are square."""

    width: int
    height: int
    span: float

    @property
    def unit(self) -> float:
        """Eye distances for one pixel."""
        return self.span / self.width


FACE = PatchShape(128, 128, 3.8)
MOUTH = PatchShape(96, 64, 1.92)
EYE = PatchShape(48, 32, 0.96)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarities (n, 2, 3) that carry points `source` (k, 2) or (n, k, 2) to `target` (n, k, 2)."""
    s, t = (points[..., 0] + 1j * points[..., 1] for points in np.broadcast_arrays(source, target))
    s_mean, t_mean = s.mean(-1, keepdims=True), t.mean(-1, keepdims=True)
    size = (np.abs(s - s_mean) ** 2).sum(-1)
    turn = ((s - s_mean).conj() * (t - t_mean)).sum(-1) / np.maximum(size, 1e-12)
    return _from_complex(turn, t_mean[..., 0] - turn * s_mean[..., 0])


def upright(centres: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Placements (n, 2, 3) without rotation: the face's origin at `centres` (n, 2), `scales` (n,) pixels a unit."""
    return _from_complex(scales + 0j, centres[:, 0] + 1j * centres[:, 1])


def _from_complex(turn: np.ndarray, shift: np.ndarray) -> np.ndarray:
    a, b, x, y = np.real(turn), np.imag(turn), np.real(shift), np.imag(shift)
    rows = [np.stack([a, -b, x], -1), np.stack([b, a, y], -1)]
    return np.stack(rows, -2)


def place_of(landmarks: np.ndarray, mean_face: np.ndarray, stable: list[int]) -> np.ndarray:
    """Placements (n, 2, 3) of faces with landmarks (n, num_landmarks, 2), told from the points that are `stable`."""
    return similarity(mean_face[stable], landmarks[:, stable])


def mean_shape(landmarks: np.ndarray, stable: list[int], eyes: tuple[int, int], rounds: int = 5) -> np.ndarray:
    """Mean of shapes (n, num_landmarks, 2), each laid over it by its stable points, in face coordinates.

    `eyes` are the centres of the eyes, the one at the left of the picture first.
    """
    shape = landmarks[0]
    for _ in range(rounds):
        across = shape[eyes[1]] - shape[eyes[0]]
        cos, sin = across / np.hypot(*across) ** 2
        shape = shape @ np.array([[cos, -sin], [sin, cos]])
        shape = shape - (shape.min(0) + shape.max(0)) / 2
        shape = apply(invert(place_of(landmarks, shape, stable)), landmarks).mean(0)
    unit = np.hypot(*(shape[eyes[1]] - shape[eyes[0]]))
    return (shape - (shape.min(0) + shape.max(0)) / 2) / unit


def scale_of(transforms: np.ndarray) -> np.ndarray:
    """Pixels for one unit of each transform (..., 2, 3)."""
    return np.sqrt(np.abs(np.linalg.det(transforms[..., :2])))


def angle_of(transforms: np.ndarray) -> np.ndarray:
    """Rotation in radians, from x towards y: clockwise as one sees it, because y points down."""
    return np.arctan2(transforms[..., 1, 0], transforms[..., 0, 0])


def apply(transforms: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., k, 2) under transforms (..., 2, 3)."""
    return points @ np.swapaxes(transforms[..., :2], -1, -2) + transforms[..., None, :, 2]


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The transform that does `inner` first."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return np.concatenate([linear, shift], -1)


def invert(transforms: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(transforms[..., :2])
    return np.concatenate([linear, -linear @ transforms[..., 2:]], -1)


def patch_to_picture(
    placements: np.ndarray, shape: PatchShape, centres: np.ndarray | None = None, mirrored: bool = False
) -> np.ndarray:
    """Maps (n, 2, 3) from patch pixel centres to picture pixel centres.

    `centres` (n, 2) are in face coordinates, the origin if left out. A mirrored patch runs from right to left.
    """
    sign = -1.0 if mirrored else 1.0
    local = np.zeros((len(placements), 2, 3))
    local[:, 0, 0], local[:, 1, 1] = sign * shape.unit, shape.unit
    local[:, 0, 2] = -sign * shape.unit * (shape.width - 1) / 2
    local[:, 1, 2] = -shape.unit * (shape.height - 1) / 2
    if centres is not None:
        local[:, :, 2] += centres
    return compose(placements, local)


def cut_patch(picture: np.ndarray, to_picture: np.ndarray, shape: PatchShape) -> np.ndarray:
    """One patch (height, width, 3) uint8. Outside the picture its edge pixels go on.

    A patch much coarser than the picture is averaged first: plain sampling would alias pores and hair into noise.
    """
    import cv2

    step = float(scale_of(to_picture))
    if step > 1.5:
        picture, to_picture = _shrunk_region(picture, to_picture, shape, step)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (shape.width, shape.height)
    return cv2.warpAffine(picture, to_picture, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _shrunk_region(
    picture: np.ndarray, to_picture: np.ndarray, shape: PatchShape, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """The part of the picture under the patch, averaged down by about `step`, and the map into it."""
    import cv2

    height, width = picture.shape[:2]
    corners = np.array([[0, 0], [shape.width, 0], [0, shape.height], [shape.width, shape.height]], float)
    corners = apply(to_picture, corners)
    low = np.clip(np.floor(corners.min(0) - 2 * step), 0, [width - 2, height - 2]).astype(int)
    high = np.clip(np.ceil(corners.max(0) + 2 * step), low + 2, [width, height]).astype(int)
    region = picture[low[1] : high[1], low[0] : high[0]]
    size = np.maximum(np.round((high - low) / step), 1).astype(int)
    factor = size / (high - low)
    small = cv2.resize(region, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    # Pixel centres lie at halves: x' + .5 = (x - low + .5) * factor.
    to_small = np.array([[factor[0], 0, 0], [0, factor[1], 0]])
    to_small[:, 2] = (0.5 - low) * factor - 0.5
    return small, compose(to_small, to_picture)


def rotation_angles(rotations: np.ndarray) -> np.ndarray:
    """Pitch, yaw, roll in radians (n, 3) of matrices (n, 3, 3) = about_y(yaw) about_x(pitch) about_z(roll)."""
    pitch = np.arcsin(np.clip(-rotations[:, 1, 2], -1, 1))
    yaw = np.arctan2(rotations[:, 0, 2], rotations[:, 2, 2])
    roll = np.arctan2(rotations[:, 1, 0], rotations[:, 1, 1])
    return np.stack([pitch, yaw, roll], -1)


def turned_in_plane(rotations: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Head rotations (n, 3, 3) after the picture was turned by `angles` (n,), clockwise as one sees it."""
    cos, sin = np.cos(angles), np.sin(angles)
    turn = np.zeros((len(angles), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, sin, -sin, cos, 1
    return turn @ rotations


def mirrored_rotations(rotations: np.ndarray) -> np.ndarray:
    """Head rotations as a mirror shows them."""
    flip = np.array([-1.0, 1.0, 1.0])
    return rotations * flip[:, None] * flip[None, :]
