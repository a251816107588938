"""Pasting a generated crop back into the full picture, frame by frame, without a seam.

Three things keep it invisible: a mask that fades well inside the crop, the exact inverse of the framing, and the full
picture's own fine detail, which is kept wherever the crop did not change. So an unchanged crop changes nothing at all,
however coarse it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from letstalk.media.framing import crop_corners
from letstalk.types import Framing, Portrait

FEATHER = 0.1  # of the crop's side: how wide the mask fades
UNCHANGED_LEVELS, CHANGED_LEVELS = 2.0, 10.0  # mean grey levels a block may differ before its detail goes
ENLARGED = 0.7  # full-picture pixels for one crop pixel, below which the result is filtered before it is shrunk


@dataclass(frozen=True)
class _Region:
    """The rows and columns of the full picture that the crop touches."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def under(cls, framing: Framing) -> _Region:
        corners = crop_corners(framing)
        left, top = np.floor(corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
        return cls(
            min(max(int(top), 0), framing.full_height),
            min(max(int(bottom), 0), framing.full_height),
            min(max(int(left), 0), framing.full_width),
            min(max(int(right), 0), framing.full_width),
        )

    def of(self, picture: np.ndarray) -> np.ndarray:
        return picture[self.top : self.bottom, self.left : self.right]


class PasteBack:
    """Everything about one portrait that every frame of its video needs; immutable after it is made."""

    def __init__(self, portrait: Portrait, feather: float = FEATHER) -> None:
        from letstalk.media.paste_kernel import bring

        assert 0 < feather < 0.5, feather
        framing = portrait.framing
        self._full = portrait.full
        self._region = _Region.under(framing)
        self._size = _inner_size(framing)
        self._crop = self._fitted(portrait.crop)
        self._affine = _region_to_crop(framing, self._region, self._size)
        self._mask = paste_mask(framing, self._region, feather)
        self._base = bring(self._crop, self._affine, *self._mask.shape)

    def frame(self, result: np.ndarray) -> np.ndarray:
        """The full picture, uint8 (full_height, full_width, 3), with the crop replaced by `result`, (size, size, 3)."""
        from letstalk.media.paste_kernel import blend, change_map

        full = self._full.copy()
        if self._mask.size:
            result = self._fitted(result)
            block = next((step for step in (8, 4, 2) if self._size % step == 0 and self._size // step >= 32), 1)
            changed = change_map(result, self._crop, block, UNCHANGED_LEVELS, CHANGED_LEVELS)
            blend(self._region.of(full), result, self._base, self._mask, changed, self._affine)
        return full

    def _fitted(self, crop: np.ndarray) -> np.ndarray:
        """The crop at the resolution of the full picture, where that is much coarser."""
        if len(crop) == self._size:
            return np.ascontiguousarray(crop)
        return np.asarray(Image.fromarray(crop).resize((self._size, self._size), Image.Resampling.BILINEAR))


def _inner_size(framing: Framing) -> int:
    if framing.scale >= ENLARGED:
        return framing.crop_size
    return min(framing.crop_size, max(32, 8 * round(framing.crop_size * framing.scale / 8)))


def _region_to_crop(framing: Framing, region: _Region, size: int) -> np.ndarray:
    """(2, 3) float32: pixels of the region to pixels of the crop at side `size`."""
    affine = framing.full_to_crop.copy()
    affine[:, 2] += affine[:, :2] @ (region.left, region.top)
    ratio = size / framing.crop_size
    affine *= ratio
    affine[:, 2] += (ratio - 1) / 2
    return affine.astype(np.float32)


def paste_mask(framing: Framing, region: _Region, feather: float) -> np.ndarray:
    """(region height, region width) float32: 1 inside, falling smoothly to 0 at the sides of the crop.

    A side that lies beyond the picture's edge needs no fading: there is nothing to blend with.
    """
    rows, columns = np.mgrid[region.top : region.bottom, region.left : region.right].astype(np.float32)
    (a, b, c), (d, e, f) = framing.full_to_crop.astype(np.float32)
    across = (a * columns + b * rows + c + 0.5) / framing.crop_size
    along = (d * columns + e * rows + f + 0.5) / framing.crop_size
    mask = ((across > 0) & (across < 1) & (along > 0) & (along < 1)).astype(np.float32)
    for side, distance in {"left": across, "right": 1 - across, "top": along, "bottom": 1 - along}.items():
        if _side_is_visible(framing, side):
            share = np.clip(distance / feather, 0, 1)
            mask *= share * share * (3 - 2 * share)
    return mask


def _side_is_visible(framing: Framing, side: str) -> bool:
    """Whether any part of this side of the crop, one pixel inwards, lies in the picture."""
    run = np.linspace(0, framing.crop_size - 1, 129)
    end = np.full_like(run, 0.0 if side in ("left", "top") else framing.crop_size - 1.0)
    points = np.stack([end, run] if side in ("left", "right") else [run, end], axis=1)
    full = points @ framing.crop_to_full[:, :2].T + framing.crop_to_full[:, 2]
    # A side on the picture's very edge counts as beyond it: a strip of one pixel that never moves would be seen.
    margin = framing.scale + 0.5
    limit = np.array([framing.full_width, framing.full_height]) - 1
    return bool(((full >= margin) & (full <= limit - margin)).all(axis=1).any())


def paste_back(portrait: Portrait, result: np.ndarray, feather: float = FEATHER) -> np.ndarray:
    """One result into the full picture; keep a `PasteBack` for a video."""
    return PasteBack(portrait, feather).frame(result)
