"""Exact dense motion between any two frames of a clip: where in the reference is the point that the target shows here?

A frame keeps the triangle under each cell of a grid and where every vertex lies on the screen. A cell's point has the
same place within its triangle in every frame, so its position elsewhere is exact, however far apart the frames are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.pictures.rasteriser import NOTHING
from letstalk.synthetic.pictures.renderer import Frame, Renderer
from letstalk.synthetic.pictures.shading import SAMPLES

DEFAULT_GRID = 64
DEPTH_TOLERANCE = 0.04  # decimetres by which a visible point may lie behind the reference's depth buffer
_FIXED_POINT = 8191  # packed positions: steps to half a picture's width, so 4 half-widths fit in 16 bits


@dataclass(frozen=True)
class MotionRecord:
    """What one frame must keep. Pixel (0, 0) has its centre at x = y = 0."""

    size_px: int
    triangles: np.ndarray  # (num_triangles, 3) int32, shared by all frames of a clip
    ids: np.ndarray  # (grid, grid) int32, triangle at the centre of each cell, -1 where the background shows
    screen: np.ndarray  # (num_vertices, 3) float32: x, y in pixels, 1 / distance in decimetres
    depth: np.ndarray  # (size / stride, size / stride) float32: 1 / distance at every stride-th pixel, 0 for background
    depth_stride: int

    @property
    def grid(self) -> int:
        return len(self.ids)


def cell_centres(grid: int, size_px: int) -> np.ndarray:
    """(grid, grid, 2) float64 x, y in pixels."""
    along = (np.arange(grid) + 0.5) * (size_px / grid) - 0.5
    return np.stack(np.meshgrid(along, along), axis=-1)


def record_motion(renderer: Renderer, frame: Frame, grid: int = DEFAULT_GRID, depth_stride: int = 2) -> MotionRecord:
    """Copies what `backward_flow` needs out of the buffers of a frame. Hair strands count from half opacity on."""
    surfaces, canvas = renderer.prepared.surfaces, frame.canvas
    along = cell_centres(grid, renderer.size_px)[0, :, 0]
    pixel = np.clip(np.floor(along + 0.5).astype(int), 0, renderer.size_px - 1)
    sample = np.clip(np.round(along * SAMPLES + 0.5 * (SAMPLES - 1)).astype(int), 0, renderer.size_px * SAMPLES - 1)
    owner = canvas.label_ids[np.ix_(pixel, pixel)]
    ids = np.where(owner >= surfaces.num_opaque, owner, canvas.ids[np.ix_(sample, sample)])
    return MotionRecord(
        size_px=renderer.size_px,
        triangles=surfaces.triangles,
        ids=ids.astype(np.int32),
        screen=frame.screen.copy(),
        depth=canvas.label_depth[::depth_stride, ::depth_stride].copy(),
        depth_stride=depth_stride,
    )


def backward_flow(target: MotionRecord, reference: MotionRecord) -> tuple[np.ndarray, np.ndarray]:
    """For each cell of the target: the way to the same point in the reference, and whether the reference shows it.

    Returns flow (grid, grid, 2) float32 in half-widths of the picture (x right, y down; sampling the reference at
    cell + flow gives the target) and visible (grid, grid) bool. The background does not move; it is visible where the
    reference shows background too. Points outside the reference's frame, turned away or hidden there are not visible.
    """
    assert target.size_px == reference.size_px, "frames of one clip have one size"
    centres = cell_centres(target.grid, target.size_px)
    shows = target.ids != NOTHING
    flow = np.zeros((*target.ids.shape, 2), np.float32)
    visible = np.zeros(target.ids.shape, bool)
    corners = target.triangles[target.ids[shows]]
    here, there = target.screen[corners].astype(np.float64), reference.screen[corners].astype(np.float64)
    place, facing = _weights(here, centres[shows])
    # 1 / distance is linear on the screen and the distance is not, so weights go through space.
    in_space = place * here[..., 2]
    in_space /= in_space.sum(axis=1, keepdims=True)
    by_distance = in_space / there[..., 2]
    distance = by_distance.sum(axis=1)
    landed = (by_distance[..., None] * there[..., :2]).sum(axis=1) / distance[:, None]
    # From the point that the weights name: where they were held it is not quite the cell's centre.
    stood = (place[..., None] * here[..., :2]).sum(axis=1)
    flow[shows] = (landed - stood) * (2.0 / target.size_px)
    visible[shows] = (_signed_area(there) * facing > 0) & _in_view(reference, there, landed, 1 / distance)
    visible[~shows] = _background_at(reference, centres[~shows])
    return flow, visible


def _signed_area(corners: np.ndarray) -> np.ndarray:
    one, two = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    return one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]


def _weights(corners: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place of each point in its triangle on the screen, (n, 3), and the signed areas (n,).

    A cell's centre may lie up to half a pixel outside the triangle that covers its nearest sample; far outside, in
    slivers seen edge-on, the weights are held.
    """
    area = _signed_area(corners)
    safe = np.where(np.abs(area) < 1e-9, 1e-9, area)
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k, :2].T for k in range(3))
    x, y = points.T
    first = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / safe
    second = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / safe
    weights = np.clip(np.stack([first, second, 1 - first - second], axis=1), -0.5, 1.5)
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(np.abs(total) < 0.25, 1.0, total), area


