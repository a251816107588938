"""A small judge of patches: does this spot look like a true picture? It joins late and lightly, for the last
sharpness.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from letstalk.models.blocks import initialise


class PatchJudge(nn.Module):
    """(N, 3, S, S) -> features of three levels and a score for every 16 x 16 pixels (N, 1, S/16, S/16)."""

    def __init__(self, width: int = 32, seed: int = 1) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.score = nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1)
        initialise(self, torch.Generator().manual_seed(seed))
        for layer in (*self.levels, self.score):
            spectral_norm(layer)

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], Tensor]:
        features, x = [], pictures
        for level in self.levels:
            x = F.leaky_relu(level(x), 0.2)
            features.append(x)
        return features, self.score(x)


def hinge_loss(true_scores: Tensor, made_scores: Tensor) -> Tensor:
    """What the judge minimises."""
    return F.relu(1 - true_scores).mean() + F.relu(1 + made_scores).mean()
