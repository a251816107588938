"""How surfaces take light: numba kernels from visible triangles to linear colour.

Light that varies slowly (diffuse, shadow, occlusion) is computed once per vertex; what varies fast (texture, shine)
once per pixel and surface. The four visibility samples of a pixel that show the same surface share one shading; eyes
are shaded at every sample because their highlights are smaller than a pixel. Hair and other see-through surfaces are
blended from far to near at one fragment per pixel, weighed by the samples at which they are in front.
"""

from __future__ import annotations

from math import ceil, exp, floor, sqrt
from typing import NamedTuple

import numba
import numpy as np

from letstalk.synthetic.person import KIND_CODE
from letstalk.synthetic.rasteriser import NOTHING, texture_level
from letstalk.synthetic.surfaces import RELIEF_NEUTRAL, Surfaces

NUMBA = {"cache": True, "nogil": True, "error_model": "numpy"}
SKIN, EYES, HAIR = KIND_CODE["skin"], KIND_CODE["eyes"], KIND_CODE["hair"]
LENS, CORNEA = KIND_CODE["lens"], KIND_CODE["cornea"]
SAMPLES = 2  # visibility samples per pixel and axis
SAME_SURFACE = 0.02  # samples of one material whose distances differ by less share one shading
LABEL_ALPHA = 0.5  # a see-through fragment from here on owns the pixel in the labels


class Lights(NamedTuple):
    """Far lights, brightest (the one with a shadow map) first, and ambient light that varies with direction."""

    direction: np.ndarray  # (num_lights, 3) float32, towards the light
    colour: np.ndarray  # (num_lights, 3) float32
    extent: np.ndarray  # (num_lights,) float32 radians, half its width: size of its reflection
    window: np.ndarray  # (num_lights,) bool: reflected as a window with a cross, not as a disc
    ambient: np.ndarray  # (4, 3) float32: constant, then the change along x, y and z


class Mouth(NamedTuple):
    """What reaches into the mouth falls off behind the lips, slower the wider they are open."""

    centre: np.ndarray  # (3,) float32, between the lips
    forward: np.ndarray  # (3,) float32, unit
    reach: float  # decimetres; 0 or less: light everywhere


class Look(NamedTuple):
    """How the shading is stylised; `photo()` of `stylise.py` changes nothing."""

    shine: float  # scales every highlight
    bands: int  # steps of light, 0 for smooth
    texture_blur: float  # levels added to the texture: drawings have flat colours
    sheen_across_hair: float  # strength of the ring of light on hair


class Shot(NamedTuple):
    """One frame on its way: vertices in three spaces and what light does at each of them."""

    vertices: np.ndarray  # (num_vertices, 3) float32, world
    normals: np.ndarray  # (num_vertices, 3) float32
    screen: np.ndarray  # (num_vertices, 3) float32: pixels, pixels, 1 / distance
    light: np.ndarray  # (num_vertices, 7) float32: irradiance rgb, shadow of the key, sheen rgb
    eye: np.ndarray  # (3,) float32, the camera
    log2_px_per_decimetre: float


class Canvas(NamedTuple):
    """Buffers of a picture of `size` pixels; the first two have SAMPLES times as many rows and columns."""

    depth: np.ndarray  # float32, 1 / distance, 0 where nothing is
    ids: np.ndarray  # int32, triangle
    colour: np.ndarray  # (size, size, 3) float32 linear light; holds the background before shading
    cover: np.ndarray  # (size, size) float32 0..1, how much of the pixel is person
    label_ids: np.ndarray  # (size, size) int32, the triangle that owns the pixel
    label_depth: np.ndarray  # (size, size) float32


@numba.njit(inline="always")
def _power(cosine: float, gloss: float) -> float:
    """Schlick's stand-in for cosine ** gloss: one division, the same on every machine."""
    return cosine / (gloss - gloss * cosine + cosine)


