"""Eyeballs made by code: a sphere with a slight corneal bulge, and a painted sclera and iris."""

from __future__ import annotations

import cv2
import numpy as np

from letstalk.synthetic.people.parts import Part
from letstalk.synthetic.people.skin_maps import smooth

# The ball is made a little small and its cornea bulges; lids are kept outside both, or a shut eye would show its iris.
_BALL_SHARE, _BULGE = 0.985, 0.022
LID_CLEARANCE = 1.03  # times the fitted radius
IRIS_ANGLE = 0.50  # radians from the line of sight to the edge of the iris
_EDGE_ANGLE = 1.75  # the back of the ball is never seen
_RINGS, _SEGMENTS = 18, 32
_TEXTURE_SIZE = 256
# sRGB of the iris: dark brown, brown, hazel, amber, green, blue, grey, light blue
IRIS_COLOURS = {
    "dark brown": (0.20, 0.11, 0.06), "brown": (0.34, 0.20, 0.10), "hazel": (0.45, 0.34, 0.18), "amber": (0.55, 0.36,
    0.14),
    "green": (0.36, 0.44, 0.28), "blue": (0.30, 0.44, 0.60), "grey": (0.48, 0.53, 0.56), "light blue": (0.50, 0.65,
    0.76),
}  # fmt: skip
_DARK = {"dark brown": 0.62, "brown": 0.35, "amber": 0.03}
_LIGHT = {
    "dark brown": 0.12, "brown": 0.26, "hazel": 0.14, "amber": 0.05, "green": 0.11, "blue": 0.17, "grey": 0.08,
    "light blue": 0.07,
}  # fmt: skip


def pick_iris(draw: np.random.Generator, caucasian_share: float) -> str:
    table = _LIGHT if draw.random() < (caucasian_share - 0.25) / 0.6 else _DARK
    names, weights = list(table), np.array(list(table.values()))
    return names[draw.choice(len(names), p=weights / weights.sum())]


def eyes_part(centre: np.ndarray, radius: np.ndarray, texture: np.ndarray, reference: np.ndarray) -> Part:
    """Both eyes in one part, left first. `reference` (2,) is a base vertex near each."""
    angles = _EDGE_ANGLE * np.arange(_RINGS + 1) / _RINGS
    bulge = _BULGE * smooth(angles, IRIS_ANGLE * 1.25, 0.0)
    turn = 2 * np.pi * np.arange(_SEGMENTS) / _SEGMENTS
    ring, around = np.meshgrid(angles[1:], turn, indexing="ij")
    grow = np.repeat(1 + bulge[1:], _SEGMENTS)
    direction = np.stack([np.sin(ring) * np.cos(around), np.sin(ring) * np.sin(around), np.cos(ring)], -1).reshape(
        -1, 3
    )
    ball = np.vstack([[0, 0, 1 + bulge[0]], direction * grow[:, None]]).astype(np.float32)
    spread = (ring / _EDGE_ANGLE * 0.5).reshape(-1)
    uv = 0.5 + np.stack([spread * np.cos(around.reshape(-1)), spread * np.sin(around.reshape(-1))], 1)
    uv = np.vstack([[0.5, 0.5], uv]).astype(np.float32)
    triangles = _fan_and_rings(_RINGS, _SEGMENTS)
    positions = np.concatenate([centre[side] + ball * radius[side] * _BALL_SHARE for side in range(2)]).astype(
        np.float32
    )
    both = np.concatenate([triangles, triangles + len(ball)])
    bound = np.repeat(np.asarray(reference, np.int32), len(ball))[:, None].repeat(3, 1)
    weights = np.tile(np.array([1, 0, 0], np.float32), (len(positions), 1))
    return Part(
        "eyes", positions, both, np.concatenate([uv, uv]), both, texture, bound, weights, rigid=True,
    )  # fmt: skip


def _fan_and_rings(rings: int, segments: int) -> np.ndarray:
    step = np.arange(segments)
    following = (step + 1) % segments
    fan = np.stack([np.zeros(segments, np.int64), 1 + step, 1 + following], 1)
    strips = [fan]
    for ring in range(rings - 1):
        inner, outer = 1 + ring * segments, 1 + (ring + 1) * segments
        strips.append(np.stack([inner + step, outer + step, outer + following], 1))
        strips.append(np.stack([inner + step, outer + following, inner + following], 1))
    return np.concatenate(strips).astype(np.int32)


