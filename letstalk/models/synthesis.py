"""The synthesis branch: moves the reference's features and pixels, and paints what they cannot show.

Teeth, tongue, closed lids and uncovered background are painted; everything else is the user's own pixels, moved. One
trunk serves all picture sizes; only the last layer differs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.blocks import ResidualUp, residual_stack, start_at_zero
from letstalk.models.warp import resize_flow, warp
from letstalk.types import exact_div

TRUNK_SIDE = 128  # the finest grid of the trunk; a 512 picture is painted from it in squares of 4 x 4
KEEP_AT_START = (
    1.5  # logit of the share of moved pixels that is kept, 0.82: painting has a gradient from the first step
)


class Moved(NamedTuple):
    """One reference's motion with the share that it has among the references."""

    flow: Tensor  # (N, 2, 64, 64)
    share: Tensor  # (N, 1, 64, 64), sums to 1 over the references
    visible: Tensor  # (N, 1, 64, 64), 0..1


def gather_from_references(values: list[Tensor], moved: list[Moved], gate: bool = False) -> Tensor:
    """Warps each reference's values (N or 1, C, S, S) and adds them by their shares -> (N, C, S, S).

    `gate` also fades what a reference cannot show.
    """
    total = None
    for value, motion in zip(values, moved, strict=True):
        weight = motion.share * motion.visible if gate else motion.share
        part = warp(value, motion.flow)
        # One reference has share 1 everywhere: multiplying would only cost time, and the exact copy its last bit.
        if gate or len(values) > 1:
            part = part * resize_flow(weight, value.shape[-1]).to(part.dtype)
        total = part if total is None else total + part
    assert total is not None
    return total


class SynthesisBranch(nn.Module):
    """From moved features to (picture, moved pixels, logits of their kept share)."""

    def __init__(
        self,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        motion_widths: tuple[int, ...],
        texture_widths: tuple[int, ...],
        picture_sizes: tuple[int, ...],
    ) -> None:
        super().__init__()
        w16, w32, w64, w128 = widths
        d16, d32, d64, d128 = depths
        m16, m32 = motion_widths
        t128, t64, t32 = texture_widths
        self.join16, self.blocks16 = nn.Conv2d(m16, w16, 1), residual_stack(w16, d16)
        self.up32 = ResidualUp(w16, w32)
        self.join32, self.blocks32 = nn.Conv2d(w32 + m32 + t32, w32, 1), residual_stack(w32, d32)
        self.up64 = ResidualUp(w32, w64)
        self.join64, self.blocks64 = nn.Conv2d(w64 + t64, w64, 1), residual_stack(w64, d64)
        self.up128 = ResidualUp(w64, w128, kernel_size=1)
        self.join128, self.blocks128 = nn.Conv2d(w128 + t128, w128, 1), residual_stack(w128, d128)
        self.heads = nn.ModuleDict()
        for size in picture_sizes:
            side = min(size // 2, TRUNK_SIDE)
            square = exact_div(size, side) ** 2
            width = w128 if side == TRUNK_SIDE else w64
            # The head sees the moved pixels that it will paint over, so that it can take them away.
            self.heads[str(size)] = nn.Conv2d(width + 3 * square, 4 * square, 3, padding=1)

    def reset_heads(self) -> None:
        for head in self.heads.values():
            assert isinstance(head, nn.Conv2d) and head.bias is not None
            start_at_zero(head)
            with torch.no_grad():
                head.bias[3 * head.out_channels // 4 :] = KEEP_AT_START

    def begin_head(self, size: int) -> None:
        """A head that has learnt nothing begins as that of half the size, if both stand on the same trunk.

        Each of its pixels is painted as the square of pixels that took its place, from the mean of the moved pixels
        under them: averaged down, the large picture is the small one, and the detail of the reference is added to it.
        """
        small, large = self.heads.get_submodule(str(size // 2)), self.heads.get_submodule(str(size))
        assert isinstance(small, nn.Conv2d) and isinstance(large, nn.Conv2d)
        if bool(large.weight.any()):
            return
        assert size // 4 >= TRUNK_SIDE, f"the heads of {size} and {size // 2} stand on different trunks"
        side = size // 2 // TRUNK_SIDE
        with torch.no_grad():
            large.weight.copy_(_grown(small.weight, side))
            if small.bias is not None and large.bias is not None:
                large.bias.copy_(_repeated(small.bias.unflatten(0, (4, side, side)), 1).flatten())

    def forward(
        self,
        features: tuple[Tensor, Tensor],
        textures: tuple[list[Tensor], list[Tensor], list[Tensor]],
        pixels: list[Tensor],
        moved: list[Moved],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`features` are the motion branch's at 16 and 32, `textures` at 32, 64, 128; lists run over the references."""
        m16, m32 = features
        t32, t64, t128 = textures
        size = pixels[0].shape[-1]
        warped = gather_from_references(pixels, moved)  # (N, 3, S, S)

        x = self.blocks16(self.join16(m16))  # (N, w16, 16, 16)
        seen = gather_from_references(t32, moved, gate=True)
        x = self.blocks32(self.join32(torch.cat([self.up32(x), m32, seen], dim=1)))  # (N, w32, 32, 32)
        seen = gather_from_references(t64, moved, gate=True)
        x = self.blocks64(self.join64(torch.cat([self.up64(x), seen], dim=1)))  # (N, w64, 64, 64)
        if size // 2 >= TRUNK_SIDE:
            seen = gather_from_references(t128, moved, gate=True)
            x = self.blocks128(self.join128(torch.cat([self.up128(x), seen], dim=1)))  # (N, w128, 128, 128)

        square_side = size // x.shape[-1]
        under = F.pixel_unshuffle(warped, square_side).to(x.dtype)  # (N, 3 s^2, side, side)
        painted = self.heads[str(size)](torch.cat([x, under], dim=1)).float()
        change, keep = painted.tensor_split([3 * square_side**2], dim=1)
        change = F.pixel_shuffle(change, square_side)  # (N, 3, S, S)
        keep = F.pixel_shuffle(keep, square_side)  # (N, 1, S, S) logits
        return warped.float() + (1 - keep.sigmoid()) * change, warped, keep


def _grown(weight: Tensor, side: int) -> Tensor:
    """A head's weight (4 s^2, w + 3 s^2, 3, 3) for squares of twice the side s, as `begin_head` says."""
    wider = _repeated(weight.unflatten(0, (4, side, side)), 1).flatten(0, 2)  # (16 s^2, w + 3 s^2, 3, 3)
    from_trunk, from_pixels = wider.tensor_split([weight.shape[1] - 3 * side**2], dim=1)
    from_pixels = _repeated(from_pixels.unflatten(1, (3, side, side)), 2).flatten(1, 3) / 4
    return torch.cat([from_trunk, from_pixels], dim=1)  # (16 s^2, w + 12 s^2, 3, 3)


def _repeated(values: Tensor, dim: int) -> Tensor:
    """Every entry twice along `dim` and the one after it."""
    return values.repeat_interleave(2, dim).repeat_interleave(2, dim + 1)
