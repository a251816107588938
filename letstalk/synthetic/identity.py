"""Assembles a `Person` from the pack: traits, shape, skin, parts, rig."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.anatomy import ANCESTRIES, CHIN_JOINT, CROWN_JOINT, HEAD_JOINT, joint
from letstalk.synthetic.assets import AssetPack
from letstalk.synthetic.controls import UNIT_INDEX, still_performance
from letstalk.synthetic.eyewear import FaceSurface, sample_spectacles, spectacles_parts
from letstalk.synthetic.eyes import IRIS_COLOURS, eye_texture, eyes_part, pick_iris
from letstalk.synthetic.headwear import HeadForm, earrings_part, hat_part
from letstalk.synthetic.parts import Joined, Part, drop_below, join_parts
from letstalk.synthetic.person import Person
from letstalk.synthetic.posing import bring_lips_together, pose_vertices
from letstalk.synthetic.rasteriser import bake_ambient_occlusion
from letstalk.synthetic.rigging import Face, build_rig, find_landmarks, fit_eyeballs
from letstalk.synthetic.shape import Traits, person_shape, sample_traits
from letstalk.synthetic.skin import SkinLook, paint_skin, sample_tone
from letstalk.synthetic.skin_maps import head_uv, in_head_box
from letstalk.synthetic.wardrobe import (
    clothes_part,
    dyed,
    hair_part,
    proxy_part,
    random_colour,
    teeth_part,
    tongue_part,
)

# Linear light, 0..1.
HAIR_COLOURS = {
    "black": (0.012, 0.010, 0.009), "dark brown": (0.035, 0.020, 0.012), "brown": (0.085, 0.045, 0.022),
    "light brown": (0.19, 0.11, 0.055), "blond": (0.46, 0.31, 0.14), "platinum": (0.68, 0.58, 0.42),
    "auburn": (0.15, 0.045, 0.018), "ginger": (0.36, 0.13, 0.035), "grey": (0.30, 0.29, 0.28), "white": (0.68, 0.67, 0.65),
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


def make_person(pack: AssetPack, seed: int, overrides: dict[str, object] | None = None) -> Person:
    """One person. The same seed and overrides give the same person; overrides name traits and looks
    (gender, age, ancestry, muscle, weight, hair, hair_colour, brow, lash, clothes, iris)."""
    overrides = overrides or {}
    traits = sample_traits(seed, overrides)
    base = person_shape(pack, seed, traits)
    look = _sample_look(pack, seed, traits, overrides)
    eye_proxy = "lowpoly" if "lowpoly" in pack.proxies else pack.names("eyes")[0]
    centre, radius = fit_eyeballs(pack.proxies[eye_proxy].fit(base).astype(np.float64))
    face = Face(pack, seed, traits.ancestry, base, centre, radius)
    parts = _parts(face, traits, look)
    joined = join_parts(parts)
    return _finish(face, traits, look, parts, joined)


def _finish(face: Face, traits: Traits, look: Look, parts: list[Part], joined: Joined) -> Person:
    base = face.base
    crown, chin = joint(base, CROWN_JOINT), joint(base, CHIN_JOINT)
    centre = np.array([0, (crown[1] + chin[1]) / 2, joint(base, HEAD_JOINT)[2] + 0.4], np.float32)
    rig = build_rig(face, parts, joined)
    bring_lips_together(joined.mesh.vertices, rig)
    person = Person(
        seed=face.seed, labels=_labels(traits, look), mesh=joined.mesh, rig=rig,
        materials=joined.materials, texels=joined.texels, ambient_occlusion=np.ones(len(joined.mesh.vertices), np.float32),
        landmark_vertices=find_landmarks(face, parts, joined), face_centre=centre,
        face_height=float(crown[1] - chin[1]) + 0.25,
        eye_distance=float(np.linalg.norm(face.eye_centre[0] - face.eye_centre[1])),
    )  # fmt: skip
    ajar = still_performance()
    ajar.lip_seal[:] = 0
    ajar.expression[:, UNIT_INDEX["mouth-open"]] = 0.3
    occlusion = bake_ambient_occlusion(pose_vertices(person, ajar, 0), joined.mesh, joined.materials, joined.texels)
    return Person(**{**person.__dict__, "ambient_occlusion": occlusion.astype(np.float32)})


def _labels(traits: Traits, look: Look) -> dict[str, float | str]:
    shares = {f"ancestry_{name}": float(share) for name, share in zip(ANCESTRIES, traits.ancestry, strict=True)}
    return {
        "gender": traits.gender, "age": traits.age, "muscle": traits.muscle, "weight": traits.weight, **shares,
        "skin_tone": look.skin.tone, "beard": look.skin.beard_style, "hair": look.hair, "hair_colour": look.hair_colour,
        "clothes": look.clothes, "iris": look.iris, "glasses": look.glasses, "hat": look.hat, "earrings": look.earrings,
    }  # fmt: skip


def _parts(face: Face, traits: Traits, look: Look) -> list[Part]:
    pack, base, seed = face.pack, face.base, face.seed
    chin = joint(base, CHIN_JOINT)[1]
    # Portraits never show more than two face heights below the chin.
    floor = chin - 2.0 * float(joint(base, CROWN_JOINT)[1] - chin)
    hidden = pack.proxies[look.clothes].delete
    if look.hat == "headscarf":
        hidden = np.concatenate([hidden, pack.anatomy.under_scarf])
    parts = _skin_parts(pack, base, hidden, floor, paint_skin(pack.skins, seed, traits, look.skin))
    parts.append(drop_below(clothes_part(pack, look.clothes, base, numpy_generator(seed, "clothes")), floor))
    eyes = eye_texture(numpy_generator(seed, "eyes"), IRIS_COLOURS[look.iris], traits.age)
    parts.append(eyes_part(face.eye_centre, face.eye_radius, eyes, np.zeros(2, np.int32)))
    parts.append(teeth_part(pack, base, numpy_generator(seed, "teeth")))
    parts.append(tongue_part(pack, base))
    parts.append(proxy_part(pack, look.brow, base, dyed(pack.texture(look.brow), look.hair_linear * 0.5)))
    parts.append(proxy_part(pack, look.lash, base))
    parts += _worn_parts(face, look)
    return parts


def _worn_parts(face: Face, look: Look) -> list[Part]:
    """Hair and what is worn on the head: the hat decides where the hair goes."""
    pack, base, seed, anatomy = face.pack, face.base, face.seed, face.pack.anatomy
    skin = base[anatomy.head_skin]
    parts: list[Part] = []
    shell = None
    if look.hat != "none":
        draw = numpy_generator(seed, "hat")
        middle = face.eye_centre.mean(0)
        inside = np.array([0, middle[1] + 0.2, joint(base, HEAD_JOINT)[2]])
        form = HeadForm(base[anatomy.earless_skin], inside, float(middle[1]), base[anatomy.landmarks["chin"]])
        hat, shell = hat_part(look.hat, form, random_colour(draw, (0.0, 0.8), (0.1, 0.9)), draw)
        parts.append(hat)
    if look.hair in pack.proxies and look.hat != "headscarf":
        draw = numpy_generator(seed, "hair shape")
        hair = hair_part(pack, look.hair, base, face.eye_centre, look.hair_linear, draw)
        parts.append(hair if shell is None else shell.tuck(hair))
    if look.glasses != "none":
        distance = float(np.linalg.norm(face.eye_centre[0] - face.eye_centre[1]))
        spectacles = sample_spectacles(numpy_generator(seed, "glasses"), distance)
        surface = FaceSurface(skin, face.eye_centre, float(face.eye_radius.max()), base[anatomy.ear_roots])
        parts += spectacles_parts(spectacles, surface)
    if look.earrings != "none" and look.hat != "headscarf":
        parts.append(earrings_part(base[anatomy.ear_lobes], numpy_generator(seed, "earrings")))
    return parts


def _skin_parts(
    pack: AssetPack, base: np.ndarray, hidden: np.ndarray, floor: float, textures: tuple[np.ndarray, np.ndarray]
) -> list[Part]:
    """The body as two parts with the same vertices: the head and the rest have textures of their own."""
    body = pack.body
    covered = np.zeros(len(base), bool)
    covered[hidden] = True
    visible = ~covered[body.triangles].all(1) & (base[body.triangles][..., 1] > floor).any(1)
    on_head = in_head_box(body.uv)[body.uv_triangles].all(1)
    used, where = np.unique(body.triangles[visible], return_inverse=True)
    triangles = where.reshape(-1, 3).astype(np.int32)
    reference = np.repeat(used[:, None], 3, 1).astype(np.int32)
    weights = np.tile(np.float32([1, 0, 0]), (len(used), 1))
    parts = []
    for own, uv, texture in ((on_head, head_uv(body.uv), textures[0]), (~on_head, body.uv, textures[1])):
        keep = own[visible]
        part = Part(
            "skin", base[used].astype(np.float32), triangles[keep], uv, body.uv_triangles[visible][keep], texture,
            reference, weights, shares_vertices=bool(parts),
        )  # fmt: skip
        parts.append(part)
    return parts


def _sample_look(pack: AssetPack, seed: int, traits: Traits, overrides: dict[str, object]) -> Look:
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
    worn = _sample_worn(seed, traits, hair)
    worn.update({name: str(overrides[name]) for name in worn if name in overrides})
    skin = _skin_look(seed, traits, hair, linear, beard)
    return Look(skin, hair, colour, linear, brow, lash, clothes, iris, **worn)


def _sample_worn(seed: int, traits: Traits, hair: str) -> dict[str, str]:
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
        "light brown": 0.01 + 0.17 * light, "blond": 0.14 * light, "auburn": 0.02 + 0.05 * light, "ginger": 0.05 * light,
    }  # fmt: skip
    grey = float(np.clip((traits.age - 38) / 40, 0, 0.85))
    if draw.random() < grey:
        return "white" if draw.random() < grey * 0.6 else "grey"
    names, shares = list(weights), np.array(list(weights.values()))
    return names[draw.choice(len(names), p=shares / shares.sum())]


def _skin_look(seed: int, traits: Traits, hair: str, hair_linear: np.ndarray, beard_linear: np.ndarray) -> SkinLook:
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
        redness=float(draw.uniform(0, 1) * np.clip(1 - tone * 1.5, 0.1, 1)), wrinkles=float(np.clip((traits.age - 40) / 40, 0, 1)),
        beard_style=beard, beard_density=float(density), hair_colour=tuple(np.sqrt(hair_linear)),
        beard_colour=tuple(np.sqrt(beard_linear)), scalp=scalp,
        scalp_density=float(draw.uniform(0.55, 0.95)), lip_colour=tuple(lips), shadow_colour=tuple(shadow), **strength,
    )  # fmt: skip
