"""From visible triangles to colour: numba kernels for what varies fast, texture and shine.

Light is added up linearly; its square root is what the canvas holds and what samples are averaged in: averages of
linear light would leave stairs where dark hair meets a bright sky.

Diffuse light, shadow and occlusion come from the vertices (`vertex_light.py`). The four visibility samples of a pixel
that show the same surface share one shading; eyes are shaded at every sample because their highlights are smaller than
a pixel. Hair and other see-through surfaces are blended from far to near at one fragment per pixel, weighed by the
samples at which they are in front.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import NamedTuple

import numba
import numpy as np

from letstalk.synthetic.person import KIND_CODE
from letstalk.synthetic.pictures.rasteriser import NOTHING, texture_level
from letstalk.synthetic.pictures.surfaces import RELIEF_NEUTRAL, Surfaces
from letstalk.synthetic.pictures.vertex_light import NUMBA, Lights, Shot, schlick_power

SKIN, EYES, HAIR = KIND_CODE["skin"], KIND_CODE["eyes"], KIND_CODE["hair"]
LENS = KIND_CODE["lens"]
SAMPLES = 2  # visibility samples per pixel and axis
SAME_SURFACE = 0.02  # samples of one material whose distances differ by less share one shading
BRIGHTEST = 2.0  # light above is burnt out in any picture; more would spoil the averages at edges
LABEL_ALPHA = 0.5  # a see-through fragment from here on owns the pixel in the labels


class Look(NamedTuple):
    """How the shading is stylised; `photo()` of `stylise.py` changes nothing."""

    shine: float  # scales every highlight
    bands: int  # steps of light, 0 for smooth
    texture_blur: float  # levels added to the texture: drawings have flat colours
    sheen_across_hair: float  # strength of the ring of light on hair


class Canvas(NamedTuple):
    """Buffers of a picture of `size` pixels; the first two have SAMPLES times as many rows and columns."""

    depth: np.ndarray  # float32, 1 / distance, 0 where nothing is
    ids: np.ndarray  # int32, triangle
    colour: np.ndarray  # (size, size, 3) float32 square root of light; holds the background before shading
    cover: np.ndarray  # (size, size) float32 0..1, how much of the pixel is person
    label_ids: np.ndarray  # (size, size) int32, the triangle that owns the pixel
    label_depth: np.ndarray  # (size, size) float32


@numba.njit(inline="always")
def _fresnel(cosine: float) -> float:
    rest = 1.0 - min(max(cosine, 0.0), 1.0)
    square = rest * rest
    return square * square * rest


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
        total += edge * seen * float(lights.colour[k, c]) * min(1.6 / (extent * extent), 70.0)
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


@numba.njit(inline="always")
def shade_fragment(triangle, x, y, shot, surfaces, lights, look, out):  # noqa: ANN001, ANN201, PLR0913
    """Square root of light, and alpha, of one surface at one pixel position, into `out` (4,) float64."""
    material = surfaces.triangle_material[triangle]
    kind = surfaces.kind[material]
    a, b, c = surfaces.triangles[triangle, 0], surfaces.triangles[triangle, 1], surfaces.triangles[triangle, 2]
    wa, wb, wc = _corner_weights(shot, a, b, c, x, y)
    i, j, k = surfaces.uv_triangles[triangle, 0], surfaces.uv_triangles[triangle, 1], surfaces.uv_triangles[triangle, 2]
    u = wa * surfaces.uv[i, 0] + wb * surfaces.uv[j, 0] + wc * surfaces.uv[k, 0]
    v = wa * surfaces.uv[i, 1] + wb * surfaces.uv[j, 1] + wc * surfaces.uv[k, 1]
    blur = 0.0 if kind == EYES else look.texture_blur  # whoever draws flat colours still draws the iris
    level = texture_level(surfaces, triangle, material, shot.log2_px_per_decimetre - blur)
    red, green, blue, alpha = _fetch(surfaces, material, level, u, v)
    light = shot.light
    lit_r = wa * light[a, 0] + wb * light[b, 0] + wc * light[c, 0]
    lit_g = wa * light[a, 1] + wb * light[b, 1] + wc * light[c, 1]
    lit_b = wa * light[a, 2] + wb * light[b, 2] + wc * light[c, 2]
    if look.bands > 0 and kind != EYES:
        grey = max((lit_r + lit_g + lit_b) / 3.0, 1e-4)
        scale = _stepped(grey, look.bands) / grey
        lit_r, lit_g, lit_b = lit_r * scale, lit_g * scale, lit_b * scale
    norm = 1.0 / 65025.0
    if kind == EYES:  # painted whites are paper white; real ones return half of the light, irises stay as they are
        norm *= 1.0 - 0.42 * green * green * norm
    out[0] = lit_r * red * red * norm * surfaces.tint[material, 0]
    out[1] = lit_g * green * green * norm * surfaces.tint[material, 1]
    out[2] = lit_b * blue * blue * norm * surfaces.tint[material, 2]
    out[3] = min(alpha * surfaces.alpha_gain[material] / 255.0, 1.0)
    if kind == HAIR:
        strand = look.sheen_across_hair * surfaces.specular[material] * (0.2 + 1.2 * (red + green + blue) / 255.0)
        for q in range(3):
            out[q] += strand * (wa * light[a, 4 + q] + wb * light[b, 4 + q] + wc * light[c, 4 + q])
    elif surfaces.specular[material] > 0.0 and look.shine > 0.0:
        _add_shine(shot, surfaces, lights, look, material, (a, b, c), (wa, wb, wc), alpha, out)
    for q in range(3):
        out[q] = sqrt(min(max(out[q], 0.0), BRIGHTEST))  # weights beyond the edge can leave less than nothing


@numba.njit(inline="always")
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
    if kind in (EYES, LENS):
        rx, ry, rz = 2.0 * facing * nx - vx, 2.0 * facing * ny - vy, 2.0 * facing * nz - vz
        reflected = 0.055 + 0.5 * grazing
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
        broad = schlick_power(half, gloss) * (gloss + 4.0)
        sharp = schlick_power(half, 3.5 * gloss) * (3.5 * gloss + 4.0)
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
def blend_see_through(
    order: np.ndarray, canvas: Canvas, shot: Shot, surfaces: Surfaces, lights: Lights, look: Look
) -> None:
    """Blends the transparent triangles named in `order` (far to near) over what `shade_solid` left."""
    size = canvas.colour.shape[0]
    tone = np.empty(4, np.float64)
    offset = np.empty((SAMPLES * SAMPLES, 5), np.float64)  # of each sample from the centre: x, y, weights, depth
    screen = shot.screen
    for q in range(order.shape[0]):
        t = order[q]
        a, b, c = surfaces.triangles[t, 0], surfaces.triangles[t, 1], surfaces.triangles[t, 2]
        ax, ay, bx, by = float(screen[a, 0]), float(screen[a, 1]), float(screen[b, 0]), float(screen[b, 1])
        cx, cy = float(screen[c, 0]), float(screen[c, 1])
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9 or (area > 0.0 and not surfaces.two_sided[surfaces.triangle_material[t]]):
            continue
        x0, x1 = max(ceil(min(ax, bx, cx) - 0.5), 0), min(floor(max(ax, bx, cx) + 0.5), size - 1)
        y0, y1 = max(ceil(min(ay, by, cy) - 0.5), 0), min(floor(max(ay, by, cy) + 0.5), size - 1)
        if x1 < x0 or y1 < y0:
            continue
        inverse = 1.0 / area
        za, zb, zc = float(screen[a, 2]), float(screen[b, 2]), float(screen[c, 2])
        for s in range(SAMPLES * SAMPLES):
            x, y = (s % SAMPLES + 0.5) / SAMPLES - 0.5, (s // SAMPLES + 0.5) / SAMPLES - 0.5
            wa = ((by - cy) * x + (cx - bx) * y) * inverse
            wb = ((cy - ay) * x + (ax - cx) * y) * inverse
            offset[s, 0], offset[s, 1], offset[s, 2], offset[s, 3] = x, y, wa, wb
            offset[s, 4] = wa * za + wb * zb - (wa + wb) * zc
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * inverse
                wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * inverse
                z = wa * za + wb * zb + (1.0 - wa - wb) * zc
                in_front, mean_x, mean_y = 0, 0.0, 0.0
                for s in range(SAMPLES * SAMPLES):
                    ua, ub = wa + offset[s, 2], wb + offset[s, 3]
                    if ua < 0.0 or ub < 0.0 or ua + ub > 1.0:
                        continue
                    nearest = canvas.depth[y * SAMPLES + s // SAMPLES, x * SAMPLES + s % SAMPLES]
                    if z + offset[s, 4] > nearest * 1.00001:
                        in_front += 1
                        mean_x += offset[s, 0]
                        mean_y += offset[s, 1]
                if in_front == 0:
                    continue
                shade_fragment(t, x + mean_x / in_front, y + mean_y / in_front, shot, surfaces, lights, look, tone)
                alpha = tone[3] * in_front / (SAMPLES * SAMPLES)
                if alpha >= 0.01:
                    _blend(canvas, x, y, t, z, alpha, tone)


@numba.njit(inline="always")
def _blend(canvas, x, y, triangle, depth, alpha, tone):  # noqa: ANN001, ANN202
    for channel in range(3):
        under = canvas.colour[y, x, channel]
        canvas.colour[y, x, channel] = under + alpha * (tone[channel] - under)
    canvas.cover[y, x] += alpha * (1.0 - canvas.cover[y, x])
    if alpha >= LABEL_ALPHA:
        canvas.label_ids[y, x] = triangle
        canvas.label_depth[y, x] = depth
