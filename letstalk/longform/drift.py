"""Guards against drift in very long runs: pure functions on one chunk, off unless asked for.

A well-trained memory should not need them. They cost nothing, and once latents have left what the network knows, it
does not find back by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def clamp_latents(latents: Tensor, limit_std: float) -> Tensor:
    """Cut to +- `limit_std`; latents of unit variance, (B, F, C, h, w)."""
    return latents.clamp(-limit_std, limit_std)


def pull_statistics(latents: Tensor, reference: Tensor, strength: float) -> Tensor:
    """Moves mean and std of each channel of a chunk towards those of the reference (adaptive instance normalisation,
    Huang and Belongie 2017, equation 8).

    `latents` (B, F, C, h, w) and `reference` (B, C, h, w) are normalised latents, not differences from the portrait:
    those of the portrait itself are all zero. Statistics are taken over all frames of the chunk, so that motion within
    it stays. `strength` 0 leaves everything as it is, 1 makes the statistics equal.
    """
    if strength == 0.0:
        return latents
    std, mean = torch.std_mean(latents.float(), (1, 3, 4), correction=0, keepdim=True)  # (B, 1, C, 1, 1)
    wanted_std, wanted_mean = torch.std_mean(reference[:, None].float(), (1, 3, 4), correction=0, keepdim=True)
    matched = (latents - mean) / std.clamp_min(1e-6) * wanted_std + wanted_mean
    return (latents + strength * (matched - latents)).to(latents.dtype)


@dataclass(frozen=True)
class DriftGuards:
    """Settings of both; the defaults do nothing."""

    limit_std: float | None = None  # 3.5 is usual
    pull: float = 0.0  # 0.1 to 0.3 is usual

    def apply(self, latents: Tensor, reference: Tensor) -> Tensor:
        """`latents` (B, F, C, h, w) and `reference` (B, C, h, w), both normalised."""
        pulled = pull_statistics(latents, reference, self.pull)
        return pulled if self.limit_std is None else clamp_latents(pulled, self.limit_std)
