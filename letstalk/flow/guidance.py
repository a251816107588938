"""Guidance by two conditions, the portrait and the sound, each with a weight of its own.

    v = v_0 + w_r (v_r - v_0) + w_a (v_ra - v_r)

v_0 sees neither condition, v_r the portrait, v_ra both. Sorted by pass that is (1 - w_r) v_0 + (w_r - w_a) v_r + w_a
v_ra: a pass whose factor is zero is never computed, and the others share one forward. The usual w_r = 1 costs two
passes, w_r = w_a = 1 costs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# (latents (K B, F, C, h, w), timestep (K B,), portrait_given (K B,) bool, audio_given (K B,) bool) -> velocity of the
# latents' shape. Row k B + b is sample b in pass k; `repeat_batch` lays conditions out in the same way.
ConditionalVelocity = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
# (latents (B, F, C, h, w), timestep (B,)) -> velocity of the latents' shape: what a sampler asks for.
Velocity = Callable[[Tensor, Tensor], Tensor]


class Pass(NamedTuple):
    """One evaluation of the network: what it may see, and its factor in the guided velocity."""

    portrait_given: bool
    audio_given: bool
    factor: float


def needed_passes(portrait_weight: float, audio_weight: float) -> tuple[Pass, ...]:
    """The passes with a factor other than zero; one to three, and their factors add up to 1."""
    passes = (
        Pass(False, False, 1.0 - portrait_weight),
        Pass(True, False, portrait_weight - audio_weight),
        Pass(True, True, audio_weight),
    )
    return tuple(item for item in passes if item.factor != 0.0)


def repeat_batch(tensor: Tensor, times: int) -> Tensor:
    """(B, ...) -> (times B, ...), the whole batch after itself, as `guided` lays out its passes."""
    return tensor.repeat(times, *(1,) * (tensor.dim() - 1)) if times > 1 else tensor


def guided(velocity: ConditionalVelocity, portrait_weight: float, audio_weight: float) -> Velocity:
    """A velocity for the sampler: all needed passes in one forward, then their weighted sum in float32."""
    passes = needed_passes(portrait_weight, audio_weight)

    def guided_velocity(latents: Tensor, timestep: Tensor) -> Tensor:
        batch, device = latents.shape[0], latents.device
        portrait_given = torch.tensor([item.portrait_given for item in passes], device=device).repeat_interleave(batch)
        audio_given = torch.tensor([item.audio_given for item in passes], device=device).repeat_interleave(batch)
        stacked = velocity(
            repeat_batch(latents, len(passes)), repeat_batch(timestep, len(passes)), portrait_given, audio_given
        )
        parts = stacked.float().unflatten(0, (len(passes), batch))  # (K, B, F, C, h, w)
        # A sum of products in a fixed order: the result of one sample must not depend on its neighbours.
        total = parts[0] * passes[0].factor
        for part, item in zip(parts[1:], passes[1:], strict=True):
            total = total + part * item.factor
        return total

    return guided_velocity
