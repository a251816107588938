"""The head's piece of the skin texture: where on the face each texel lies, and the regions that are painted.

The head fills a quarter of MakeHuman's chart and is all that a portrait shows closely, so it gets a texture of its own;
the rest of the body shares a small one. Regions are functions of a position map (texel -> place on the reference face),
which makes them smooth at any size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numba as nb
import numpy as np

from letstalk.synthetic.people.anatomy import EYE_JOINTS, joint
from letstalk.synthetic.people.assets import AssetPack

HEAD_BOX = (0.640, 0.145, 1.0, 0.825)  # u, v, u, v in the chart: the head without its mouth cavity
HEAD_SIZE = (576, 1088)  # width, height in texels
BODY_SIZE = 512


def smooth(value: np.ndarray, start: float | np.ndarray, end: float | np.ndarray) -> np.ndarray:
    """0 before `start`, 1 after `end` (which may be the smaller one), smooth between."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def in_head_box(uv: np.ndarray) -> np.ndarray:
    return (uv[..., 0] > HEAD_BOX[0]) & (uv[..., 1] > HEAD_BOX[1]) & (uv[..., 1] < HEAD_BOX[3])


def head_uv(uv: np.ndarray) -> np.ndarray:
    """Chart coordinates to those of the head's own texture."""
    low, high = np.array(HEAD_BOX[:2]), np.array(HEAD_BOX[2:])
    return ((uv - low) / (high - low)).astype(np.float32)


def crop_head(texture: np.ndarray) -> np.ndarray:
    """The head's piece of a whole skin texture, resized to HEAD_SIZE, RGB float32 0..1."""
    height, width = texture.shape[:2]
    left, right = round(HEAD_BOX[0] * width), round(HEAD_BOX[2] * width)
    top, bottom = round((1 - HEAD_BOX[3]) * height), round((1 - HEAD_BOX[1]) * height)
    piece = np.ascontiguousarray(texture[top:bottom, left:right, :3])
    return cv2.resize(piece, HEAD_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


@nb.njit(cache=True)
def _fill_positions(points: np.ndarray, values: np.ndarray, triangles: np.ndarray, out: np.ndarray) -> None:
    """Interpolates vertex values over triangles in texel space; a texel's margin is filled so that no seam shows."""
    height, width = out.shape[:2]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t]
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        for y in range(max(int(min(ay, by, cy)) - 1, 0), min(int(max(ay, by, cy)) + 2, height)):
            for x in range(max(int(min(ax, bx, cx)) - 1, 0), min(int(max(ax, bx, cx)) + 2, width)):
                w0 = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
                w1 = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
                w2 = 1 - w0 - w1
                if min(w0, w1, w2) < -0.02:
                    continue
                for k in range(3):
                    out[y, x, k] = w0 * values[a, k] + w1 * values[b, k] + w2 * values[c, k]


@dataclass(frozen=True)
class HeadMaps:
    """Maps of HEAD_SIZE, float32 0..1 except `position` (decimetres on the reference face)."""

    position: np.ndarray  # (h, w, 3)
    face: np.ndarray  # bare skin of the face
    lips: np.ndarray
    cheeks: np.ndarray
    lids: np.ndarray  # upper lid up to the crease
    lid_line: np.ndarray  # along the lashes, both lids
    under_eyes: np.ndarray
    scalp: np.ndarray
    hairline: np.ndarray  # distance above the hairline, decimetres, negative on the face
    moustache: np.ndarray
    goatee: np.ndarray
    beard: np.ndarray  # jaw, chin and sideburns with the moustache
    sun: np.ndarray  # nose and upper cheeks: where freckles are
    creases: np.ndarray  # lines that deepen with age, -1 lit ridge .. 1 dark fold


