"""Parts of a person, each a small mesh with one texture, and how they become one `Mesh`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from letstalk.synthetic.person import Material, Mesh

# How each kind of surface takes light. Colours and textures come on top.
SURFACES: dict[str, dict[str, object]] = {
    "skin": {"wrap": (0.35, 0.14, 0.09), "specular": 0.16, "gloss": 16.0},
    "eyes": {"wrap": (0.4, 0.4, 0.4), "specular": 1.2, "gloss": 90.0},
    "teeth": {"wrap": (0.5, 0.45, 0.4), "specular": 0.3, "gloss": 30.0, "inner": 0.75},
    "tongue": {"wrap": (0.5, 0.28, 0.24), "specular": 0.3, "gloss": 22.0, "inner": 0.75},
    "clothes": {"wrap": (0.1, 0.1, 0.1), "specular": 0.03, "gloss": 8.0, "two_sided": True},
    "brow": {"wrap": (0.5, 0.5, 0.5), "specular": 0.0, "two_sided": True, "transparent": True, "casts_shadow": False},
    "lash": {"wrap": (0.3, 0.3, 0.3), "specular": 0.0, "two_sided": True, "transparent": True, "casts_shadow": False},
    "hair": {
        "wrap": (0.35, 0.35, 0.35), "specular": 0.1, "gloss": 12.0, "two_sided": True, "transparent": True,
        "alpha_gain": 1.25,
    },
    "glasses": {"wrap": (0.05, 0.05, 0.05), "specular": 0.6, "gloss": 60.0, "two_sided": True},
    "lens": {
        "wrap": (0.0, 0.0, 0.0), "specular": 0.8, "gloss": 200.0, "two_sided": True, "transparent": True,
        "casts_shadow": False,
    },
    "jewellery": {"wrap": (0.05, 0.05, 0.05), "specular": 1.0, "gloss": 80.0, "two_sided": True},
    "hat": {"wrap": (0.15, 0.15, 0.15), "specular": 0.02, "gloss": 6.0, "two_sided": True},
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One mesh. `reference` and `weights` bind it to base vertices, whose motion it inherits unless it is rigid."""

    kind: str
    positions: np.ndarray  # (n, 3) float32
    triangles: np.ndarray  # (t, 3) int32
    uv: np.ndarray  # (m, 2) float32
    uv_triangles: np.ndarray  # (t, 3) int32
    texture: np.ndarray  # (height, width, 4) uint8
    reference: np.ndarray  # (n, 3) int32 base vertices
    weights: np.ndarray  # (n, 3) float32
    rigid: bool = False  # moves with the head as a whole, never with the face
    surface: dict[str, object] | None = None  # overrides of SURFACES[kind]
    shares_vertices: bool = False  # has those of the part before it, so that light runs smoothly over their border


def rigid_part(kind: str, positions: np.ndarray, triangles: np.ndarray, texture: np.ndarray, **surface: object) -> Part:
    """A part made by code (glasses, hat, earring) that rides on the head; all of it takes the middle texel."""
    count = len(positions)
    triangles = np.asarray(triangles, np.int32)
    return Part(
        kind, np.asarray(positions, np.float32), triangles, np.full((count, 2), 0.5, np.float32), triangles, texture,
        np.zeros((count, 3), np.int32), np.zeros((count, 3), np.float32), rigid=True, surface=surface,
    )  # fmt: skip


def flat_texture(colour: tuple[float, ...] | np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """2x2 texture of one sRGB colour (0..1)."""
    rgba = np.array([*np.clip(np.asarray(colour, np.float64)[:3], 0, 1), alpha])
    return np.full((2, 2, 4), np.round(rgba * 255), np.uint8)


@dataclass(frozen=True)
class Joined:
    """All parts in one list of vertices."""

    mesh: Mesh
    materials: tuple[Material, ...]
    texels: np.ndarray
    reference: np.ndarray  # (n, 3)
    weights: np.ndarray  # (n, 3)
    rigid: np.ndarray  # (n,) bool
    vertex_part: np.ndarray  # (n,) int32
    first_vertex: tuple[int, ...]  # of each part

    def vertices_of(self, parts: list[Part], kind: str) -> np.ndarray:
        wanted = [index for index, part in enumerate(parts) if part.kind == kind]
        return np.flatnonzero(np.isin(self.vertex_part, wanted))


def join_parts(parts: list[Part]) -> Joined:
    """Concatenates parts; triangles of transparent ones go to the end, as the renderer wants them."""
    materials, texels, triangles, uv_triangles, owner = [], [], [], [], []
    first_vertex, num_vertices, num_uv, offset = [], 0, 0, 0
    for index, part in enumerate(parts):
        height, width = part.texture.shape[:2]
        surface = {**SURFACES[part.kind], **(part.surface or {})}
        materials.append(Material(part.kind, offset, width, height, **surface))  # type: ignore[arg-type]
        texels.append(np.ascontiguousarray(part.texture).reshape(-1))
        offset += part.texture.size
        first_vertex.append(first_vertex[-1] if part.shares_vertices else num_vertices)
        triangles.append(part.triangles + first_vertex[-1])
        uv_triangles.append(part.uv_triangles + num_uv)
        owner.append(np.full(len(part.triangles), index, np.int32))
        num_vertices = first_vertex[-1] + len(part.positions)
        num_uv += len(part.uv)
    own = [part for part in parts if not part.shares_vertices]
    part_of = np.array([index for index, part in enumerate(parts) if not part.shares_vertices])
    material = np.concatenate(owner)
    is_transparent = np.array([item.transparent for item in materials])[material]
    order = np.argsort(is_transparent, kind="stable")
    mesh = Mesh(
        np.ascontiguousarray(np.concatenate([part.positions for part in own]), np.float32),
        np.ascontiguousarray(np.concatenate(triangles)[order], np.int32),
        np.ascontiguousarray(np.concatenate([part.uv for part in parts]), np.float32),
        np.ascontiguousarray(np.concatenate(uv_triangles)[order], np.int32),
        np.ascontiguousarray(material[order]),
        int((~is_transparent).sum()),
    )
    sizes = [len(part.positions) for part in own]
    return Joined(
        mesh, tuple(materials), np.concatenate(texels),
        np.concatenate([part.reference for part in own]).astype(np.int32),
        np.concatenate([part.weights for part in own]).astype(np.float32),
        np.repeat([part.rigid for part in own], sizes), np.repeat(part_of, sizes).astype(np.int32),
        tuple(first_vertex),
    )  # fmt: skip


def drop_below(part: Part, height: float) -> Part:
    """Without what lies wholly below a height: no portrait shows it, and every frame would pay for it."""
    keep = (part.positions[part.triangles][..., 1] > height).any(1)
    triangles, uv_triangles = part.triangles[keep], part.uv_triangles[keep]
    used, where = np.unique(triangles, return_inverse=True)
    used_uv, where_uv = np.unique(uv_triangles, return_inverse=True)
    return replace(
        part, positions=part.positions[used], triangles=where.reshape(-1, 3).astype(np.int32), uv=part.uv[used_uv],
        uv_triangles=where_uv.reshape(-1, 3).astype(np.int32), reference=part.reference[used],
        weights=part.weights[used],
    )  # fmt: skip
