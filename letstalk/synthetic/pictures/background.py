"""What stands behind a person: studio paper, rooms, walls, lights at night, the open air. Linear light, out of focus.

Everything is laid out in shares of the picture and drawn from fixed-size noise, so one seed gives the same place at
every size. A background is painted once per clip: the camera stands still.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

KINDS: dict[str, float] = {"studio": 0.24, "room": 0.30, "outdoor": 0.18, "bokeh": 0.08, "wall": 0.14, "plain": 0.06}


class _Sheet:
    """A picture under construction, (size, size, 3) float32 linear light, and drawing in shares of its size."""

    def __init__(self, rng: np.random.Generator, size_px: int) -> None:
        self.rng, self.size = rng, size_px
        self.light = np.zeros((size_px, size_px, 3), np.float32)
        centres = (np.arange(size_px, dtype=np.float32) + 0.5) / size_px
        self.x, self.y = centres[None, :], centres[:, None]

    def colour(self, saturation: float = 0.5, darkest: float = 0.08, brightest: float = 0.75) -> np.ndarray:
        """A random linear colour: mostly wood, sand, brick and blue-greys, as rooms and clothes are, rarely gaudy."""
        family = self.rng.random()
        hue = self.rng.uniform(0.03, 0.14) if family < 0.5 else self.rng.uniform(0.52, 0.66)
        if family > 0.75:
            hue = self.rng.random()
        amount = saturation * self.rng.beta(1.2, 2.2) * (0.75 if family > 0.75 else 1.0)
        return np.array(colorsys.hsv_to_rgb(hue, amount, self.rng.uniform(darkest, brightest) ** 0.5)) ** 2

    def noise(self, coarsest: int, octaves: int, fade: float = 0.55) -> np.ndarray:
        """(size, size) float32 of about unit spread; `coarsest` cells across at the first octave."""
        total, weight, norm = np.zeros((self.size, self.size), np.float32), 1.0, 0.0
        for octave in range(octaves):
            cells = self.rng.standard_normal((coarsest * 2**octave + 3,) * 2, np.float32)
            total += weight * cv2.resize(cells, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
            norm += weight * weight
            weight *= fade
        return total / np.sqrt(norm) * 1.4

    def polygon(self, corners: list[tuple[float, float]], colour: np.ndarray, opacity: float = 1.0) -> None:
        mask = np.zeros((self.size, self.size), np.uint8)
        points = np.round(np.array(corners) * self.size * 16 - 8).astype(np.int32)
        cv2.fillConvexPoly(mask, points, 255, lineType=cv2.LINE_AA, shift=4)
        self.over(mask.astype(np.float32) * (opacity / 255), colour)

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: np.ndarray, opacity: float = 1.0
    ) -> None:
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, opacity)

    def over(self, mask: np.ndarray, colour: np.ndarray) -> None:
        self.light += mask[..., None] * (np.asarray(colour, np.float32) - self.light)

    def glow(self, x: float, y: float, radius: float, colour: np.ndarray) -> None:
        distance = ((self.x - x) ** 2 + (self.y - y) ** 2) / (radius * radius)
        self.light += np.exp(-distance)[..., None] * np.asarray(colour, np.float32)

    def defocus(self, radius: float) -> None:
        """A round lens opening, `radius` in shares of the picture: bright points become discs."""
        pixels = radius * self.size
        if pixels < 0.6:
            return
        # Large discs are blurred at a lower resolution: nothing finer is left anyway.
        factor = max(1, int(pixels // 5))
        small = max(8, self.size // factor)
        reduced = cv2.resize(self.light, (small, small), interpolation=cv2.INTER_AREA)
        wide = pixels * small / self.size
        reach = int(np.ceil(wide))
        grid = np.arange(-reach, reach + 1)
        disc = np.clip(wide + 0.5 - np.hypot(grid[:, None], grid[None, :]), 0, 1).astype(np.float32)
        blurred = cv2.filter2D(reduced, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
        if small != self.size:
            blurred = cv2.resize(blurred, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        self.light = np.maximum(blurred, 0)


def _plain(sheet: _Sheet) -> None:
    sheet.light[:] = sheet.colour(1.3, 0.02, 0.95)


def _studio(sheet: _Sheet) -> None:
    """Paper or painted cloth with a pool of light."""
    rng, base = sheet.rng, sheet.colour(0.55, 0.03, 0.7)
    sheet.light[:] = base
    x, y, radius = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.8), rng.uniform(0.35, 0.9)
    sheet.glow(x, y, radius, base * rng.uniform(0.3, 1.6))
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.6)
    ramp = np.cos(angle) * (sheet.x - 0.5) + np.sin(angle) * (sheet.y - 0.5)
    sheet.light *= np.exp(slope * ramp * 2)[..., None].astype(np.float32)
    if rng.random() < 0.35:
        sheet.light *= np.exp(0.1 * sheet.noise(4, 4))[..., None]
        sheet.defocus(0.01)


def _wall(sheet: _Sheet) -> None:
    """Plaster, planks, brick or concrete a step behind."""
    rng, base = sheet.rng, sheet.colour(0.45, 0.05, 0.7)
    sheet.light[:] = base
    sheet.light *= np.exp(rng.uniform(0.03, 0.13) * sheet.noise(int(rng.integers(3, 12)), 5, 0.7))[..., None]
    pattern = rng.random()
    joint = base * rng.uniform(0.4, 0.8)
    if pattern < 0.3:
        height, length = rng.uniform(0.035, 0.07), rng.uniform(0.11, 0.2)
        for row in range(int(1 / height) + 1):
            sheet.box(0, row * height, 1, row * height + 0.006, joint, 0.8)
            for column in range(int(1 / length) + 2):
                left = (column - 0.5 * (row % 2)) * length
                tone = base * np.exp(rng.normal(0, 0.12))
                sheet.box(left, row * height + 0.006, left + length - 0.006, (row + 1) * height, tone, 0.6)
    elif pattern < 0.55:
        width, upright = rng.uniform(0.06, 0.16), rng.random() < 0.6
        for plank in range(int(1 / width) + 1):
            tone, start = base * np.exp(rng.normal(0, 0.15)), plank * width
            sides = (start, 0.0, start + width - 0.005, 1.0)
            sheet.box(*(sides if upright else (0.0, start, 1.0, start + width - 0.005)), tone, 0.7)
    slope = rng.normal(0, 0.5)
    sheet.light *= np.exp(slope * (sheet.x - 0.5) + rng.normal(0, 0.3) * (sheet.y - 0.5))[..., None]
    sheet.defocus(rng.uniform(0.0, 0.014))


def _window(sheet: _Sheet, left: float, top: float, width: float, height: float) -> None:
    rng = sheet.rng
    frame, day = sheet.colour(0.15, 0.3, 0.8), rng.uniform(0.9, 2.8) * np.array([0.9, 1.0, 1.1])
    sheet.box(left, top, left + width, top + height, frame)
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    for column in range(columns):
        for row in range(rows):
            x, y = left + (column + 0.06) * width / columns, top + (row + 0.05) * height / rows
            outside = day * np.exp(-0.5 * (row + 1) / rows * rng.uniform(0.2, 1.0))
            sheet.box(x, y, x + 0.88 * width / columns, y + 0.9 * height / rows, outside)
    if rng.random() < 0.5:
        cloth = sheet.colour(0.5, 0.2, 0.8)
        for side in (left - 0.25 * width, left + width):
            sheet.box(side, top - 0.04, side + 0.25 * width, min(top + height * 1.3, 1.2), cloth, 0.9)


def _shelf(sheet: _Sheet, left: float, top: float, width: float) -> None:
    rng = sheet.rng
    wood, gap = sheet.colour(0.5, 0.05, 0.5), rng.uniform(0.11, 0.2)
    rows = int(rng.integers(2, 6))
    sheet.box(left, top, left + width, top + rows * gap, wood * 0.45)
    for row in range(rows):
        floor = top + (row + 1) * gap
        sheet.box(left - 0.01, floor - 0.015, left + width + 0.01, floor, wood)
        x = left + 0.01
        while x < left + width - 0.04 and rng.random() < 0.94:
            thick, tall = rng.uniform(0.012, 0.045), gap * rng.uniform(0.5, 0.85)
            sheet.box(x, floor - 0.015 - tall, x + thick, floor - 0.015, sheet.colour(0.8, 0.04, 0.8))
            x += thick + (rng.uniform(0.03, 0.1) if rng.random() < 0.12 else 0.003)


def _lamp(sheet: _Sheet) -> None:
    rng = sheet.rng
    x, y, warm = (
        rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]),
        rng.uniform(0.15, 0.6),
        np.array([1.0, 0.72, 0.4]),
    )
    sheet.polygon(
        [(x - 0.04, y), (x + 0.04, y), (x + 0.07, y + 0.1), (x - 0.07, y + 0.1)], warm * rng.uniform(1.2, 3.0)
    )
    sheet.glow(x, y + 0.05, rng.uniform(0.15, 0.35), warm * rng.uniform(0.08, 0.35))


def _room(sheet: _Sheet) -> None:
    """Back wall, a side wall in perspective, floor and furniture."""
    rng, wall = sheet.rng, sheet.colour(0.4, 0.12, 0.75)
    sheet.light[:] = wall
    sheet.light *= np.exp(rng.normal(0, 0.5) * (sheet.x - 0.5) - 0.3 * (sheet.y - 0.5))[..., None]
    corner, depth, floor = rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.25), rng.uniform(0.72, 0.92)
    side_wall = [(-0.01, -0.2), (corner, 0.0), (corner, floor), (-0.01, floor + depth)]
    ground = [(-0.3, floor + 2 * depth), (corner, floor), (1.1, floor), (1.3, 1.6)]
    if rng.random() < 0.5:
        side_wall, ground = [(1 - x, y) for x, y in side_wall], [(1 - x, y) for x, y in ground]
    sheet.polygon(side_wall, wall * rng.uniform(0.55, 0.9))
    sheet.polygon(ground, sheet.colour(0.5, 0.05, 0.45))
    for _ in range(int(rng.integers(2, 6))):
        _furnish(sheet, rng.random(), rng.uniform(-0.1, 0.9), rng.uniform(-0.05, 0.35))
    sheet.defocus(rng.choice([rng.uniform(0.004, 0.015), rng.uniform(0.015, 0.05)]))


def _furnish(sheet: _Sheet, kind: float, x: float, y: float) -> None:
    rng = sheet.rng
    if kind < 0.28:
        _window(sheet, x, y, rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.6))
    elif kind < 0.5:
        _shelf(sheet, x, y, rng.uniform(0.2, 0.5))
    elif kind < 0.68:
        width, height, edge = rng.uniform(0.08, 0.22), rng.uniform(0.1, 0.25), 0.015
        sheet.box(x, y, x + width, y + height, sheet.colour(0.3, 0.03, 0.7))
        sheet.box(x + edge, y + edge, x + width - edge, y + height - edge, sheet.colour(0.7, 0.1, 0.8))
    elif kind < 0.82:
        sheet.box(x, rng.uniform(0.5, 0.75), x + rng.uniform(0.3, 0.7), 1.1, sheet.colour(0.6, 0.05, 0.6))
    else:
        _lamp(sheet)


def _bokeh(sheet: _Sheet) -> None:
    """A street at night, or lamps far away."""
    rng, base = sheet.rng, sheet.colour(0.7, 0.01, 0.15)
    sheet.light[:] = base
    sheet.light *= np.exp(0.6 * sheet.noise(3, 3))[..., None]
    colours = [sheet.colour(1.6, 0.5, 1.0) for _ in range(4)]
    for _ in range(int(rng.integers(15, 70))):
        x, y, radius = rng.random(), np.clip(rng.normal(0.45, 0.22), 0, 1), rng.uniform(0.002, 0.007)
        sheet.box(
            x,
            y,
            x + radius,
            y + radius,
            colours[rng.integers(4)] * np.exp(rng.uniform(1.6, 4.8)) * 0.004**2 / radius**2,
        )
    sheet.defocus(rng.uniform(0.018, 0.05))


def _outdoor(sheet: _Sheet) -> None:
    """Sky, trees or hills, grass, and light that falls through leaves."""
    rng = sheet.rng
    horizon = rng.uniform(0.3, 0.75)
    zenith, haze = (
        np.array([0.25, 0.42, 0.8]) * rng.uniform(0.5, 1.3),
        np.array([0.85, 0.9, 1.0]) * rng.uniform(0.6, 1.4),
    )
    if rng.random() < 0.25:
        haze = haze * np.array([1.3, 0.85, 0.6])
    share = np.clip(sheet.y / horizon, 0, 1)[..., None]
    sheet.light[:] = zenith * (1 - share) + haze * share
    clouds = np.clip(0.5 + 0.6 * sheet.noise(3, 4), 0, 1) * rng.uniform(0, 0.8)
    sheet.over(clouds, haze * 1.1)
    leaves = np.array([0.10, 0.17, 0.05]) * np.exp(rng.normal(0, 0.3, 3)) * rng.uniform(0.6, 2.0)
    line = horizon - rng.uniform(0.0, 0.35) + rng.uniform(0.03, 0.14) * sheet.noise(3, 4)
    foliage = np.clip((sheet.y - line) * 14, 0, 1)
    shade = np.exp(0.75 * sheet.noise(7, 5, 0.75) - 0.5)[..., None]
    sheet.light += foliage[..., None] * (leaves.astype(np.float32) * shade - sheet.light)
    ground = np.clip((sheet.y - horizon - 0.02 * sheet.noise(3, 2)) * 10, 0, 1)
    soils = [(0.13, 0.19, 0.06), (0.10, 0.16, 0.05), (0.24, 0.21, 0.16), (0.20, 0.20, 0.20)]
    earth = np.array(soils[rng.integers(4)]) * rng.uniform(0.6, 1.5)
    blades = cv2.blur(sheet.noise(24, 4, 0.9), (1 + 2 * (sheet.size // 64), 1))
    grain = np.exp(0.22 * blades + 0.12 * sheet.noise(3, 2))[..., None]
    sheet.light += ground[..., None] * (earth.astype(np.float32) * grain - sheet.light)
    for _ in range(int(rng.integers(0, 30))):  # gaps in the leaves
        x, y = rng.random(), horizon - abs(rng.normal(0, 0.12))
        sheet.box(x, y, x + 0.006, y + 0.006, haze * rng.uniform(2, 12), 0.8)
    sheet.defocus(rng.choice([rng.uniform(0.004, 0.012), rng.uniform(0.012, 0.04)]))


_PAINTERS: dict[str, Callable[[_Sheet], None]] = {
    "plain": _plain, "studio": _studio, "wall": _wall, "room": _room, "bokeh": _bokeh, "outdoor": _outdoor,
}  # fmt: skip


def draw_kind(rng: np.random.Generator, preset: str) -> str:
    """A kind of background that goes with a lighting preset of `lighting.py`."""
    weights = dict(KINDS)
    if preset in ("sun", "overcast"):
        weights = {"outdoor": 0.6, "wall": 0.2, "bokeh": 0.05, "room": 0.1, "plain": 0.05}
    elif preset == "stage":
        weights = {"bokeh": 0.35, "studio": 0.4, "room": 0.15, "plain": 0.1}
    names = list(weights)
    return str(rng.choice(names, p=np.array([weights[name] for name in names]) / sum(weights.values())))


def paint_background(rng: np.random.Generator, size_px: int, kind: str, brightness: float) -> np.ndarray:
    """(size, size, 3) float32 linear light; `brightness` scales it to the light that falls on the person."""
    sheet = _Sheet(rng, size_px)
    _PAINTERS[kind](sheet)
    # Keep paper white below the light on a white shirt, and nothing so dark that dark hair vanishes everywhere.
    level = float(np.median(sheet.light.mean(axis=2)))
    wanted = np.clip(level, 0.012, 0.5)
    sheet.light *= wanted / max(level, 1e-4) * brightness
    return np.ascontiguousarray(np.clip(sheet.light, 0.001, 4.0), np.float32)
