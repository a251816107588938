"""From a few landmarks to a dense motion: what the motion branch begins with.

A landmark near a pixel tells how the pixel moves, and which landmark is near depends on what it is part of: lips speak
for a few pixels, a cheek for many. What no landmark speaks for stands still. The idea is the first-order motion of
sparse points (Siarohin et al., 2019, section 3.1), without its learnt Jacobians: the motion branch corrects the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from letstalk.models.warp import identity_grid

STANDING_STILL = 0.02  # weight of no motion, beside the 1 of a landmark of the widest reach in its own place


class LandmarkGuide(nn.Module):
    """(N, K, 2) places in target and reference -> flow (N, 2, side, side); `reaches` are half-widths, learnt on."""

    def __init__(self, reaches: tuple[float, ...]) -> None:
        super().__init__()
        self.initial = torch.tensor(reaches).log()
        self.log_reach = nn.Parameter(self.initial.clone())
        self.log_weight = nn.Parameter(torch.zeros(len(reaches)))

    def reset(self) -> None:
        with torch.no_grad():
            self.log_reach.copy_(self.initial)
            self.log_weight.zero_()

    def forward(self, target: Tensor, reference: Tensor, side: int) -> Tensor:
        places = identity_grid(side, side, target.device).flatten(2)[0].T  # (P, 2)
        with torch.autocast(target.device.type, enabled=False):
            target, change = target.float(), (reference - target).float()
            reach = self.log_reach.float()
            square = (target.square().sum(-1)[:, :, None] + places.square().sum(-1) - 2 * target @ places.T).clamp_min(
                0
            )  # (N, K, P) squared distances
            # Small reaches count more: a lip must not be outvoted in its own place by all the cheeks around it.
            strength = self.log_weight.float() + 2 * (reach.amax() - reach)
            weights = (strength[None, :, None] - square * (-2 * reach).exp()[None, :, None] / 2).exp()  # (N, K, P)
            flow = change.transpose(1, 2) @ weights / (weights.sum(1, keepdim=True) + STANDING_STILL)  # (N, 2, P)
        return flow.unflatten(2, (side, side))
