"""A plain head made by code alone, with the same rig as a real one: for tests and demos where there is no asset pack.

The head is a grid of latitudes and longitudes pulled into shape. One row is slit open for the mouth and one for the
eyes, so lips and lids are true edges that part and meet; eyeballs, teeth and a tongue sit behind them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import EXPRESSION_UNITS, LANDMARK_NAMES, UNIT_INDEX
from letstalk.synthetic.people.eyes import IRIS_COLOURS, LID_CLEARANCE, eye_texture, eyes_part
from letstalk.synthetic.people.parts import Joined, Part, flat_texture, join_parts, rigid_part
from letstalk.synthetic.people.skin import tone_colour
from letstalk.synthetic.people.skin_maps import smooth
from letstalk.synthetic.person import Contact, Person, Rig
from letstalk.synthetic.pictures.rasteriser import bake_ambient_occlusion

_CAVITY = (0.16, 0.04, 0.04)  # sRGB of the inside of the mouth
_ROWS, _COLUMNS = 64, 96
_MOUTH_ROW, _EYE_ROW = 20, 37  # from the chin up
_MOUTH_REACH, _EYE_FIRST, _EYE_LAST = 0.24, 0.14, 0.42  # decimetres from the middle that the slits cover


@dataclass(frozen=True)
class _Size:
    """Decimetres."""

    width: float
    height: float
    depth: float
    nose: float
    lips: float
    eye_opening: float


@dataclass(frozen=True)
class _Head:
    positions: np.ndarray  # (n, 3)
    triangles: np.ndarray
    uv: np.ndarray
    grid: np.ndarray  # (rows, columns) vertex of each place; the lower edge where the row is slit
    mouth: tuple[np.ndarray, np.ndarray]  # upper and lower edge from -x to +x
    eyes: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]  # left, right
    is_upper: np.ndarray  # (n,) bool: above the row of the mouth, or the upper edge of it
    is_over_eye: np.ndarray  # (n,) bool


def procedural_person(seed: int) -> Person:
    """A small head of about 9000 triangles; seeds differ in size, features and colours."""
    draw = numpy_generator(seed, "procedural")
    size = _Size(
        0.72 * draw.uniform(0.92, 1.08), 1.08 * draw.uniform(0.95, 1.05), 0.86 * draw.uniform(0.95, 1.05),
        draw.uniform(0.16, 0.24), draw.uniform(0.03, 0.06), draw.uniform(0.045, 0.06),
    )  # fmt: skip
    head = _head(size)
    centres = np.stack([_eye_centre(head, side) for side in range(2)])
    radius = np.array([0.138, 0.138], np.float32)  # smaller than its sockets: the coarse lids are chords
    parts = _parts(draw, head, size, centres, radius)
    joined = join_parts(parts)
    rig = _rig(head, joined, parts, centres, radius)
    landmarks = _landmarks(head, joined, parts, size)
    occlusion = bake_ambient_occlusion(joined.mesh.vertices, joined.mesh, joined.materials, joined.texels)
    labels: dict[str, float | str] = {"hair": "cap", "source": "procedural"}
    top, bottom = head.positions[:, 1].max(), head.positions[:, 1].min()
    return Person(
        seed=seed, labels=labels, mesh=joined.mesh, rig=rig, materials=joined.materials, texels=joined.texels,
        ambient_occlusion=occlusion.astype(np.float32), landmark_vertices=landmarks,
        face_centre=np.array([0, (top + bottom) / 2, 0.3], np.float32), face_height=float(top - bottom),
        eye_distance=float(np.linalg.norm(centres[0] - centres[1])),
    )  # fmt: skip


def _head(size: _Size) -> _Head:
    latitude = np.linspace(-1.50, 1.50, _ROWS)
    # Columns are denser at the front: that is where the face is.
    t = np.linspace(-1, 1, _COLUMNS + 1)
    longitude = np.pi * (0.45 * t + 0.55 * t**3)
    lat, lon = np.meshgrid(latitude, longitude[:-1], indexing="ij")
    x = size.width * np.cos(lat) ** 0.8 * np.sin(lon)
    y = size.height * np.sin(lat)
    z = size.depth * np.cos(lat) ** 0.75 * np.cos(lon)
    grid = np.arange(_ROWS * _COLUMNS).reshape(_ROWS, _COLUMNS)
    positions = np.stack([x, y, z], -1).reshape(-1, 3)
    _shape_face(positions, size, float(y[_MOUTH_ROW, 0]), float(y[_EYE_ROW, 0]))
    uv = np.stack([np.broadcast_to(np.arange(_COLUMNS) / _COLUMNS, grid.shape), (lat + 1.5) / 3], -1).reshape(-1, 2)
    middle = _COLUMNS // 2
    reach = int(np.argmin(np.abs(x[_MOUTH_ROW, middle : middle + _COLUMNS // 4] - _MOUTH_REACH)))
    first, last = (
        int(np.argmin(np.abs(x[_EYE_ROW, middle : middle + _COLUMNS // 4] - edge))) for edge in (_EYE_FIRST, _EYE_LAST)
    )
    slits = [
        (_MOUTH_ROW, np.arange(middle - reach, middle + reach + 1)),
        (_EYE_ROW, np.arange(middle + first, middle + last + 1)),
        (_EYE_ROW, np.arange(middle - last, middle - first + 1)),
    ]
    positions, uv, above, edges = _slit(positions, uv, grid, slits)
    triangles = _grid_triangles(grid, above)
    is_upper = np.zeros(len(positions), bool)
    is_upper[grid[_MOUTH_ROW + 1 :].ravel()] = True
    is_upper[edges[0][0]] = True
    is_over_eye = np.zeros(len(positions), bool)
    is_over_eye[grid[_EYE_ROW + 1 :].ravel()] = True
    for upper, _ in edges:
        is_upper[[upper[0], upper[-1]]] = True
        if upper is not edges[0][0]:
            is_upper[upper] = is_over_eye[upper] = True
            _open_slit(positions, upper, size.eye_opening)
    return _Head(
        positions.astype(np.float32),
        triangles,
        uv.astype(np.float32),
        grid,
        edges[0],
        (edges[1], edges[2]),
        is_upper,
        is_over_eye,
    )


def _shape_face(positions: np.ndarray, size: _Size, mouth_y: float, eye_y: float) -> None:
    """A nose, brow ridge, eye sockets, lips and a narrower jaw, all as smooth bumps in place."""
    x, y = positions[:, 0].copy(), positions[:, 1].copy()
    front = smooth(positions[:, 2], 0.2, 0.6)
    nose_y = mouth_y + 0.42 * (eye_y - mouth_y)
    along = smooth(y, nose_y - 0.10, nose_y) * smooth(y, eye_y + 0.15, nose_y + 0.02)
    positions[:, 2] += front * size.nose * along * np.exp(-((x / 0.11) ** 2))
    positions[:, 2] -= front * 0.05 * np.exp(-(((np.abs(x) - 0.29) / 0.15) ** 2 + ((y - eye_y) / 0.12) ** 2))
    positions[:, 2] += front * size.lips * np.exp(-((x / 0.2) ** 2 + ((y - mouth_y) / 0.09) ** 2))
    positions[:, 0] *= 1 - 0.28 * smooth(y, mouth_y + 0.2, -size.height)


def _slit(
    positions: np.ndarray, uv: np.ndarray, grid: np.ndarray, slits: list[tuple[int, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Doubles the inner vertices of each slit. `above` is the grid as the row over it sees it."""
    above, edges = grid.copy(), []
    for row, columns in slits:
        inner = columns[1:-1]
        fresh = len(positions) + np.arange(len(inner))
        positions = np.vstack([positions, positions[grid[row, inner]]])
        uv = np.vstack([uv, uv[grid[row, inner]]])
        above[row, inner] = fresh
        edges.append((above[row, columns].copy(), grid[row, columns].copy()))
    return positions, uv, above, edges


