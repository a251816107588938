"""From pictures to latents, and from a reference to the features that the decoder moves.

Both see the picture at one canonical side, whatever its own: latents of a 128, 256 and 512 picture of the same moment
are the same thing, so training may begin small and the transformer never learns about sizes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.blocks import ResidualDown, residual_stack, soft_argmax, start_at_zero, with_coordinates
from letstalk.models.glimpses import Glimpses

CANONICAL_SIZE = 256
LATENT_SIDE = 8
PATCH = 4  # the trunk starts on patches of 4 x 4 pixels: a 64 grid


def to_canonical(pictures: Tensor) -> Tensor:
    """(N, 3, S, S) -> (N, 3, 256, 256); area means on the way down, so that a 512 picture does not alias."""
    size = pictures.shape[-1]
    if size == CANONICAL_SIZE:
        return pictures
    if size > CANONICAL_SIZE:
        return F.adaptive_avg_pool2d(pictures, CANONICAL_SIZE)
    return F.interpolate(pictures, size=(CANONICAL_SIZE, CANONICAL_SIZE), mode="bilinear", align_corners=False)


class Encoded(NamedTuple):
    """What the latent encoder finds in N pictures. The features serve the motion branch where a picture is a
    reference.
    """

    latents: Tensor  # (N, C, 8, 8)
    keypoints: Tensor  # (N, K, 2) float32, normalised
    features64: Tensor  # (N, w0, 64, 64)
    features32: Tensor  # (N, w1, 32, 32)
    features16: Tensor  # (N, w2, 16, 16)


class LatentEncoder(nn.Module):
    """(N, 3, 256, 256) -> latents (N, C, 8, 8). Key points lead the way: without them it takes very long to find the
    face.
    """

    def __init__(
        self,
        latent_channels: int,
        num_keypoints: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        glimpse_landmarks: tuple[str, ...] = (),
    ) -> None:
        """With the names of all key points in `glimpse_landmarks`, mouth and eyes are looked at closely."""
        super().__init__()
        w64, w32, w16, w8 = widths
        d32, d16, d8 = depths
        self.patch = nn.Conv2d(3 * PATCH * PATCH + 2, w64, 1)
        self.down32, self.blocks32 = ResidualDown(w64, w32), residual_stack(w32, d32)
        self.down16, self.blocks16 = ResidualDown(w32, w16), residual_stack(w16, d16)
        self.heat_maps = nn.Conv2d(w16, num_keypoints, 1)
        self.down8, self.blocks8 = ResidualDown(w16, w8), residual_stack(w8, d8)
        self.place = nn.Linear(2 * num_keypoints, w8)  # tells every latent cell where the key points are
        self.head = nn.Conv2d(w8 + 2, latent_channels, 1)
        self.glimpses = Glimpses(glimpse_landmarks) if glimpse_landmarks else None
        if self.glimpses is not None:
            self.tell = nn.Linear(self.glimpses.num_values, latent_channels * LATENT_SIDE**2)

    def reset_heads(self) -> None:
        """A close look says nothing until it is asked."""
        if self.glimpses is not None:
            start_at_zero(self.tell)

    def forward(self, pictures: Tensor) -> Encoded:
        patches = with_coordinates(F.pixel_unshuffle(pictures, PATCH))  # (N, 50, 64, 64)
        x64 = F.silu(self.patch(patches))  # (N, w64, 64, 64)
        x32 = self.blocks32(self.down32(x64))  # (N, w32, 32, 32)
        x16 = self.blocks16(self.down16(x32))  # (N, w16, 16, 16)
        keypoints = soft_argmax(self.heat_maps(x16))  # (N, K, 2)
        places = self.place(keypoints.flatten(1).to(x16.dtype))  # (N, w8)
        x8 = self.blocks8(self.down8(x16) + places[:, :, None, None])  # (N, w8, 8, 8)
        latents = self.head(with_coordinates(x8))  # (N, C, 8, 8)
        if self.glimpses is not None:
            seen = self.glimpses(pictures, keypoints)  # (N, num_values)
            latents = latents + self.tell(seen.to(self.tell.weight.dtype)).to(latents.dtype).view_as(latents)
        return Encoded(latents, keypoints, x64, x32, x16)


class TextureEncoder(nn.Module):
    """What the reference looks like: (N, 3, 256, 256) -> features at 32, 64 and 128, moved by the flow in synthesis."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        w128, w64, w32 = widths
        self.stem = nn.Conv2d(12, w128, 3, padding=1)
        self.down64 = ResidualDown(w128, w64)
        self.down32 = ResidualDown(w64, w32)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x128 = F.silu(self.stem(F.pixel_unshuffle(pictures, 2)))  # (N, w128, 128, 128)
        x64 = F.silu(self.down64(x128))  # (N, w64, 64, 64)
        x32 = F.silu(self.down32(x64))  # (N, w32, 32, 32)
        return x32, x64, x128


class References(NamedTuple):
    """1-3 pictures of one person, ready to be moved. B people, R references each; B may be 1 for many frames."""

    pixels: Tensor  # (B, R, 3, S, S)
    latents: Tensor  # (B, R, C, 8, 8)
    motion64: Tensor  # (B, R, w, 64, 64)
    motion32: Tensor
    motion16: Tensor
    texture32: Tensor
    texture64: Tensor
    texture128: Tensor

    @property
    def num_references(self) -> int:
        return self.pixels.shape[1]

    def expand(self, num_frames: int) -> References:
        """One person's references beside each of `num_frames` latents; a view, nothing is copied."""
        return References(*(part.expand(num_frames, *part.shape[1:]) for part in self))

    def to(self, target: torch.dtype | torch.device) -> References:
        return References(*(part.to(target) for part in self))
