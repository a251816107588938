"""Light that varies slowly over a surface, once per vertex: diffuse light, shadow, occlusion and the sheen of hair."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numba
import numpy as np

from letstalk.synthetic.person import KIND_CODE
from letstalk.synthetic.pictures.surfaces import Surfaces

NUMBA = {"cache": True, "nogil": True, "error_model": "numpy"}
EDGE_FACING = 0.45  # cosine to the viewer down to which a normal may point away and still be on the near side
INSIDE_LIGHT = 0.45  # the inner side of hair and collars lies in the shade of the body
SKIN, HAIR = KIND_CODE["skin"], KIND_CODE["hair"]


class Lights(NamedTuple):
    """Far lights, brightest (the one with a shadow map) first, and ambient light that varies with direction."""

    direction: np.ndarray  # (num_lights, 3) float32, towards the light
    colour: np.ndarray  # (num_lights, 3) float32
    extent: np.ndarray  # (num_lights,) float32 radians, half its width: size of its reflection
    window: np.ndarray  # (num_lights,) bool: reflected as a window with a cross, not as a disc
    ambient: np.ndarray  # (4, 3) float32: constant, then the change along x, y and z


class Shot(NamedTuple):
    """One frame on its way: vertices in three spaces and what light does at each of them."""

    vertices: np.ndarray  # (num_vertices, 3) float32, world
    normals: np.ndarray  # (num_vertices, 3) float32
    screen: np.ndarray  # (num_vertices, 3) float32: pixels, pixels, 1 / distance
    light: np.ndarray  # (num_vertices, 7) float32: irradiance rgb, shadow of the key, sheen rgb
    shown: np.ndarray  # (num_vertices,) bool: the others need no light
    eye: np.ndarray  # (3,) float32, the camera
    log2_px_per_decimetre: float


@numba.njit(inline="always")
def schlick_power(cosine: float, gloss: float) -> float:
    """Schlick's stand-in for cosine ** gloss: one division, the same on every machine."""
    return cosine / (gloss - gloss * cosine + cosine)


@numba.njit(**NUMBA)
def light_vertices(
    shot: Shot, shadow: np.ndarray, reached: np.ndarray, crown: np.ndarray, surfaces: Surfaces, lights: Lights
) -> None:
    """Fills `shot.light` for the vertices that are shown.

    `shadow` (num_vertices,) is how much of the first light gets there, `reached` (num_vertices, 3) what share of all
    light enters the hollow (mouth, eye socket) in which the vertex lies. Hair grows away from the point `crown`.
    """
    vertices, normals, out = shot.vertices, shot.normals, shot.light
    for i in range(vertices.shape[0]):
        if not shot.shown[i]:
            continue
        material = surfaces.vertex_material[i]
        kind = surfaces.kind[material]
        px, py, pz = float(vertices[i, 0]), float(vertices[i, 1]), float(vertices[i, 2])
        nx, ny, nz = float(normals[i, 0]), float(normals[i, 1]), float(normals[i, 2])
        vx, vy, vz = shot.eye[0] - px, shot.eye[1] - py, shot.eye[2] - pz
        side = 1.0
        if surfaces.two_sided[material]:
            nx, ny, nz, side = _towards_viewer(nx, ny, nz, vx, vy, vz)
        sky = float(surfaces.occlusion[i])
        for c in range(3):
            ambient = lights.ambient[0, c] + lights.ambient[1, c] * nx + lights.ambient[2, c] * ny
            ambient += lights.ambient[3, c] * nz
            # Light that enters skin in the open comes out again in its folds, red most.
            bounced = sky ** (1.0 - 0.9 * float(surfaces.wrap[material, c])) if kind == SKIN else sky
            out[i, c] = max(ambient, 0.0) * bounced
            out[i, 4 + c] = 0.0
        out[i, 3] = shadow[i] * reached[i, 0]
        for k in range(lights.direction.shape[0]):
            lx, ly, lz = float(lights.direction[k, 0]), float(lights.direction[k, 1]), float(lights.direction[k, 2])
            cosine = nx * lx + ny * ly + nz * lz
            seen = float(shadow[i]) if k == 0 else 0.35 + 0.65 * sky
            for c in range(3):
                bleed = float(surfaces.wrap[material, c])
                wrap = bleed + 0.25 * float(lights.extent[k])
                diffuse = max((cosine + wrap) / (1.0 + wrap), 0.0)
                softened = seen + (sqrt(seen) - seen) * min(2.0 * bleed, 1.0)
                out[i, c] += float(lights.colour[k, c]) * softened * diffuse * diffuse ** (0.5 * wrap)
            if kind == HAIR and cosine > -0.2:
                strength = (
                    seen
                    * side
                    * _sheen(px - crown[0], py - crown[1], pz - crown[2], nx, ny, nz, vx, vy, vz, lx, ly, lz)
                )
                for c in range(3):
                    out[i, 4 + c] += float(lights.colour[k, c]) * strength
        for c in range(3):
            out[i, c] *= reached[i, c] * side


@numba.njit(inline="always")
def _towards_viewer(nx, ny, nz, vx, vy, vz):  # noqa: ANN001, ANN202
    """The normal of the side that is seen, and the share of light that reaches that side.

    Near the silhouette, where normals are averages over the edge, it is only bent: turning it round there would light
    single vertices from behind and leave a seam of black dots.
    """
    scale = 1.0 / sqrt(vx * vx + vy * vy + vz * vz + 1e-12)
    facing = (nx * vx + ny * vy + nz * vz) * scale
    if facing >= 0.0:
        return nx, ny, nz, 1.0
    if facing < -EDGE_FACING:
        return -nx, -ny, -nz, INSIDE_LIGHT
    bend = facing * scale
    return nx - bend * vx, ny - bend * vy, nz - bend * vz, 1.0


@numba.njit(inline="always")
def _sheen(gx, gy, gz, nx, ny, nz, vx, vy, vz, lx, ly, lz):  # noqa: ANN001, ANN202, PLR0913
    """Light along strands: brightest where the half vector is across the direction in which the hair grows."""
    along = gx * nx + gy * ny + gz * nz
    tx, ty, tz = gx - along * nx, gy - along * ny, gz - along * nz
    scale = 1.0 / sqrt(tx * tx + ty * ty + tz * tz + 1e-9)
    view = 1.0 / sqrt(vx * vx + vy * vy + vz * vz + 1e-9)
    hx, hy, hz = vx * view + lx, vy * view + ly, vz * view + lz
    half = 1.0 / sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
    with_strand = (tx * hx + ty * hy + tz * hz) * scale * half + 0.08  # cuticles tilt it towards the root
    return schlick_power(max(1.0 - with_strand * with_strand, 0.0), 70.0)
