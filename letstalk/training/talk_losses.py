"""Losses of the talker beyond those of `flow` and `longform`, and what the autoencoder says of its latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.training.focus import mouth_area
from letstalk.training.readings import READING_NAMES, reading_errors

# What a viewer watches for: a wrong head pose is another take, a wrong mouth is a mistake.
READ = tuple(READING_NAMES.index(name) for name in ("mouth_gap", "mouth_width", "lid_left", "lid_right"))


class LatentReader:
    """The frozen autoencoder as far as training a talker needs it: scale of the latents and what they show.

    Not a module: its weights belong to nobody's optimiser and to no saved state.
    """

    def __init__(self, codec: ReferenceAutoencoder, device: torch.device) -> None:
        self.codec = codec.requires_grad_(False).eval()
        torch.nn.Module.to(self.codec, device)

    def __deepcopy__(self, memo: dict[int, Any]) -> LatentReader:
        """Copies of a model that is being trained share what is frozen."""
        return self

    def normalise(self, latents: Tensor) -> Tensor:
        """(..., C, h, w) raw -> normalised"""
        return self.codec.normalise(latents.flatten(0, -4)).view_as(latents)

    def readings(self, normalised: Tensor) -> Tensor:
        """(..., C, h, w) normalised -> (..., num_readings) float32, in the order of READING_NAMES."""
        raw = self.codec.denormalise(normalised.flatten(0, -4))
        return self.codec.read_geometry(raw).readings.unflatten(0, normalised.shape[:-3])


def expression_errors(reader: LatentReader, predicted: Tensor, target: Tensor) -> Tensor:
    """Mouth and lids as the autoencoder reads them from normalised latents (B, F, C, h, w), in spreads: (B, F)."""
    with torch.no_grad():
        wanted = reader.readings(target)
    return reading_errors(reader.readings(predicted), wanted)[..., READ].mean(-1)


def mouth_cells(codec: ReferenceAutoencoder, latents: Tensor, portraits: Tensor, num_probes: int = 4) -> Tensor:
    """(h, w) in 0..1: how much each latent cell changes the mouth's pixels, 1 for the cell that matters most.

    `latents` (N, C, h, w) raw, of frames of the people in `portraits` (N, 3, S, S) -1..1. Squared sensitivities are
    estimated with random probes: for noise e of unit variance, E (d(e . pixels) / dz)^2 = sum of (d pixel / dz)^2.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        references = codec.encode_references(portraits[:, None])
        landmarks = codec.read_geometry(latents).landmarks
        area = mouth_area(landmarks, portraits.shape[-1])
    found = torch.zeros(latents.shape[-2:], device=latents.device)
    for _ in range(num_probes):
        asked = latents.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            pictures = codec.decode(asked, references).pictures
            probe = torch.randn(pictures.shape, generator=generator).to(pictures)
            (slope,) = torch.autograd.grad((pictures * probe * area).sum(), asked)
        found += slope.square().sum((0, 1))
    found = found.sqrt()
    return found / found.max().clamp_min(1e-12)
