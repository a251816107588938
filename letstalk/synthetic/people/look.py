"""What is chosen about a person and not measured: hair, brows, clothes, what is worn and painted on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.people.assets import AssetPack
from letstalk.synthetic.people.eyes import pick_iris
from letstalk.synthetic.people.shape import Traits
from letstalk.synthetic.people.skin import SkinLook, sample_tone

# Linear light, 0..1.
HAIR_COLOURS = {
    "black": (0.012, 0.010, 0.009), "dark brown": (0.035, 0.020, 0.012), "brown": (0.085, 0.045, 0.022),
    "light brown": (0.19, 0.11, 0.055), "blond": (0.46, 0.31, 0.14), "platinum": (0.68, 0.58, 0.42),
    "auburn": (0.15, 0.045, 0.018), "ginger": (0.36, 0.13, 0.035), "grey": (0.30, 0.29, 0.28), "white": (0.68, 0.67,
    0.65),
    "blue": (0.05, 0.12, 0.42), "pink": (0.62, 0.14, 0.30), "purple": (0.20, 0.06, 0.32), "green": (0.06, 0.26, 0.12),
}  # fmt: skip
_DYES = ("blue", "pink", "purple", "green", "platinum")


@dataclass(frozen=True)
class Look:
    """Everything that is chosen and not measured."""

    skin: SkinLook
    hair: str  # a style of the pack, or "bald" or "buzz"
    hair_colour: str
    hair_linear: np.ndarray
    brow: str
    lash: str
    clothes: str
    iris: str
    glasses: str  # "none" or "some": their shape is sampled with them
    hat: str
    earrings: str


def sample_look(pack: AssetPack, seed: int, traits: Traits, overrides: dict[str, object]) -> Look:
    draw = numpy_generator(seed, "look")
    natural = _pick_hair_colour(numpy_generator(seed, "hair colour"), traits)
    dye = numpy_generator(seed, "dye")
    colour = str(overrides.get("hair_colour") or (dye.choice(_DYES) if dye.random() < 0.05 else natural))
    shade = numpy_generator(seed, "hair shade").uniform(0.8, 1.25)
    linear = np.clip(np.array(HAIR_COLOURS[colour]) * shade, 0, 0.85)
    hair = str(overrides.get("hair") or _pick_hair(pack, draw, traits))
    brow = str(overrides.get("brow") or draw.choice(pack.names("brow")))
    lash = str(overrides.get("lash") or draw.choice(pack.names("lash")))
    clothes = str(overrides.get("clothes") or _pick_clothes(pack, numpy_generator(seed, "garment"), traits))
    iris = str(overrides.get("iris") or pick_iris(numpy_generator(seed, "iris"), float(traits.ancestry[0])))
    # Nobody dyes a beard; painted hair on the scalp is dyed like the rest.
    beard = linear if colour not in _DYES else np.array(HAIR_COLOURS[natural])
    worn = _sample_worn(seed, traits)
    worn.update({name: str(overrides[name]) for name in worn if name in overrides})
    skin = sample_skin_look(seed, traits, hair, linear, beard)
    return Look(skin, hair, colour, linear, brow, lash, clothes, iris, **worn)


def _sample_worn(seed: int, traits: Traits) -> dict[str, str]:
    draw = numpy_generator(seed, "worn")
    glasses = "some" if draw.random() < 0.16 + 0.14 * (traits.age > 45) else "none"
    kinds, shares = ("none", "beanie", "cap", "headscarf"), [0.89, 0.055, 0.055, 0.0]
    if not traits.is_male:
        shares = [0.88, 0.035, 0.025, 0.06]
    hat = str(draw.choice(kinds, p=shares))
    earrings = "some" if draw.random() < (0.06 if traits.is_male else 0.35) else "none"
    return {"glasses": glasses, "hat": hat, "earrings": earrings}


def _pick_hair(pack: AssetPack, draw: np.random.Generator, traits: Traits) -> str:
    """A style that suits; styles that this module has never heard of are taken as rare."""
    male = {"short01": 0.22, "short02": 0.22, "short03": 0.1, "short04": 0.14, "ponytail01": 0.02, "long01": 0.02}
    female = {"bob02": 0.18, "braid01": 0.2, "long01": 0.22, "ponytail01": 0.26, "short03": 0.06, "short01": 0.03}
    known = male if traits.is_male else female
    shares = {name: known.get(name, 0.0 if name in male or name in female else 0.05) for name in pack.names("hair")}
    shares |= (
        {"bald": 0.10 + 0.08 * (traits.age > 50), "buzz": 0.16} if traits.is_male else {"buzz": 0.03, "bald": 0.005}
    )
    weights = np.array(list(shares.values()))
    return list(shares)[draw.choice(len(shares), p=weights / weights.sum())]


def _pick_clothes(pack: AssetPack, draw: np.random.Generator, traits: Traits) -> str:
    """Of their own gender mostly; plain ones of the other now and then."""
    own, other = ("male_", "female_") if traits.is_male else ("female_", "male_")
    names = pack.names("clothes")
    shares = np.array([1.0 if n.startswith(own) else 0.25 * (other == "male_" and "casual" in n) for n in names])
    return names[draw.choice(len(names), p=shares / shares.sum())]


def _pick_hair_colour(draw: np.random.Generator, traits: Traits) -> str:
    light = float(np.clip((traits.ancestry[0] - 0.35) / 0.5, 0, 1))
    weights = {
        "black": 0.55 - 0.45 * light, "dark brown": 0.35 - 0.05 * light, "brown": 0.08 + 0.16 * light,
        "light brown": 0.01 + 0.17 * light, "blond": 0.14 * light, "auburn": 0.02 + 0.05 * light,
        "ginger": 0.05 * light,
    }  # fmt: skip
    grey = float(np.clip((traits.age - 38) / 40, 0, 0.85))
    if draw.random() < grey:
        return "white" if draw.random() < grey * 0.6 else "grey"
    names, shares = list(weights), np.array(list(weights.values()))
    return names[draw.choice(len(names), p=shares / shares.sum())]


def sample_skin_look(
    seed: int, traits: Traits, hair: str, hair_linear: np.ndarray, beard_linear: np.ndarray
) -> SkinLook:
    tone, warmth = sample_tone(seed, traits.ancestry)
    draw = numpy_generator(seed, "skin look")
    styles = ("none", "stubble", "moustache", "goatee", "full")
    beard = str(draw.choice(styles, p=[0.42, 0.28, 0.06, 0.09, 0.15])) if traits.is_male else "none"
    density = draw.uniform(0.15, 0.5) if beard == "stubble" else draw.uniform(0.65, 1.0)
    made_up = (not traits.is_male) and draw.random() < 0.6
    scalp = "bare" if hair == "bald" else "buzz" if hair == "buzz" else "roots"
    red = float(draw.uniform(-0.04, 0.05))
    lips = np.array([draw.uniform(0.45, 0.75), draw.uniform(0.08, 0.3), draw.uniform(0.12, 0.36)]) * (1 - 0.5 * tone)
    shadow = np.clip(np.array([0.35, 0.25, 0.28]) + draw.normal(0, 0.1, 3), 0.05, 0.6)
    strength = {name: float(draw.uniform(low, high)) * made_up for name, low, high in (
        ("lipstick", 0.2, 0.85), ("blush", 0.0, 0.7), ("eye_shadow", 0.0, 0.8), ("eyeliner", 0.0, 1.0))}  # fmt: skip
    freckled = draw.random() < (0.35 if tone < 0.25 else 0.06)
    return SkinLook(
        tone=tone, warmth=warmth + red, freckles=float(draw.uniform(0.2, 1)) * freckled, moles=int(draw.poisson(1.6)),
        redness=float(draw.uniform(0, 1) * np.clip(1 - tone * 1.5, 0.1, 1)),
        wrinkles=float(np.clip((traits.age - 40) / 40, 0, 1)),
        beard_style=beard, beard_density=float(density), hair_colour=tuple(np.sqrt(hair_linear)),
        beard_colour=tuple(np.sqrt(beard_linear)), scalp=scalp,
        scalp_density=float(draw.uniform(0.55, 0.95)), lip_colour=tuple(lips), shadow_colour=tuple(shadow), **strength,
    )  # fmt: skip
