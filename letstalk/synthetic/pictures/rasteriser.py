"""Which triangle is in front at every sample, and how much of the sky every vertex sees: numba kernels for one core.

One kernel serves the camera, the shadow map and the occlusion bake: all three ask only "what is nearest here?". Depth
grows towards the viewer everywhere. Screen y points down, and a triangle whose corners run counter-clockwise in space,
seen from outside, has a negative signed area on the screen.

No kernel here uses fast mathematics: without it the same person gives the same triangles on every machine, and the
labels rest on them.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import NamedTuple

import numba
import numpy as np

from letstalk.synthetic.person import Material, Mesh
from letstalk.synthetic.pictures.surfaces import Surfaces, level_zero_surfaces

EXACT = {"cache": True, "nogil": True, "error_model": "numpy"}
NOTHING = -1  # in an id buffer: no surface at this sample


class RasterRules(NamedTuple):
    """What counts as a hit."""

    for_shadow: bool  # leave out what casts no shadow
    solid_alpha: float  # 0..1: a transparent texel from here on hides what is behind it
    log2_px_per_decimetre: float  # chooses the texture level
    empty_depth: float


@numba.njit(**EXACT)
def vertex_normals(vertices: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Area-weighted unit normals, (num_vertices, 3) float32 into `out`."""
    out[:] = 0.0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ax, vertices[b, 1] - ay, vertices[b, 2] - az
        vx, vy, vz = vertices[c, 0] - ax, vertices[c, 1] - ay, vertices[c, 2] - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for i in range(out.shape[0]):
        x, y, z = out[i, 0], out[i, 1], out[i, 2]
        scale = 1.0 / sqrt(x * x + y * y + z * z + 1e-20)
        out[i, 0] = x * scale
        out[i, 1] = y * scale
        out[i, 2] = z * scale


@numba.njit(**EXACT)
def project_perspective(
    vertices: np.ndarray, rotation: np.ndarray, position: np.ndarray, lens: np.ndarray, out: np.ndarray
) -> None:
    """World to (x pixels, y pixels, 1 / distance); `lens` is (focal pixels, centre x, centre y).

    Rows of `rotation` are the camera's right, up and backward axes. Pixel (0, 0) has its centre at x = y = 0.
    """
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - position[0], vertices[i, 1] - position[1], vertices[i, 2] - position[2]
        right = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
        up = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
        backward = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
        inverse = 1.0 / max(-backward, 0.05)
        out[i, 0] = lens[1] + lens[0] * right * inverse
        out[i, 1] = lens[2] - lens[0] * up * inverse
        out[i, 2] = inverse


@numba.njit(**EXACT)
def project_parallel(
    vertices: np.ndarray, axes: np.ndarray, centre: np.ndarray, px_per_decimetre: float, size_px: int, out: np.ndarray
) -> None:
    """World to a square depth map seen from a far light; rows of `axes`: right, up, direction to the light."""
    middle = 0.5 * (size_px - 1)
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - centre[0], vertices[i, 1] - centre[1], vertices[i, 2] - centre[2]
        out[i, 0] = middle + px_per_decimetre * (axes[0, 0] * x + axes[0, 1] * y + axes[0, 2] * z)
        out[i, 1] = middle - px_per_decimetre * (axes[1, 0] * x + axes[1, 1] * y + axes[1, 2] * z)
        out[i, 2] = axes[2, 0] * x + axes[2, 1] * y + axes[2, 2] * z


@numba.njit(inline="always")
def texture_level(surfaces: Surfaces, triangle: int, material: int, log2_px_per_decimetre: float) -> int:
    """The pyramid level whose texels are about one pixel wide."""
    level = int(surfaces.texel_density[triangle] - log2_px_per_decimetre + 0.5)
    return min(max(level, 0), surfaces.num_levels[material] - 1)


