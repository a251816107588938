"""Figures on people that are never trained on, always beside the static copy: what does the codec add to the
reference?
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from letstalk.models.autoencoder import Decoded
from letstalk.models.warp import jacobian_determinant
from letstalk.training.batch import PairBatch
from letstalk.training.focus import mouth_area
from letstalk.training.readings import READING_NAMES

PIXELS_AT_256 = 128.0  # in one half-width
MOVES_PIXELS = 1.0  # flow errors are read where the content moves more than this


@dataclass(frozen=True)
class Areas:
    """Where figures are read, (B, 1, S, S) 0 or 1."""

    head: Tensor
    mouth: Tensor

    @classmethod
    def of(cls, batch: PairBatch) -> Areas:
        head = F.interpolate(batch.head[:, 0], size=(batch.size, batch.size), mode="bilinear", align_corners=False)
        return cls((head > 0.5).float(), (mouth_area(batch.landmarks[:, 0], batch.size) > 0.5).float())


def psnr(found: Tensor, truth: Tensor, area: Tensor | None = None) -> Tensor:
    """(B,) dB between pictures in -1..1, inside `area`; at most 50, so that a pair of equal pictures does not rule a
    mean.
    """
    error = ((found.float().clamp(-1, 1) - truth) / 2).square().mean(1, keepdim=True)
    if area is None:
        mean = error.mean((1, 2, 3))
    else:
        mean = (error * area).sum((1, 2, 3)) / area.sum((1, 2, 3)).clamp_min(1)
    return -10 * mean.clamp_min(1e-5).log10()


def picture_figures(found: Tensor, batch: PairBatch, name: str) -> dict[str, Tensor]:
    """`name`_whole, _head and _mouth, each (B,) dB."""
    truth, areas = batch.pictures[:, 0], Areas.of(batch)
    return {
        f"{name}_whole": psnr(found, truth),
        f"{name}_head": psnr(found, truth, areas.head),
        f"{name}_mouth": psnr(found, truth, areas.mouth),
    }


def flow_figures(flow: Tensor, batch: PairBatch, name: str = "flow") -> dict[str, Tensor]:
    """Against the first reference's label: mean error on visible head that moves (pixels at 256), of the zero flow
    beside it, over everything visible (half-widths, as losses count), and the share of head cells where the flow
    folds.
    """
    truth, seen = batch.flow[:, 0], batch.visibility[:, 0]
    head = (batch.head[:, 0] > 0.5).float()
    pixels = truth.norm(dim=1, keepdim=True) * PIXELS_AT_256
    moving = head * (seen > 0.99) * (pixels > MOVES_PIXELS)
    count = moving.sum((1, 2, 3))
    rows = count > 0
    error = (flow - truth).norm(dim=1, keepdim=True) * PIXELS_AT_256
    folded = (jacobian_determinant(flow) < 0).float() * head[:, 0, 1:, 1:]
    half_widths = ((flow - truth).abs().mean(1, keepdim=True) * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp_min(1)
    zero = (truth.abs().mean(1, keepdim=True) * seen).sum((1, 2, 3)) / seen.sum((1, 2, 3)).clamp_min(1)
    return {
        f"{name}_pixels": ((error * moving).sum((1, 2, 3)) / count.clamp_min(1))[rows],
        f"{name}_pixels_zero": ((pixels * moving).sum((1, 2, 3)) / count.clamp_min(1))[rows],
        f"{name}_error": half_widths,
        f"{name}_error_zero": zero,
        f"{name}_folded": folded.sum((1, 2)) / head.sum((1, 2, 3)).clamp_min(1),
    }


def decoded_figures(decoded: Decoded, batch: PairBatch, prefix: str = "") -> dict[str, Tensor]:
    """Of a decoded batch: the picture, the warp alone, and the flow."""
    found = picture_figures(decoded.pictures, batch, f"{prefix}psnr")
    found |= picture_figures(decoded.warped, batch, f"{prefix}warp")
    return found | flow_figures(decoded.motions[0].flow64, batch, f"{prefix}flow")


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's r of two (N,) series; 0 where one of them does not vary."""
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    scale = float(a.norm() * b.norm())
    return float((a * b).sum()) / scale if scale > 1e-12 else 0.0


def reading_figures(found: Tensor, truth: Tensor) -> dict[str, float]:
    """`r_...` of every reading over (N, num_readings)."""
    return {f"r_{name}": correlation(found[:, i], truth[:, i]) for i, name in enumerate(READING_NAMES)}


def averages(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Means over all batches of named (n,) figures."""
    return {name: float(torch.cat([row[name].float().cpu() for row in rows]).mean()) for name in rows[0]}
