"""The motion branch: where in the reference does each pixel of the target lie, and can it be seen there?

Coarse to fine (16, 32, 64), each level corrects the flow of the one before, and all correct what landmarks tell
(`guide.py`). It paints nothing: the synthesis branch does, apart from it, so that pictures need not push on motion
before motion is right.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from letstalk.models.blocks import ResidualUp, residual_stack, start_at_zero, with_coordinates
from letstalk.models.warp import resize_flow, warp


class Motion(NamedTuple):
    """Motion of N targets, each against one reference; flows (N, 2, h, h) float32 in half-widths."""

    flow16: Tensor
    flow32: Tensor
    flow64: Tensor
    visibility: Tensor  # (N, 1, 64, 64) logits: the reference shows this pixel of the target
    confidence: Tensor  # (N, 1, 64, 64) logits, compared between the references
    features16: Tensor  # (N, w16, 16, 16) in the target's frame, where the synthesis branch begins
    features32: Tensor

    def detached(self) -> Motion:
        return Motion(*(part.detach() for part in self))


class MotionBranch(nn.Module):
    """From latents of target and reference (N, C, 8, 8) and the reference's features to `Motion`."""

    def __init__(
        self,
        latent_channels: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        reference_widths: tuple[int, ...],
    ) -> None:
        super().__init__()
        w8, w16, w32, w64 = widths
        d8, d16, d32, d64 = depths
        r64, r32, r16 = reference_widths
        self.join8, self.blocks8 = nn.Conv2d(2 * latent_channels + 2, w8, 3, padding=1), residual_stack(w8, d8)
        self.up16 = ResidualUp(w8, w16)
        self.join16, self.blocks16 = nn.Conv2d(w16 + r16 + 2, w16, 1), residual_stack(w16, d16)
        self.flow16 = nn.Conv2d(w16, 2, 3, padding=1)
        self.up32 = ResidualUp(w16, w32)
        self.join32, self.blocks32 = nn.Conv2d(w32 + r32 + 4, w32, 1), residual_stack(w32, d32)
        self.flow32 = nn.Conv2d(w32, 2, 3, padding=1)
        self.up64 = ResidualUp(w32, w64)
        self.join64, self.blocks64 = nn.Conv2d(w64 + r64 + 2, w64, 1), residual_stack(w64, d64)
        self.flow64 = nn.Conv2d(w64, 4, 3, padding=1)

    def reset_heads(self) -> None:
        """Zero flow, everything visible, all references equally good: the decoder starts as an exact copy."""
        for head in (self.flow16, self.flow32, self.flow64):
            start_at_zero(head)
        assert self.flow64.bias is not None
        with torch.no_grad():
            self.flow64.bias[2] = 2.0  # sigmoid 0.88

    def forward(
        self,
        latents: Tensor,
        reference_latents: Tensor,
        features: tuple[Tensor, Tensor, Tensor],
        guide: Tensor | None = None,
    ) -> Motion:
        """`guide` (N, 2, 64, 64) is the flow to begin with; none: no motion."""
        r64, r32, r16 = features
        both = torch.cat([latents, latents - reference_latents], dim=1)  # (N, 2C, 8, 8)
        x8 = self.blocks8(self.join8(with_coordinates(both)))  # (N, w8, 8, 8)

        x16 = self.up16(x8)  # (N, w16, 16, 16)
        x16 = self.blocks16(self.join16(with_coordinates(torch.cat([x16, r16], dim=1))))
        change16 = self.flow16(x16).float()  # (N, 2, 16, 16), to what the guide says

        # A level sees what the flow so far brings here and decides what is still wrong. The look is not differentiated
        # by place: gradients through sampled features are noise beside the labels.
        change = resize_flow(change16, 32)
        flow = _guided(change, guide)
        x32, seen = self.up32(x16), warp(r32, flow.detach())
        x32 = self.join32(with_coordinates(torch.cat([x32, seen, flow.detach().to(x32.dtype)], dim=1)))
        x32 = self.blocks32(x32)  # (N, w32, 32, 32)
        change32 = change + self.flow32(x32).float()

        change = resize_flow(change32, 64)
        flow = _guided(change, guide)
        x64, seen = self.up64(x32), warp(r64, flow.detach())
        x64 = self.join64(torch.cat([x64, seen, flow.detach().to(x64.dtype)], dim=1))
        x64 = self.blocks64(x64)  # (N, w64, 64, 64)
        last = self.flow64(x64).float()  # (N, 4, 64, 64)
        flow16, flow32 = _guided(change16, guide), _guided(change32, guide)
        return Motion(flow16, flow32, flow + last[:, :2], last[:, 2:3], last[:, 3:], x16, x32)


def _guided(change: Tensor, guide: Tensor | None) -> Tensor:
    return change if guide is None else change + resize_flow(guide, change.shape[-1])
