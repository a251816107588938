"""Small meshes and performances that the tests of pictures and labels share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from letstalk.synthetic.controls import UNIT_INDEX, Performance, still_performance
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.person import Material, Mesh
from letstalk.synthetic.pictures.renderer import Frame, PreparedPerson, Renderer


def mesh_of(vertices: np.ndarray, triangles: np.ndarray, num_opaque: int | None = None) -> Mesh:
    """All triangles of one material, textured by x and y of the vertices (0..1)."""
    count = len(triangles)
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=triangles.astype(np.int32),
        uv=np.clip(vertices[:, :2], 0, 1).astype(np.float32),
        uv_triangles=triangles.astype(np.int32),
        triangle_material=np.zeros(count, np.int32),
        num_opaque=count if num_opaque is None else num_opaque,
    )


def plain_material(**changes: object) -> tuple[tuple[Material, ...], np.ndarray]:
    """One 4 x 4 material and its grey texels."""
    material = Material(kind="clothes", texture_offset=0, texture_width=4, texture_height=4)
    return (replace(material, **changes),), np.full(4 * 4 * 4, 255, np.uint8)


def grid_mesh(cells: int, jitter: float = 0.0, seed: int = 0) -> Mesh:
    """The unit square in z = 0, facing +z, cut into 2 * cells^2 triangles with shaken inner vertices."""
    along = np.linspace(0, 1, cells + 1)
    x, y = np.meshgrid(along, along)
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    inner = (vertices[:, :2] > 0.01).all(axis=1) & (vertices[:, :2] < 0.99).all(axis=1)
    shake = np.random.default_rng(seed).uniform(-jitter, jitter, (len(vertices), 2)) / cells
    vertices[inner, :2] += shake[inner]
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)[None, :]).ravel()
    lower = np.stack([corner, corner + 1, corner + cells + 2], axis=1)
    upper = np.stack([corner, corner + cells + 2, corner + cells + 1], axis=1)
    return mesh_of(vertices, np.concatenate([lower, upper]))


def sphere_mesh(rings: int = 24, segments: int = 32) -> Mesh:
    """Unit sphere round the origin, triangles counter-clockwise seen from outside."""
    polar, around = np.linspace(0, np.pi, rings + 1), 2 * np.pi * np.arange(segments) / segments
    p, a = np.meshgrid(polar, around, indexing="ij")
    vertices = np.stack([np.sin(p) * np.sin(a), np.cos(p), np.sin(p) * np.cos(a)], axis=-1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rings), np.arange(segments), indexing="ij")
    here, right = row * segments + column, row * segments + (column + 1) % segments
    quads = np.stack([here, here + segments, right + segments, here, right + segments, right], axis=-1).reshape(-1, 3)
    return mesh_of(vertices, quads)


def turning_performance(num_frames: int, yaw: float = 0.3, pitch: float = 0.08, jaw: float = 0.7) -> Performance:
    """Turns the head and opens the mouth, from rest with closed lips on."""
    share = np.linspace(0, 1, num_frames, dtype=np.float32)
    still = still_performance(num_frames)
    expression = still.expression.copy()
    expression[:, UNIT_INDEX["mouth-open"]] = jaw * share
    rotation = share[:, None] * np.array([pitch, yaw, 0.03], np.float32)
    return replace(still, expression=expression, head_rotation=rotation, lip_seal=(1 - share) ** 4)


def draw(renderer: Renderer, performance: Performance, frame_index: int) -> Frame:
    prepared: PreparedPerson = renderer.prepared
    return renderer.draw(pose_vertices(prepared.person, performance, frame_index), frame_index)