def _grid_triangles(grid: np.ndarray, above: np.ndarray) -> np.ndarray:
    low_left, low_right = above[:-1], np.roll(above, -1, 1)[:-1]
    top_left, top_right = grid[1:], np.roll(grid, -1, 1)[1:]
    first = np.stack([low_left, low_right, top_right], -1).reshape(-1, 3)
    second = np.stack([low_left, top_right, top_left], -1).reshape(-1, 3)
    return np.concatenate([first, second]).astype(np.int32)


def _open_slit(positions: np.ndarray, upper: np.ndarray, opening: float) -> None:
    """Lids apart: the upper edge rises, the lower one sinks, and the rows around follow."""
    middle = positions[upper].mean(0)
    half = np.ptp(positions[upper, 0]) / 2
    side = np.where(positions[:, 1] > middle[1] + 1e-4, 1.0, -1.0)
    side[upper] = 1.0
    across = np.clip(1 - ((positions[:, 0] - middle[0]) / half) ** 2, 0, 1) ** 0.6
    near = np.exp(-(((positions[:, 1] - middle[1]) / 0.11) ** 2)) * (positions[:, 2] > 0)
    rise = np.where(side > 0, 1.1, -0.8) * opening * across * near
    positions[:, 1] += rise


def _eye_centre(head: _Head, side: int) -> np.ndarray:
    upper, lower = head.eyes[side]
    edge = head.positions[np.concatenate([upper, lower])]
    # Lids lie on the ball: their middle is as far from its centre as they are to stay when they close.
    return np.array([edge[:, 0].mean(), edge[:, 1].mean(), np.median(edge[:, 2]) - 0.13], np.float32)