@numba.njit(inline="always")
def _fresnel(cosine: float) -> float:
    rest = 1.0 - min(max(cosine, 0.0), 1.0)
    square = rest * rest
    return square * square * rest


@numba.njit(**NUMBA)
def light_vertices(
    shot: Shot, shadow: np.ndarray, crown: np.ndarray, surfaces: Surfaces, lights: Lights, mouth: Mouth
) -> None:
    """Fills `shot.light`. `crown` is the point that hair grows away from, for its highlights."""
    vertices, normals, out = shot.vertices, shot.normals, shot.light
    for i in range(vertices.shape[0]):
        material = surfaces.vertex_material[i]
        kind = surfaces.kind[material]
        px, py, pz = float(vertices[i, 0]), float(vertices[i, 1]), float(vertices[i, 2])
        nx, ny, nz = float(normals[i, 0]), float(normals[i, 1]), float(normals[i, 2])
        vx, vy, vz = shot.eye[0] - px, shot.eye[1] - py, shot.eye[2] - pz
        if surfaces.two_sided[material] and nx * vx + ny * vy + nz * vz < 0.0:
            nx, ny, nz = -nx, -ny, -nz
        open_sky = float(surfaces.occlusion[i])
        inside = float(surfaces.inner[i])
        reached = 1.0
        if inside > 0.0 and mouth.reach > 0.0:
            behind = (mouth.centre[0] - px) * mouth.forward[0] + (mouth.centre[1] - py) * mouth.forward[1]
            behind += (mouth.centre[2] - pz) * mouth.forward[2]
            reached = 1.0 - inside * (1.0 - 0.85 * exp(-max(behind, 0.0) / mouth.reach))
            open_sky = open_sky * (1.0 - inside) + inside * reached
        for c in range(3):
            up = (
                lights.ambient[0, c] + lights.ambient[1, c] * nx + lights.ambient[2, c] * ny + lights.ambient[3, c] * nz
            )
            bounced = open_sky if kind != SKIN else open_sky ** (1.0 - 0.9 * float(surfaces.wrap[material, c]))
            out[i, c] = max(up, 0.0) * bounced
            out[i, 4 + c] = 0.0
        out[i, 3] = shadow[i] * reached
        for k in range(lights.direction.shape[0]):
            lx, ly, lz = float(lights.direction[k, 0]), float(lights.direction[k, 1]), float(lights.direction[k, 2])
            cosine = nx * lx + ny * ly + nz * lz
            seen = float(shadow[i]) if k == 0 else 0.35 + 0.65 * open_sky
            for c in range(3):
                wrap = float(surfaces.wrap[material, c]) + 0.25 * float(lights.extent[k])
                diffuse = max((cosine + wrap) / (1.0 + wrap), 0.0)
                bled = seen + (sqrt(seen) - seen) * min(2.0 * float(surfaces.wrap[material, c]), 1.0)
                out[i, c] += float(lights.colour[k, c]) * bled * diffuse * diffuse ** (0.5 * wrap) * reached
            if kind == HAIR and cosine > -0.2:
                _add_sheen(
                    out[i],
                    px - crown[0],
                    py - crown[1],
                    pz - crown[2],
                    nx,
                    ny,
                    nz,
                    vx,
                    vy,
                    vz,
                    lx,
                    ly,
                    lz,
                    seen,
                    lights.colour[k],
                )


@numba.njit(inline="always")
def _add_sheen(out, gx, gy, gz, nx, ny, nz, vx, vy, vz, lx, ly, lz, seen, colour):  # noqa: ANN001, ANN202, PLR0913
    """Light along strands: brightest where the half vector is across the direction in which the hair grows."""
    along = gx * nx + gy * ny + gz * nz
    tx, ty, tz = gx - along * nx, gy - along * ny, gz - along * nz
    scale = 1.0 / sqrt(tx * tx + ty * ty + tz * tz + 1e-9)
    view = 1.0 / sqrt(vx * vx + vy * vy + vz * vz + 1e-9)
    hx, hy, hz = vx * view + lx, vy * view + ly, vz * view + lz
    half = 1.0 / sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
    with_strand = (tx * hx + ty * hy + tz * hz) * scale * half + 0.08  # cuticles tilt it towards the root
    across = max(1.0 - with_strand * with_strand, 0.0)
    strength = _power(across, 24.0) * seen
    for c in range(3):
        out[4 + c] += colour[c] * strength


