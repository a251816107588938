"""A person laid out for the numba kernels: triangles, texture pyramids and how every material takes light.

Texture pyramids (mip-maps) let one look-up per pixel stand for all the texels under it, so pictures stay free of
shimmer without many samples. Opaque skin does not need its alpha channel: it carries fine relief there, read with the
same look-up.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from letstalk.synthetic.person import KIND_CODE, Material, Mesh, Person

MAX_LEVELS = 12
SMALLEST_LEVEL_PX = 4
RELIEF_NEUTRAL = 128  # alpha of a skin texel that is neither pore nor bump


class Surfaces(NamedTuple):
    """Plain arrays, one row a triangle, a vertex or a material; `texels` holds every level of every texture."""

    triangles: np.ndarray  # (num_triangles, 3) int32
    uv: np.ndarray  # (num_uv, 2) float32
    uv_triangles: np.ndarray  # (num_triangles, 3) int32
    triangle_material: np.ndarray  # (num_triangles,) int32
    num_opaque: int
    texel_density: np.ndarray  # (num_triangles,) float32, log2 of texels a decimetre at the finest level
    vertex_material: np.ndarray  # (num_vertices,) int32
    occlusion: np.ndarray  # (num_vertices,) float32 0..1
    inner: np.ndarray  # (num_vertices,) float32 0..1: lit only through the open mouth
    texels: np.ndarray  # (num_bytes,) uint8 RGBA
    level_offset: np.ndarray  # (num_materials, MAX_LEVELS) int64
    level_size: np.ndarray  # (num_materials, MAX_LEVELS, 2) int32: width, height
    num_levels: np.ndarray  # (num_materials,) int32
    kind: np.ndarray  # (num_materials,) int32
    tint: np.ndarray  # (num_materials, 3) float32
    wrap: np.ndarray  # (num_materials, 3) float32
    specular: np.ndarray  # (num_materials,) float32
    gloss: np.ndarray  # (num_materials,) float32
    alpha_gain: np.ndarray  # (num_materials,) float32
    two_sided: np.ndarray  # (num_materials,) bool
    casts_shadow: np.ndarray  # (num_materials,) bool


def level_zero_surfaces(mesh: Mesh, materials: tuple[Material, ...], texels: np.ndarray) -> Surfaces:
    """Without pyramids, occlusion and mouth: enough to see what hides what."""
    offsets = np.zeros((len(materials), MAX_LEVELS), np.int64)
    sizes = np.ones((len(materials), MAX_LEVELS, 2), np.int32)
    offsets[:, 0] = [m.texture_offset for m in materials]
    sizes[:, 0] = [(m.texture_width, m.texture_height) for m in materials]
    column = lambda name, dtype: np.array([getattr(m, name) for m in materials], dtype)  # noqa: E731
    num_vertices = len(mesh.vertices)
    return Surfaces(
        triangles=np.ascontiguousarray(mesh.triangles, np.int32),
        uv=np.ascontiguousarray(mesh.uv, np.float32),
        uv_triangles=np.ascontiguousarray(mesh.uv_triangles, np.int32),
        triangle_material=np.ascontiguousarray(mesh.triangle_material, np.int32),
        num_opaque=int(mesh.num_opaque),
        texel_density=_texel_density(mesh, sizes[:, 0]),
        vertex_material=_vertex_material(mesh),
        occlusion=np.ones(num_vertices, np.float32),
        inner=np.zeros(num_vertices, np.float32),
        texels=np.ascontiguousarray(texels, np.uint8),
        level_offset=offsets,
        level_size=sizes,
        num_levels=np.ones(len(materials), np.int32),
        kind=np.array([KIND_CODE[m.kind] for m in materials], np.int32),
        tint=column("tint", np.float32),
        wrap=column("wrap", np.float32),
        specular=column("specular", np.float32),
        gloss=column("gloss", np.float32),
        alpha_gain=column("alpha_gain", np.float32),
        two_sided=column("two_sided", np.bool_),
        casts_shadow=column("casts_shadow", np.bool_),
    )


def person_surfaces(person: Person, inner: np.ndarray) -> Surfaces:
    """Everything the renderer needs that stays the same from frame to frame; `inner` comes from `regions.py`."""
    surfaces = level_zero_surfaces(person.mesh, person.materials, person.texels)
    texels, offsets, sizes, counts = _pyramids(person.materials, person.texels)
    material_inner = np.array([m.inner for m in person.materials], np.float32)[surfaces.vertex_material]
    return surfaces._replace(
        occlusion=_outer_occlusion(person, surfaces, inner),
        inner=np.maximum(material_inner, inner).astype(np.float32),
        texels=texels,
        level_offset=offsets,
        level_size=sizes,
        num_levels=counts,
    )


def _outer_occlusion(person: Person, surfaces: Surfaces, inner: np.ndarray) -> np.ndarray:
    """Baked occlusion, weaker for teeth and tongue and none on eyes: lips and lids move over them (`hollows.py`)."""
    occlusion = np.ascontiguousarray(person.ambient_occlusion, np.float32).copy()
    kind = surfaces.kind[surfaces.vertex_material]
    occlusion[kind == KIND_CODE["eyes"]] = 1.0
    inside = (kind == KIND_CODE["teeth"]) | (kind == KIND_CODE["tongue"]) | (inner > 0)
    occlusion[inside] = np.minimum(0.3 + 2.0 * occlusion[inside], 1.0)
    return occlusion


def _vertex_material(mesh: Mesh) -> np.ndarray:
    found = np.zeros(len(mesh.vertices), np.int32)
    found[mesh.triangles.ravel()] = np.repeat(mesh.triangle_material, 3)
    return found


def _texel_density(mesh: Mesh, sizes: np.ndarray) -> np.ndarray:
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    surface = np.linalg.norm(cross, axis=1)
    texture = mesh.uv[mesh.uv_triangles].astype(np.float64) * sizes[mesh.triangle_material][:, None, :]
    one, two = texture[:, 1] - texture[:, 0], texture[:, 2] - texture[:, 0]
    texels = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    return (0.5 * np.log2(np.maximum(texels, 1e-3) / np.maximum(surface, 1e-9))).astype(np.float32)


def _pyramids(
    materials: tuple[Material, ...], texels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.zeros((len(materials), MAX_LEVELS), np.int64)
    sizes = np.ones((len(materials), MAX_LEVELS, 2), np.int32)
    counts = np.ones(len(materials), np.int32)
    pieces: list[np.ndarray] = []
    position = 0
    for row, material in enumerate(materials):
        width, height = material.texture_width, material.texture_height
        finest = texels[material.texture_offset :][: width * height * 4].reshape(height, width, 4)
        if material.kind == "skin" and not material.transparent:
            finest = _with_relief(finest)
        for level, picture in enumerate(_levels(finest, material.transparent)):
            offsets[row, level], sizes[row, level] = position, picture.shape[1::-1]
            counts[row] = level + 1
            pieces.append(picture.reshape(-1))
            position += picture.size
    return np.concatenate(pieces), offsets, sizes, counts


def _levels(finest: np.ndarray, transparent: bool) -> list[np.ndarray]:
    levels = [np.ascontiguousarray(finest)]
    while min(levels[-1].shape[:2]) >= 2 * SMALLEST_LEVEL_PX and len(levels) < MAX_LEVELS:
        fine = levels[-1]
        size = (fine.shape[1] // 2, fine.shape[0] // 2)
        levels.append(
            _halve_transparent(fine, size) if transparent else cv2.resize(fine, size, interpolation=cv2.INTER_AREA)
        )
    return levels


def _halve_transparent(fine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Colours weigh by their alpha, or the colour under invisible texels would creep into the hair."""
    weight = fine[..., 3:].astype(np.float32) + 0.5
    total = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    colour = cv2.resize(fine[..., :3] * weight, size, interpolation=cv2.INTER_AREA) / total
    return np.concatenate([colour + 0.5, total], axis=2).clip(0, 255).astype(np.uint8)


def _with_relief(skin: np.ndarray) -> np.ndarray:
    """Alpha becomes local brightness against its surroundings: pores and wrinkles dull the shine, bumps catch it."""
    light = cv2.cvtColor(skin[..., :3], cv2.COLOR_RGB2GRAY)
    around = cv2.blur(light, (max(3, skin.shape[1] // 160) | 1,) * 2)
    relief = np.clip(RELIEF_NEUTRAL + 3 * (light.astype(np.int16) - around), 0, 255).astype(np.uint8)
    return np.dstack([skin[..., :3], relief])
