"""Gated feed-forward networks: with a depth-wise convolution where tokens lie on a grid, without where they do not."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class GatedFeedForward(nn.Module):
    """1x1, [depth-wise 3x3 over the grid], gate, 1x1 (SANA's Mix-FFN). (..., P, D) -> the same.

    `side` is the grid's; 0 for tokens without places.
    """

    def __init__(self, width: int, ratio: float, side: int) -> None:
        super().__init__()
        self.side = side
        hidden = 8 * round(width * ratio / 8)
        self.widen = nn.Linear(width, 2 * hidden)
        self.mix = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden) if side else nn.Identity()
        self.narrow = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.widen(x))  # (..., P, 2 hidden)
        if self.side:
            # Tokens with channels last are a picture in channels_last: both views are free.
            grid = h.reshape(-1, self.side, self.side, h.shape[-1]).permute(0, 3, 1, 2)
            h = self.mix(grid).permute(0, 2, 3, 1).reshape(h.shape)
        value, gate = h.chunk(2, dim=-1)
        return self.narrow(value * F.silu(gate))