def _parts(draw: np.random.Generator, head: _Head, size: _Size, centres: np.ndarray, radius: np.ndarray) -> list[Part]:
    count = len(head.positions)
    index = np.arange(count, dtype=np.int32)
    grain = draw.normal(1, 0.03, (96, 96, 1)) * tone_colour(draw.random(), 0.0) * 255
    skin = np.dstack([np.clip(grain, 0, 255), np.full((96, 96), 255)]).astype(np.uint8)
    own = np.repeat(index[:, None], 3, 1)
    weights = np.tile(np.array([1, 0, 0], np.float32), (count, 1))
    iris = IRIS_COLOURS[str(draw.choice(list(IRIS_COLOURS)))]
    mouth = head.positions[np.concatenate(head.mouth)].mean(0)
    colour = np.asarray(draw.uniform(0.1, 0.8, 3))
    hair = flat_texture(np.asarray(draw.uniform(0.05, 0.5, 3)))
    return [
        Part("skin", head.positions, head.triangles, head.uv, head.triangles, skin, own, weights),
        eyes_part(centres, radius, eye_texture(draw, iris, 30.0), np.zeros(2, np.int32)),
        _strip("teeth", mouth + np.array([0, 0.035, -0.07]), (0.17, 0.045), flat_texture((0.9, 0.88, 0.82))),
        _strip("teeth", mouth + np.array([0, -0.05, -0.09]), (0.15, 0.035), flat_texture((0.88, 0.86, 0.8))),
        _blob("tongue", mouth + np.array([0, -0.06, -0.22]), (0.13, 0.03, 0.12), flat_texture((0.75, 0.35, 0.35))),
        _inside_out(_blob("tongue", mouth + np.array([0, -0.04, -0.17]), (0.33, 0.22, 0.22), flat_texture(_CAVITY))),
        _shoulders(size, flat_texture(colour)),
        *(_strip("brow", c + np.array([0, 0.17, 0.17]), (0.14, 0.022), hair, curve=0.5) for c in centres),
        _hair_cap(head, hair),
    ]  # fmt: skip


def _strip(
    kind: str, centre: np.ndarray, half_size: tuple[float, float], texture: np.ndarray, curve: float = 1.2
) -> Part:
    """A curved plate that faces forward."""
    columns = 13
    across = np.linspace(-1, 1, columns)
    x, y = np.meshgrid(across * half_size[0], [-half_size[1], 0, half_size[1]])
    points = np.stack([x, y, -curve * x**2 / max(half_size[0], 0.1)], -1).reshape(-1, 3) + centre
    grid = np.arange(3 * columns).reshape(3, columns)
    low_left, low_right, top_left, top_right = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    triangles = np.concatenate([
        np.stack([low_left, low_right, top_right], -1).reshape(-1, 3), np.stack([low_left, top_right, top_left],
        -1).reshape(-1, 3)
    ])  # fmt: skip
    return rigid_part(kind, points, triangles, texture)


