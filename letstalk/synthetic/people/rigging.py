"""Turns joined parts into a `Rig`: what each vertex inherits from the base mesh, and what is solved for this person.

Solved per person: how far the neutral lips must come together so that no teeth show, how much of the closing unit shuts
these lids over these eyes, and where the edge of these upper teeth is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import EXPRESSION_UNITS, LANDMARK_NAMES, UNIT_INDEX
from letstalk.synthetic.people.anatomy import (
    HEAD_JOINT,
    NECK_JOINT,
    UPPER_TEETH_FIRST,
    Anatomy,
    EdgeField,
    joint,
)
from letstalk.synthetic.people.assets import AssetPack
from letstalk.synthetic.people.eyes import LID_CLEARANCE
from letstalk.synthetic.people.parts import Joined, Part
from letstalk.synthetic.person import Contact, Rig

SEAL_UNITS = {"mouth-parling": -0.25}
LIP_TO_TEETH_UNITS = {"mouth-elevation": 0.12, "mouth-eversion": -0.35}


@dataclass(frozen=True)
class Face:
    """What the rig is built from."""

    pack: AssetPack
    seed: int
    ancestry: np.ndarray
    base: np.ndarray  # (num_base, 3) this person's base vertices
    eye_centre: np.ndarray  # (2, 3)
    eye_radius: np.ndarray  # (2,)


def build_rig(face: Face, parts: list[Part], joined: Joined) -> Rig:
    anatomy: Anatomy = face.pack.anatomy
    base_basis = anatomy.basis(face.ancestry)
    moving, basis = _inherit_basis(anatomy, base_basis, joined)
    base_to_mesh = _body_vertices(face.pack, parts, joined)
    lids = tuple(_contact(field, joined, base_to_mesh) for field in anatomy.lids)
    eyes = joined.vertices_of(parts, "eyes")
    eye_weight = np.zeros((2, len(joined.mesh.vertices)), np.float32)
    is_left = joined.mesh.vertices[eyes, 0] > 0
    eye_weight[0, eyes[is_left]] = 1
    eye_weight[1, eyes[~is_left]] = 1
    tongue = joined.vertices_of(parts, "tongue")
    tongue_raise, tongue_forward = _tongue_reach(joined, parts, tongue)
    return Rig(
        moving=moving, basis=basis, rest=_rest(face, base_basis), seal=_units(SEAL_UNITS),
        lip_to_teeth=_units(LIP_TO_TEETH_UNITS), lid_closure=_lid_closure(face, base_basis),
        head_weight=_head_weight(face, joined),
        head_pivot=(joint(face.base, HEAD_JOINT) * 0.6 + joint(face.base, NECK_JOINT) * 0.4).astype(np.float32),
        eye_weight=eye_weight, eye_centre=face.eye_centre.astype(np.float32),
        tongue_weight=_tongue_weight(joined, tongue), chest_weight=_chest_weight(face, joined),
        lips=_contact(anatomy.lips, joined, base_to_mesh), lids=(lids[0], lids[1]),
        lid_vertices=tuple(base_to_mesh[skin][base_to_mesh[skin] >= 0] for skin in anatomy.lid_skin),  # type: ignore[arg-type]
        eye_radius=(face.eye_radius * LID_CLEARANCE).astype(np.float32), teeth_edge=_teeth_edge(joined, parts, face),
        tongue_raise=tongue_raise, tongue_forward=tongue_forward, breath=np.array([0, 0.022, 0.03], np.float32),
    )  # fmt: skip


def find_landmarks(face: Face, parts: list[Part], joined: Joined) -> np.ndarray:
    """(NUM_LANDMARKS,) int32 mesh vertices; the eye centres are the front of the eyeballs."""
    base_to_mesh = _body_vertices(face.pack, parts, joined)
    known: dict[str, int] = {name: int(base_to_mesh[v]) for name, v in face.pack.anatomy.landmarks.items()}
    eyes = joined.vertices_of(parts, "eyes")
    for side, centre in zip(("left", "right"), face.eye_centre, strict=True):
        front = centre + np.array([0, 0, 1], np.float32)
        own = eyes[(joined.mesh.vertices[eyes, 0] > 0) == (side == "left")]
        known[f"eye_{side}_centre"] = int(own[np.argmin(((joined.mesh.vertices[own] - front) ** 2).sum(1))])
    assert min(known.values()) >= 0, "a landmark was cut away"
    return np.array([known[name] for name in LANDMARK_NAMES], np.int32)


def _units(weights: dict[str, float]) -> np.ndarray:
    found = np.zeros(len(EXPRESSION_UNITS), np.float32)
    for name, weight in weights.items():
        found[UNIT_INDEX[name]] = weight
    return found


def _body_vertices(pack: AssetPack, parts: list[Part], joined: Joined) -> np.ndarray:
    """Mesh vertex of each base vertex, -1 where it was cut away."""
    found = np.full(len(pack.base_vertices), -1, np.int32)
    for index, part in enumerate(parts):
        if part.kind == "skin":
            mesh = np.arange(len(part.positions), dtype=np.int32) + joined.first_vertex[index]
            found[part.reference[:, 0]] = mesh
    return found


def _inherit_basis(anatomy: Anatomy, base_basis: np.ndarray, joined: Joined) -> tuple[np.ndarray, np.ndarray]:
    row = np.full(len(anatomy.mean), -1, np.int64)
    row[anatomy.moving] = np.arange(len(anatomy.moving))
    rows = row[joined.reference]
    weights = np.where((rows >= 0) & ~joined.rigid[:, None], joined.weights, 0)
    moving = np.flatnonzero(np.abs(weights).max(1) > 1e-4)
    basis = sum(base_basis[rows[moving, k]] * weights[moving, k, None, None] for k in range(3))
    return moving.astype(np.int32), np.ascontiguousarray(basis, np.float32)


def _contact(field: EdgeField, joined: Joined, base_to_mesh: np.ndarray) -> Contact:
    pull = (field.pull[joined.reference] * joined.weights).sum(1)
    pull[joined.rigid] = 0
    station = (field.station[joined.reference] * joined.weights).sum(1)
    vertices = np.flatnonzero(np.abs(pull) > 1e-3).astype(np.int32)
    return Contact(
        base_to_mesh[field.upper], field.upper_mix, base_to_mesh[field.lower], field.lower_mix, vertices,
        np.clip(station[vertices], 0, len(field.upper) - 1).astype(np.float32), pull[vertices].astype(np.float32),
    )  # fmt: skip


def _edge_gap(base: np.ndarray, field: EdgeField) -> np.ndarray:
    """(stations, 3) from the lower to the upper edge."""
    upper = (base[field.upper] * field.upper_mix[..., None]).sum(1)
    return upper - (base[field.lower] * field.lower_mix[..., None]).sum(1)


def _moved(face: Face, base_basis: np.ndarray, weights: np.ndarray) -> np.ndarray:
    base = face.base.copy()
    base[face.pack.anatomy.moving] += np.einsum("muc,u->mc", base_basis, weights)
    return base


def _rest(face: Face, base_basis: np.ndarray) -> np.ndarray:
    """The neutral face of this person: a hint of an expression, and lips brought together until they touch."""
    draw = numpy_generator(face.seed, "rest")
    # MakeHuman's neutral brows sit low and look cross.
    brow_inner, brow = draw.uniform(0.1, 0.6), draw.uniform(0.0, 0.5)
    eyes = draw.uniform(0.0, 0.25)
    rest = _units({
        "eye-left-opened-up": eyes, "eye-right-opened-up": eyes, "eyebrows-left-inner-up": brow_inner,
        "eyebrows-right-inner-up": brow_inner, "eyebrows-left-up": brow, "eyebrows-right-up": brow,
        "mouth-corner-puller": draw.uniform(0.04, 0.28),
    })  # fmt: skip
    lips = face.pack.anatomy.lips
    middle = slice(3, -3)
    gap = _edge_gap(_moved(face, base_basis, rest), lips)[middle, 1]
    part_lips = UNIT_INDEX["mouth-parling"]
    probe = rest.copy()
    probe[part_lips] -= 1
    slope = gap.mean() - _edge_gap(_moved(face, base_basis, probe), lips)[middle, 1].mean()
    # The widest gap counts, not the mean: one parted place shows the teeth.
    rest[part_lips] = -float(np.clip(np.quantile(gap, 0.8) / max(slope, 1e-3), -0.2, 1.0))
    return rest


def _lid_closure(face: Face, base_basis: np.ndarray) -> np.ndarray:
    """(2, units): how much of each closing unit shuts these lids; `posing` closes what is left of the gap."""
    found = np.zeros((2, len(EXPRESSION_UNITS)), np.float32)
    for side, name in enumerate(("eye-left-closure", "eye-right-closure")):
        field = face.pack.anatomy.lids[side]
        opened = _edge_gap(face.base, field)[2:-2, 1]
        unit = _units({name: 1.0})
        closed = _edge_gap(_moved(face, base_basis, unit), field)[2:-2, 1]
        travel = np.maximum(opened - closed, 1e-3)
        found[side] = unit * np.clip(np.median(opened / travel), 0.6, 1.35)
    return found


def _head_weight(face: Face, joined: Joined) -> np.ndarray:
    weight = (face.pack.head_weight[joined.reference] * joined.weights).sum(1)
    weight[joined.rigid] = 1
    return weight.clip(0, 1).astype(np.float32)


def _chest_weight(face: Face, joined: Joined) -> np.ndarray:
    """Full on the chest and the shoulders, none above the throat or far below."""
    neck = joint(face.base, NECK_JOINT)
    y = joined.mesh.vertices[:, 1]
    rise = np.clip((neck[1] - 0.1 - y) / 0.7, 0, 1)
    weight = rise * rise * (3 - 2 * rise) * (1 - _head_weight(face, joined))
    weight[joined.rigid] = 0
    return weight.astype(np.float32)


def _tongue_weight(joined: Joined, tongue: np.ndarray) -> np.ndarray:
    weight = np.zeros(len(joined.mesh.vertices), np.float32)
    if len(tongue):
        depth = joined.mesh.vertices[tongue, 2]
        share = np.clip((depth - depth.min()) / max(float(np.ptp(depth)), 1e-6), 0, 1)
        weight[tongue] = share**2  # bends: the root stays, the tip goes
    return weight


def _tongue_reach(joined: Joined, parts: list[Part], tongue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the tip goes: raised, up to the back of the upper teeth; forward, between the teeth."""
    teeth = joined.mesh.vertices[joined.vertices_of(parts, "teeth")]
    if not len(tongue) or not len(teeth):
        return np.array([0, 0.12, 0], np.float32), np.array([0, 0.02, 0.12], np.float32)
    tip = joined.mesh.vertices[tongue[np.argmax(joined.mesh.vertices[tongue, 2])]]
    to_teeth = max(float(teeth[:, 2].max()) - float(tip[2]), 0.03)
    return np.array([0, 0.22, 0.3 * to_teeth], np.float32), np.array([0, 0.07, to_teeth + 0.03], np.float32)