@numba.njit(inline="always")
def nearest_texel(surfaces: Surfaces, material: int, level: int, u: float, v: float) -> int:
    """Index of the first byte of a texel. Textures end at their border: u and v are clamped, not wrapped."""
    width, height = surfaces.level_size[material, level, 0], surfaces.level_size[material, level, 1]
    column = min(max(int(u * width), 0), width - 1)
    row = min(max(int((1.0 - v) * height), 0), height - 1)
    return surfaces.level_offset[material, level] + (row * width + column) * 4


@numba.njit(**EXACT)
def rasterise(points: np.ndarray, surfaces: Surfaces, rules: RasterRules, depth: np.ndarray, ids: np.ndarray) -> None:
    """Nearest surface at every sample of `depth` (height, width) float32 and `ids` (height, width) int32.

    `points` (num_vertices, 3): column, row (in samples) and depth. Opaque triangles hit everywhere, transparent ones
    only where their texture is solid.
    """
    height, width = depth.shape
    depth[:] = rules.empty_depth
    ids[:] = NOTHING
    for t in range(surfaces.triangles.shape[0]):
        material = surfaces.triangle_material[t]
        if rules.for_shadow and not surfaces.casts_shadow[material]:
            continue
        a, b, c = surfaces.triangles[t, 0], surfaces.triangles[t, 1], surfaces.triangles[t, 2]
        ax, ay, bx, by = float(points[a, 0]), float(points[a, 1]), float(points[b, 0]), float(points[b, 1])
        cx, cy = float(points[c, 0]), float(points[c, 1])
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9 or (area > 0.0 and not surfaces.two_sided[material]):
            continue
        x0, x1 = max(ceil(min(ax, bx, cx)), 0), min(floor(max(ax, bx, cx)), width - 1)
        y0, y1 = max(ceil(min(ay, by, cy)), 0), min(floor(max(ay, by, cy)), height - 1)
        if x1 < x0 or y1 < y0:
            continue
        see_through = t >= surfaces.num_opaque
        level = texture_level(surfaces, t, material, rules.log2_px_per_decimetre)
        threshold = 255.0 * rules.solid_alpha / surfaces.alpha_gain[material]
        i, j, k = surfaces.uv_triangles[t, 0], surfaces.uv_triangles[t, 1], surfaces.uv_triangles[t, 2]
        za, zb, zc = float(points[a, 2]), float(points[b, 2]), float(points[c, 2])
        inverse = 1.0 / area
        step_a, step_b = (by - cy) * inverse, (cy - ay) * inverse
        for y in range(y0, y1 + 1):
            wa = ((bx - x0) * (cy - y) - (cx - x0) * (by - y)) * inverse
            wb = ((cx - x0) * (ay - y) - (ax - x0) * (cy - y)) * inverse
            for x in range(x0, x1 + 1):
                wc = 1.0 - wa - wb
                if wa >= -1e-7 and wb >= -1e-7 and wc >= -1e-7:
                    z = wa * za + wb * zb + wc * zc
                    if z > depth[y, x]:
                        solid = True
                        if see_through:
                            u = wa * surfaces.uv[i, 0] + wb * surfaces.uv[j, 0] + wc * surfaces.uv[k, 0]
                            v = wa * surfaces.uv[i, 1] + wb * surfaces.uv[j, 1] + wc * surfaces.uv[k, 1]
                            texel = nearest_texel(surfaces, material, level, u, v)
                            solid = surfaces.texels[texel + 3] >= threshold
                        if solid:
                            depth[y, x] = z
                            ids[y, x] = t
                wa += step_a
                wb += step_b


@numba.njit(**EXACT)
def mark_shown(ids: np.ndarray, surfaces: Surfaces, shown: np.ndarray) -> None:
    """`shown` (num_vertices,) bool: corners of what `rasterise` found, and of every transparent triangle."""
    shown[:] = False
    last = NOTHING
    for y in range(ids.shape[0]):
        for x in range(ids.shape[1]):
            t = ids[y, x]
            if t != last and t != NOTHING:
                for k in range(3):
                    shown[surfaces.triangles[t, k]] = True
            last = t
    for t in range(surfaces.num_opaque, surfaces.triangles.shape[0]):
        for k in range(3):
            shown[surfaces.triangles[t, k]] = True