def _blob(kind: str, centre: np.ndarray, radii: tuple[float, float, float], texture: np.ndarray) -> Part:
    lat, lon = np.meshgrid(np.linspace(-1.5, 1.5, 9), np.linspace(-np.pi, np.pi, 17)[:-1], indexing="ij")
    points = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1).reshape(-1, 3)
    grid = np.arange(9 * 16).reshape(9, 16)
    return rigid_part(kind, points * radii + centre, _grid_triangles(grid, grid), texture)


def _inside_out(part: Part) -> Part:
    """A cave: only its far wall shows, from wherever one looks in. It is the dark of the mouth."""
    return Part(**{**part.__dict__, "triangles": part.triangles[:, ::-1], "uv_triangles": part.uv_triangles[:, ::-1]})


def _shoulders(size: _Size, texture: np.ndarray) -> Part:
    """A neck that widens into a chest."""
    profile = [(0.42, -0.55), (0.40, -1.05), (0.52, -1.22), (1.35, -1.5), (1.75, -1.9), (1.8, -3.2)]
    turn = np.linspace(-np.pi, np.pi, 33)[:-1]
    rings = [
        np.stack([r * np.sin(turn), np.full(32, y * size.height), 0.55 * r * np.cos(turn) - 0.1], -1)
        for r, y in profile
    ]
    grid = np.arange(len(profile) * 32).reshape(len(profile), 32)[::-1]
    part = rigid_part("clothes", np.concatenate(rings), _grid_triangles(grid, grid), texture)
    return Part(**{**part.__dict__, "rigid": False})


