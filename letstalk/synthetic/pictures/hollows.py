"""How light gets into the hollows of a moving face: between the lips, and under the lids.

A baked occlusion cannot know that a mouth opens or an eye closes, so these two are worked out in every frame.
"""

from __future__ import annotations

import numba
import numpy as np

from letstalk.synthetic.controls import LANDMARK_INDEX
from letstalk.synthetic.person import KIND_CODE, Contact, Person
from letstalk.synthetic.pictures.surfaces import Surfaces

MOUTH_REACH, MOUTH_REACH_PER_GAPE = 0.05, 0.55  # decimetres that light enters closed lips, and per decimetre of opening
FLESH_GLOW = np.array([0.9, 1.25, 1.2], np.float32)  # what light is left in a mouth is red: powers of the share
LID_SHADE, LID_REACH = (0.65, 0.35), (0.04, 0.02)  # upper and lower lid: darkness at the edge, decimetres it fades over
BALL_SHADE = 0.74  # an eyeball lies deep even where no lid is near


class Hollows:
    """`reach` gives the share of light that enters, for every vertex; 1 outside mouth and eyes."""

    def __init__(self, person: Person, surfaces: Surfaces) -> None:
        self.person = person
        kind = surfaces.kind[surfaces.vertex_material]
        self._mouth = np.flatnonzero(surfaces.inner > 0)
        self._depth_share = np.minimum(1.25 * surfaces.inner[self._mouth], 1.0)
        left = person.mesh.vertices[:, 0] > 0
        eyes = kind == KIND_CODE["eyes"]
        self._eyes = (np.flatnonzero(eyes & left), np.flatnonzero(eyes & ~left))
        self._reach = np.ones((len(kind), 3), np.float32)

    def reach(self, vertices: np.ndarray) -> np.ndarray:
        """(num_vertices, 3) float32 0..1 by colour; the same buffer each time."""
        if len(self._mouth):
            self._reach[self._mouth] = self._into_mouth(vertices)
        for side in range(2):
            if len(self._eyes[side]):
                self._reach[self._eyes[side]] = self._under_lids(vertices, side)[:, None]
        return self._reach

    def _into_mouth(self, vertices: np.ndarray) -> np.ndarray:
        at = lambda name: vertices[self.person.landmark_vertices[LANDMARK_INDEX[name]]]  # noqa: E731
        upper, lower = at("lip_upper_inner"), at("lip_lower_inner")
        forward = np.cross(at("eye_left_outer") - at("eye_right_outer"), at("nose_bridge") - at("chin"))
        forward /= np.linalg.norm(forward) + 1e-9
        behind = np.maximum((0.5 * (upper + lower) - vertices[self._mouth]) @ forward, 0)
        reach = MOUTH_REACH + MOUTH_REACH_PER_GAPE * float(np.linalg.norm(upper - lower))
        share = 1 - self._depth_share * (1 - 0.95 * np.exp(-behind / reach))
        return share[:, None] ** FLESH_GLOW

    def _under_lids(self, vertices: np.ndarray, side: int) -> np.ndarray:
        ball, lids = vertices[self._eyes[side]], self.person.rig.lids[side]
        share = np.full(len(ball), BALL_SHADE, np.float32)
        for (edge, mix), shade, reach in zip(_edges(lids), LID_SHADE, LID_REACH, strict=True):
            points = (vertices[edge] * mix[..., None]).sum(axis=1)
            share *= 1 - shade * np.exp(-_nearest(ball, points) / reach)
        return share


@numba.njit(cache=True, nogil=True)
def _nearest(points: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Distance of each point (n, 3) from the nearest of (m, 3), (n,) float32."""
    out = np.empty(len(points), np.float32)
    for i in range(len(points)):
        smallest = np.inf
        for j in range(len(edge)):
            x, y, z = points[i, 0] - edge[j, 0], points[i, 1] - edge[j, 1], points[i, 2] - edge[j, 2]
            smallest = min(smallest, x * x + y * y + z * z)
        out[i] = np.sqrt(smallest)
    return out


def _edges(contact: Contact) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (contact.upper, contact.upper_mix), (contact.lower, contact.lower_mix)
