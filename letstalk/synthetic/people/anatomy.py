"""Where things are on MakeHuman's base mesh: landmarks, edges of lips and lids, and how expression units move it.

Everything is found from the mesh itself (seams of the texture chart, what the units move), once for each pack, on a
reference face. The body mesh keeps its vertex numbers whatever the person's shape, so what is found serves everybody.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX
from letstalk.synthetic.people.assets import AssetPack, BodyMesh

ANCESTRIES = ("caucasian", "african", "asian")
NUM_LIP_STATIONS = 17
NUM_LID_STATIONS = 11
# First of the eight helper vertices, a cube, whose middle is a joint of MakeHuman's skeleton.
EYE_JOINTS = (13606, 13614)  # left (+x), right
NECK_JOINT, CHIN_JOINT, CROWN_JOINT, HEAD_JOINT = 14534, 14542, 14566, 14070
SHOULDER_JOINTS = {"L": 14046, "R": 14486}
UPPER_TEETH_FIRST = 15060  # of the helper vertices of teeth, those of the lower row come before
LOWER_TEETH = np.arange(14992, UPPER_TEETH_FIRST)
TONGUE = np.arange(13380, 13606)
# Places in the texture chart (u, v, u, v) that hold only the seam of the mouth, the left eye and the right eye.
MOUTH_SEAM = (0.88, 0.40, 0.94, 0.56)
EYE_SEAMS = ((0.78, 0.50, 0.90, 0.56), (0.78, 0.41, 0.90, 0.50))


def joint(vertices: np.ndarray, first: int) -> np.ndarray:
    return vertices[first : first + 8].mean(0)


def reference_face(pack: AssetPack) -> np.ndarray:
    """(num_base, 3): the young adult, half-way between the genders; places in this module were measured on it."""
    vertices = pack.base_vertices.copy()
    for gender in ("male", "female"):
        pack.add_target(vertices, f"macrodetails/caucasian-{gender}-young", 0.5)
    return vertices


@dataclass(frozen=True)
class EdgeField:
    """A contact edge on the base mesh, dense so that whatever is bound to base vertices can inherit it."""

    upper: np.ndarray  # (stations, 2) int32
    upper_mix: np.ndarray
    lower: np.ndarray
    lower_mix: np.ndarray
    station: np.ndarray  # (num_base,) float32
    pull: np.ndarray  # (num_base,) float32, 0 where nothing moves


@dataclass(frozen=True)
class Anatomy:
    mean: np.ndarray  # (num_base, 3)
    landmarks: dict[str, int]  # base vertices; eye centres and brows of the eye mesh are added by the rig
    lips: EdgeField
    lids: tuple[EdgeField, EdgeField]
    lid_skin: tuple[np.ndarray, np.ndarray]  # base vertices that an eyeball must not poke through
    moving: np.ndarray  # (m,) base vertices that any unit moves
    bases: np.ndarray  # (3 ancestries, m, units, 3)
    ear_roots: np.ndarray  # (2,) base vertices where the ears begin at the top, left first
    ear_lobes: np.ndarray  # (2,) base vertices
    head_skin: np.ndarray  # base vertices of the body mesh from the shoulders up
    earless_skin: np.ndarray  # the same without the ears: what a hat is put on
    under_scarf: np.ndarray  # base vertices that a headscarf covers

    @classmethod
    def find(cls, pack: AssetPack) -> Anatomy:
        mean = reference_face(pack)
        chart = _Chart(pack.body)
        moving, bases = _expression_bases(pack, mean)
        opened = mean.copy()
        opened[moving] += bases[:, :, UNIT_INDEX["mouth-open"]].mean(0)
        mouth_rings = chart.rings(MOUTH_SEAM, 8)
        lid_rings = [chart.rings(box, 9) for box in EYE_SEAMS]
        lips = _edge_field(pack, mean, opened, mouth_rings[1], NUM_LIP_STATIONS, _LIP_REACH)
        lids = tuple(_edge_field(pack, mean, mean, rings[2], NUM_LID_STATIONS, _LID_REACH) for rings in lid_rings)
        skin = tuple(np.unique(np.concatenate(rings[2:])).astype(np.int32) for rings in lid_rings)
        landmarks = _landmarks(pack, mean, lips, mouth_rings, [rings[3] for rings in lid_rings])
        body = np.unique(pack.body.triangles)
        roots = [_nearest_vertex(mean, body, (sign * 0.69, 7.53, 0.53)) for sign in (1, -1)]
        lobes = [_strongest_vertex(pack, f"ears/{side}-ear-lobe-incr") for side in ("l", "r")]
        head_skin = body[mean[body, 1] > mean[landmarks["chin"], 1] - 1.1]
        ears = [_moved_by(pack, f"ears/{side}-ear-{part}-incr") for side in "lr" for part in ("wing", "flap", "lobe")]
        earless = np.setdiff1d(head_skin, np.concatenate(ears))
        covered = (mean[body, 1] > 6.45) & ((mean[body, 2] < 0.45) | (mean[body, 1] > 8.12))
        return cls(
            mean, landmarks, lips, (lids[0], lids[1]), (skin[0], skin[1]), moving, bases,
            np.array(roots), np.array(lobes), head_skin, earless, body[covered],
        )  # fmt: skip

    def basis(self, ancestry: np.ndarray) -> np.ndarray:
        """(m, units, 3) float32 for a mixture of ancestries that sums to 1."""
        return np.tensordot(np.asarray(ancestry, np.float32), self.bases, 1)


class _Chart:
    """The texture chart of the body: its seams and who is whose neighbour on it."""

    def __init__(self, body: BodyMesh) -> None:
        self.uv = body.uv
        self.vertex_of = np.zeros(len(body.uv), np.int64)
        self.vertex_of[body.uv_triangles.ravel()] = body.triangles.ravel()
        edges = np.sort(np.concatenate([body.uv_triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
        unique, count = np.unique(edges, axis=0, return_counts=True)
        self.seams = unique[count == 1]
        self.neighbours: dict[int, set[int]] = defaultdict(set)
        for a, b in unique.tolist():
            self.neighbours[a].add(b)
            self.neighbours[b].add(a)

    def rings(self, box: tuple[float, float, float, float], count: int) -> list[np.ndarray]:
        """Vertices of the seam inside a box of the chart, then of `count` rings of neighbours around it."""
        inside = np.all((self.uv > box[:2]) & (self.uv < box[2:]), axis=1)
        ring = set(self.seams[inside[self.seams].all(1)].ravel().tolist())
        seen, found = set(ring), [ring]
        for _ in range(count):
            ring = set().union(*(self.neighbours[point] for point in ring)) - seen
            seen |= ring
            found.append(ring)
        return [np.unique(self.vertex_of[sorted(points)]) for points in found]


def _expression_bases(pack: AssetPack, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dense = np.zeros((len(ANCESTRIES), len(EXPRESSION_UNITS), len(mean), 3), np.float32)
    for a, ancestry in enumerate(ANCESTRIES):
        for unit, name in enumerate(EXPRESSION_UNITS):
            pack.add_target(dense[a, unit], f"expression/units/{ancestry}/{name}", 1.0)
        _carry_tongue(dense[a, UNIT_INDEX["mouth-open"]], mean)
    moving = np.flatnonzero((np.abs(dense).max(axis=(0, 1, 3))) > 1e-5)
    return moving, np.ascontiguousarray(dense[:, :, moving].transpose(0, 2, 1, 3))


def _carry_tongue(jaw: np.ndarray, mean: np.ndarray) -> None:
    """The target opens the teeth by 0.33 and the tongue by 0.05: let the tongue ride on what the lower teeth do."""

    def lifted(index: np.ndarray) -> np.ndarray:
        return np.c_[mean[index], np.ones(len(index))]

    jaw[LOWER_TEETH] *= 1.1  # the lower lip travels further than the teeth and would hide them
    affine = np.linalg.lstsq(lifted(LOWER_TEETH), jaw[LOWER_TEETH], rcond=1e-3)[0]
    jaw[TONGUE] = (lifted(TONGUE) @ affine + [0, -0.05, -0.03]).astype(np.float32)


def _nearest_vertex(mean: np.ndarray, candidates: np.ndarray, place: tuple[float, float, float]) -> int:
    return int(candidates[np.argmin(((mean[candidates] - place) ** 2).sum(1))])


def _strongest_vertex(pack: AssetPack, target: str) -> int:
    """The body vertex that a morph moves furthest."""
    index, delta = pack.targets[target]
    on_body = np.isin(index, np.unique(pack.body.triangles))
    return int(index[on_body][np.argmax((delta[on_body] ** 2).sum(1))])


def _moved_by(pack: AssetPack, target: str, share: float = 0.08) -> np.ndarray:
    index, delta = pack.targets[target]
    length = np.linalg.norm(delta, axis=1)
    return index[length > share * length.max()]


@dataclass(frozen=True)
class _Reach:
    """How far a contact edge moves its surroundings, in decimetres of the reference face."""

    upper_share: float  # of the gap; the lower edge takes the rest
    up: float
    down: float
    depth: float
    beyond_corner: float


_LIP_REACH = _Reach(upper_share=0.35, up=0.16, down=0.30, depth=0.25, beyond_corner=0.10)
_LID_REACH = _Reach(upper_share=0.75, up=0.09, down=0.07, depth=0.12, beyond_corner=0.05)


def _split_edge(ring: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower half of a ring, both with the corners, from -x to +x. `shape` must be open enough to tell."""
    by_x = ring[np.argsort(shape[ring, 0])]
    first, last = shape[by_x[0]], shape[by_x[-1]]
    line = first[1] + (shape[by_x, 0] - first[0]) / (last[0] - first[0]) * (last[1] - first[1])
    above = np.asarray(shape[by_x, 1] > line)
    above[[0, -1]] = True
    below = np.logical_not(above)
    below[[0, -1]] = True
    return by_x[above], by_x[below]


