"""What training draws: times, the path from data to noise, its velocity, and losses by time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


def shift_time(s: Tensor, shift: float) -> Tensor:
    """s -> shift s / (1 + (shift - 1) s): above 1 moves times towards the noise, and keeps 0 and 1 where they are.

    The same map that schedulers apply to their grid (Esser et al. 2024, arXiv 2403.03206, equation 23).
    """
    return shift * s / (1.0 + (shift - 1.0) * s)


@dataclass(frozen=True)
class TimeDistribution:
    """Times s for training: uniform, or logit-normal (Esser et al. 2024, equation 19), then shifted.

    A logit-normal of mean m that is shifted by k is one of mean m + log k: the shift is kept apart because it is the
    sampler's, too.
    """

    kind: Literal["logit-normal", "uniform"] = "logit-normal"
    mean: float = 0.0  # of the logit; not used by uniform
    std: float = 1.0
    shift: float = 1.0
    noise_share: float = 0.0  # of times that are exactly 1: where every sampler begins, and a logit-normal never comes

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) float32 in 0..1, on the generator's device."""
        device = generator.device
        if self.kind == "uniform":
            s = torch.rand(count, generator=generator, device=device)
        else:
            s = torch.sigmoid(self.mean + self.std * torch.randn(count, generator=generator, device=device))
        s = shift_time(s, self.shift)
        if self.noise_share > 0:
            s = torch.where(torch.rand(count, generator=generator, device=device) < self.noise_share, 1.0, s)
        return s


def like_rows(per_row: Tensor, tensor: Tensor) -> Tensor:
    """(B,) or (B, F) with ones appended until it broadcasts against (B, F, C, h, w)."""
    return per_row.to(tensor).reshape(per_row.shape + (1,) * (tensor.dim() - per_row.dim()))


def noisy(data: Tensor, noise: Tensor, s: Tensor) -> Tensor:
    """x_s = (1 - s) x0 + s eps; `data` and `noise` (B, F, C, h, w), `s` (B,) or (B, F)."""
    s = like_rows(s, data)
    return (1.0 - s) * data + s * noise


def velocity_target(data: Tensor, noise: Tensor) -> Tensor:
    """v = dx/ds = eps - x0"""
    return noise - data


def data_from_velocity(latents: Tensor, velocity: Tensor, s: Tensor) -> Tensor:
    """The x0 that a velocity at x_s points to: x0 = x_s - s v"""
    return latents - like_rows(s, latents) * velocity


def noise_from_velocity(latents: Tensor, velocity: Tensor, s: Tensor) -> Tensor:
    """eps = x_s + (1 - s) v"""
    return latents + (1.0 - like_rows(s, latents)) * velocity


@dataclass(frozen=True)
class TimeBuckets:
    """Sums and counts of a loss by its time s, to be added up over steps: one number hides where a model is weak."""

    sums: Tensor  # (num_buckets,) float64
    counts: Tensor  # (num_buckets,) int64

    @classmethod
    def of(cls, losses: Tensor, s: Tensor, num_buckets: int = 5) -> TimeBuckets:
        """`losses` and `s` of one shape; bucket k holds s in [k, k + 1) / num_buckets, the last one s = 1 too."""
        index = (s.detach().cpu() * num_buckets).long().clamp(0, num_buckets - 1).flatten()
        sums = torch.zeros(num_buckets, dtype=torch.float64)
        sums = sums.index_add(0, index, losses.detach().cpu().double().flatten())
        return cls(sums, torch.bincount(index, minlength=num_buckets))

    def __add__(self, other: TimeBuckets) -> TimeBuckets:
        return TimeBuckets(self.sums + other.sums, self.counts + other.counts)

    def means(self) -> dict[str, float]:
        """Mean loss by name, such as "s 0.2-0.4"; not a number where nothing fell in."""
        width = 1.0 / len(self.sums)
        return {
            f"s {k * width:.2g}-{(k + 1) * width:.2g}": float(total / count) if count else math.nan
            for k, (total, count) in enumerate(zip(self.sums, self.counts, strict=True))
        }