@numba.njit(inline="always")
def _fetch(surfaces: Surfaces, material: int, level: int, u: float, v: float):  # noqa: ANN202
    """Bilinear texel as four numbers 0..255, clamped at the border."""
    width, height = surfaces.level_size[material, level, 0], surfaces.level_size[material, level, 1]
    x, y = u * width - 0.5, (1.0 - v) * height - 0.5
    left, top = floor(x), floor(y)
    fx, fy = x - left, y - top
    x0, x1 = min(max(left, 0), width - 1), min(max(left + 1, 0), width - 1)
    y0, y1 = min(max(top, 0), height - 1), min(max(top + 1, 0), height - 1)
    start = surfaces.level_offset[material, level]
    a, b = start + (y0 * width + x0) * 4, start + (y0 * width + x1) * 4
    c, d = start + (y1 * width + x0) * 4, start + (y1 * width + x1) * 4
    wa, wb, wc, wd = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    t = surfaces.texels
    return (
        t[a] * wa + t[b] * wb + t[c] * wc + t[d] * wd,
        t[a + 1] * wa + t[b + 1] * wb + t[c + 1] * wc + t[d + 1] * wd,
        t[a + 2] * wa + t[b + 2] * wb + t[c + 2] * wc + t[d + 2] * wd,
        t[a + 3] * wa + t[b + 3] * wb + t[c + 3] * wc + t[d + 3] * wd,
    )


@numba.njit(inline="always")
def _mirror(lights: Lights, c: int, rx: float, ry: float, rz: float, shadow: float) -> float:
    """Colour `c` of what a wet or glassy surface reflects from direction r: the room, and the shapes of the lights."""
    room = lights.ambient[0, c] + lights.ambient[1, c] * rx + lights.ambient[2, c] * ry + lights.ambient[3, c] * rz
    total = max(room, 0.0) * 0.6
    for k in range(lights.direction.shape[0]):
        lx, ly, lz = float(lights.direction[k, 0]), float(lights.direction[k, 1]), float(lights.direction[k, 2])
        towards = rx * lx + ry * ly + rz * lz
        if towards < 0.5:
            continue
        flat = sqrt(lx * lx + lz * lz) + 1e-6
        across = (rx * lz - rz * lx) / flat
        upward = ry * flat - ly * (rx * lx + rz * lz) / flat
        extent = float(lights.extent[k])
        if lights.window[k]:
            outside = max(abs(across) - 0.8 * extent, abs(upward) - extent)
            bar = min(abs(across), abs(upward)) - 0.08 * extent
            outside = max(outside, -bar)
        else:
            outside = sqrt(across * across + upward * upward) - extent
        edge = min(max(0.5 - outside / 0.05, 0.0), 1.0)
        seen = 0.3 + 0.7 * shadow if k == 0 else 0.7
        total += edge * seen * float(lights.colour[k, c]) * min(0.9 / (extent * extent + 0.02), 22.0)
    return total


@numba.njit(inline="always")
def _corner_weights(shot: Shot, a: int, b: int, c: int, x: float, y: float):  # noqa: ANN202
    """Perspective-correct weights at a pixel position that may lie a little outside the triangle."""
    ax, ay, bx, by = (
        float(shot.screen[a, 0]),
        float(shot.screen[a, 1]),
        float(shot.screen[b, 0]),
        float(shot.screen[b, 1]),
    )
    cx, cy = float(shot.screen[c, 0]), float(shot.screen[c, 1])
    inverse = 1.0 / ((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))
    wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
    wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
    wa, wb = min(max(wa, -0.2), 1.2), min(max(wb, -0.2), 1.2)
    wc = min(max(1.0 - wa - wb, -0.2), 1.2)
    wa, wb, wc = wa * shot.screen[a, 2], wb * shot.screen[b, 2], wc * shot.screen[c, 2]
    scale = 1.0 / (wa + wb + wc)
    return wa * scale, wb * scale, wc * scale


