"""What training does to the memory, so that the network learns not to trust it: at run time it is the network's own
work, faults included. Never used when a video is made.

One set of functions; `MEMORY_NOISE` is ours, `PUBLISHED_MEMORY_NOISE` what the 2025 system describes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from letstalk.longform.memory_bank import MemoryBank

# Linear betas of DDPM (Ho et al. 2020, section 4), on which the published noise levels are defined.
NUM_DIFFUSION_STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 2e-2


@dataclass(frozen=True)
class MemoryNoise:
    """How strongly, and how often. Shares are probabilities of a sample (row), `patch_drop` of a cell in it."""

    noise_share: float = 0.8  # the other rows see a clean memory, which is what they get at run time
    levels: Literal["uniform", "linear-betas"] = "uniform"
    min_std: float = 0.01  # of uniform levels
    max_std: float = 0.17
    num_levels: int = 50  # of linear betas: t is drawn from 0..num_levels - 1
    patch_drop_share: float = 0.5
    patch_drop: float = 0.25
    same_cells_in_batch: bool = False  # one mask for the whole batch
    forget_share: float = 0.1  # rows without any memory, as in a job's first chunk


MEMORY_NOISE = MemoryNoise()
PUBLISHED_MEMORY_NOISE = MemoryNoise(
    noise_share=1.0, levels="linear-betas", patch_drop_share=1.0, same_cells_in_batch=True, forget_share=0.0
)


@dataclass(frozen=True)
class PixelNoise:
    """Noise on reference and memory pictures (-1..1) before they are encoded: its std is log-normal, median 0.05."""

    share: float = 1.0
    log_mean: float = -3.0
    log_std: float = 0.5


def linear_beta_stds(num_levels: int) -> Tensor:
    """(num_levels,) float32: the noise's std at t = 0..num_levels - 1 of 1000 steps, sqrt(1 - alpha-bar_t)."""
    betas = torch.linspace(FIRST_BETA, LAST_BETA, NUM_DIFFUSION_STEPS, dtype=torch.float64)[:num_levels]
    return (1.0 - torch.cumprod(1.0 - betas, 0)).sqrt().float()


def draw_stds(settings: MemoryNoise, count: int, generator: torch.Generator) -> Tensor:
    """(count,) float32 on the generator's device: 0 for rows that stay clean."""
    device = generator.device
    if settings.levels == "uniform":
        place = torch.rand(count, generator=generator, device=device)
        stds = settings.min_std + (settings.max_std - settings.min_std) * place
    else:
        levels = torch.randint(settings.num_levels, (count,), generator=generator, device=device)
        stds = linear_beta_stds(settings.num_levels).to(device)[levels]
    return torch.where(_chance(count, settings.noise_share, generator), stds, 0.0)


def add_noise(latents: Tensor, stds: Tensor, generator: torch.Generator) -> Tensor:
    """(B, M, C, h, w) -> sqrt(1 - std^2) latents + std eps, which keeps a variance of 1; `stds` (B,)."""
    noise = torch.randn(latents.shape, generator=generator, device=generator.device).to(latents)
    stds = stds.to(latents).view(-1, *(1,) * (latents.dim() - 1))
    return (1.0 - stds.square()).sqrt() * latents + stds * noise


def draw_kept_cells(settings: MemoryNoise, count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """(count, h, w) bool: false where a cell is dropped.

    A row loses the same cells in all its memory frames, or the frame next to it would give away what was there.
    """
    device = generator.device
    drawn = torch.rand(1 if settings.same_cells_in_batch else count, height, width, generator=generator, device=device)
    untouched = ~_chance(count, settings.patch_drop_share, generator)
    return (drawn >= settings.patch_drop) | untouched[:, None, None]


def perturb_memory(bank: MemoryBank, settings: MemoryNoise, generator: torch.Generator) -> tuple[MemoryBank, Tensor]:
    """The memory as training shows it, and the std of its noise (B,) for the network to know.

    Dropped cells become 0: in latents that say the difference from the portrait that is "as in the portrait". Forgotten
    rows report a std of 0.
    """
    batch, _, _, height, width = bank.latents.shape
    device = bank.latents.device
    stds = draw_stds(settings, batch, generator).to(device)
    latents = add_noise(bank.latents, stds, generator)
    kept = draw_kept_cells(settings, batch, height, width, generator).to(device)
    forgotten = _chance(batch, settings.forget_share, generator).to(device)
    usable = kept[:, None, None] & bank.valid[:, :, None, None, None]  # empty slots stay zeros
    noisy = replace(bank, latents=torch.where(usable, latents, 0.0))
    return noisy.forget(forgotten), torch.where(forgotten, 0.0, stds)


def add_pixel_noise(pictures: Tensor, settings: PixelNoise, generator: torch.Generator) -> Tensor:
    """(B, ..., H, W) -> the same, one std for each row; not clipped, as the encoder takes any number."""
    count, device = pictures.shape[0], generator.device
    log_std = settings.log_mean + settings.log_std * torch.randn(count, generator=generator, device=device)
    stds = torch.where(_chance(count, settings.share, generator), log_std.exp(), 0.0).to(pictures)
    noise = torch.randn(pictures.shape, generator=generator, device=device).to(pictures)
    return pictures + stds.view(-1, *(1,) * (pictures.dim() - 1)) * noise


def _chance(count: int, share: float, generator: torch.Generator) -> Tensor:
    """(count,) bool"""
    return torch.rand(count, generator=generator, device=generator.device) < share
