"""How much fine detail a face has: the variance of its Laplacian, and that of a made face against the true one's.

The measure is Pech-Pacheco, Cristobal, Chamorro-Martinez and Fernandez-Valdivia, "Diatom autofocusing in brightfield
microscopy", ICPR 2000. It also counts noise and hard edges as detail, so it says nothing without the picture beside it.
"""

from __future__ import annotations

import numpy as np

from letstalk.evaluation.picture_quality import LUMA, masked_means


def laplacian_variance(pictures: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(n,) of the luma of (n, h, w, 3) uint8 over `mask` (n, h, w) bool; 3 x 3 kernel with four neighbours."""
    import cv2

    assert mask.shape == pictures.shape[:3] and mask.dtype == bool, (mask.shape, pictures.shape)
    filtered = np.stack([cv2.Laplacian(picture @ LUMA, cv2.CV_32F, ksize=1) for picture in pictures])
    means = masked_means(filtered, mask)
    return masked_means((filtered - means[:, None, None]) ** 2, mask)


def relative_sharpness(found: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(n,) 1 where the made face has as much detail as the true one inside `mask`; nan where that has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = laplacian_variance(found, mask) / laplacian_variance(truth, mask)
    return np.where(np.isfinite(ratio), ratio, np.nan)
