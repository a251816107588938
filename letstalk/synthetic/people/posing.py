"""Moves a person's vertices into one frame of a performance. Under a millisecond: it runs for every rendered frame.

Order: expression units, lips to teeth, lips together, lids together and off the eyeball, eyes, tongue, head, breath. No
fast maths and no threads: the same frame gives the same bytes wherever the compiler gives the same instructions.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from letstalk.synthetic.controls import UNIT_INDEX, Performance
from letstalk.synthetic.person import Contact, Person, Rig

# Lids follow the eye: looking down closes them, looking up opens them. Share of a closed lid for each radian of gaze.
LID_FOLLOW_DOWN = 0.9
LID_FOLLOW_UP = 1.2
# Lips that are pressed together overlap a little: between stations a gap of exactly zero leaves slits of dark.
LIP_CLEARANCE = -0.003  # decimetres


@nb.njit(cache=True, nogil=True)
def _morph(out: np.ndarray, moving: np.ndarray, basis: np.ndarray, weights: np.ndarray) -> None:
    units = np.nonzero(weights)[0]
    for k in range(moving.shape[0]):
        vertex = moving[k]
        x = np.float32(0)
        y = np.float32(0)
        z = np.float32(0)
        for unit in units:
            weight = weights[unit]
            x += weight * basis[k, unit, 0]
            y += weight * basis[k, unit, 1]
            z += weight * basis[k, unit, 2]
        out[vertex, 0] += x
        out[vertex, 1] += y
        out[vertex, 2] += z


@nb.njit(cache=True, nogil=True)
def _edge_points(out: np.ndarray, vertices: np.ndarray, mix: np.ndarray) -> np.ndarray:
    points = np.empty((vertices.shape[0], 3), np.float32)
    for s in range(vertices.shape[0]):
        for axis in range(3):
            points[s, axis] = mix[s, 0] * out[vertices[s, 0], axis] + mix[s, 1] * out[vertices[s, 1], axis]
    return points


@nb.njit(cache=True, nogil=True)
def _follow(
    out: np.ndarray, vertices: np.ndarray, station: np.ndarray, pull: np.ndarray, moves: np.ndarray, lower_only: bool
) -> None:
    """Moves each vertex by its share of the move of its station; `lower_only` moves the lower lip alone."""
    last = moves.shape[0] - 1
    for k in range(vertices.shape[0]):
        share = pull[k]
        if lower_only and share <= 0:
            continue
        left = min(int(station[k]), last - 1)
        mix = station[k] - left
        for axis in range(3):
            out[vertices[k], axis] += share * ((1 - mix) * moves[left, axis] + mix * moves[left + 1, axis])


@nb.njit(cache=True, nogil=True)
def _closing_moves(upper: np.ndarray, lower: np.ndarray, strength: float, clearance: float) -> np.ndarray:
    """How far each station's gap must shrink. Edges that crossed are always parted, whatever the strength."""
    moves = np.empty_like(upper)
    for s in range(upper.shape[0]):
        for axis in range(3):
            moves[s, axis] = strength * (upper[s, axis] - lower[s, axis])
        gap = upper[s, 1] - lower[s, 1] - clearance
        moves[s, 1] = gap if gap < 0 else strength * gap
    return moves


@nb.njit(cache=True, nogil=True)
def _push_off_sphere(out: np.ndarray, vertices: np.ndarray, centre: np.ndarray, radius: float) -> None:
    for k in range(vertices.shape[0]):
        i = vertices[k]
        x = out[i, 0] - centre[0]
        y = out[i, 1] - centre[1]
        z = out[i, 2] - centre[2]
        distance = np.sqrt(x * x + y * y + z * z)
        if distance < radius:
            grow = np.float32(radius / max(distance, 1e-6))
            out[i, 0] = centre[0] + x * grow
            out[i, 1] = centre[1] + y * grow
            out[i, 2] = centre[2] + z * grow


