"""Hats, headscarves and earrings built by code. A hat is a shell round the head, measured from inside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from letstalk.synthetic.people.eyewear import tube
from letstalk.synthetic.people.parts import Part, flat_texture, rigid_part
from letstalk.synthetic.people.skin_maps import smooth

HATS = ("beanie", "cap", "headscarf")
_TEXTURE_SIZE = 128


@dataclass(frozen=True)
class HeadForm:
    """The head that a hat is put on, decimetres."""

    skin: np.ndarray  # (n, 3) vertices of head, neck and shoulders
    centre: np.ndarray  # (3,) inside the head, at the height of the brows
    eye_height: float
    chin: np.ndarray  # (3,)

    @property
    def brow_height(self) -> float:
        return self.eye_height + 0.24


@dataclass(frozen=True)
class Shell:
    """A hat as the distance from the centre of the head in every direction, and the plane of its brim."""

    centre: np.ndarray
    directions: np.ndarray  # (k, 3) unit
    radius: np.ndarray  # (k,)
    brim_height: float  # at the front
    brim_slope: float  # rise per decimetre towards the front

    def brim(self, points: np.ndarray) -> np.ndarray:
        return self.brim_height + self.brim_slope * (points[..., 2] - self.centre[2] - 0.9)

    def tuck(self, hair: Part) -> Part:
        """The same hair with what is above the brim pressed under the hat."""
        arm = hair.positions - self.centre
        length = np.linalg.norm(arm, axis=1)
        nearest = np.argmax(arm / np.maximum(length, 1e-6)[:, None] @ self.directions.T, axis=1)
        inside = np.minimum(1.0, 0.93 * self.radius[nearest] / np.maximum(length, 1e-6))
        above = smooth(hair.positions[:, 1] - self.brim(hair.positions), -0.10, 0.0)
        scale = 1 + above * (inside - 1)
        return replace(hair, positions=(self.centre + arm * scale[:, None]).astype(np.float32))


def hat_part(kind: str, form: HeadForm, colour: np.ndarray, draw: np.random.Generator) -> tuple[Part, Shell | None]:
    """The hat and, for one that hair looks out from, the shell to tuck the hair under."""
    texture = _cloth(colour, draw, ribbed=kind == "beanie")
    if kind == "headscarf":
        return _headscarf(form, texture, draw), None
    height = form.brow_height + (draw.uniform(0.14, 0.24) if kind == "beanie" else draw.uniform(0.16, 0.24))
    slope = draw.uniform(-0.02, 0.08)  # little: the edge passes above the ears
    margin = draw.uniform(0.06, 0.10)
    rows, columns = 18, 48
    elevation = np.linspace(np.pi / 2, -0.7, rows)
    turn = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    lat, lon = np.meshgrid(elevation, turn, indexing="ij")
    directions = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1).reshape(-1, 3)
    radius = _support(form, directions, 0.35) + margin
    shell = Shell(form.centre, directions, radius, float(height), float(slope))
    points = form.centre + directions * radius[:, None]
    points = _down_to_brim(points.reshape(rows, columns, 3), shell)
    if kind == "beanie":
        points = _folded(points, form.centre, draw)
    grid = np.arange(points.shape[0] * columns).reshape(-1, columns)
    triangles = _wrapped(grid)
    uv = np.stack(np.meshgrid(np.arange(columns) / columns * 6, np.linspace(0, 3, len(points))), -1).reshape(-1, 2)
    positions = points.reshape(-1, 3)
    if kind == "cap":
        visor, visor_triangles = _visor(points[-1], form, draw)
        triangles = np.concatenate([triangles, visor_triangles + len(positions)])
        positions = np.concatenate([positions, visor])
        uv = np.concatenate([uv, np.full((len(visor), 2), 0.5)])
    return _textured("hat", positions, triangles, uv, texture), shell


def _support(form: HeadForm, directions: np.ndarray, spread: float) -> np.ndarray:
    """How far the head reaches in each direction, smoothed over a cone of `spread` radians: no bump remains."""
    arm = (form.skin - form.centre).astype(np.float32)
    length = np.linalg.norm(arm, axis=1)
    unit = arm / np.maximum(length, 1e-6)[:, None]
    cosine = directions.astype(np.float32) @ unit.T
    cosine[cosine < np.cos(spread)] = 0
    return (cosine * length).max(1).astype(np.float64)


def _down_to_brim(points: np.ndarray, shell: Shell) -> np.ndarray:
    """Columns of the dome end at the plane of the brim instead of at a latitude."""
    rows, columns, _ = points.shape
    out = np.empty_like(points)
    for column in range(columns):
        line = points[:, column]
        over = line[:, 1] - shell.brim(line)
        last = int(np.argmax(over < 0)) if (over < 0).any() else rows - 1
        share = over[last - 1] / (over[last - 1] - over[last]) if over[last] < 0 else 1.0
        place = np.linspace(0, last - 1 + share, rows)
        low = np.minimum(place.astype(int), rows - 2)
        mix = (place - low)[:, None]
        out[:, column] = line[low] * (1 - mix) + line[low + 1] * mix
    return out


def _folded(points: np.ndarray, centre: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A turned-up edge: three more rows, a little outside the last ones."""
    rows = points.shape[0]
    slack = 1 + draw.uniform(0.0, 0.10) * np.linspace(1, 0, rows)[:, None, None] ** 2  # looser on top
    points = centre + (points - centre) * slack
    start = points[rows - 5]
    outer = centre + (np.stack([points[-1], points[-2], start]) - centre) * 1.028
    return np.concatenate([points, outer])


