"""A person as the renderer sees it: one mesh, its materials and textures, and how it moves.

`Person` is made by `identity.py` from the asset pack, or by `procedural.py` from code alone. Both give the same class,
so nothing downstream knows the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Kinds of surface, in the order of their codes. The renderer and the label masks read them.
KINDS: tuple[str, ...] = (
    "skin", "eyes", "teeth", "tongue", "clothes", "brow", "lash", "hair", "glasses", "lens", "jewellery", "hat",
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
class Contact:
    """Two edges that must be able to meet: the lips, or the lids of one eye.

    Stations run along the edges. At each,
    a point of the upper and one of the lower edge are mixed from two vertices; the gap
    between them is closed by moving the vertices around it, each by its share (`pull`) of the gap.
    """

    upper: np.ndarray  # (num_stations, 2) int32 vertices
    upper_mix: np.ndarray  # (num_stations, 2) float32
    lower: np.ndarray  # (num_stations, 2) int32
    lower_mix: np.ndarray  # (num_stations, 2) float32
    vertices: np.ndarray  # (m,) int32, what moves
    station: np.ndarray  # (m,) float32, place along the edge, 0..num_stations-1
    pull: np.ndarray  # (m,) float32 -1..1, share of the vector from the lower to the upper edge that it moves


@dataclass(frozen=True)
class Rig:
    """How the mesh moves. Weights are per vertex.

    Expression units are linear; lips and lids are not: whatever the units do,
    `posing.py` then closes the gap that is left.
    """

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
    lips: Contact
    lids: tuple[Contact, Contact]
    lid_vertices: tuple[np.ndarray, np.ndarray]  # int32, kept outside the eyeballs
    eye_radius: np.ndarray  # (2,) float32
    teeth_edge: np.ndarray  # (num lip stations, 3) float32, where lip_to_teeth puts the lower lip
    tongue_raise: np.ndarray  # (3,) float32 decimetres of the tip at tongue[0] = 1
    tongue_forward: np.ndarray  # (3,) float32 decimetres of the tip at tongue[1] = 1
    breath: np.ndarray  # (3,) float32 decimetres of the chest at breath = 1


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
