"""Warping by backward flow, and the flow algebra that networks, augmentation and labels share.

A flow (N, 2, h, w) says for every target pixel where its content lies in the reference: place = pixel + flow. Places
are normalised: -1 and 1 are the outer edges of the picture, x before y, so one flow fits every resolution. Its unit is
half the picture's width: 0.01 is 1.28 pixels at 256.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Pixel centres (1, 2, height, width) float32. Exact for powers of two, so a zero flow copies bit for bit."""
    ys = (torch.arange(height, device=device, dtype=torch.float32) * 2 + 1) / height - 1
    xs = (torch.arange(width, device=device, dtype=torch.float32) * 2 + 1) / width - 1
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)])[None]


def resize_flow(flow: Tensor, size: int) -> Tensor:
    """The same flow on another square grid; area means when it shrinks, so that a label keeps no aliasing."""
    if flow.shape[-1] == size:
        return flow
    if flow.shape[-1] > size:
        return F.adaptive_avg_pool2d(flow, size)
    return F.interpolate(flow, size=(size, size), mode="bilinear", align_corners=False)


def sample(values: Tensor, places: Tensor, padding: str = "border") -> Tensor:
    """Reads `values` (N or 1, C, H, W) at normalised `places` (N, 2, h, w) -> (N, C, h, w), in the dtype of `values`.

    Computed in float32: half-precision coordinates would jitter by a pixel, and the CPU kernel is slow in bf16.
    """
    full = values.float().expand(places.shape[0], -1, -1, -1)
    read = F.grid_sample(
        full, places.float().permute(0, 2, 3, 1), mode="bilinear", padding_mode=padding, align_corners=False
    )
    return read.to(values.dtype)


def warp(values: Tensor, flow: Tensor, padding: str = "border") -> Tensor:
    """`values` (N or 1, C, S, S) moved by a flow (N, 2, h, h) of any resolution -> (N, C, S, S)."""
    height, width = values.shape[-2:]
    return sample(values, identity_grid(height, width, flow.device) + resize_flow(flow.float(), width), padding)


def carried(places: Tensor, flow: Tensor, steps: int = 8) -> Tensor:
    """Where the reference's `places` (N, K, 2) lie in the target of a backward flow (N, 2, h, h).

    The fixed point of place = reference - flow(place); it is found where the flow does not fold.
    """
    reference = places.transpose(1, 2)[..., None].float()  # (N, 2, K, 1)
    found = reference
    for _ in range(steps):
        found = reference - sample(flow.float(), found)
    return found[..., 0].transpose(1, 2)


def jacobian_determinant(flow: Tensor) -> Tensor:
    """Local area scale (N, h-1, w-1) of place = pixel + flow; below 0 the picture is folded over."""
    height, width = flow.shape[-2:]
    places = identity_grid(height, width, flow.device) + flow.float()
    dx = (places[:, :, :-1, 1:] - places[:, :, :-1, :-1]) * (width / 2)  # (N, 2, h-1, w-1): d(x, y) / d column
    dy = (places[:, :, 1:, :-1] - places[:, :, :-1, :-1]) * (height / 2)  # d(x, y) / d row
    return dx[:, 0] * dy[:, 1] - dx[:, 1] * dy[:, 0]
