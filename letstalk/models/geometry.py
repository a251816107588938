"""Reads geometry from latents. It trains the encoder to know where the face is, and later tells what a latent means."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.blocks import start_at_zero


class Geometry(NamedTuple):
    landmarks: Tensor  # (N, K, 2) float32, normalised x and y
    readings: Tensor  # (N, num_readings) float32, in the order and units of the configuration's names


class GeometryHead(nn.Module):
    """Latents (N, C, h, w) -> `Geometry`. Small on purpose: what it cannot read easily is not laid out well in the
    latent.
    """

    def __init__(self, num_latent_values: int, width: int, num_landmarks: int, num_readings: int) -> None:
        super().__init__()
        self.num_landmarks = num_landmarks
        self.hidden = nn.Linear(num_latent_values, width)
        self.out = nn.Linear(width, 2 * num_landmarks + num_readings)

    def reset_heads(self) -> None:
        """Everything at the picture's centre, every reading 0."""
        start_at_zero(self.out)

    def forward(self, latents: Tensor) -> Geometry:
        # In float32: motion begins with differences of landmarks, and half precision would round them to half a pixel.
        with torch.autocast(latents.device.type, enabled=False):
            hidden = F.silu(_linear(self.hidden, latents.flatten(1)))  # (N, width)
            values = _linear(self.out, hidden)
        landmarks, readings = values.tensor_split([2 * self.num_landmarks], dim=1)
        return Geometry(landmarks.unflatten(1, (-1, 2)), readings)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """float32, whatever the layer's weights are kept in."""
    return F.linear(x.float(), layer.weight.float(), layer.bias.float())
