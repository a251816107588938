"""Large eyes and a small nose, as cartoons have them: a smooth bulge of space round each feature, frame after frame.

It moves vertices, not pixels, so landmarks, lids and motion labels stay exact.
"""

from __future__ import annotations

import numpy as np

from letstalk.synthetic.controls import LANDMARK_INDEX
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.stylise import Style

EYE_CORE, EYE_REACH = 1.2, 3.1  # eye radii: scaled whole up to the first, untouched from the second on
NOSE_CORE, NOSE_REACH = 0.12, 0.42  # decimetres round the tip
LARGEST_SCALE = 1.4  # beyond it the bulge would fold over itself
DEPTH_SHARE = 0.25  # an eye grows across the face more than out of it: full depth would leave a ledge on the cheek


class Caricature:
    """`apply` exaggerates the posed vertices of one person in one style."""

    def __init__(self, person: Person, style: Style, skull: np.ndarray) -> None:
        """`skull` names vertices that only the pose of the head moves."""
        neutral = person.mesh.vertices.astype(np.float64)
        self._skull, self._neutral_skull = skull, neutral[skull]
        turning = person.rig.head_weight.astype(np.float64)
        scale = min(style.eye_scale, LARGEST_SCALE)
        tip = neutral[person.landmark_vertices[LANDMARK_INDEX["nose_tip"]]]
        radius = np.asarray(person.rig.eye_radius, np.float64)
        bulges = [(person.rig.eye_centre[e], EYE_CORE * radius[e], EYE_REACH * radius[e], scale) for e in range(2)]
        bulges.append((tip, NOSE_CORE, NOSE_REACH, style.nose_scale))
        self._bulges = []
        for centre, core, reach, scale in bulges:
            share = _fade(np.linalg.norm(neutral - centre, axis=1), core, reach) * turning * (scale - 1)
            moved = np.flatnonzero(share)
            self._bulges.append((np.asarray(centre, np.float64), moved, share[moved, None]))

    def apply(self, vertices: np.ndarray) -> np.ndarray:
        """(num_vertices, 3) float32 to new ones of the same shape."""
        rotation, shift = fit_rotation(self._neutral_skull, vertices[self._skull].astype(np.float64))
        out, forward = vertices.copy(), rotation[:, 2]
        for centre, moved, share in self._bulges:
            away = vertices[moved] - (rotation @ centre + shift)
            away -= (1 - DEPTH_SHARE) * (away @ forward)[:, None] * forward
            out[moved] += (share * away).astype(np.float32)
        return out


def _fade(distance: np.ndarray, core: float, reach: float) -> np.ndarray:
    """1 up to `core`, 0 from `reach` on, smooth between."""
    share = np.clip((reach - distance) / (reach - core), 0, 1)
    return share * share * (3 - 2 * share)


def fit_rotation(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and shift (3,) that carry points (n, 3) nearest to others in the sense of least squares."""
    middle_before, middle_after = before.mean(axis=0), after.mean(axis=0)
    left, _, right = np.linalg.svd((after - middle_after).T @ (before - middle_before))
    rotation = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    return rotation, middle_after - rotation @ middle_before
