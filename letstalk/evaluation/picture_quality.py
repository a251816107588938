"""How close pictures are to the truth: PSNR and SSIM, whole or inside a mask.

PSNR is 10 log10(255^2 / mean squared error), the error over all three channels. SSIM is the structural similarity of
Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE
TIP 2004, equation 13: 11 x 11 Gaussian window of sigma 1.5, K1 .01, K2 .03, on the luma (BT.601 weights) as theirs was
on grey pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PEAK = 255.0
MOST_DB = 100.0  # of identical pictures: means over pairs must stay finite
WINDOW_RADIUS_PX = 5  # of the 11 x 11 window
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr_db(found: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """(n,) dB between pictures (n, h, w, 3) uint8, at most `MOST_DB`; over the pixels of `mask` (n, h, w) bool.

    nan where the mask is empty.
    """
    _check(found, truth, mask)
    squared = (found.astype(np.float32) - truth.astype(np.float32)) ** 2
    mean = masked_means(squared.mean(-1), mask)
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(PEAK**2 / mean), MOST_DB)


def ssim(found: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """(n,) -1..1 between pictures (n, h, w, 3) uint8: the mean of the map over `mask` (n, h, w) bool.

    Pixels whose window does not fit into the picture do not count; nan where no other pixel is in the mask.
    """
    from skimage.metrics import structural_similarity

    _check(found, truth, mask)
    maps = []
    for one, other in zip(found, truth, strict=True):
        result: Any = structural_similarity(
            one @ LUMA, other @ LUMA, data_range=PEAK, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
            full=True,
        )  # fmt: skip
        maps.append(result[1])
    inside = (slice(None), *[slice(WINDOW_RADIUS_PX, -WINDOW_RADIUS_PX)] * 2)
    return masked_means(np.stack(maps)[inside], None if mask is None else mask[inside])


def masked_means(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """(n,) means of (n, ...) over the true places of `mask`, of all without one; nan where there is none."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    if mask is None:
        return rows.mean(1)
    chosen = mask.reshape(len(mask), -1)
    with np.errstate(invalid="ignore"):
        return (rows * chosen).sum(1) / chosen.sum(1)


def _check(found: np.ndarray, truth: np.ndarray, mask: np.ndarray | None) -> None:
    assert found.dtype == truth.dtype == np.uint8 and found.shape == truth.shape, (found.shape, truth.shape)
    assert found.ndim == 4 and found.shape[-1] == 3, found.shape
    assert mask is None or (mask.dtype == bool and mask.shape == found.shape[:3]), "a mask is (n, h, w) bool"
