"""The 24 mouth shapes: what each asks of jaw, lips and tongue, and how strongly it resists its neighbours.

A shape is a target, not a picture: `coarticulation.py` blends targets over time. `resistance` says who wins there. A
/t/ needs the tongue but does not mind rounded lips, so it takes the rounding of its neighbours; a /w/ insists on its
own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.controls import UNIT_INDEX

# What visemes move. Lips that must touch something are tracks of their own (see controls.Performance).
CHANNELS: tuple[str, ...] = (
    "mouth-open",
    "mouth-retraction", "mouth-part-later", "mouth-parling", "mouth-elevation", "mouth-eversion",
    "mouth-pursing", "mouth-protusion",
    "tongue-raised", "tongue-forward",
)  # fmt: skip
JAW, LIPS, ROUNDING, TONGUE = range(4)
GROUP_OF_CHANNEL = np.array([JAW, *[LIPS] * 5, *[ROUNDING] * 2, *[TONGUE] * 2])
MOUTH_UNITS = np.array([UNIT_INDEX[name] for name in CHANNELS[:8]])
TONGUE_CHANNELS = slice(8, 10)


@dataclass(frozen=True)
class Viseme:
    """Targets by channel, and how hard jaw, lips, rounding and tongue each hold against neighbours (0..1)."""

    name: str
    targets: dict[str, float]
    resistance: tuple[float, float, float, float]
    vowel: bool = False
    seals_lips: bool = False
    lip_on_teeth: bool = False


def _consonant(name: str, resistance: tuple[float, float, float, float], **targets: float) -> Viseme:
    return Viseme(name, _by_channel(targets), resistance, seals_lips=name == "p", lip_on_teeth=name == "f")


def _vowel(name: str, resistance: tuple[float, float, float, float], **targets: float) -> Viseme:
    return Viseme(name, _by_channel(targets), resistance, vowel=True)


def _by_channel(targets: dict[str, float]) -> dict[str, float]:
    short = {channel.removeprefix("mouth-").replace("-", "_"): channel for channel in CHANNELS}
    return {short[name]: value for name, value in targets.items()}


VISEMES: tuple[Viseme, ...] = (
    _consonant("sil", (0.25, 0.2, 0.15, 0.3)),
    _consonant("p", (1.0, 0.6, 0.15, 0.1), open=0.02),
    _consonant("f", (1.0, 0.7, 0.2, 0.1), open=0.08, part_later=0.15, elevation=0.25),
    _consonant("th", (0.7, 0.4, 0.1, 1.0), open=0.24, part_later=0.12, tongue_raised=0.2, tongue_forward=1.0),
    _consonant("t", (0.6, 0.3, 0.06, 0.8), open=0.11, part_later=0.14, tongue_raised=0.9, tongue_forward=0.25),
    _consonant("s", (0.9, 0.55, 0.15, 0.6), open=0.05, retraction=0.25, part_later=0.3, parling=0.15,
               tongue_raised=0.35, tongue_forward=0.2),
    _consonant("sh", (0.85, 0.7, 0.8, 0.6), open=0.04, pursing=0.5, protusion=0.28, elevation=0.1, tongue_raised=0.4),
    _consonant("k", (0.3, 0.12, 0.04, 0.5), open=0.16, part_later=0.12),
    _consonant("r", (0.5, 0.45, 0.55, 0.6), open=0.14, pursing=0.45, protusion=0.12, tongue_raised=0.5),
    _consonant("l", (0.45, 0.3, 0.1, 1.0), open=0.28, part_later=0.15, tongue_raised=1.0, tongue_forward=0.5),
    _consonant("j", (0.6, 0.6, 0.4, 0.4), open=0.1, retraction=0.5, part_later=0.28),
    _consonant("w", (0.8, 0.8, 1.0, 0.2), open=0.06, pursing=0.95, protusion=0.1, parling=-0.2),
    _consonant("h", (0.1, 0.05, 0.03, 0.1), open=0.25),
    _vowel("aa", (0.8, 0.5, 0.4, 0.4), open=0.68, part_later=0.07, elevation=0.06),
    _vowel("ae", (0.8, 0.55, 0.45, 0.4), open=0.5, retraction=0.32, part_later=0.22, elevation=0.08),
    _vowel("ah", (0.65, 0.45, 0.35, 0.4), open=0.42, part_later=0.16),
    _vowel("eh", (0.65, 0.55, 0.45, 0.4), open=0.34, retraction=0.36, part_later=0.22),
    _vowel("ih", (0.55, 0.5, 0.4, 0.4), open=0.2, retraction=0.38, part_later=0.24),
    _vowel("iy", (0.7, 0.65, 0.55, 0.5), open=0.08, retraction=0.7, part_later=0.26, tongue_raised=0.1),
    _vowel("ao", (0.75, 0.5, 0.7, 0.4), open=0.52, pursing=0.5, protusion=0.1, part_later=-0.06),
    _vowel("ow", (0.7, 0.55, 0.85, 0.4), open=0.38, pursing=0.78, protusion=0.1, part_later=-0.06),
    _vowel("uw", (0.7, 0.6, 0.95, 0.4), open=0.14, pursing=0.9, protusion=0.12),
    _vowel("er", (0.55, 0.45, 0.55, 0.5), open=0.22, pursing=0.36, protusion=0.12, tongue_raised=0.35),
    _vowel("ax", (0.4, 0.3, 0.2, 0.3), open=0.24, part_later=0.1),
)  # fmt: skip
VISEME_NAMES: tuple[str, ...] = tuple(viseme.name for viseme in VISEMES)
VISEME_INDEX: dict[str, int] = {name: index for index, name in enumerate(VISEME_NAMES)}
SIL = VISEME_INDEX["sil"]


def target_matrix() -> np.ndarray:
    """(num_visemes, num_channels) float64 target weights."""
    matrix = np.zeros((len(VISEMES), len(CHANNELS)))
    for row, viseme in enumerate(VISEMES):
        for channel, value in viseme.targets.items():
            matrix[row, CHANNELS.index(channel)] = value
    return matrix


def resistance_matrix() -> np.ndarray:
    """(num_visemes, 4 groups) float64."""
    return np.array([viseme.resistance for viseme in VISEMES])
