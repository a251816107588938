"""Photometric augmentation far beyond the renderer, on the device, for a whole batch at once.

Two kinds, kept apart because they mean different things. A *look* (light, colours, tone curve, softness, style,
background) is the same in all frames of a row: the decoder moves the reference's pixels, so the target must look like
it. A *capture* (noise, JPEG blocks, lost resolution) differs from frame to frame: networks see it, the truth that they
are judged by does not have it. All pictures are float32 -1..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from letstalk.training.batch import PairBatch

LUMA = (0.299, 0.587, 0.114)
JPEG_BLOCK = 8
BACKDROP_SIZE = 128


@dataclass(frozen=True)
class AppearanceSettings:
    """Shares are probabilities for each row (looks) or frame (captures)."""

    background_share: float = 0.35
    exposure: float = 0.35  # stops
    contrast: float = 0.35
    channel_gain: float = 0.18
    hue_radians: float = 0.35
    grey_share: float = 0.06
    tone_share: float = 0.6
    posterise_share: float = 0.05
    sharpen_share: float = 0.15
    blur_share: float = 0.2
    noise: float = 0.05
    noise_share: float = 0.5
    jpeg_share: float = 0.3
    shrink_share: float = 0.15


class Draw:
    """Random numbers of one step, drawn on the CPU so that every device sees the same ones."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(*shape, generator=self.generator).to(self.device) * (high - low) + low

    def chance(self, count: int, share: float) -> Tensor:
        """(count,) bool"""
        return torch.rand(count, generator=self.generator).to(self.device) < share

    def whole(self, below: int) -> int:
        return int(torch.randint(below, (1,), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        # On the device itself: pixels of noise need not be the same everywhere, and sending them would cost more than
        # making them. The seed still comes from the step.
        seed = int(torch.randint(2**31, (1,), generator=self.generator))
        return torch.randn(*shape, generator=torch.Generator(self.device).manual_seed(seed), device=self.device)


def swap_backgrounds(batch: PairBatch, settings: AppearanceSettings, draw: Draw) -> PairBatch:
    """Puts some rows' people before another row's blurred picture, or a gradient; the same one in all frames."""
    rows, _, _, size, _ = batch.pictures.shape
    chosen = draw.chance(rows, settings.background_share)
    if not bool(chosen.any()):
        return batch
    others = batch.pictures[(torch.arange(rows, device=draw.device) + 1 + draw.whole(max(rows - 1, 1))) % rows, 0]
    # Rolled and upside down: a blurred head where the head is would tell the networks where to look.
    others = others.roll((draw.whole(size), draw.whole(size)), dims=(2, 3)).flip(2)
    # Blurred as a small picture: at full size this one filter would cost more than all other augmentation.
    small = F.adaptive_avg_pool2d(others, min(size, BACKDROP_SIZE))
    sigma = (0.01 + 0.03 * float(torch.rand(1, generator=draw.generator))) * small.shape[-1]
    rooms = F.interpolate(_gaussian_blur(small, sigma), size=(size, size), mode="bilinear", align_corners=False)
    corners = draw.uniform(rows, 3, 2, 2, low=-1, high=1)
    plain = F.interpolate(corners, size=(size, size), mode="bilinear", align_corners=True)
    backdrop = torch.where(draw.chance(rows, 0.5)[:, None, None, None], rooms, plain)[:, None]
    behind = (1 - batch.person) * chosen[:, None, None, None, None]
    return replace(batch, pictures=batch.pictures + behind * (backdrop - batch.pictures))


def change_look(pictures: Tensor, settings: AppearanceSettings, draw: Draw) -> Tensor:
    """(B, F, 3, S, S) -> the same; one look for all frames of a row."""
    rows, frames, _, size, _ = pictures.shape
    x = pictures * 0.5 + 0.5
    gain = torch.exp2(draw.uniform(rows, 1, 1, 1, 1, low=-settings.exposure, high=settings.exposure))
    gain = gain * draw.uniform(rows, 1, 3, 1, 1, low=1 - settings.channel_gain, high=1 + settings.channel_gain)
    slope = torch.exp(draw.uniform(rows, 1, 1, 1, 1, low=-settings.contrast, high=settings.contrast))
    mean = x.mean((1, 2, 3, 4), keepdim=True)
    colours = _colour_matrices(rows, settings, draw)  # (B, 3, 3)
    x = torch.einsum("bij,bfjhw->bfihw", colours, x * gain)
    x = ((x - mean) * slope + mean).clamp(0, 1)
    x = _tone_curves(x, settings, draw)
    for share, filtered in ((settings.blur_share, _soften), (settings.sharpen_share, _sharpen)):
        chosen = draw.chance(rows, share).nonzero().flatten()
        sigma = 0.2 + float(torch.rand(1, generator=draw.generator)) * 0.007 * size
        if len(chosen):
            x = x.index_copy(0, chosen, filtered(x[chosen].flatten(0, 1), sigma).unflatten(0, (-1, frames)))
    return x.clamp(0, 1) * 2 - 1


def degrade(pictures: Tensor, settings: AppearanceSettings, draw: Draw) -> Tensor:
    """(N, 3, S, S) -> the same as a camera and a file would hand it over; every frame on its own."""
    number, _, size, _ = pictures.shape
    x = pictures
    small = draw.chance(number, settings.shrink_share).nonzero().flatten()
    if len(small):
        side = size * (4 + draw.whole(4)) // 8
        less = F.interpolate(x[small], size=(side, side), mode="bilinear", align_corners=False, antialias=True)
        x = x.index_copy(0, small, F.interpolate(less, size=(size, size), mode="bilinear", align_corners=False))
    noisy = draw.chance(number, settings.noise_share).nonzero().flatten()
    if len(noisy):
        strength = draw.uniform(len(noisy), 1, 1, 1, high=settings.noise) ** 1.5 * settings.noise**-0.5
        x = x.index_copy(0, noisy, x[noisy] + strength * draw.normal(len(noisy), 3, size, size))
    blocky = draw.chance(number, settings.jpeg_share).nonzero().flatten()
    if len(blocky):
        x = x.index_copy(0, blocky, jpeg_like(x[blocky], draw.uniform(len(blocky), low=0.2, high=1.2)))
    return x.clamp(-1, 1)


def jpeg_like(pictures: Tensor, coarseness: Tensor) -> Tensor:
    """Rounds 8 x 8 cosine coefficients of brightness and colour: (N, 3, S, S), `coarseness` (N,), 1 is about quality
    50.
    """
    number, _, size, _ = pictures.shape
    device = pictures.device
    ycc = torch.einsum("ij,njhw->nihw", _ycc_matrix(device), pictures * 127.5)
    blocks = ycc.unflatten(3, (-1, JPEG_BLOCK)).unflatten(2, (-1, JPEG_BLOCK))  # (N, 3, S/8, 8, S/8, 8)
    basis = _cosine_basis(device)
    coefficients = torch.einsum("ui,ncyixj,vj->ncyuxv", basis, blocks, basis)
    frequency = torch.arange(JPEG_BLOCK, device=device)
    table = 10 + 9.0 * (frequency[:, None] + frequency)  # close to the usual luminance table, without its last bits
    step = torch.stack([table, table * 1.7, table * 1.7])[None, :, None, :, None, :] * coarseness.view(
        -1, 1, 1, 1, 1, 1
    )
    rounded = (coefficients / step).round() * step
    back = torch.einsum("ui,ncyuxv,vj->ncyixj", basis, rounded, basis).reshape(number, 3, size, size)
    return torch.einsum("ij,njhw->nihw", torch.linalg.inv(_ycc_matrix(device)), back) / 127.5


def _ycc_matrix(device: torch.device) -> Tensor:
    rows = [LUMA, (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)]
    return torch.tensor(rows, device=device)


def _cosine_basis(device: torch.device) -> Tensor:
    """(8 frequencies, 8 places), orthonormal."""
    place = torch.arange(JPEG_BLOCK, device=device) + 0.5
    rows = torch.cos(torch.arange(JPEG_BLOCK, device=device)[:, None] * place * math.pi / JPEG_BLOCK) * 0.5
    rows[0] *= 0.5**0.5
    return rows


def _colour_matrices(rows: int, settings: AppearanceSettings, draw: Draw) -> Tensor:
    """(B, 3, 3): a turn of the colours about grey, and more or less colour; some rows become grey altogether."""
    luma = torch.tensor(LUMA, device=draw.device)
    grey = luma.expand(3, 3)  # every channel becomes the brightness
    angle = draw.uniform(rows, 1, 1, low=-settings.hue_radians, high=settings.hue_radians)
    third = 1 / 3**0.5
    cross = torch.tensor([[0.0, -third, third], [third, 0.0, -third], [-third, third, 0.0]], device=draw.device)
    eye = torch.eye(3, device=draw.device)
    turn = eye + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)
    saturation = draw.uniform(rows, 1, 1, low=0.5, high=1.5)
    saturation = torch.where(draw.chance(rows, settings.grey_share)[:, None, None], 0.0, saturation)
    return (grey + saturation * (eye - grey)) @ turn


def _tone_curves(x: Tensor, settings: AppearanceSettings, draw: Draw) -> Tensor:
    """A smooth rising curve for each row and, in a few, only some levels of it. `x` (B, F, 3, S, S) in 0..1."""
    rows = x.shape[0]
    power = torch.exp(draw.uniform(rows, 1, 1, 1, 1, low=-0.35, high=0.35))
    bend = draw.uniform(rows, 1, 1, 1, 1, low=-0.12, high=0.12)  # slope stays above 1 - 2 pi 0.12 > 0
    used = draw.chance(rows, settings.tone_share)[:, None, None, None, None]
    curved = x.clamp_min(1e-4) ** power
    curved = curved + bend * torch.sin(2 * math.pi * curved)
    x = torch.where(used, curved, x)
    poster = draw.chance(rows, settings.posterise_share).nonzero().flatten()
    if len(poster):
        levels = float(4 + draw.whole(8))
        x = x.index_copy(0, poster, (x[poster] * levels).round() / levels)
    return x


def _gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """(N, C, S, S); the border is repeated, so that no frame darkens."""
    radius = max(1, math.ceil(2.5 * sigma))
    place = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = x.shape[1]
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    across = F.conv2d(padded, kernel.expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(across, kernel[:, None].expand(channels, 1, -1, 1), groups=channels)


def _soften(x: Tensor, sigma: float) -> Tensor:
    return _gaussian_blur(x, sigma)


def _sharpen(x: Tensor, sigma: float) -> Tensor:
    return x + 0.8 * (x - _gaussian_blur(x, max(sigma, 0.6)))
