"""Assembles a `Person` from the pack: traits, shape, skin, parts, rig."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import UNIT_INDEX, still_performance
from letstalk.synthetic.people.anatomy import ANCESTRIES, CHIN_JOINT, CROWN_JOINT, HEAD_JOINT, joint
from letstalk.synthetic.people.assets import AssetPack
from letstalk.synthetic.people.eyes import IRIS_COLOURS, eye_texture, eyes_part
from letstalk.synthetic.people.eyewear import FaceSurface, sample_spectacles, spectacles_parts
from letstalk.synthetic.people.headwear import HeadForm, earrings_part, hat_part
from letstalk.synthetic.people.look import Look, sample_look
from letstalk.synthetic.people.parts import Joined, Part, drop_below, join_parts
from letstalk.synthetic.people.posing import bring_lips_together, pose_vertices
from letstalk.synthetic.people.rigging import Face, build_rig, find_landmarks, fit_eyeballs
from letstalk.synthetic.people.shape import Traits, person_shape, sample_traits
from letstalk.synthetic.people.skin import paint_skin
from letstalk.synthetic.people.skin_maps import head_uv, in_head_box
from letstalk.synthetic.people.wardrobe import (
    clothes_part,
    dyed,
    hair_part,
    proxy_part,
    random_colour,
    teeth_part,
    tongue_part,
)
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.rasteriser import bake_ambient_occlusion


def make_person(pack: AssetPack, seed: int, overrides: dict[str, object] | None = None) -> Person:
    """One person. The same seed and overrides give the same person; overrides name traits and looks
    (gender, age, ancestry, muscle, weight, hair, hair_colour, brow, lash, clothes, iris)."""
    overrides = overrides or {}
    traits = sample_traits(seed, overrides)
    base = person_shape(pack, seed, traits)
    look = sample_look(pack, seed, traits, overrides)
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
        materials=joined.materials, texels=joined.texels, ambient_occlusion=np.ones(len(joined.mesh.vertices),
        np.float32),
        landmark_vertices=find_landmarks(face, parts, joined), face_centre=centre,
        face_height=float(crown[1] - chin[1]) + 0.25,
        eye_distance=float(np.linalg.norm(face.eye_centre[0] - face.eye_centre[1])),
    )  # fmt: skip
    ajar = still_performance()
    ajar.lip_seal[:] = 0
    ajar.expression[:, UNIT_INDEX["mouth-open"]] = 0.3
    occlusion = bake_ambient_occlusion(pose_vertices(person, ajar, 0), joined.mesh, joined.materials, joined.texels)
    return replace(person, ambient_occlusion=occlusion.astype(np.float32))


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
    # Lashes of the pack are made up; bare ones are thinner.
    lash_density = 1.0 if look.skin.eyeliner > 0.3 else 0.6 if not traits.is_male else 0.42
    parts.append(proxy_part(pack, look.lash, base, alpha_gain=lash_density))
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
    visible = np.logical_not(covered[body.triangles].all(1)) & (base[body.triangles][..., 1] > floor).any(1)
    on_head = np.asarray(in_head_box(body.uv)[body.uv_triangles].all(1))
    used, where = np.unique(body.triangles[visible], return_inverse=True)
    triangles = where.reshape(-1, 3).astype(np.int32)
    reference = np.repeat(used[:, None], 3, 1).astype(np.int32)
    weights = np.tile(np.array([1, 0, 0], np.float32), (len(used), 1))
    parts = []
    for own, uv, texture in ((on_head, head_uv(body.uv), textures[0]), (~on_head, body.uv, textures[1])):
        keep = own[visible]
        part = Part(
            "skin", base[used].astype(np.float32), triangles[keep], uv, body.uv_triangles[visible][keep], texture,
            reference, weights, shares_vertices=bool(parts),
        )  # fmt: skip
        parts.append(part)
    return parts
