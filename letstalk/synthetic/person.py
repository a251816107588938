"""A person as the renderer sees it: one mesh, its materials and textures, and how it moves.

`Person` is made by `identity.py` from the asset pack, or by `procedural.py` from code alone. Both give the same class, so
nothing downstream knows the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Kinds of surface, in the order of their codes. The renderer and the label masks read them.
KINDS: tuple[str, ...] = (
    "skin", "eyes", "teeth", "tongue", "clothes", "brow", "lash", "hair", "glasses", "lens", "jewellery", "hat", "cornea",
)  # fmt: skip
KIND_CODE: dict[str, int] = {name: code for code, name in enumerate(KINDS)}


@dataclass(frozen=True)
class Material:
    """One surface: its slice of the texture atlas and how it takes light (linear light, 0..1)."""

    kind: str
    texture_offset: int  # into Person.texels, bytes
    texture_width: int
    texture_height: int
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    wrap: tuple[float, float, float] = (0.1, 0.1, 0.1)  # light that bleeds round the edge, by colour (skin: red most)
    specular: float = 0.1
    gloss: float = 12.0  # Blinn exponent
    two_sided: bool = False
    transparent: bool = False  # sorted and blended after the opaque pass
    alpha_gain: float = 1.0
    casts_shadow: bool = True
    inner: float = 0.0  # 0 outside, 1 deep in the mouth: how much ambient occlusion may darken it


@dataclass(frozen=True)
class Mesh:
    """Triangles in one list, opaque first. Vertices are in decimetres."""

    vertices: np.ndarray  # (num_vertices, 3) float32, the neutral face
    triangles: np.ndarray  # (num_triangles, 3) int32
    uv: np.ndarray  # (num_uv, 2) float32; texture row = (1 - v) * height
    uv_triangles: np.ndarray  # (num_triangles, 3) int32
    triangle_material: np.ndarray  # (num_triangles,) int32, index into Person.materials
    num_opaque: int  # triangles [0, num_opaque) are opaque


@dataclass(frozen=True)
class Rig:
    """How the mesh moves. Weights are per vertex."""

    moving: np.ndarray  # (num_moving,) int32, vertices that any expression unit moves
    basis: np.ndarray  # (num_moving, num_units, 3) float32
    rest: np.ndarray  # (num_units,) float32, what this person's neutral face already holds (part of every frame)
    seal: np.ndarray  # (num_units,) float32, added times lip_seal: solved for this person so that the lips just meet
    lip_to_teeth: np.ndarray  # (num_units,) float32, added times lip_to_teeth
    lid_closure: np.ndarray  # (2, num_units) float32, added times lid_closure
    head_weight: np.ndarray  # (num_vertices,) float32 0..1
    head_pivot: np.ndarray  # (3,) float32
    eye_weight: np.ndarray  # (2, num_vertices) float32, left and right
    eye_centre: np.ndarray  # (2, 3) float32
    tongue_weight: np.ndarray  # (num_vertices,) float32
    chest_weight: np.ndarray  # (num_vertices,) float32, breathing


@dataclass(frozen=True)
class Person:
    seed: int
    labels: dict[str, float | str]  # gender, age, hair, glasses ... for the split, for sheets and for study
    mesh: Mesh
    rig: Rig
    materials: tuple[Material, ...]
    texels: np.ndarray  # (num_bytes,) uint8, RGBA textures one after another
    ambient_occlusion: np.ndarray  # (num_vertices,) float32 0..1
    landmark_vertices: np.ndarray  # (NUM_LANDMARKS,) int32
    face_centre: np.ndarray  # (3,) float32, half-way between crown and chin
    face_height: float  # crown to chin, decimetres
    eye_distance: float  # between the eye centres, decimetres