@numba.njit(**EXACT)
def soft_shadow(
    points: np.ndarray, facing: np.ndarray, depth: np.ndarray, radius_px: float, bias: float, out: np.ndarray
) -> None:
    """How much of a soft light every vertex sees, 0..1 into `out`, from 5 x 5 looks into its depth map.

    `facing` (num_vertices,) is the cosine to the light: vertices that look away are dark by themselves and keep 1.
    """
    size = depth.shape[0]
    for i in range(points.shape[0]):
        out[i] = 1.0
        if facing[i] < -0.4:
            continue
        lit = 0.0
        level = points[i, 2] + bias
        for v in range(-2, 3):
            row = min(max(int(points[i, 1] + 0.5 * v * radius_px + 0.5), 0), size - 1)
            for u in range(-2, 3):
                column = min(max(int(points[i, 0] + 0.5 * u * radius_px + 0.5), 0), size - 1)
                if level >= depth[row, column]:
                    lit += 1.0
        out[i] = lit * 0.04


@numba.njit(**EXACT)
def _accumulate_sky(
    points: np.ndarray,
    normals: np.ndarray,
    direction: np.ndarray,
    depth: np.ndarray,
    bias: float,
    seen: np.ndarray,
    total: np.ndarray,
) -> None:
    size = depth.shape[0]
    for i in range(points.shape[0]):
        cosine = normals[i, 0] * direction[0] + normals[i, 1] * direction[1] + normals[i, 2] * direction[2]
        if cosine <= 0.02:
            continue
        column = min(max(int(points[i, 0] + 0.5), 0), size - 1)
        row = min(max(int(points[i, 1] + 0.5), 0), size - 1)
        total[i] += cosine
        if points[i, 2] + bias >= depth[row, column]:
            seen[i] += cosine


def look_along(direction: np.ndarray) -> np.ndarray:
    """Rows right, up and `direction` of a viewer out there who looks back at us; (3, 3) float64."""
    forward = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.95 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def bake_ambient_occlusion(
    vertices: np.ndarray,
    mesh: Mesh,
    materials: tuple[Material, ...],
    texels: np.ndarray,
    num_directions: int = 48,
    size_px: int = 128,
) -> np.ndarray:
    """Share of the sky above every vertex that nothing hides, (num_vertices,) float32 0..1.

    `vertices` is the pose to bake, best with the lips a little apart: light enters a mouth only when it is open, which
    the shading adds for teeth and tongue by itself.
    """
    surfaces = level_zero_surfaces(mesh, materials, texels)
    vertices = np.ascontiguousarray(vertices, np.float32)
    normals, points = np.empty_like(vertices), np.empty_like(vertices)
    vertex_normals(vertices, surfaces.triangles, normals)
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    centre = 0.5 * (low + high)
    px_per_decimetre = size_px / (1.02 * float(np.linalg.norm(high - low)) + 1e-6)
    bias = 1.6 / px_per_decimetre  # a texel and a half: less and a slope shades itself
    rules = RasterRules(True, 0.5, float(np.log2(px_per_decimetre)), -1e9)
    depth, ids = np.empty((size_px, size_px), np.float32), np.empty((size_px, size_px), np.int32)
    seen, total = np.zeros(len(vertices), np.float32), np.zeros(len(vertices), np.float32)
    golden = np.pi * (1.0 + np.sqrt(5.0))
    for index in range(num_directions):
        height = 1.0 - 2.0 * (index + 0.5) / num_directions
        ring = np.sqrt(1.0 - height * height)
        direction = np.array([ring * np.cos(golden * index), height, ring * np.sin(golden * index)])
        project_parallel(vertices, look_along(direction), centre, px_per_decimetre, size_px, points)
        rasterise(points, surfaces, rules, depth, ids)
        _accumulate_sky(points, normals, direction, depth, bias, seen, total)
    return np.clip(seen / np.maximum(total, 1e-3), 0.0, 1.0)