def find_head_maps(pack: AssetPack) -> HeadMaps:
    mean = pack.anatomy.mean
    body = pack.body
    uv_vertex = np.zeros(len(body.uv), np.int64)
    uv_vertex[body.uv_triangles.ravel()] = body.triangles.ravel()
    inside = in_head_box(body.uv)[body.uv_triangles].all(1)
    points = head_uv(body.uv)
    points = np.stack([points[:, 0] * HEAD_SIZE[0], (1 - points[:, 1]) * HEAD_SIZE[1]], 1) - 0.5
    position = np.full((HEAD_SIZE[1], HEAD_SIZE[0], 3), [0, 0, -9], np.float32)
    _fill_positions(points.astype(np.float32), mean[uv_vertex], body.uv_triangles[inside].astype(np.int64), position)
    x, y, z = np.abs(position[..., 0]), position[..., 1], position[..., 2]
    eye = joint(mean, EYE_JOINTS[0])
    on_head = (z > -8).astype(np.float32)
    hairline = _hairline_height(x, y, z)
    scalp = smooth(hairline, -0.03, 0.06) * on_head
    lips = _lips(x, y, z)
    beards = _beards(x, y, z)
    ex, ey = (x - eye[0]) / 0.16, y - eye[1]
    across = np.clip(1 - ex**2, 0, 1)
    opening_top, opening_bottom = 0.030 * across**0.6, -0.062 * across**0.6
    near_eye = smooth(np.abs(ex), 1.15, 0.9) * smooth(z, 1.1, 1.25)
    return HeadMaps(
        position=position,
        face=on_head * (1 - scalp) * (1 - lips) * smooth(z, 0.55, 0.85),
        lips=lips,
        cheeks=np.exp(-(((x - 0.47) / 0.2) ** 2 + ((y - 7.10) / 0.17) ** 2)) * smooth(z, 0.8, 1.1),
        lids=near_eye * smooth(ey, opening_top - 0.01, opening_top + 0.015) * smooth(ey, 0.15, 0.09),
        lid_line=near_eye * np.maximum(
            np.exp(-(((ey - opening_top) / 0.012) ** 2)), 0.7 * np.exp(-(((ey - opening_bottom) / 0.009) ** 2))
        ),
        under_eyes=np.exp(-(((x - 0.27) / 0.13) ** 2 + ((y - (eye[1] - 0.12)) / 0.055) ** 2)) * smooth(z, 1.1, 1.25),
        scalp=scalp, hairline=np.where(z > -8, hairline, 1).astype(np.float32), sun=_sun(x, y, z),
        creases=_creases(position, eye), **beards,
    )  # fmt: skip


