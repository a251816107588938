"""How right a dense motion is: end-point error, and the share of it that folds.

The end-point error is the length of the difference of two flow vectors (Otte and Nagel, ECCV 1994; Baker et al., "A
database and evaluation methodology for optical flow", IJCV 2011, section 4). A map place = pixel + flow folds where
the determinant of its Jacobian is negative: there the picture is turned inside out.

Flows are (n, 2, g, g) float32, x before y, in half-widths of the picture, and say where each target place lies in the
reference (models/warp.py).
"""

from __future__ import annotations

import numpy as np

from letstalk.evaluation.picture_quality import masked_means

MOVES_PX = 1.0  # what moves less tells little about a flow


def endpoint_errors_px(found: np.ndarray, truth: np.ndarray, size: int) -> np.ndarray:
    """(n, g, g) pixels of a picture of side `size`."""
    assert found.shape == truth.shape and found.shape[1] == 2, (found.shape, truth.shape)
    return np.linalg.norm((found - truth).astype(np.float64), axis=1) * (size / 2)


def moving_cells(truth: np.ndarray, visible: np.ndarray, head: np.ndarray) -> np.ndarray:
    """(n, g, g) bool: cells of the label (n, 2, g, g) that the reference shows, that are head and that move more than
    a pixel.

    `visible` is (n, g, g) bool, `head` (n, size, size) bool at the picture's own size; a cell is head when most of it
    is.
    """
    size, cells = head.shape[-1], truth.shape[-1]
    step = size // cells
    assert step * cells == size, f"a grid of {cells} does not fit a picture of {size}"
    shares = head.reshape(len(head), cells, step, cells, step).mean((2, 4))
    return visible & (shares > 0.5) & (endpoint_errors_px(truth, np.zeros_like(truth), size) > MOVES_PX)


def folded_shares(flow: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(n,) 0..1: pixels of `face` (n, size, size) bool where the flow, grown to the picture's size, folds."""
    import torch

    from letstalk.models.warp import jacobian_determinant, resize_flow

    size = face.shape[-1]
    determinant = jacobian_determinant(resize_flow(torch.from_numpy(np.ascontiguousarray(flow)), size)).numpy()
    return masked_means(determinant < 0, face[:, : size - 1, : size - 1])