def eye_texture(draw: np.random.Generator, iris: tuple[float, float, float], age: float) -> np.ndarray:
    """RGBA (256, 256): sclera with veins, iris with fibres, collarette and limbal ring, pupil of a random size."""
    size = _TEXTURE_SIZE
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = (x + 0.5) / size * 2 - 1, 1 - (y + 0.5) / size * 2
    angle = np.hypot(x, y) * _EDGE_ANGLE
    around = np.arctan2(y, x)
    colour = _sclera(draw, angle, age)
    rim = smooth(angle, IRIS_ANGLE * 1.04, IRIS_ANGLE * 0.93)
    colour += rim[..., None] * (_iris(draw, angle / IRIS_ANGLE, around, np.asarray(iris, np.float32)) - colour)
    pupil = IRIS_ANGLE * draw.uniform(0.26, 0.46)
    colour *= 1 - 0.975 * smooth(angle, pupil * 1.08, pupil * 0.9)[..., None]
    rgb = cv2.convertScaleAbs(np.clip(colour, 0, 1), alpha=255)
    return np.dstack([rgb, np.full((size, size), 255, np.uint8)])


def _sclera(draw: np.random.Generator, angle: np.ndarray, age: float) -> np.ndarray:
    aged = np.clip((age - 30) / 50, 0, 1)
    white = np.array([0.87, 0.85 - 0.02 * aged, 0.83 - 0.06 * aged], np.float32) * draw.uniform(0.93, 1.02)
    colour = np.broadcast_to(white, (*angle.shape, 3)).copy()
    edge = smooth(angle, 0.7, 1.35)[..., None]
    colour *= 1 - edge * np.array([0.06, 0.20, 0.20], np.float32)
    veins = np.zeros(angle.shape, np.float32)
    size = angle.shape[0]
    for _ in range(int(draw.integers(8, 22))):
        start, steps = draw.uniform(0, 2 * np.pi), 14
        radius = np.linspace(draw.uniform(0.75, 1.0), draw.uniform(0.38, 0.6), steps)
        turn = start + np.cumsum(draw.normal(0, 0.035, steps))
        points = np.stack([size / 2 * (1 + radius * np.cos(turn)), size / 2 * (1 + radius * np.sin(turn))], 1)
        cv2.polylines(
            veins, [np.round(points * 8).astype(np.int32)], False, float(draw.uniform(0.3, 1)), 1, cv2.LINE_AA, 3
        )
    veins = cv2.GaussianBlur(veins, (0, 0), 0.7) * smooth(angle, IRIS_ANGLE, 0.9) * draw.uniform(0.1, 0.5)
    return colour * (1 - veins[..., None] * np.array([0.08, 0.38, 0.38], np.float32))


def _iris(draw: np.random.Generator, radius: np.ndarray, around: np.ndarray, base: np.ndarray) -> np.ndarray:
    """`radius` is 0 at the centre and 1 at the rim."""
    strands = draw.normal(0, 1, 180).astype(np.float32)
    fibre = np.interp(around, np.linspace(-np.pi, np.pi, 181), np.append(strands, strands[0]))
    waves = draw.normal(0, 1, 24).astype(np.float32)
    wave = np.interp(around, np.linspace(-np.pi, np.pi, 25), np.append(waves, waves[0]))
    light = 1 + 0.22 * fibre * smooth(radius, 0.25, 0.5) + 0.10 * wave
    collarette = np.exp(-(((radius - 0.48 - 0.03 * wave) / 0.10) ** 2))
    inner = np.clip(base * np.array([1.35, 1.12, 0.85], np.float32), 0, 1)  # browner near the pupil
    colour = base + (inner - base) * smooth(radius, 0.75, 0.35)[..., None]
    colour = colour * (light + 0.30 * collarette)[..., None]
    return colour * (1 - 0.68 * smooth(radius, 0.76, 1.0))[..., None]