def _hairline_height(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Signed distance above a usual hairline: over the forehead, down the temples, round the ears, to the nape."""
    forehead = 8.02 - 0.28 * smooth(x, 0.25, 0.62)
    temple = 7.72 - 1.05 * smooth(z, 0.95, 0.62) * smooth(x, 0.5, 0.62)
    front = np.where(z > 0.95, forehead, np.minimum(forehead, temple))
    behind_ear = 7.25 - 0.45 * smooth(z, 0.05, -0.35)
    line = np.where(z < 0.42, np.maximum(behind_ear, 6.75), np.maximum(front, 7.15))
    blend = smooth(z, 0.35, 0.55)
    return y - (line * (1 - blend) + np.maximum(front, 7.15) * blend)


def _lips(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The red of the lips, with the dip of Cupid's bow."""
    width = np.clip(1 - (x / 0.245) ** 2, 0, 1)
    upper = 6.852 + 0.082 * width**0.7 - 0.012 * np.exp(-((x / 0.03) ** 2))
    lower = 6.838 - 0.098 * width**0.6
    inside = smooth(y, upper + 0.008, upper - 0.008) * smooth(y, lower - 0.010, lower + 0.010)
    return inside * smooth(x, 0.25, 0.235) * smooth(z, 1.22, 1.30)


def _beards(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    lips = np.hypot(x / 0.29, (y - 6.845) / 0.115)
    off_lips = smooth(lips, 0.85, 1.05)
    moustache = off_lips * smooth(y, 6.84, 6.90) * smooth(y, 7.055, 6.99) * smooth(x, 0.33, 0.24) * smooth(z, 1.15, 1.3)
    chin = off_lips * smooth(y, 6.28, 6.40) * smooth(y, 6.78, 6.70) * smooth(x, 0.30, 0.20) * smooth(z, 0.85, 1.1)
    strip = off_lips * smooth(x, 0.23, 0.27) * smooth(x, 0.37, 0.31) * smooth(y, 6.5, 6.6) * smooth(y, 7.0, 6.9)
    goatee = np.maximum(np.maximum(chin, moustache), strip * smooth(z, 1.0, 1.2))
    # The cheek line runs from the corner of the mouth up to the ear.
    cheek_line = 6.93 + 0.42 * smooth(x, 0.35, 0.72)
    jaw = off_lips * smooth(y, cheek_line + 0.04, cheek_line - 0.06) * smooth(y, 6.18, 6.42) * smooth(z, 0.42, 0.62)
    jaw = jaw * (1 - smooth(y, 6.82, 6.92) * smooth(x, 0.34, 0.28))
    sideburn = smooth(y, 6.75, 6.9) * smooth(y, 7.5, 7.35) * smooth(x, 0.58, 0.64) * smooth(z, 0.48, 0.58)
    sideburn = sideburn * smooth(z, 0.86, 0.74)
    return {"moustache": moustache, "goatee": goatee, "beard": np.maximum(np.maximum(jaw, sideburn), moustache)}


def _sun(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    nose = np.exp(-((x / 0.17) ** 2 + ((y - 7.22) / 0.16) ** 2))
    cheeks = np.exp(-(((x - 0.35) / 0.2) ** 2 + ((y - 7.2) / 0.16) ** 2))
    rest = 0.25 * smooth(z, 0.9, 1.2)
    return np.maximum(np.maximum(nose, cheeks), rest) * smooth(z, 0.8, 1.05)


def _creases(position: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Forehead lines, the frown, crow's feet, bags under the eyes, folds from nose to mouth and below its corners."""
    x, y, z = np.abs(position[..., 0]), position[..., 1], position[..., 2]
    wave = 0.012 * np.sin(9 * position[..., 0]) + 0.008 * np.sin(23 * position[..., 0] + 1)
    found = np.zeros(x.shape, np.float32)

    def fold(distance: np.ndarray, width: float, where: np.ndarray, depth: float) -> None:
        t = distance / width
        # A dark fold with a lit ridge under it reads as relief under any light from above.
        found[:] += depth * where * (np.exp(-(t**2)) - 0.45 * np.exp(-((t + 1.6) ** 2)))

    forehead = smooth(x, 0.42, 0.25) * smooth(z, 1.1, 1.3)
    for height, depth in ((0.37, 0.8), (0.45, 1.0), (0.54, 0.7)):
        fold(y - eye[1] - height - wave + 0.05 * x, 0.011, forehead, depth)
    frown = smooth(np.abs(y - eye[1] - 0.20), 0.10, 0.04) * smooth(z, 1.2, 1.35)
    fold(x - 0.055, 0.010, frown, 0.7)
    outer_x, outer_y = x - eye[0] - 0.15, y - eye[1]
    beside = smooth(outer_x, 0.0, 0.04) * smooth(outer_x, 0.17, 0.08)
    for slope in (0.55, 0.12, -0.35):
        fold(outer_y - slope * outer_x + 0.01, 0.008, beside, 0.7)
    below = smooth(np.abs(x - eye[0] + 0.02), 0.15, 0.08) * smooth(z, 1.1, 1.25)
    for drop, depth in ((0.105, 0.8), (0.145, 0.5)):
        fold(y - eye[1] + drop - 0.9 * (x - eye[0]) ** 2, 0.010, below, depth)
    # Nose to mouth: x grows from the wing of the nose to beside the corner of the mouth.
    share = (7.10 - y) / 0.30
    beside_mouth = smooth(share, 0.0, 0.2) * smooth(share, 1.15, 0.8) * smooth(z, 0.9, 1.1)
    fold(0.19 + 0.13 * np.clip(share, 0, 1.2) ** 1.3 - x, 0.016, beside_mouth, 1.0)
    marionette = smooth(y, 6.58, 6.68) * smooth(y, 6.84, 6.76) * smooth(z, 0.9, 1.1)
    fold(0.27 - x, 0.014, marionette, 0.6)
    return np.clip(found, -1, 1.3)
