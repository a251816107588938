"""Who a person is: seeded traits, and the shape of their head and shoulders out of MakeHuman's morphs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.people.anatomy import ANCESTRIES, SHOULDER_JOINTS, joint
from letstalk.synthetic.people.assets import AssetPack

YOUNGEST, OLDEST = 17.0, 85.0
# Morphs come in pairs of opposites.
_OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
    ("compress", "uncompress"),
)  # fmt: skip
# Spread of the weights by region. Larger ones give faces that nobody has.
_SPREAD = {
    "head": 0.22, "ears": 0.28, "neck": 0.14, "mouth": 0.22, "nose": 0.22, "eyes": 0.20, "chin": 0.22, "cheek": 0.25,
    "forehead": 0.22, "eyebrows": 0.25, "asym": 0.10,
}  # fmt: skip
# Morphs that soon look ill or move a part off its place get a share of that spread.
_CALMER = (
    (r"(head|mouth|nose|neck|chin)-trans-in", 0.10), (r"eye-(push|scale)", 0.45),
    (r"mouth-trans|head-trans|head-angle", 0.35),
    (r"head-back", 0.4), (r"head-scale-(horiz|vert|depth)", 0.6), (r"eye-trans|eye-corner|eye-epicanthus", 0.6),
    (r"ear-(wing|flap)", 0.6), (r"nose-(compression|septum|greek|hump)", 0.7), (r"asymm", 0.0), (r"head-fat", 0.8),
    (r"mouth-(cupidsbow|philtrum|laugh|dimples)", 0.7), (r"mouth-(lowerlip|upperlip)", 0.65), (r"neck-double", 0.5),
    (r"eye-height", 0.7),
)  # fmt: skip
_LIMIT = 0.5


@dataclass(frozen=True)
class Traits:
    """What the other parts of a person look at. All of it comes from the seed, or from overrides by the same names."""

    gender: float  # 0 female .. 1 male, mostly near the ends
    age: float  # years
    ancestry: np.ndarray  # (3,) shares of ANCESTRIES, sum 1
    muscle: float  # 0..1
    weight: float  # 0..1

    @property
    def is_male(self) -> bool:
        return self.gender > 0.5


def sample_traits(seed: int, overrides: dict[str, object]) -> Traits:
    draw = numpy_generator(seed, "traits")
    gender = float(np.clip((draw.random() < 0.5) + draw.normal() * 0.12, 0, 1))
    ancestry = draw.dirichlet([0.4] * 3)
    bands = ((17, 22), (20, 40), (32, 60), (55, 85))
    youngest, oldest = bands[draw.choice(4, p=[0.1, 0.46, 0.28, 0.16])]
    age = float(draw.uniform(youngest, oldest))
    muscle = float(np.clip(draw.normal(0.5 + 0.15 * (gender - 0.5), 0.13), 0, 1))
    weight = float(np.clip(draw.normal(0.47, 0.17), 0.05, 0.92))
    if "ancestry" in overrides:
        ancestry = _chosen_ancestry(overrides["ancestry"])
    numbers = {"gender": gender, "age": age, "muscle": muscle, "weight": weight}
    for name in numbers:
        if name in overrides:
            numbers[name] = float(overrides[name])  # type: ignore[arg-type]
    numbers["age"] = float(np.clip(numbers["age"], YOUNGEST, OLDEST))
    return Traits(ancestry=ancestry, **numbers)


def _chosen_ancestry(value: object) -> np.ndarray:
    if isinstance(value, str):
        if value not in ANCESTRIES:
            raise SettingsError(f"Unknown ancestry {value!r}.", f"Use one of {', '.join(ANCESTRIES)}, or three shares.")
        return np.eye(3)[ANCESTRIES.index(value)]
    shares = np.asarray(value, np.float64)
    return shares / shares.sum()


def person_shape(pack: AssetPack, seed: int, traits: Traits) -> np.ndarray:
    """Base vertices (num_base, 3) float32 of this person with the arms hanging down."""
    vertices = pack.base_vertices.copy()
    for name, weight in {**_macro_weights(traits), **_detail_weights(pack, seed, traits)}.items():
        pack.add_target(vertices, name, weight)
    _lower_arms(pack, vertices)
    return vertices


def _tent(value: float) -> tuple[float, float, float]:
    """Weights of low, average and high that sum to 1."""
    return max(0.0, 1 - 2 * value), 1 - abs(2 * value - 1), max(0.0, 2 * value - 1)


def _macro_weights(traits: Traits) -> dict[str, float]:
    """MakeHuman's blend: shares of ancestry x gender x age sum to 1, and so do those of the build."""
    share = {"child": 0.0, "young": 0.0, "old": 0.0}
    if traits.age < 25:
        share["young"] = (traits.age - 11) / 14
        share["child"] = 1 - share["young"]
    else:
        # Straight to the "old" target at 85 puts sagging skin on people of fifty.
        share["old"] = float(np.clip((traits.age - 25) / 62, 0, 1)) ** 1.25
        share["young"] = 1 - share["old"]
    muscles = dict(zip(("minmuscle", "averagemuscle", "maxmuscle"), _tent(traits.muscle), strict=True))
    weights = dict(zip(("minweight", "averageweight", "maxweight"), _tent(traits.weight), strict=True))
    found: dict[str, float] = {}
    for gender, g in (("male", traits.gender), ("female", 1 - traits.gender)):
        for age, a in share.items():
            for ancestry, r in zip(ANCESTRIES, traits.ancestry, strict=True):
                found[f"macrodetails/{ancestry}-{gender}-{age}"] = g * a * float(r)
            for muscle, m in muscles.items():
                for weight, w in weights.items():
                    found[f"macrodetails/universal-{gender}-{age}-{muscle}-{weight}"] = g * a * m * w
    return found


