"""A moving average of weights: what is validated and shipped."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class WeightAverage(Generic[Model]):
    """`self.model` is a copy of the trained one whose parameters follow slowly."""

    def __init__(self, model: Model, decay: float = 0.999) -> None:
        self.model, self.decay, self.num_updates = copy.deepcopy(model), decay, 0
        self.model.requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: Model) -> None:
        """Early on the average follows faster: after n steps it looks back over about n / 5 of them."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (6 + self.num_updates))
        for kept, new in zip(self.model.parameters(), model.parameters(), strict=True):
            kept.lerp_(new.detach(), 1 - decay)