def _teeth_edge(joined: Joined, parts: list[Part], face: Face) -> np.ndarray:
    """For each lip station a point on the front of the upper teeth, a little above their edge."""
    field = face.pack.anatomy.lips
    x = (face.base[field.upper] * field.upper_mix[..., None]).sum(1)[:, 0]
    teeth, height = _upper_teeth(joined, parts)
    found = np.empty((len(x), 3), np.float32)
    for station, place in enumerate(x):
        near = teeth[np.abs(teeth[:, 0] - place) < 0.06]
        near = near if len(near) else teeth[np.argsort(np.abs(teeth[:, 0] - place))[:8]]
        found[station] = [place, height + 0.030, near[:, 2].max() + 0.012]
    return found


def _upper_teeth(joined: Joined, parts: list[Part]) -> tuple[np.ndarray, float]:
    """Vertices of the upper row and the height of the edge of its front teeth."""
    index = joined.vertices_of(parts, "teeth")
    is_upper = joined.reference[index, 0] >= UPPER_TEETH_FIRST
    upper = joined.mesh.vertices[index[is_upper]]
    front = upper[upper[:, 2] > upper[:, 2].max() - 0.06]
    return upper, float(np.quantile(front[:, 1], 0.03))


def fit_eyeballs(fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (2, 3) and radii (2,) of the spheres through the fronts of the fitted eye proxy, left first."""
    centres, radii = np.zeros((2, 3), np.float32), np.zeros(2, np.float32)
    for side, sign in enumerate((1, -1)):
        ball = fitted[fitted[:, 0] * sign > 0]
        # Sphere through the points: |p|^2 = 2 p.c + (r^2 - |c|^2), linear in c and the bracket.
        solution = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(1), rcond=None)[0]
        centres[side] = solution[:3]
        radii[side] = np.sqrt(solution[3] + (solution[:3] ** 2).sum())
    return centres, radii
