"""The inner loop of pasting a frame back: one pass over the pixels that change, without the interpreter's lock.

Numba, because this runs for every frame of a video and NumPy would make ten passes. Import it where it is used: it
takes a fifth of a second, and the first call on a machine compiles (cached from then on).
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def change_map(result: np.ndarray, crop: np.ndarray, block: int, low: float, high: float) -> np.ndarray:
    """How much each block of the crop changed: 0 for `low` grey levels or less, 1 for `high` or more.

    `result`, `crop` (size, size, 3) uint8, `block` divides size; returns (size / block + 2,) * 2 float32 with a
    rim of its own values, smoothed over 3 x 3 blocks so that it shows no squares.
    """
    cells = result.shape[0] // block
    raw = np.zeros((cells, cells), np.float32)
    for row in range(cells):
        for column in range(cells):
            total = 0
            for y in range(row * block, (row + 1) * block):
                for x in range(column * block, (column + 1) * block):
                    for channel in range(3):
                        total += abs(np.int32(result[y, x, channel]) - np.int32(crop[y, x, channel]))
            raw[row, column] = total / (3.0 * block * block)
    smooth = np.empty((cells + 2, cells + 2), np.float32)
    for row in range(cells + 2):
        for column in range(cells + 2):
            total_near = 0.0
            for dy in range(-1, 2):
                for dx in range(-1, 2):
                    y = min(max(row - 1 + dy, 0), cells - 1)
                    x = min(max(column - 1 + dx, 0), cells - 1)
                    total_near += raw[y, x]
            share = min(max((total_near / 9.0 - low) / (high - low), 0.0), 1.0)
            smooth[row, column] = share * share * (3.0 - 2.0 * share)
    return smooth


@numba.njit(inline="always")
def _neighbours(affine: np.ndarray, x: int, y: int, last: np.float32) -> tuple:
    """Where affine @ (x, y, 1) falls in a square grid: row and column of the upper left neighbour, and the bilinear
    shares of the upper left, upper right, lower left and lower right one."""
    u = min(max(affine[0, 0] * np.float32(x) + affine[0, 1] * np.float32(y) + affine[0, 2], np.float32(0)), last)
    v = min(max(affine[1, 0] * np.float32(x) + affine[1, 1] * np.float32(y) + affine[1, 2], np.float32(0)), last)
    column, row = min(int(u), int(last) - 1), min(int(v), int(last) - 1)
    right, down = u - np.float32(column), v - np.float32(row)
    both = right * down
    return row, column, np.float32(1) - right - down + both, right - both, down - both, both


@numba.njit(cache=True, nogil=True, fastmath=True)
def bring(crop: np.ndarray, affine: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32: a crop (size, size, 3) uint8 brought to the region as `blend` does it.

    affine (2, 3) float32 maps region pixels to crop pixels.
    """
    base = np.empty((height, width, 3), np.float32)
    last = np.float32(crop.shape[0] - 1)
    for y in range(height):
        for x in range(width):
            i, j, w00, w01, w10, w11 = _neighbours(affine, x, y, last)
            for k in range(3):
                base[y, x, k] = (
                    np.float32(crop[i, j, k]) * w00 + np.float32(crop[i, j + 1, k]) * w01
                    + np.float32(crop[i + 1, j, k]) * w10 + np.float32(crop[i + 1, j + 1, k]) * w11
                )  # fmt: skip
    return base


@numba.njit(cache=True, nogil=True, fastmath=True)
def blend(
    target: np.ndarray, result: np.ndarray, base: np.ndarray, mask: np.ndarray, changed: np.ndarray, affine: np.ndarray
) -> None:
    """Pastes `result` into `target`, in place, with the mask's opacity.

    target (height, width, 3) uint8, the region of the full picture; result (size, size, 3) uint8; base is the unchanged
    crop from `bring`; mask (height, width) float32; changed from `change_map`. Where nothing changed the target keeps
    its own fine detail, where something did it takes the result alone.
    """
    half, one, white = np.float32(0.5), np.float32(1), np.float32(255)
    to_cell = np.float32((changed.shape[0] - 2) / result.shape[0])
    cell_affine = affine * to_cell
    cell_affine[:, 2] += (to_cell + one) * half  # cells have a rim of one, and pixel centres are halves off
    last, last_cell = np.float32(result.shape[0] - 1), np.float32(changed.shape[0] - 1)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x] <= 0:
                continue
            i, j, w00, w01, w10, w11 = _neighbours(cell_affine, x, y, last_cell)
            lost = changed[i, j] * w00 + changed[i, j + 1] * w01 + changed[i + 1, j] * w10 + changed[i + 1, j + 1] * w11
            i, j, w00, w01, w10, w11 = _neighbours(affine, x, y, last)
            for k in range(3):
                fresh = (
                    np.float32(result[i, j, k]) * w00 + np.float32(result[i, j + 1, k]) * w01
                    + np.float32(result[i + 1, j, k]) * w10 + np.float32(result[i + 1, j + 1, k]) * w11
                )  # fmt: skip
                old = np.float32(target[y, x, k])
                value = old + mask[y, x] * (fresh + (one - lost) * (old - base[y, x, k]) - old)
                target[y, x, k] = np.uint8(min(max(value + half, np.float32(0)), white))