@numba.njit(inline="always")
def _stepped(value: float, bands: int) -> float:
    """Light in `bands` flat steps with narrow soft edges between them."""
    scaled = min(value, 1.6) * bands / 1.6
    step = floor(scaled)
    edge = min(max((scaled - step - 0.92) / 0.08, 0.0), 1.0)
    return (step + edge + 0.5) * 1.6 / bands


@numba.njit(**NUMBA)
def shade_fragment(triangle, x, y, shot, surfaces, lights, look, out):  # noqa: ANN001, ANN201, PLR0913
    """Linear colour and alpha of one surface at one pixel position, into `out` (4,) float64."""
    material = surfaces.triangle_material[triangle]
    kind = surfaces.kind[material]
    a, b, c = surfaces.triangles[triangle, 0], surfaces.triangles[triangle, 1], surfaces.triangles[triangle, 2]
    wa, wb, wc = _corner_weights(shot, a, b, c, x, y)
    i, j, k = surfaces.uv_triangles[triangle, 0], surfaces.uv_triangles[triangle, 1], surfaces.uv_triangles[triangle, 2]
    u = wa * surfaces.uv[i, 0] + wb * surfaces.uv[j, 0] + wc * surfaces.uv[k, 0]
    v = wa * surfaces.uv[i, 1] + wb * surfaces.uv[j, 1] + wc * surfaces.uv[k, 1]
    level = texture_level(surfaces, triangle, material, shot.log2_px_per_decimetre - look.texture_blur)
    red, green, blue, alpha = _fetch(surfaces, material, level, u, v)
    light = shot.light
    lit_r = wa * light[a, 0] + wb * light[b, 0] + wc * light[c, 0]
    lit_g = wa * light[a, 1] + wb * light[b, 1] + wc * light[c, 1]
    lit_b = wa * light[a, 2] + wb * light[b, 2] + wc * light[c, 2]
    if look.bands > 0:
        grey = max((lit_r + lit_g + lit_b) / 3.0, 1e-4)
        scale = _stepped(grey, look.bands) / grey
        lit_r, lit_g, lit_b = lit_r * scale, lit_g * scale, lit_b * scale
    norm = 1.0 / 65025.0
    out[0] = lit_r * red * red * norm * surfaces.tint[material, 0]
    out[1] = lit_g * green * green * norm * surfaces.tint[material, 1]
    out[2] = lit_b * blue * blue * norm * surfaces.tint[material, 2]
    out[3] = min(alpha * surfaces.alpha_gain[material] / 255.0, 1.0)
    if kind == HAIR:
        strand = look.sheen_across_hair * surfaces.specular[material] * (0.15 + (red + green + blue) / 255.0)
        for q in range(3):
            out[q] += strand * (wa * light[a, 4 + q] + wb * light[b, 4 + q] + wc * light[c, 4 + q])
    elif surfaces.specular[material] > 0.0 and look.shine > 0.0:
        _add_shine(shot, surfaces, lights, look, material, (a, b, c), (wa, wb, wc), alpha, out)


