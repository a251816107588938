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
def _held(value: np.float32, last: np.float32) -> np.float32:
    return min(max(value, np.float32(0)), last)


@numba.njit(inline="always")
def _weights(right: np.float32, down: np.float32) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Bilinear shares of the upper left, upper right, lower left and lower right neighbour."""
    both = right * down
    return np.float32(1) - right - down + both, right - both, down - both, both


@numba.njit(cache=True, nogil=True, fastmath=True)
def bring(crop: np.ndarray, affine: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width, 3) float32: a crop (size, size, 3) uint8 brought to the region as `blend` does it.

    affine (2, 3) float32 maps region pixels to crop pixels.
    """
    base = np.zeros((height, width, 3), np.float32)
    last = np.float32(crop.shape[0] - 1)
    (a, b, c), (d, e, f) = affine
    for y in range(height):
        for x in range(width):
            u = _held(a * np.float32(x) + b * np.float32(y) + c, last)
            v = _held(d * np.float32(x) + e * np.float32(y) + f, last)
            column, row = min(int(u), crop.shape[0] - 2), min(int(v), crop.shape[0] - 2)
            w00, w01, w10, w11 = _weights(u - np.float32(column), v - np.float32(row))
            for k in range(3):
                base[y, x, k] = (
                    np.float32(crop[row, column, k]) * w00 + np.float32(crop[row, column + 1, k]) * w01
                    + np.float32(crop[row + 1, column, k]) * w10 + np.float32(crop[row + 1, column + 1, k]) * w11
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
    size = result.shape[0]
    last, half, one, white = np.float32(size - 1), np.float32(0.5), np.float32(1), np.float32(255)
    to_cell = np.float32((changed.shape[0] - 2) / size)
    (a, b, c), (d, e, f) = affine
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            opacity = mask[y, x]
            if opacity <= 0:
                continue
            u = _held(a * np.float32(x) + b * np.float32(y) + c, last)
            v = _held(d * np.float32(x) + e * np.float32(y) + f, last)
            s, t = (u + half) * to_cell + half, (v + half) * to_cell + half
            i, j = int(s), int(t)
            w00, w01, w10, w11 = _weights(s - np.float32(i), t - np.float32(j))
            lost = changed[j, i] * w00 + changed[j, i + 1] * w01 + changed[j + 1, i] * w10 + changed[j + 1, i + 1] * w11
            column, row = min(int(u), size - 2), min(int(v), size - 2)
            w00, w01, w10, w11 = _weights(u - np.float32(column), v - np.float32(row))
            for k in range(3):
                old = np.float32(target[y, x, k])
                fresh = (
                    np.float32(result[row, column, k]) * w00 + np.float32(result[row, column + 1, k]) * w01
                    + np.float32(result[row + 1, column, k]) * w10 + np.float32(result[row + 1, column + 1, k]) * w11
                )  # fmt: skip
                value = old + opacity * (fresh + (one - lost) * (old - base[y, x, k]) - old)
                target[y, x, k] = np.uint8(min(max(value + half, np.float32(0)), white))