def _opposite_pairs(names: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    known = set(names)
    pairs, paired = [], set()
    for name in names:
        for low, high in _OPPOSITES:
            other = name[: -len(low)] + high
            if name.endswith("-" + low) and other in known:
                pairs.append((name, other))
                paired |= {name, other}
    return pairs, [name for name in names if name not in paired]


def _detail_weights(pack: AssetPack, seed: int, traits: Traits) -> dict[str, float]:
    """A weight for each detail morph. Each has its own stream, so that a morph more in the pack changes no other."""
    details = sorted(name for name in pack.targets if not name.startswith(("macrodetails", "expression")))
    pairs, single = _opposite_pairs(details)
    found: dict[str, float] = {}
    for low, high in pairs:
        both_sides = re.sub(r"/(l|r)-", "/", low)
        draw = numpy_generator(seed, "shape", both_sides)
        value = draw.normal() * _spread(low)
        if both_sides != low:
            value += numpy_generator(seed, "shape", low).normal() * 0.04
        if "head-age" in low:
            value = abs(value) * 0.5 * (traits.age > 40)
        value = float(np.clip(value, -_LIMIT, _LIMIT))
        found[low], found[high] = max(-value, 0.0), max(value, 0.0)
    for name in single:
        draw = numpy_generator(seed, "shape", name)
        region = name.split("/")[0]
        if region == "asym" and name.endswith("-l"):
            found[name] = float(np.clip(draw.normal(), -2, 2)) * _spread(name)
        elif region in ("head", "ears", "chin") and not re.search("/r-", name):
            value = max(0.0, float(draw.normal() * 0.22 - 0.06))
            found[name] = min(value, 0.4)
            found[name.replace("/l-", "/r-")] = found[name]
    return found


def _spread(name: str) -> float:
    spread = _SPREAD.get(name.split("/")[0], 0.2)
    for pattern, share in _CALMER:
        if re.search(pattern, name):
            spread *= share
    return spread


def _lower_arms(pack: AssetPack, vertices: np.ndarray, angle: float = 0.42) -> None:
    """MakeHuman's arms stand away from the body; a portrait's hang."""
    for side, sign in (("L", 1.0), ("R", -1.0)):
        pivot = joint(vertices, SHOULDER_JOINTS[side])
        turn = -sign * angle
        cos, sin = np.cos(turn), np.sin(turn)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
        moved = (vertices - pivot) @ rotation.T + pivot
        vertices += pack.arm_weight[side][:, None] * (moved - vertices)