def _in_view(reference: MotionRecord, corners: np.ndarray, landed: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Inside the frame, and not behind what the depth buffer holds there.

    The buffer's sample lies beside the point; the triangle's own slope says how deep the surface is at the sample, so
    that steep cheeks do not hide themselves.
    """
    inside = ((landed >= -0.5) & (landed <= reference.size_px - 0.5)).all(axis=1)
    cells = _depth_cells(reference, landed)
    offset = cells * reference.depth_stride - landed
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    safe = np.where(np.abs(area) < 1e-6, 1e-6, area)
    slope_x = (one[:, 2] * two[:, 1] - two[:, 2] * one[:, 1]) / safe
    slope_y = (two[:, 2] * one[:, 0] - one[:, 2] * two[:, 0]) / safe
    tolerance = DEPTH_TOLERANCE * inverse * inverse  # how 1 / distance changes over DEPTH_TOLERANCE
    change = np.clip(slope_x * offset[:, 0] + slope_y * offset[:, 1], -3 * tolerance, 3 * tolerance)
    return inside & (inverse + change + tolerance >= reference.depth[cells[:, 1], cells[:, 0]])


def _depth_cells(reference: MotionRecord, points: np.ndarray) -> np.ndarray:
    last = len(reference.depth) - 1
    return np.clip(np.round(points / reference.depth_stride), 0, last).astype(int)


def _background_at(reference: MotionRecord, points: np.ndarray) -> np.ndarray:
    cells = _depth_cells(reference, points)
    return reference.depth[cells[:, 1], cells[:, 0]] == 0


def pack_motion(records: list[MotionRecord]) -> dict[str, np.ndarray]:
    """Frames of one clip as small arrays: only vertices that some cell shows, positions to 1/64 of a pixel at 256."""
    size, triangles = records[0].size_px, records[0].triangles
    ids = np.stack([record.ids for record in records])
    used = np.unique(ids[ids != NOTHING])
    vertices, corners = np.unique(triangles[used], return_inverse=True)
    renumbered = np.where(ids == NOTHING, -1, np.searchsorted(used, ids))
    screen = np.stack([record.screen[vertices] for record in records])
    steps = ((screen[..., :2] + 0.5) * (2 / size) - 1) * _FIXED_POINT
    return {
        "motion_size": np.array([size, records[0].depth_stride], np.int32),
        "motion_triangles": corners.reshape(-1, 3).astype(np.uint16),
        "motion_ids": (renumbered + 1).astype(np.uint16),
        "motion_position": np.clip(np.round(steps), -32767, 32767).astype(np.int16),
        "motion_inverse_distance": screen[..., 2].astype(np.float16),
        "motion_depth": np.stack([record.depth for record in records]).astype(np.float16),
    }


def unpack_motion(arrays: dict[str, np.ndarray]) -> list[MotionRecord]:
    """Undoes `pack_motion`; flows of unpacked frames differ by less than a 30th of a pixel at 256."""
    size, stride = (int(value) for value in arrays["motion_size"])
    triangles = arrays["motion_triangles"].astype(np.int32)
    position = (arrays["motion_position"].astype(np.float32) / _FIXED_POINT + 1) * (size / 2) - 0.5
    screen = np.concatenate([position, arrays["motion_inverse_distance"].astype(np.float32)[..., None]], axis=-1)
    ids = arrays["motion_ids"].astype(np.int32) - 1
    depth = arrays["motion_depth"].astype(np.float32)
    return [MotionRecord(size, triangles, ids[n], screen[n], depth[n], stride) for n in range(len(ids))]
