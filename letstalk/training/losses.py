"""Losses of the autoencoder as pure functions. Each returns a scalar; their weights are data (codec_stages.py)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from letstalk.models.geometry import Geometry
from letstalk.models.motion import Motion
from letstalk.models.warp import resize_flow, sample
from letstalk.training.readings import reading_errors

KEPT_AT_MOST = 0.9
BACKGROUND_FLOW_WEIGHT = 0.3  # it stands still and is half of the picture: easy, and must not drown the face
LEVEL_SHARE = {"flow16": 0.25, "flow32": 0.5, "flow64": 1.0}


def landmark_loss(found: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of (N, K, 2) places, in half-widths."""
    return (found.float() - truth).abs().mean()


def reading_loss(found: Geometry, readings: Tensor) -> Tensor:
    return reading_errors(found.readings, readings).mean()


def flow_loss(motion: Motion, flow: Tensor, visibility: Tensor, weights: Tensor) -> Tensor:
    """Error of all three levels on what the reference shows; labels (N, 2, 64, 64), weights (N, 1, 64, 64).

    The sum is divided by what is visible, not by the weights: a heavier mouth adds to the loss and takes from nobody.
    """
    total = flow.new_zeros(())
    for name, share in LEVEL_SHARE.items():
        found = getattr(motion, name)
        side = found.shape[-1]
        seen = resize_flow(visibility, side)
        # Cells of a coarse level that mix hidden and visible content would have a meaningless mean label.
        whole = torch.where(seen > 0.99, seen, torch.zeros_like(seen)) if side < 64 else seen
        error = (found - resize_flow(flow, side)).abs().sum(1, keepdim=True)
        total = total + share * (error * whole * resize_flow(weights, side)).sum() / whole.sum().clamp_min(1)
    return total / sum(LEVEL_SHARE.values())


def point_loss(flow: Tensor, target: Tensor, reference: Tensor, groups: tuple[tuple[int, ...], ...]) -> Tensor:
    """How each group of landmarks (a mouth, an eye) changes its shape: places that the flow (N, 2, h, h) gives to the
    target's landmarks (N, K, 2), against the reference's, both counted from the middle of their group.
    """
    brought = sample(flow, target.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)  # (N, K, 2)
    return shape_loss(target + brought, reference, groups)


def shape_loss(found: Tensor, truth: Tensor, groups: tuple[tuple[int, ...], ...]) -> Tensor:
    """Mean absolute error of (N, K, 2) landmarks, each group's counted from its own middle."""
    error = found.float() - truth
    parts = [(error[:, group] - error[:, group].mean(1, keepdim=True)).abs().mean() for group in groups]
    return torch.stack(parts).mean()


def visibility_loss(logits: Tensor, visibility: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), visibility)


def smoothness_loss(flow: Tensor) -> Tensor:
    """Second differences: a flow may turn and scale for nothing, but not tear."""
    across = flow[..., 2:] - 2 * flow[..., 1:-1] + flow[..., :-2]
    down = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    return across.abs().mean() + down.abs().mean()


def latent_size_loss(latents: Tensor) -> Tensor:
    return latents.float().square().mean()


def _pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    stack = [pictures]
    for _ in range(levels - 1):
        stack.append(F.avg_pool2d(stack[-1], 2))
    return stack


def pixel_loss(found: Tensor, truth: Tensor, weights: Tensor, levels: int = 3) -> Tensor:
    """Weighted L1 at several scales: the coarse ones still pull where fine detail lies a pixel beside its place."""
    pairs = zip(_pyramid(found, levels), _pyramid(truth, levels), _pyramid(weights, levels), strict=True)
    return torch.stack([((a - b).abs() * w).mean() for a, b, w in pairs]).mean()


def gradient_loss(found: Tensor, truth: Tensor, weights: Tensor, levels: int = 3) -> Tensor:
    """Weighted L1 of neighbour differences at several scales: edges must be as sharp as the truth's, and where they
    are.
    """
    total = []
    pairs = zip(_pyramid(found, levels), _pyramid(truth, levels), _pyramid(weights, levels), strict=True)
    for a, b, w in pairs:
        difference = a - b
        across = (difference[..., 1:] - difference[..., :-1]).abs() * w[..., 1:]
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * w[..., 1:, :]
        total.append(across.mean() + down.mean())
    return torch.stack(total).mean()


def visible_warp_loss(warped: Tensor, truth: Tensor, visibility: Tensor, weights: Tensor) -> Tensor:
    """L1 of the moved pixels alone where the reference shows the content: refines motion below the labels' grid."""
    seen = F.interpolate(visibility, size=truth.shape[-2:], mode="bilinear", align_corners=False)
    return ((warped.float() - truth).abs() * seen * weights).mean()


def painting_loss(keep_logits: Tensor, visibility: Tensor) -> Tensor:
    """What the reference shows is moved, what it hides is painted: cross-entropy of the kept share with the label.

    It must ask for painting too. A price on painting alone is the one thing that all pixels agree on at the start:
    within a hundred steps everything is kept, and through a share of zero nothing is ever learnt again. Even where all
    is seen a tenth stays open, for shading and folds that no moving brings.
    """
    seen = F.interpolate(visibility, size=keep_logits.shape[-2:], mode="bilinear", align_corners=False)
    return F.binary_cross_entropy_with_logits(keep_logits.float(), KEPT_AT_MOST * seen.clamp(0, 1))


def disagreement(features: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Feature matching: mean L1 between the judge's features of a made and of a true picture."""
    return torch.stack([(a - b.detach()).abs().mean() for a, b in zip(features, truth, strict=True)]).mean()