@numba.njit(**NUMBA)
def _add_shine(shot, surfaces, lights, look, material, corners, weights, relief, out):  # noqa: ANN001, ANN202, PLR0913
    kind = surfaces.kind[material]
    a, b, c = corners
    wa, wb, wc = weights
    normals, vertices = shot.normals, shot.vertices
    nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
    ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
    nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
    scale = 1.0 / sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
    nx, ny, nz = nx * scale, ny * scale, nz * scale
    vx = shot.eye[0] - (wa * vertices[a, 0] + wb * vertices[b, 0] + wc * vertices[c, 0])
    vy = shot.eye[1] - (wa * vertices[a, 1] + wb * vertices[b, 1] + wc * vertices[c, 1])
    vz = shot.eye[2] - (wa * vertices[a, 2] + wb * vertices[b, 2] + wc * vertices[c, 2])
    scale = 1.0 / sqrt(vx * vx + vy * vy + vz * vz + 1e-12)
    vx, vy, vz = vx * scale, vy * scale, vz * scale
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0.0 and surfaces.two_sided[material]:
        nx, ny, nz, facing = -nx, -ny, -nz, -facing
    shadow = wa * shot.light[a, 3] + wb * shot.light[b, 3] + wc * shot.light[c, 3]
    grazing = _fresnel(facing)
    strength = look.shine * surfaces.specular[material]
    if kind in (EYES, LENS, CORNEA):
        rx, ry, rz = 2.0 * facing * nx - vx, 2.0 * facing * ny - vy, 2.0 * facing * nz - vz
        reflected = 0.035 + 0.5 * grazing
        if kind != EYES:  # a reflection adds to what is seen through the glass, so the blending must not weaken it
            out[3] = max(out[3], 0.02)
            strength /= out[3]
        for q in range(3):
            out[q] += reflected * strength * _mirror(lights, q, rx, ry, rz, shadow)
        return
    gloss = float(surfaces.gloss[material])
    if kind == SKIN:
        strength *= max(1.0 + 2.2 * (relief - RELIEF_NEUTRAL) / 128.0, 0.1)
    for k in range(lights.direction.shape[0]):
        lx, ly, lz = float(lights.direction[k, 0]), float(lights.direction[k, 1]), float(lights.direction[k, 2])
        cosine = nx * lx + ny * ly + nz * lz
        if cosine <= 0.0:
            continue
        hx, hy, hz = vx + lx, vy + ly, vz + lz
        half = (nx * hx + ny * hy + nz * hz) / sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
        if half < 0.3:
            continue
        broad = _power(half, gloss) * (gloss + 4.0)
        sharp = _power(half, 3.5 * gloss) * (3.5 * gloss + 4.0)
        lobe = (0.65 * broad + 0.35 * sharp) * (0.022 + 0.3 * grazing) * min(3.0 * cosine, 1.0)
        lobe *= strength * (shadow if k == 0 else 0.5 + 0.5 * shadow)
        for q in range(3):
            out[q] += lobe * float(lights.colour[k, q])


@numba.njit(**NUMBA)
def shade_solid(canvas: Canvas, shot: Shot, surfaces: Surfaces, lights: Lights, look: Look) -> None:
    """Colours what `rasterise` found, over the background that `canvas.colour` holds; fills cover and labels."""
    size = canvas.colour.shape[0]
    share = 1.0 / (SAMPLES * SAMPLES)
    tone = np.empty(4, np.float64)
    ids = np.empty(SAMPLES * SAMPLES, np.int32)
    depths = np.empty(SAMPLES * SAMPLES, np.float64)
    for row in range(size):
        for column in range(size):
            found = 0
            for s in range(SAMPLES * SAMPLES):
                y, x = row * SAMPLES + s // SAMPLES, column * SAMPLES + s % SAMPLES
                ids[s] = canvas.ids[y, x]
                depths[s] = canvas.depth[y, x]
                found += ids[s] != NOTHING
            canvas.cover[row, column] = found * share
            canvas.label_ids[row, column] = NOTHING
            canvas.label_depth[row, column] = 0.0
            if found == 0:
                continue
            total_r, total_g, total_b, largest = 0.0, 0.0, 0.0, SAMPLES * SAMPLES - found
            for s in range(SAMPLES * SAMPLES):
                if ids[s] == NOTHING:
                    continue
                first, first_depth = ids[s], depths[s]
                material = surfaces.triangle_material[first]
                alone = surfaces.kind[material] == EYES
                count, x, y = 0, 0.0, 0.0
                for other in range(s, SAMPLES * SAMPLES):
                    if ids[other] == NOTHING or surfaces.triangle_material[ids[other]] != material:
                        continue
                    if abs(depths[other] - first_depth) > SAME_SURFACE * first_depth or (alone and other != s):
                        continue
                    count += 1
                    x += other % SAMPLES
                    y += other // SAMPLES
                    ids[other] = NOTHING
                x = column + (x / count + 0.5) / SAMPLES - 0.5
                y = row + (y / count + 0.5) / SAMPLES - 0.5
                shade_fragment(first, x, y, shot, surfaces, lights, look, tone)
                weight = count * share
                total_r += weight * tone[0]
                total_g += weight * tone[1]
                total_b += weight * tone[2]
                if count >= largest:
                    largest = count
                    canvas.label_ids[row, column] = first
                    canvas.label_depth[row, column] = first_depth
            rest = 1.0 - found * share
            canvas.colour[row, column, 0] = canvas.colour[row, column, 0] * rest + total_r
            canvas.colour[row, column, 1] = canvas.colour[row, column, 1] * rest + total_g
            canvas.colour[row, column, 2] = canvas.colour[row, column, 2] * rest + total_b


