"""Soft lights as portraits have them: studio, window, overcast sky, sun, ring light, stage, office."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.pictures.vertex_light import Lights

PRESETS: dict[str, float] = {
    "studio": 0.26, "window": 0.22, "overcast": 0.14, "sun": 0.09, "ring": 0.08, "stage": 0.09, "office": 0.12,
}  # fmt: skip


@dataclass(frozen=True)
class Lighting:
    """`lights` in world directions; `softness` is the blur of the key's shadow in decimetres."""

    preset: str
    lights: Lights
    softness: float
    brightness: float  # diffuse light on a surface that faces the camera, about: what an exposure meter would read


def kelvin_like(warmth: float) -> np.ndarray:
    """A white from blue sky (-1) over neutral (0) to candle (+1), (3,) with green at 1."""
    return (
        np.array([1.0 + 0.22 * warmth, 1.0, 1.0 - 0.30 * warmth])
        if warmth > 0
        else np.array([1.0 + 0.20 * warmth, 1.0, 1.0 - 0.22 * warmth])
    )


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Radians; azimuth 0 is where the face looks, + to the character's left (+x)."""
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat])


class _Rig:
    """Collects the lights of one preset."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.rows: list[tuple[np.ndarray, np.ndarray, float, bool]] = []
        self.ambient = np.zeros((4, 3))
        self.softness = 0.2
        self.side = 1.0 if rng.random() < 0.5 else -1.0

    def light(
        self, azimuth: float, elevation: float, power: float, warmth: float, extent: float, window: bool = False
    ) -> None:
        self.rows.append((direction(azimuth, elevation), power * kelvin_like(warmth), extent, window))

    def sky(self, power: float, warmth: float, ground: float, ground_warmth: float, sideways: float = 0.0) -> None:
        """Light from all round: `power` from above, `power * ground` from below, more from one side."""
        above, below = power * kelvin_like(warmth), power * ground * kelvin_like(ground_warmth)
        self.ambient[0] = 0.5 * (above + below)
        self.ambient[1] = sideways * self.side * power
        self.ambient[2] = 0.5 * (above - below)
        self.ambient[3] = 0.15 * self.ambient[0]

    def tinted(self, azimuth: float, elevation: float, power: float, extent: float) -> None:
        """A coloured lamp, as on a stage."""
        hue = self.rng.random()
        colour = 0.25 + 0.75 * np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
        self.rows.append((direction(azimuth, elevation), power * colour, extent, False))

    def build(self, preset: str) -> Lighting:
        column = lambda index, dtype: np.array([row[index] for row in self.rows], dtype)  # noqa: E731
        lights = Lights(
            direction=column(0, np.float32).reshape(-1, 3),
            colour=column(1, np.float32).reshape(-1, 3),
            extent=column(2, np.float32),
            window=column(3, np.bool_),
            ambient=self.ambient.astype(np.float32),
        )
        return Lighting(preset, lights, self.softness, _metered(lights))


def _metered(lights: Lights) -> float:
    """Green light on the cheeks, forehead and nose of a face that looks along +z."""
    total = 0.0
    for azimuth, elevation in ((0.0, 0.0), (0.7, 0.1), (-0.7, 0.1), (0.0, 0.5)):
        normal = direction(azimuth, elevation)
        total += 0.75 * float(lights.ambient[0, 1] + normal @ lights.ambient[1:, 1])
        total += sum(
            float(lights.colour[k, 1]) * max(float(normal @ lights.direction[k]), 0.0)
            for k in range(len(lights.extent))
        )
    return total / 4


def _studio(rig: _Rig) -> None:
    rng, warmth = rig.rng, rig.rng.normal(0.05, 0.2)
    rig.softness = rng.uniform(0.15, 0.5)
    rig.light(
        rig.side * rng.uniform(0.2, 1.1),
        rng.uniform(0.25, 0.85),
        0.75,
        warmth,
        rng.uniform(0.16, 0.4),
        rng.random() < 0.3,
    )
    rig.light(-rig.side * rng.uniform(0.3, 1.2), rng.uniform(-0.1, 0.4), rng.uniform(0.1, 0.4), warmth, 0.4)
    if rng.random() < 0.65:
        rig.light(
            rng.choice([-1, 1]) * rng.uniform(2.2, 2.8),
            rng.uniform(0.1, 0.7),
            rng.uniform(0.3, 1.1),
            rng.normal(0, 0.3),
            0.2,
        )
    rig.sky(rng.uniform(0.22, 0.42), rng.normal(0, 0.2), rng.uniform(0.5, 0.9), rng.normal(0.2, 0.2))


def _window(rig: _Rig) -> None:
    rng = rig.rng
    rig.softness = rng.uniform(0.35, 0.7)
    rig.light(
        rig.side * rng.uniform(0.4, 1.35),
        rng.uniform(0.05, 0.5),
        0.85,
        rng.uniform(-0.5, 0.1),
        rng.uniform(0.28, 0.5),
        True,
    )
    rig.sky(rng.uniform(0.25, 0.42), rng.uniform(-0.2, 0.4), rng.uniform(0.6, 0.95), rng.uniform(0, 0.5), 0.25)
    if rng.random() < 0.4:
        rig.light(
            -rig.side * rng.uniform(1.2, 2.6),
            rng.uniform(0.1, 0.5),
            rng.uniform(0.1, 0.45),
            rng.uniform(0.2, 0.8),
            0.12,
        )


def _overcast(rig: _Rig) -> None:
    rng, warmth = rig.rng, rig.rng.uniform(-0.35, 0.1)
    rig.softness = 0.8
    rig.light(rig.side * rng.uniform(0, 0.9), rng.uniform(0.6, 1.2), rng.uniform(0.2, 0.4), warmth, 0.6)
    rig.sky(rng.uniform(0.75, 0.95), warmth, rng.uniform(0.35, 0.7), rng.uniform(-0.1, 0.4), rng.uniform(0, 0.15))


def _sun(rig: _Rig) -> None:
    rng = rig.rng
    rig.softness = rng.uniform(0.05, 0.15)
    behind = rng.random() < 0.4
    azimuth = rng.uniform(2.0, 2.7) if behind else rng.uniform(0.3, 1.3)
    rig.light(rig.side * azimuth, rng.uniform(0.4, 0.9), rng.uniform(0.8, 1.3), rng.uniform(0.1, 0.5), 0.07)
    rig.sky(
        rng.uniform(0.55, 0.75) if behind else rng.uniform(0.4, 0.6),
        rng.uniform(-0.5, -0.1),
        rng.uniform(0.6, 0.9),
        rng.uniform(0, 0.4),
    )


def _ring(rig: _Rig) -> None:
    rng, warmth = rig.rng, rig.rng.uniform(-0.3, 0.4)
    rig.softness = 0.3
    rig.light(rng.normal(0, 0.1), rng.normal(0.1, 0.08), 0.75, warmth, rng.uniform(0.12, 0.22))
    rig.sky(rng.uniform(0.15, 0.35), rng.normal(0.2, 0.3), 0.7, rng.normal(0.2, 0.2))


def _stage(rig: _Rig) -> None:
    rng = rig.rng
    rig.softness = rng.uniform(0.1, 0.35)
    rig.light(rig.side * rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.9), 0.7, rng.uniform(0, 0.5), 0.15)
    rig.tinted(rng.uniform(1.7, 2.7), rng.uniform(0, 0.6), rng.uniform(0.4, 1.0), 0.2)
    rig.tinted(-rng.uniform(1.7, 2.7), rng.uniform(0, 0.6), rng.uniform(0.3, 0.9), 0.2)
    rig.sky(rng.uniform(0.1, 0.22), rng.normal(0, 0.5), 0.7, rng.normal(0, 0.4))


def _office(rig: _Rig) -> None:
    rng, warmth = rig.rng, rig.rng.uniform(-0.25, 0.25)
    rig.softness = 0.4
    rig.light(rig.side * rng.uniform(0, 0.6), rng.uniform(0.7, 1.15), 0.5, warmth, 0.35)
    rig.light(-rig.side * rng.uniform(0.3, 1.0), rng.uniform(0.5, 1.0), rng.uniform(0.2, 0.35), warmth, 0.35)
    rig.light(rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.1), rng.uniform(0.08, 0.25), rng.uniform(-0.6, 0), 0.2)
    rig.sky(rng.uniform(0.3, 0.5), warmth, rng.uniform(0.55, 0.85), rng.normal(0.2, 0.2))


_BUILDERS = {
    "studio": _studio, "window": _window, "overcast": _overcast, "sun": _sun, "ring": _ring, "stage": _stage,
    "office": _office,
}  # fmt: skip


def sample_lighting(rng: np.random.Generator, preset: str | None = None) -> Lighting:
    """`preset` is one of PRESETS; drawn by its share when left out."""
    chosen = preset or str(rng.choice(list(PRESETS), p=np.array(list(PRESETS.values())) / sum(PRESETS.values())))
    rig = _Rig(rng)
    _BUILDERS[chosen](rig)
    return rig.build(chosen)


def flat_lighting() -> Lighting:
    """The same light from everywhere: a point keeps its colour wherever it moves, so that warps can be checked."""
    ambient = np.zeros((4, 3), np.float32)
    ambient[0] = 0.9
    nobody = np.zeros((0, 3), np.float32)
    lights = Lights(nobody, nobody, np.zeros(0, np.float32), np.zeros(0, np.bool_), ambient)
    return Lighting("flat", lights, 0.3, 0.9)