def _hair_cap(head: _Head, texture: np.ndarray) -> Part:
    """A shell over the upper and back head."""
    first_row = _EYE_ROW + 9
    positions = head.positions[head.grid].reshape(-1, 3) * 1.05
    triangles = _grid_triangles(head.grid, head.grid)
    row = (triangles // _COLUMNS).min(1)
    centre = positions[triangles].mean(1)
    keep = (row >= first_row) | ((row >= _MOUTH_ROW) & (centre[:, 2] < -0.1))
    used, where = np.unique(triangles[keep], return_inverse=True)
    return rigid_part("hair", positions[used], where.reshape(-1, 3), texture)


def _rig(head: _Head, joined: Joined, parts: list[Part], centres: np.ndarray, radius: np.ndarray) -> Rig:
    total, skin = len(joined.mesh.vertices), len(head.positions)
    basis = _basis(head)
    lower_teeth = _range_of(joined, parts, 3)
    tongue = np.concatenate([_range_of(joined, parts, 4), _range_of(joined, parts, 5)])
    jaw = np.zeros((len(lower_teeth) + len(tongue), len(EXPRESSION_UNITS), 3), np.float32)
    jaw[:, UNIT_INDEX["mouth-open"]] = [0, -0.24, -0.06]
    moving = np.flatnonzero(np.abs(basis).max((1, 2)) > 1e-5)
    mouth_y = head.positions[head.mouth[0], 1].mean()
    eye_weight = np.zeros((2, total), np.float32)
    eyes = _range_of(joined, parts, 1)
    eye_weight[0, eyes[: len(eyes) // 2]], eye_weight[1, eyes[len(eyes) // 2 :]] = 1, 1
    head_weight = np.ones(total, np.float32)
    shoulders = _range_of(joined, parts, 6)
    head_weight[shoulders] = smooth(joined.mesh.vertices[shoulders, 1], -1.4, -0.7)
    tongue_weight = np.zeros(total, np.float32)
    tip = _range_of(joined, parts, 4)
    depth = joined.mesh.vertices[tip, 2]
    tongue_weight[tip] = ((depth - depth.min()) / np.ptp(depth)) ** 2
    closure = np.zeros((2, len(EXPRESSION_UNITS)), np.float32)
    closure[0, UNIT_INDEX["eye-left-closure"]] = closure[1, UNIT_INDEX["eye-right-closure"]] = 1
    zeros = np.zeros(len(EXPRESSION_UNITS), np.float32)
    edge = head.positions[head.mouth[0]]
    teeth_edge = np.stack([edge[:, 0], np.full(len(edge), mouth_y + 0.0), edge[:, 2] - 0.03], 1)
    near_eye = [
        np.flatnonzero((np.linalg.norm(head.positions - centre, axis=1) < 0.3) & (head.positions[:, 2] > centre[2]))
        for centre in centres
    ]
    return Rig(
        moving=np.concatenate([moving, lower_teeth, tongue]).astype(np.int32),
        basis=np.concatenate([basis[moving], jaw]), rest=zeros, seal=zeros, lip_to_teeth=zeros, lid_closure=closure,
        head_weight=head_weight, head_pivot=np.array([0, -0.9, -0.15], np.float32), eye_weight=eye_weight,
        eye_centre=centres.astype(np.float32), tongue_weight=tongue_weight,
        chest_weight=np.where(np.isin(np.arange(total), shoulders), 1 - head_weight, 0).astype(np.float32),
        lips=_contact(head.mouth, head.positions, skin, head.is_upper, 0.35, 0.22),
        lids=tuple(_contact(eye, head.positions, skin, head.is_over_eye, 0.75, 0.10) for eye in head.eyes),  # type: ignore[arg-type]
        lid_vertices=tuple(index.astype(np.int32) for index in near_eye),  # type: ignore[arg-type]
        eye_radius=radius * LID_CLEARANCE * 1.07, teeth_edge=teeth_edge.astype(np.float32),
        tongue_raise=np.array([0, 0.12, 0.02], np.float32), tongue_forward=np.array([0, 0.03, 0.14], np.float32),
        breath=np.array([0, 0.02, 0.03], np.float32),
    )  # fmt: skip


def _range_of(joined: Joined, parts: list[Part], index: int) -> np.ndarray:
    return np.arange(len(parts[index].positions)) + joined.first_vertex[index]


def _contact(
    edges: tuple[np.ndarray, np.ndarray],
    positions: np.ndarray,
    num_skin: int,
    is_upper: np.ndarray,
    share: float,
    reach: float,
) -> Contact:
    upper, lower = edges
    x = positions[upper, 0]
    middle = (positions[upper] + positions[lower]) / 2
    station = np.interp(positions[:num_skin, 0], x, np.arange(len(x)))
    dy = positions[:num_skin, 1] - np.interp(station, np.arange(len(x)), middle[:, 1])
    beyond = np.maximum(np.abs(positions[:num_skin, 0] - x.mean()) - np.ptp(x) / 2, 0)
    near = np.clip(1.1 - np.hypot(dy / reach, beyond / 0.08), 0, 1) * (positions[:num_skin, 2] > 0)
    near[np.concatenate(edges)] = 1
    pull = np.where(is_upper, -share * near, (1 - share) * near)
    pull[[upper[0], upper[-1]]] = 0  # the corners are one vertex
    vertices = np.flatnonzero(np.abs(pull) > 1e-3)
    one = np.tile(np.array([1, 0], np.float32), (len(x), 1))
    return Contact(
        np.stack([upper, upper], 1).astype(np.int32), one, np.stack([lower, lower], 1).astype(np.int32), one,
        vertices.astype(np.int32), station[vertices].astype(np.float32), pull[vertices].astype(np.float32),
    )  # fmt: skip


def _basis(head: _Head) -> np.ndarray:
    """(n, units, 3): the units that speech and expression use most, as smooth fields; the others stay zero."""
    x, y, z = head.positions.T
    basis = np.zeros((len(x), len(EXPRESSION_UNITS), 3), np.float32)
    edge = head.positions[head.mouth[0]]
    mouth, half = edge.mean(0), np.ptp(edge[:, 0]) / 2
    front = smooth(z, 0.0, 0.4)
    inside = np.sqrt(np.clip(1 - ((x - mouth[0]) / half) ** 2, 0, 1))
    on_mouth = np.exp(-(((x - mouth[0]) / 0.28) ** 2 + ((y - mouth[1]) / 0.14) ** 2)) * front
    lower = ~head.is_upper
    jaw = (
        np.where(lower, np.where(np.abs(x) < half, inside, 0) + smooth(y, mouth[1] - 0.05, mouth[1] - 0.25), 0).clip(
            0, 1
        )
        * front
    )
    side = np.where(head.is_upper, 1.0, -1.0)

    def put(name: str, axis: int, field: np.ndarray) -> None:
        basis[:, UNIT_INDEX[name], axis] += field

    put("mouth-open", 1, -0.26 * jaw)
    put("mouth-open", 2, -0.06 * jaw)
    put("mouth-parling", 1, 0.03 * side * on_mouth * inside)
    put("mouth-part-later", 1, 0.04 * side * on_mouth * inside)
    for name, stretch, out in (
        ("mouth-pursing", -0.35, 0.08),
        ("mouth-protusion", -0.1, 0.08),
        ("mouth-retraction", 0.2, -0.03),
    ):
        put(name, 0, stretch * (x - mouth[0]) * on_mouth)
        put(name, 2, out * on_mouth)
    put("mouth-corner-puller", 0, 0.15 * (x - mouth[0]) * on_mouth)
    put("mouth-corner-puller", 1, 0.07 * on_mouth * smooth(np.abs(x), 0.05, half))
    put("mouth-elevation", 1, 0.03 * on_mouth * head.is_upper)
    put("mouth-depression", 1, -0.05 * on_mouth * lower * inside)
    for index, name in enumerate(("left", "right")):
        upper_edge, lower_edge = (head.positions[e] for e in head.eyes[index])
        eye = (upper_edge.mean(0) + lower_edge.mean(0)) / 2
        gap = np.interp(x, upper_edge[:, 0], upper_edge[:, 1] - lower_edge[:, 1], left=0, right=0)
        near = np.exp(-(((y - eye[1]) / 0.12) ** 2)) * head.is_over_eye * (z > 0)
        put(f"eye-{name}-closure", 1, -gap * near)
        put(f"eye-{name}-opened-up", 1, 0.25 * gap * near)
        brow = np.exp(-(((x - eye[0]) / 0.2) ** 2 + ((y - eye[1] - 0.2) / 0.1) ** 2)) * front
        for unit, rise in (("up", 0.08), ("down", -0.05), ("inner-up", 0.05), ("extern-up", 0.04)):
            put(f"eyebrows-{name}-{unit}", 1, rise * brow)
    return basis


def _landmarks(head: _Head, joined: Joined, parts: list[Part], size: _Size) -> np.ndarray:
    skin = head.positions
    upper, lower = head.mouth
    mouth, eye_y = skin[upper].mean(0), skin[head.eyes[0][0], 1].mean()
    middle = len(upper) // 2

    def nearest(x: float, y: float) -> int:
        front = np.flatnonzero(skin[:, 2] > 0)
        return int(front[np.argmin(((skin[front, :2] - [x, y]) ** 2).sum(1))])

    found = {
        "nose_bridge": nearest(0, eye_y), "nose_tip": int(np.argmax(skin[:, 2])), "nose_base": nearest(0,
        mouth[1] + 0.14),
        "chin": nearest(0, -0.93 * size.height), "forehead": nearest(0, eye_y + 0.45),
    }  # fmt: skip
    for half, edge, rise in (("upper", upper, 0.06), ("lower", lower, -0.07)):
        for suffix, step in (("", 0), ("_left", 2), ("_right", -2)):
            found[f"lip_{half}_inner{suffix}"] = int(edge[middle + step])
            found[f"lip_{half}_outer{suffix}"] = nearest(skin[edge[middle + step], 0], mouth[1] + rise)
    eyes = _range_of(joined, parts, 1)
    for index, (name, sign) in enumerate((("left", 1), ("right", -1))):
        top, bottom = head.eyes[index]
        eye = skin[top].mean(0)
        order = top[np.argsort(skin[top, 0] * sign)]
        found[f"eye_{name}_inner"], found[f"eye_{name}_outer"] = int(order[0]), int(order[-1])
        found[f"eye_{name}_upper"], found[f"eye_{name}_lower"] = int(top[len(top) // 2]), int(bottom[len(bottom) // 2])
        found[f"eye_{name}_centre"] = int(eyes[index * len(eyes) // 2])
        for part, shift in (("inner", -0.13), ("middle", 0.0), ("outer", 0.13)):
            found[f"brow_{name}_{part}"] = nearest(eye[0] + sign * shift, eye[1] + 0.19)
        found[f"nose_wing_{name}"] = nearest(sign * 0.12, mouth[1] + 0.2)
        found[f"mouth_corner_{name}"] = int(upper[-1 if sign > 0 else 0])
        found[f"jaw_{name}"] = nearest(sign * 0.45 * size.width, mouth[1] - 0.15)
        found[f"cheek_{name}"] = nearest(sign * 0.38, (mouth[1] + eye[1]) / 2)
    return np.array([found[name] for name in LANDMARK_NAMES], np.int32)