def _stations(edge: np.ndarray, x: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each place: the two edge vertices around it and their mix."""
    right = np.clip(np.searchsorted(x[edge], at), 1, len(edge) - 1)
    span = x[edge[right]] - x[edge[right - 1]]
    mix = np.clip((at - x[edge[right - 1]]) / np.maximum(span, 1e-6), 0, 1)
    return np.stack([edge[right - 1], edge[right]], 1).astype(np.int32), np.stack([1 - mix, mix], 1).astype(np.float32)


def _edge_field(
    pack: AssetPack, mean: np.ndarray, opened: np.ndarray, ring: np.ndarray, num_stations: int, reach: _Reach
) -> EdgeField:
    upper_edge, lower_edge = _split_edge(ring, opened)
    x = mean[:, 0]
    low, high = x[ring].min(), x[ring].max()
    middle, half = (low + high) / 2, (high - low) / 2
    at = middle + half * np.linspace(-0.96, 0.96, num_stations)
    upper, upper_mix = _stations(upper_edge, x, at)
    lower, lower_mix = _stations(lower_edge, x, at)
    line = (
        (mean[upper] * upper_mix[..., None]).sum(1) + (mean[lower] * lower_mix[..., None]).sum(1)
    ) / 2  # (stations, 3): the closed edge
    station = np.clip((x - at[0]) / (at[-1] - at[0]) * (num_stations - 1), 0, num_stations - 1).astype(np.float32)
    grid = np.arange(num_stations)
    dy = mean[:, 1] - np.interp(station, grid, line[:, 1])
    dz = mean[:, 2] - np.interp(station, grid, line[:, 2])
    dx = np.maximum(np.abs(x - middle) - half, 0)
    distance = np.sqrt(
        (dy / np.where(dy > 0, reach.up, reach.down)) ** 2 + (dz / reach.depth) ** 2 + (dx / reach.beyond_corner) ** 2
    )
    share = np.clip(1.15 - distance, 0, 1)
    share = share * share * (3 - 2 * share)
    # The edge itself must meet exactly, and its side is known: the height alone is a poor judge at the corners.
    is_upper = dy > 0
    is_upper[lower_edge], is_upper[upper_edge] = False, True
    share[ring] = 1
    pull = np.where(is_upper, -reach.upper_share * share, (1 - reach.upper_share) * share)
    on_body = np.zeros(len(mean), bool)
    on_body[pack.body.triangles.ravel()] = True
    return EdgeField(upper, upper_mix, lower, lower_mix, station, np.where(on_body, pull, 0).astype(np.float32))


def _landmarks(
    pack: AssetPack, mean: np.ndarray, lips: EdgeField, mouth_rings: list[np.ndarray], lid_edges: list[np.ndarray]
) -> dict[str, int]:
    body = np.unique(pack.body.triangles)
    front = body[mean[body, 2] > 0.9]
    middle = front[np.abs(mean[front, 0]) < 2e-3]

    def nearest(candidates: np.ndarray, x: float, y: float, z: float | None = None) -> int:
        offset = mean[candidates] - [x, y, 0 if z is None else z]
        return int(candidates[np.argmin((offset[:, : 2 if z is None else 3] ** 2).sum(1))])

    found: dict[str, int] = {}
    for side, sign, edge in (("left", 1, lid_edges[0]), ("right", -1, lid_edges[1])):
        order = edge[np.argsort(mean[edge, 0] * sign)]
        eye = joint(mean, EYE_JOINTS[0 if sign > 0 else 1])
        central = edge[np.abs(mean[edge, 0] - eye[0]) < 0.08]
        found[f"eye_{side}_inner"], found[f"eye_{side}_outer"] = int(order[0]), int(order[-1])
        found[f"eye_{side}_upper"] = int(central[np.argmax(mean[central, 1])])
        found[f"eye_{side}_lower"] = int(central[np.argmin(mean[central, 1])])
        for part, x, rise in (("inner", 0.14, 0.17), ("middle", 0.30, 0.22), ("outer", 0.45, 0.17)):
            found[f"brow_{side}_{part}"] = nearest(front, sign * x, eye[1] + rise)
        found[f"nose_wing_{side}"] = nearest(front, sign * 0.175, 7.10, 1.42)
        found[f"jaw_{side}"] = nearest(body, sign * 0.62, 6.75, 0.75)
        found[f"cheek_{side}"] = nearest(front, sign * 0.45, 7.15)
        corner = mouth_rings[2]
        found[f"mouth_corner_{side}"] = int(corner[np.argmax(mean[corner, 0] * sign)])
    found |= _lip_landmarks(mean, lips, mouth_rings[7])
    profile = middle[(mean[middle, 1] > 6.95) & (mean[middle, 1] < 7.45)]
    outside = profile[mean[profile, 2] > 1.45]
    found["nose_tip"] = int(outside[np.argmax(mean[outside, 2])])
    found["nose_base"] = nearest(outside, 0, 7.03)
    found["nose_bridge"] = nearest(middle, 0, 7.48, 1.5)
    found["chin"] = nearest(middle, 0, 6.50, 1.42)
    found["forehead"] = nearest(middle, 0, 8.0, 1.5)
    return found


def _lip_landmarks(mean: np.ndarray, lips: EdgeField, outer_ring: np.ndarray) -> dict[str, int]:
    centre = NUM_LIP_STATIONS // 2
    side_station = {"": centre, "_left": centre + 4, "_right": centre - 4}
    found = {}
    for half, edge, mix, sign in (("upper", lips.upper, lips.upper_mix, 1), ("lower", lips.lower, lips.lower_mix, -1)):
        rim = outer_ring[(mean[outer_ring, 1] - 6.845) * sign > 0]
        for suffix, station in side_station.items():
            inner = int(edge[station, np.argmax(mix[station])])
            found[f"lip_{half}_inner{suffix}"] = inner
            found[f"lip_{half}_outer{suffix}"] = int(rim[np.argmin(np.abs(mean[rim, 0] - mean[inner, 0]))])
    return found
