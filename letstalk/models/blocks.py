"""Blocks of the convolutional autoencoders.

Wherever resolution changes, a shortcut without parameters runs beside the convolution: space folds into channels and
groups of channels are averaged on the way down, repeated on the way up. Deep compression trains well only with it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.warp import identity_grid
from letstalk.types import exact_div

NORM_EPSILON = 1e-6
# A residual branch ends in a norm, so its size is this gain whatever its weights; small, so that depth starts gently.
BRANCH_GAIN = 0.5


class ChannelNorm(nn.Module):
    """RMS norm over the channels of each pixel."""

    def __init__(self, num_channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.initial_gain = gain
        self.gain = nn.Parameter(torch.full((num_channels,), gain))

    def forward(self, x: Tensor) -> Tensor:
        # Under channels_last both permutes are views and the norm runs over contiguous memory.
        last = x.permute(0, 2, 3, 1)
        return F.rms_norm(last, self.gain.shape, self.gain.to(x.dtype), NORM_EPSILON).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """conv - SiLU - conv - norm, added to its input. (N, C, h, w) -> the same."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(num_channels, num_channels, 3, padding=1)
        self.conv_out = nn.Conv2d(num_channels, num_channels, 3, padding=1, bias=False)
        self.norm = ChannelNorm(num_channels, BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.conv_out(F.silu(self.conv_in(x))))


def residual_stack(num_channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(num_channels) for _ in range(depth)))


class ResidualDown(nn.Module):
    """Half the side: (N, C_in, h, w) -> (N, C_out, h/2, w/2). Needs 4 C_in to be a multiple of C_out."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.group = exact_div(4 * in_channels, out_channels)
        self.conv = nn.Conv2d(4 * in_channels, out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        folded = F.pixel_unshuffle(x, 2)  # (N, 4 C_in, h/2, w/2)
        return self.conv(folded) + folded.unflatten(1, (-1, self.group)).mean(2)


class ResidualUp(nn.Module):
    """Twice the side: (N, C_in, h, w) -> (N, C_out, 2h, 2w). Needs 4 C_out to be a multiple of C_in."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.repeats = exact_div(4 * out_channels, in_channels)
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x) + x.repeat_interleave(self.repeats, dim=1), 2)


def with_coordinates(x: Tensor) -> Tensor:
    """Two more channels: where each pixel is, -1..1. A convolution cannot know it otherwise, and motion is about
    places.
    """
    grid = identity_grid(x.shape[-2], x.shape[-1], x.device).to(x.dtype)
    return torch.cat([x, grid.expand(x.shape[0], -1, -1, -1)], dim=1)


def soft_argmax(heat_maps: Tensor) -> Tensor:
    """Mean place under each heat map's softmax: (N, K, h, w) -> (N, K, 2) float32, normalised x and y."""
    shares = heat_maps.float().flatten(2).softmax(-1)  # (N, K, h w)
    places = identity_grid(heat_maps.shape[-2], heat_maps.shape[-1], heat_maps.device).flatten(2)[0]  # (2, h w)
    return shares @ places.T


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draws every weight below `module` from `generator`: one seed, one network, whatever else drew numbers before."""
    for part in module.modules():
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(part.weight, a=math.sqrt(5), generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, ChannelNorm):
            nn.init.constant_(part.gain, part.initial_gain)


def start_at_zero(layer: nn.Conv2d | nn.Linear) -> None:
    """The layer adds nothing until it has learnt to."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