@nb.njit(cache=True, nogil=True)
def _turn(out: np.ndarray, weight: np.ndarray, centre: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> None:
    """Blends each vertex towards its rigidly moved place by its weight."""
    for i in range(out.shape[0]):
        w = weight[i]
        if w <= 0:
            continue
        x = out[i, 0] - centre[0]
        y = out[i, 1] - centre[1]
        z = out[i, 2] - centre[2]
        for axis in range(3):
            moved = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z + centre[axis] + shift[axis]
            out[i, axis] += w * (moved - out[i, axis])


@nb.njit(cache=True, nogil=True)
def _shift(out: np.ndarray, weight: np.ndarray, vector: np.ndarray) -> None:
    for i in range(out.shape[0]):
        if weight[i] > 0:
            for axis in range(3):
                out[i, axis] += weight[i] * vector[axis]


def rotation_matrix(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """(3, 3) float32. Pitch + turns the face down, yaw + to the character's left (+x), roll about the line of sight."""
    cp, sp, cy, sy, cr, sr = (f(a) for a in (pitch, yaw, roll) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_y @ about_x @ about_z).astype(np.float32)


def unit_weights(rig: Rig, performance: Performance, frame_index: int) -> np.ndarray:
    """Weights of all expression units (num_units,) in one frame: track, rest, and what lips and lids add."""
    weights = rig.rest.copy()
    track = performance.expression[frame_index]
    weights[: len(track)] += track
    weights += rig.seal * performance.lip_seal[frame_index]
    weights += rig.lip_to_teeth * performance.lip_to_teeth[frame_index]
    closure = lid_closures(performance, frame_index)
    for side in range(2):
        # A closed lid also takes back how far this face opens its eyes, whether at rest or in surprise.
        closed = max(closure[side], 0.0)
        opened = UNIT_INDEX[f"eye-{('left', 'right')[side]}-opened-up"]
        weights[opened] *= 1 - closed
        weights += rig.lid_closure[side] * closed
        if closure[side] < 0:
            weights[opened] -= closure[side]
    return weights.astype(np.float32)


def lid_closures(performance: Performance, frame_index: int) -> tuple[float, float]:
    """Closure of the left and right eye with what the direction of the gaze adds; below 0 opens wider."""
    pitch = float(performance.gaze[frame_index, 1])
    follow = -pitch * (LID_FOLLOW_UP if pitch > 0 else LID_FOLLOW_DOWN)
    left, right = (float(value) for value in performance.lid_closure[frame_index])
    # A shut eye stays shut wherever it looks.
    return min(left + follow * (1 - left), 1.0), min(right + follow * (1 - right), 1.0)


def pose_vertices(
    person: Person, performance: Performance, frame_index: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Vertices (num_vertices, 3) float32 of one frame; `out` is filled and returned where given."""
    rig, neutral = person.rig, person.mesh.vertices
    if out is None:
        out = np.empty_like(neutral)
    out[:] = neutral
    _morph(out, rig.moving, rig.basis, unit_weights(rig, performance, frame_index))
    _close_lips(out, rig, performance, frame_index)
    closure = lid_closures(performance, frame_index)
    for side in range(2):
        _close(out, rig.lids[side], max(closure[side], 0.0) ** 4, 0.0)
        _push_off_sphere(out, rig.lid_vertices[side], rig.eye_centre[side], float(rig.eye_radius[side]))
    _turn_eyes_and_tongue(out, rig, performance, frame_index)
    pitch, yaw, roll = (float(angle) for angle in performance.head_rotation[frame_index])
    shift = np.ascontiguousarray(performance.head_translation[frame_index], np.float32)
    _turn(out, rig.head_weight, rig.head_pivot, rotation_matrix(pitch, yaw, roll), shift)
    _shift(out, rig.chest_weight, rig.breath * np.float32(performance.breath[frame_index]))
    return out


def bring_lips_together(neutral: np.ndarray, rig: Rig) -> None:
    """Changes the neutral vertices in place so that at rest the lips touch all along, in depth too.

    Without it a mouth that looks shut could measure open, and the same opening would mean something else for everybody.
    """
    resting = neutral.copy()
    _morph(resting, rig.moving, rig.basis, rig.rest)
    upper = _edge_points(resting, rig.lips.upper, rig.lips.upper_mix)
    lower = _edge_points(resting, rig.lips.lower, rig.lips.lower_mix)
    moves = _closing_moves(upper, lower, 1.0, LIP_CLEARANCE)
    _follow(neutral, rig.lips.vertices, rig.lips.station, rig.lips.pull, moves, False)


def _close(out: np.ndarray, contact: Contact, strength: float, clearance: float) -> None:
    upper = _edge_points(out, contact.upper, contact.upper_mix)
    lower = _edge_points(out, contact.lower, contact.lower_mix)
    moves = _closing_moves(upper, lower, float(strength), clearance)
    _follow(out, contact.vertices, contact.station, contact.pull, moves, False)


def _close_lips(out: np.ndarray, rig: Rig, performance: Performance, frame_index: int) -> None:
    to_teeth = float(performance.lip_to_teeth[frame_index])
    if to_teeth > 0:
        lower = _edge_points(out, rig.lips.lower, rig.lips.lower_mix)
        count = len(lower)
        # The middle of the lip touches the teeth; the corners of the mouth stay where they are.
        share = to_teeth * np.sin(np.pi * (np.arange(count) + 0.5) / count)[:, None] ** 0.7
        moves = ((rig.teeth_edge - lower) * share).astype(np.float32)
        # `pull` is the lower lip's share of a gap; here it takes the whole of it.
        _follow(out, rig.lips.vertices, rig.lips.station, rig.lips.pull / max(rig.lips.pull.max(), 1e-6), moves, True)
    _close(out, rig.lips, float(performance.lip_seal[frame_index]), LIP_CLEARANCE)


def _turn_eyes_and_tongue(out: np.ndarray, rig: Rig, performance: Performance, frame_index: int) -> None:
    yaw, pitch = (float(angle) for angle in performance.gaze[frame_index])
    still = np.zeros(3, np.float32)
    if yaw or pitch:
        rotation = rotation_matrix(-pitch, yaw, 0.0)
        for side in range(2):
            _turn(out, rig.eye_weight[side], rig.eye_centre[side], rotation, still)
    raised, forward = (np.float32(value) for value in performance.tongue[frame_index])
    if raised or forward:
        _shift(out, rig.tongue_weight, rig.tongue_raise * raised + rig.tongue_forward * forward)