@numba.njit(**NUMBA)
def blend_see_through(order, canvas, shot, surfaces, lights, look):  # noqa: ANN001, ANN201
    """Blends the transparent triangles named in `order` (far to near) over what `shade_solid` left."""
    size = canvas.colour.shape[0]
    tone = np.empty(4, np.float64)
    screen = shot.screen
    quarter = 1.0 / (2 * SAMPLES)
    for q in range(order.shape[0]):
        t = order[q]
        a, b, c = surfaces.triangles[t, 0], surfaces.triangles[t, 1], surfaces.triangles[t, 2]
        ax, ay, bx, by = float(screen[a, 0]), float(screen[a, 1]), float(screen[b, 0]), float(screen[b, 1])
        cx, cy = float(screen[c, 0]), float(screen[c, 1])
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9 or (area > 0.0 and not surfaces.two_sided[surfaces.triangle_material[t]]):
            continue
        x0, x1 = max(ceil(min(ax, bx, cx)), 0), min(floor(max(ax, bx, cx)), size - 1)
        y0, y1 = max(ceil(min(ay, by, cy)), 0), min(floor(max(ay, by, cy)), size - 1)
        inverse = 1.0 / area
        za, zb, zc = float(screen[a, 2]), float(screen[b, 2]), float(screen[c, 2])
        dx = ((by - cy) * za + (cy - ay) * zb + (ay - by) * zc) * inverse
        dy = ((cx - bx) * za + (ax - cx) * zb + (bx - ax) * zc) * inverse
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
                wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * za + wb * zb + wc * zc
                in_front = 0
                for s in range(SAMPLES * SAMPLES):
                    v, u = s // SAMPLES, s % SAMPLES
                    there = z + dx * quarter * (2 * u + 1 - SAMPLES) + dy * quarter * (2 * v + 1 - SAMPLES)
                    in_front += there > canvas.depth[y * SAMPLES + v, x * SAMPLES + u] * 1.00001
                if in_front == 0:
                    continue
                shade_fragment(t, float(x), float(y), shot, surfaces, lights, look, tone)
                alpha = tone[3] * in_front / (SAMPLES * SAMPLES)
                if alpha < 0.01:
                    continue
                for channel in range(3):
                    under = canvas.colour[y, x, channel]
                    canvas.colour[y, x, channel] = under + alpha * (tone[channel] - under)
                canvas.cover[y, x] += alpha * (1.0 - canvas.cover[y, x])
                if alpha >= LABEL_ALPHA:
                    canvas.label_ids[y, x] = t
                    canvas.label_depth[y, x] = z
