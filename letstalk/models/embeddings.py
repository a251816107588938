"""How latents, moments, amounts and places become vectors of the transformer's width."""

from __future__ import annotations

import math

import torch
from diffusers.models.embeddings import Timesteps
from torch import Tensor, nn

from letstalk.types import exact_div

TIME_CHANNELS = 256
# Rotary wavelengths run from 2 pi to this many frames: memory and chunk together are shorter.
LONGEST_WAVE_FRAMES = 256.0


def patchify(latents: Tensor, patch: int) -> Tensor:
    """(..., C, h, w) -> (..., P, C patch^2), P = (h / patch) (w / patch), row by row."""
    *lead, channels, height, width = latents.shape
    rows, columns = exact_div(height, patch), exact_div(width, patch)
    cells = latents.reshape(-1, channels, rows, patch, columns, patch)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(*lead, rows * columns, channels * patch * patch)


def unpatchify(tokens: Tensor, patch: int, side: int) -> Tensor:
    """(..., P, C patch^2) -> (..., C, side, side): the inverse of `patchify`."""
    lead, cells = tokens.shape[:-2], exact_div(side, patch)
    channels = exact_div(tokens.shape[-1], patch * patch)
    grid = tokens.reshape(-1, cells, cells, channels, patch, patch)
    return grid.permute(0, 3, 1, 4, 2, 5).reshape(*lead, channels, side, side)


def given_or_null(values: Tensor, given: Tensor | None, null: Tensor) -> Tensor:
    """`values` (B, ...) where `given` (B,) is True, else the learned `null`: what is dropped has no influence."""
    null = null.to(values.dtype)
    if given is None:
        return values
    return torch.where(given.view(-1, *[1] * (values.dim() - 1)), values, null)


class TimeEmbedding(nn.Module):
    """Noise level, 0 (clean) to 1000 (noise), of any shape -> (..., width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.waves = Timesteps(TIME_CHANNELS, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.hidden, self.out = nn.Linear(TIME_CHANNELS, width), nn.Linear(width, width)

    def forward(self, timestep: Tensor) -> Tensor:
        waves = self.waves(timestep.flatten().float()).view(*timestep.shape, TIME_CHANNELS)
        return self.out(nn.functional.silu(self.hidden(waves.to(self.hidden.weight.dtype))))


class ControlEmbedding(nn.Module):
    """Amounts (B, F, K), 0 = usual, and which of them are given -> (B, F, width); what is not given has its null."""

    def __init__(self, num_controls: int, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(2 * num_controls, width), nn.Linear(width, width)

    def forward(self, amounts: Tensor, given: Tensor | None) -> Tensor:
        given = torch.ones_like(amounts, dtype=torch.bool) if given is None else given
        amounts = torch.where(given, amounts, 0)
        both = torch.cat([amounts, (~given).to(amounts.dtype)], dim=-1)  # (B, F, 2K): a null is a weight's column
        return self.out(nn.functional.silu(self.hidden(both.to(self.hidden.weight.dtype))))


def sincos_places(side: int, width: int) -> Tensor:
    """Fixed waves over a grid, half of the width for rows, half for columns: (side^2, width), size about 1."""
    quarter = exact_div(width, 4)
    frequencies = torch.exp(-math.log(10_000.0) * torch.arange(quarter) / quarter)
    angles = torch.arange(side)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=-1)  # (side, width / 2)
    rows = line[:, None].expand(side, side, -1)
    columns = line[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, width)


def time_rotations(positions: Tensor, head_width: int) -> Tensor:
    """Complex factors (S, head_width / 2) that turn pairs of a head's channels by the frame's position.

    RoPE (Su et al. 2021) on the first half of the channels; the other half knows no time. So scores depend on distances
    only, memory and chunk may have any length, and a token without a place in time (`timeless`) is possible.
    """
    turning = exact_div(head_width, 4)
    exponents = torch.arange(turning, device=positions.device) / max(turning - 1, 1)
    frequencies = (2 * math.pi / LONGEST_WAVE_FRAMES) ** exponents
    angles = positions.float()[:, None] * frequencies
    still = torch.zeros_like(angles)
    return torch.polar(torch.ones(len(positions), 2 * turning, device=positions.device), torch.cat([angles, still], 1))


def timeless(head_width: int, device: torch.device) -> Tensor:
    """A factor (1, head_width / 2) for keys outside time: their turning half is silent, so every frame is as near."""
    turning = exact_div(head_width, 4)
    factor = torch.cat([torch.zeros(1, turning, device=device), torch.ones(1, turning, device=device)], dim=1)
    return factor.to(torch.complex64)


def rotate(x: Tensor, factors: Tensor) -> Tensor:
    """x (..., E) float32 times complex factors that broadcast to (..., E / 2). One pass over memory, no copies."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * factors).flatten(-2)