def _visor(edge: np.ndarray, form: HeadForm, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A curved peak in front of the part of the edge that faces forward."""
    front = np.flatnonzero(edge[:, 2] - form.centre[2] > 0.62 * (edge[:, 2].max() - form.centre[2]))
    rim = edge[front[np.argsort(edge[front, 0])]]
    half = np.abs(rim[:, 0]).max()
    reach = draw.uniform(0.55, 0.75) * np.clip(1 - (rim[:, 0] / (half * 1.05)) ** 2, 0, 1) ** 0.5
    rows = []
    for t in (0.0, 0.35, 0.7, 1.0):
        row = rim.copy()
        row[:, 2] += reach * t
        row[:, 1] += -0.10 * t * reach - 0.10 * (rim[:, 0] / half) ** 2 * t + 0.005
        rows.append(row)
    under = [row - [0, 0.022, 0] for row in rows[::-1]]
    points = np.stack(rows + under)
    count = len(rim)
    grid = np.arange(points.shape[0] * count).reshape(-1, count)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    triangles = np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)])
    return points.reshape(-1, 3), triangles.astype(np.int32)


def _headscarf(form: HeadForm, texture: np.ndarray, draw: np.random.Generator) -> Part:
    """Rings from an oval round the face to the back of the head, over head, neck and the top of the shoulders."""
    rows, columns = 26, 64
    turn = 2 * np.pi * np.arange(columns) / columns
    top, bottom = form.brow_height + draw.uniform(0.16, 0.26), form.chin[1] - 0.02
    middle = np.array([0, (top + bottom) / 2, form.centre[2] + 0.75])
    half_height, half_width = (top - bottom) / 2, draw.uniform(0.56, 0.60)
    rim = middle + np.stack([half_width * np.sin(turn), half_height * np.cos(turn), -0.22 * np.sin(turn) ** 2], 1)
    start = rim - form.centre
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    # High enough that the short way from the forehead leads over the crown and the one from the chin round the neck.
    back = np.array([0, 0.25, -1.0])
    back /= np.linalg.norm(back)
    angle = np.arccos(np.clip(start @ back, -1, 1))
    t = np.linspace(0, 1, rows)[:, None, None]
    bow = np.sin(np.maximum(angle, 1e-3))[None, :, None]
    directions = (np.sin((1 - t) * angle[None, :, None]) * start[None] + np.sin(t * angle[None, :, None]) * back) / bow
    flat = directions.reshape(-1, 3)
    # Without the shoulders, or it would stand like a tent.
    near = np.hypot(form.skin[:, 0], form.skin[:, 2] - form.centre[2]) < 0.75
    wrapped = replace(
        form, skin=form.skin[(form.skin[:, 1] > form.chin[1] - 0.4) & (near | (form.skin[:, 1] > form.chin[1]))]
    )
    support = _support(wrapped, flat, 0.3)
    radius = support + 0.07
    folds = 0.02 * np.sin(5 * turn + draw.uniform(0, 6.28))[None] * smooth(-directions[..., 1], 0.1, 0.6)
    radius = radius + (folds + 0.008 * np.sin(11 * turn + 9 * t[..., 0])).reshape(-1)
    grid_radius = cv2.GaussianBlur(np.hstack([radius.reshape(rows, columns)] * 3), (0, 0), 1.2)[
        :, columns : 2 * columns
    ]
    grid_radius = np.maximum(grid_radius, support.reshape(rows, columns) + 0.03)
    points = form.centre + directions * grid_radius[..., None]
    points[0] = rim + 0.5 * (points[0] - rim)
    points = np.concatenate([(rim + (points[0] - rim) * 0.2)[None] - [0, 0, 0.03], points])  # a turned-in edge
    grid = np.arange(len(points) * columns).reshape(-1, columns)
    uv = np.stack(np.meshgrid(np.arange(columns) / columns * 4, np.linspace(0, 3, len(points))), -1).reshape(-1, 2)
    return _textured("hat", points.reshape(-1, 3), _wrapped(grid), uv, texture)


def _wrapped(grid: np.ndarray) -> np.ndarray:
    """Triangles of a grid whose last column meets its first."""
    a, b = grid[:-1], np.roll(grid, -1, 1)[:-1]
    c, d = grid[1:], np.roll(grid, -1, 1)[1:]
    return np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)]).astype(
        np.int32
    )


def _textured(kind: str, positions: np.ndarray, triangles: np.ndarray, uv: np.ndarray, texture: np.ndarray) -> Part:
    return replace(rigid_part(kind, positions, triangles, texture), uv=uv.astype(np.float32), uv_triangles=triangles)


def _cloth(colour: np.ndarray, draw: np.random.Generator, ribbed: bool) -> np.ndarray:
    """A weave, knitted ribs or a printed pattern; RGBA."""
    y, x = np.mgrid[0:_TEXTURE_SIZE, 0:_TEXTURE_SIZE].astype(np.float32) / _TEXTURE_SIZE
    light = 1 + 0.04 * draw.standard_normal((_TEXTURE_SIZE, _TEXTURE_SIZE), np.float32)
    if ribbed:
        light *= 0.86 + 0.14 * np.sin(2 * np.pi * 6 * x)
    cloth = np.asarray(colour, np.float32) * light[..., None]
    if draw.random() < 0.35:
        accent = np.clip(np.asarray(colour) * draw.uniform(0.3, 1.8) + draw.normal(0, 0.15, 3), 0, 1)
        if draw.random() < 0.5:
            mask = smooth(np.sin(2 * np.pi * 2 * y), 0.55, 0.65)
        else:
            mask = smooth(np.hypot((x * 4) % 1 - 0.5, (y * 4) % 1 - 0.5), 0.22, 0.18)
        cloth += mask[..., None] * (accent.astype(np.float32) - cloth)
    rgb = cv2.convertScaleAbs(np.clip(cloth, 0, 1), alpha=255)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def earrings_part(lobes: np.ndarray, draw: np.random.Generator) -> Part:
    """Studs or hoops. `lobes` (2, 3) are the lowest points of the ears, left first."""
    metal = np.array([(0.80, 0.64, 0.30), (0.78, 0.78, 0.80), (0.85, 0.62, 0.52)])[draw.integers(3)]
    is_hoop = draw.random() < 0.5
    radius = draw.uniform(0.05, 0.14) if is_hoop else draw.uniform(0.014, 0.028)
    points, triangles, count = [], [], 0
    for lobe, sign in zip(lobes, (1.0, -1.0), strict=True):
        pin = lobe + np.array([0.006 * sign, 0.025, 0.0])
        if is_hoop:
            turn = 2 * np.pi * np.arange(28) / 28
            ring = pin + np.stack(
                [0.1 * radius * np.cos(turn) * sign, radius * (np.cos(turn) - 1), radius * np.sin(turn)], 1
            )
            own, faces = tube(ring, draw.uniform(0.006, 0.011), closed=True)
        else:
            own, faces = _ball(pin + np.array([0.012 * sign, 0.0, 0.0]), radius)
        points.append(own)
        triangles.append(faces + count)
        count += len(own)
    return rigid_part("jewellery", np.concatenate(points), np.concatenate(triangles), flat_texture(metal))


def _ball(centre: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    lat, lon = np.meshgrid(np.linspace(1.5, -1.5, 7), np.linspace(-np.pi, np.pi, 11)[:-1], indexing="ij")
    points = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1).reshape(-1, 3)
    return centre + radius * points, _wrapped(np.arange(70).reshape(7, 10))
