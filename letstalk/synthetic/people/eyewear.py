"""Spectacles built by code and fitted to a face: the front rests on the nose, the temples reach the ears."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.people.parts import Part, flat_texture, rigid_part

SHAPES = ("round", "oval", "rectangular", "square", "aviator", "cat-eye", "half-rim")
_OUTLINE_POINTS = 44
_SECTION_POINTS = 6
_WRAP = 0.16  # how much the front curves back towards the temples, decimetres per decimetre squared
_TILT = 0.10  # the lower edge sits closer to the cheek


@dataclass(frozen=True)
class Spectacles:
    shape: str
    lens_width: float  # decimetres
    lens_height: float
    bridge: float  # gap between the lenses
    rim: float  # radius of the rim, decimetres
    colour: np.ndarray  # sRGB (3,)
    is_metal: bool
    lens_colour: np.ndarray  # sRGB (3,)
    lens_alpha: float


@dataclass(frozen=True)
class FaceSurface:
    """What a pair of spectacles has to keep off."""

    skin: np.ndarray  # (n, 3) vertices of the head
    eyes: np.ndarray  # (2, 3) centres, left first
    eye_radius: float
    ear_roots: np.ndarray  # (2, 3) where the ear begins at the top, left first


def sample_spectacles(draw: np.random.Generator, eye_distance: float) -> Spectacles:
    shape = str(draw.choice(SHAPES, p=[0.16, 0.14, 0.24, 0.14, 0.1, 0.08, 0.14]))
    width = eye_distance * draw.uniform(0.78, 0.90)
    ratio = {
        "round": 0.96,
        "oval": 0.68,
        "rectangular": 0.58,
        "square": 0.76,
        "aviator": 0.84,
        "cat-eye": 0.64,
        "half-rim": 0.56,
    }
    is_metal = shape in ("aviator", "half-rim") or bool(draw.random() < 0.4)
    rim = draw.uniform(0.006, 0.010) if is_metal else draw.uniform(0.012, 0.026)
    if is_metal:
        base = np.array([(0.72, 0.58, 0.30), (0.70, 0.70, 0.72), (0.32, 0.32, 0.34), (0.62, 0.44, 0.36)])[
            draw.integers(4)
        ]
    elif draw.random() < 0.65:
        base = np.array([(0.04, 0.04, 0.045), (0.19, 0.10, 0.06), (0.30, 0.17, 0.08), (0.09, 0.10, 0.16)])[
            draw.integers(4)
        ]
    else:
        base = np.array(colorsys.hsv_to_rgb(draw.random(), draw.uniform(0.2, 0.9), draw.uniform(0.15, 0.8)))
    tinted = draw.random() < 0.25
    lens = np.array(colorsys.hsv_to_rgb(draw.random(), 0.5, 0.35)) if tinted else np.array([0.8, 0.88, 0.9])
    return Spectacles(
        shape, width, width * ratio[shape] * draw.uniform(0.94, 1.06), eye_distance * draw.uniform(0.24, 0.32), rim,
        np.clip(base * draw.uniform(0.85, 1.15), 0, 1), is_metal, lens, draw.uniform(0.08,
        0.24) if tinted else draw.uniform(0.02, 0.06),
    )  # fmt: skip


def spectacles_parts(spectacles: Spectacles, face: FaceSurface) -> list[Part]:
    """Frame and lenses. They ride on the head and never on the skin."""
    middle = face.eyes.mean(0)
    # The pupil looks through a point a little above the middle of the lens.
    centre_y = middle[1] - 0.18 * spectacles.lens_height
    centre_x = (spectacles.bridge + spectacles.lens_width) / 2
    outline = _outline(spectacles)  # around the middle of the left lens (+x side)
    flat = outline + np.array([centre_x, centre_y])
    depth = _front_depth(flat, face, middle, spectacles.rim)
    left = _bend(flat, middle[1], depth)
    tubes = [_rim_path(spectacles, left), _rim_path(spectacles, left * [-1, 1, 1])]
    hinge = _bend(
        np.array([[centre_x + spectacles.lens_width / 2, middle[1] + 0.25 * spectacles.lens_height]]), middle[1], depth
    )[0]
    paths = [*tubes, (_bridge(spectacles, centre_x, middle[1], depth), False)]
    for side, sign in enumerate((1.0, -1.0)):
        paths.append((_temple(hinge * [sign, 1, 1], face, side, spectacles.rim), False))
    frame = _tubes(paths, spectacles)
    gloss: dict[str, object] = (
        {"specular": 1.1, "gloss": 50.0} if spectacles.is_metal else {"specular": 0.45, "gloss": 45.0}
    )
    parts = [rigid_part("glasses", *frame, flat_texture(spectacles.colour), **gloss)]
    lenses = [_lens(left), _lens(left * [-1, 1, 1])]
    points = np.concatenate([lens[0] for lens in lenses])
    triangles = np.concatenate([lenses[0][1], lenses[1][1][:, ::-1] + len(lenses[0][0])])
    parts.append(rigid_part("lens", points, triangles, flat_texture(spectacles.lens_colour, spectacles.lens_alpha)))
    return parts


def _outline(spectacles: Spectacles) -> np.ndarray:
    """(points, 2), counter-clockwise from +x."""
    turn = 2 * np.pi * np.arange(_OUTLINE_POINTS) / _OUTLINE_POINTS
    power = {
        "round": 2.0,
        "oval": 2.2,
        "rectangular": 5.0,
        "square": 4.0,
        "aviator": 2.4,
        "cat-eye": 2.8,
        "half-rim": 3.6,
    }
    exponent = 2 / power[spectacles.shape]
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.sign(cos) * np.abs(cos) ** exponent * spectacles.lens_width / 2
    y = np.sign(sin) * np.abs(sin) ** exponent * spectacles.lens_height / 2
    half = spectacles.lens_height / 2
    if spectacles.shape == "aviator":  # narrow towards the nose below, drooping outwards
        x = x * (1 - 0.16 * np.clip(-y / half, 0, 1)) + 0.05 * np.clip(-y / half, 0, 1)
        y = np.where(y > 0, y * 0.8, y * 1.12)
    elif spectacles.shape == "cat-eye":
        y = y + 0.22 * half * np.clip(x / (spectacles.lens_width / 2), 0, 1) ** 2 * (y > 0)
    return np.stack([x, y], 1)


def _bend(flat: np.ndarray, eye_height: float, depth: float) -> np.ndarray:
    """Points of the flat front (n, 2) on the curved and tilted one (n, 3)."""
    z = depth - _WRAP * flat[:, 0] ** 2 + _TILT * (flat[:, 1] - eye_height)
    return np.column_stack([flat, z])


def _front_depth(flat: np.ndarray, face: FaceSurface, middle: np.ndarray, rim: float) -> float:
    """Far enough forward that neither the rim nor the lens cuts the nose, the brow, the cheek or the lashes."""
    skin = face.skin[(face.skin[:, 2] > middle[2]) & (np.abs(face.skin[:, 1] - middle[1]) < 0.5)]
    skin = np.concatenate([skin, skin * [-1, 1, 1]])  # a face is not quite the same on both sides; the frame is
    centre = flat.mean(0)
    needed = middle[2] + face.eye_radius + 0.06
    for grow in (1.0, 0.55, 0.0):
        for point in centre + (flat - centre) * grow:
            near = skin[np.abs(skin[:, :2] - point).max(1) < 0.035]
            if len(near):
                level = near[:, 2] + _WRAP * near[:, 0] ** 2 - _TILT * (near[:, 1] - middle[1])
                needed = max(needed, float(level.max()) + 0.012 + rim)
    return needed


def _rim_path(spectacles: Spectacles, outline: np.ndarray) -> tuple[np.ndarray, bool]:
    if spectacles.shape != "half-rim":
        return outline, True
    top = np.flatnonzero(outline[:, 1] > outline[:, 1].mean() - 0.1 * spectacles.lens_height)
    first = int(np.flatnonzero(np.diff(top) > 1)[0]) + 1 if (np.diff(top) > 1).any() else 0
    return outline[np.roll(top, -first)], False


def _bridge(spectacles: Spectacles, centre_x: float, eye_height: float, depth: float) -> np.ndarray:
    inner = centre_x - spectacles.lens_width / 2
    height = eye_height + 0.10 * spectacles.lens_height
    x = np.linspace(-inner - 0.01, inner + 0.01, 9)
    arch = 0.05 * np.cos(x / max(inner, 1e-3) * np.pi / 2)
    bent = _bend(np.stack([x, height + arch], 1), eye_height, depth)
    bent[:, 2] += 0.3 * arch
    return bent


def _temple(hinge: np.ndarray, face: FaceSurface, side: int, rim: float) -> np.ndarray:
    """From the hinge back over the ear, pushed outside the skin on the way."""
    sign = (1.0, -1.0)[side]
    root = face.ear_roots[side] + np.array([0.015 * sign, 0.03, 0])
    t = np.linspace(0, 1, 9)[:, None]
    path = hinge * (1 - t) + root * t
    own_side = face.skin[face.skin[:, 0] * sign > 0.3]
    for index in range(1, len(path)):
        near = own_side[np.abs(own_side[:, 1:] - path[index, 1:]).max(1) < 0.07]
        if len(near):
            outside = float((near[:, 0] * sign).max()) + rim + 0.012
            path[index, 0] = sign * max(path[index, 0] * sign, min(outside, abs(root[0]) + 0.04))
    behind = path[-1] + [[-0.02 * sign, -0.02, -0.12], [-0.05 * sign, -0.14, -0.2]]
    return np.vstack([path, behind])


def _tubes(paths: list[tuple[np.ndarray, bool]], spectacles: Spectacles) -> tuple[np.ndarray, np.ndarray]:
    points, triangles, count = [], [], 0
    for path, closed in paths:
        own_points, own_triangles = tube(path, spectacles.rim, closed, depth=1.0 if spectacles.is_metal else 1.5)
        points.append(own_points)
        triangles.append(own_triangles + count)
        count += len(own_points)
    return np.concatenate(points), np.concatenate(triangles)


def tube(path: np.ndarray, radius: float, closed: bool, depth: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A round (or, with `depth` over 1, deeper) bar along a path (n, 3): points and triangles."""
    count = len(path)
    tangent = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    ahead = np.where(np.abs(tangent[:, 2:]) < 0.8, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    side = np.cross(tangent, ahead)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    up = np.cross(side, tangent)
    turn = 2 * np.pi * np.arange(_SECTION_POINTS) / _SECTION_POINTS
    ring = np.cos(turn)[None, :, None] * side[:, None] + depth * np.sin(turn)[None, :, None] * up[:, None]
    points = (path[:, None] + radius * ring).reshape(-1, 3)
    a = np.arange(count if closed else count - 1)
    b = (a + 1) % count
    k = np.arange(_SECTION_POINTS)
    n = (k + 1) % _SECTION_POINTS
    corner = lambda row, column: (row[:, None] * _SECTION_POINTS + column[None, :]).ravel()  # noqa: E731
    first = np.stack([corner(a, k), corner(a, n), corner(b, n)], 1)
    second = np.stack([corner(a, k), corner(b, n), corner(b, k)], 1)
    return points, np.concatenate([first, second]).astype(np.int32)


def _lens(outline: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A slightly domed fan inside the rim: the dome makes its reflection glide."""
    centre = outline.mean(0)
    rim = centre + (outline - centre) * 0.99
    inner = centre + (outline - centre) * 0.55
    inner[:, 2] += 0.010
    points = np.vstack([centre + np.array([0, 0, 0.014]), inner, rim])
    count = len(outline)
    k = np.arange(count)
    n = (k + 1) % count
    fan = np.stack([np.zeros(count, np.int64), 1 + k, 1 + n], 1)
    first = np.stack([1 + k, 1 + count + k, 1 + count + n], 1)
    second = np.stack([1 + k, 1 + count + n, 1 + n], 1)
    return points, np.concatenate([fan, first, second]).astype(np.int32)
