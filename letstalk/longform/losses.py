"""Losses over neighbouring frames: a video is judged by how it moves, and its seams by how it moves across them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class FrameBefore(NamedTuple):
    """The frame just before the chunk: what the viewer sees there and what the truth was; the same outside roll-outs.

    Clean, not as the network's memory was shown it. `known` (B,) is false for a job's first chunk.
    """

    shown: Tensor  # (B, C, h, w)
    true: Tensor  # (B, C, h, w)
    known: Tensor  # (B,) bool


def frame_errors(predicted: Tensor, target: Tensor, cell_weight: Tensor | None = None) -> Tensor:
    """(B, F, C, h, w) twice -> (B, F) mean squared error; `cell_weight` (h, w) of any scale favours some places."""
    errors = (predicted.float() - target.float()).square().mean(2)  # (B, F, h, w)
    if cell_weight is None:
        return errors.mean((-2, -1))
    weight = cell_weight.to(errors)
    return (errors * weight).sum((-2, -1)) / weight.sum()


def motion_errors(
    predicted: Tensor, target: Tensor, before: FrameBefore | None = None, cell_weight: Tensor | None = None
) -> Tensor:
    """How wrongly the chunk moves: squared error of the differences between frames, (B,).

    `predicted` and `target` are clean latents (x0), (B, F, C, h, w). `before` adds the step into the chunk: a jump at
    the seam costs what the same jump inside would. A chunk of one frame without `before` has no motion: 0.
    """
    moved, wanted = predicted.float().diff(dim=1), target.float().diff(dim=1)  # (B, F - 1, C, h, w)
    counted = torch.ones(moved.shape[:2], device=moved.device)
    if before is not None:
        enters = predicted[:, :1].float() - before.shown[:, None].float()
        should = target[:, :1].float() - before.true[:, None].float()
        moved, wanted = torch.cat([enters, moved], 1), torch.cat([should, wanted], 1)
        counted = torch.cat([before.known[:, None].to(counted), counted], 1)
    errors = frame_errors(moved, wanted, cell_weight)
    return (errors * counted).sum(1) / counted.sum(1).clamp_min(1.0)


def seam_jump(latents: Tensor, last_before: Tensor) -> Tensor:
    """The step into a chunk over the median step inside it, (B,): about 1 where no seam can be seen.

    `latents` (B, F, C, h, w) with F of 2 or more, `last_before` (B, C, h, w).
    """
    inside = latents.float().diff(dim=1).flatten(2).norm(dim=2).median(dim=1).values
    return (latents[:, 0].float() - last_before.float()).flatten(1).norm(dim=1) / inside.clamp_min(1e-8)
