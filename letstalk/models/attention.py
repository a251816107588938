"""Attention over places, over time and to a condition's tokens.

Shapes: B samples, F frames, P places of a frame, L tokens, H heads of width E, D = H E.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.backends import SoftmaxKernel
from letstalk.models.embeddings import rotate
from letstalk.types import exact_div

NORM_EPSILON = 1e-6
SUM_EPSILON = 1e-6


def unit_rms(x: Tensor, size: Tensor | None = None) -> Tensor:
    """RMS norm over the last axis, computed and returned in float32: whatever is summed next is summed there too.

    `size` (..., 1) is the RMS of the result, else 1. What a gain for each channel could add, the projection learns.
    """
    x = x.float()
    factor = torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPSILON)
    return x * (factor if size is None else factor * size.float())


class HeadProjection(nn.Module):
    """Tokens (..., D) -> queries, keys, values (..., H, E) in one product; q and k have RMS 1 in float32.

    Without the norm ReLU attention overflows in half precision and softmax attention saturates. `sharpen` learns the
    size of each head's queries and keys: softmax needs a temperature, linear attention divides it out.
    """

    def __init__(self, width: int, head_width: int, *, sharpen: bool) -> None:
        super().__init__()
        self.heads = (3, exact_div(width, head_width), head_width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.size = nn.Parameter(torch.ones(2, self.heads[1], 1)) if sharpen else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.qkv(x).unflatten(-1, self.heads)  # (..., 3, H, E)
        q, k = unit_rms(qkv[..., :2, :, :], self.size).unbind(-3)
        return q, k, qkv[..., 2, :, :]


class SpatialAttention(nn.Module):
    """Attention inside each frame. What keys and values amount to is a value, so other tokens' can be joined to it."""

    needs_temperature: ClassVar[bool]

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.project = HeadProjection(width, head_width, sharpen=self.needs_temperature)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, elsewhere: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, F, L, D) and the summary of tokens elsewhere, (B, 1, ...) -> (B, F, L, D) and the summary of x."""
        q, k, v = self.project(x)  # (B, F, L, H, E)
        summary = self.summarise(k, v)
        read = self.read(q, summary if elsewhere is None else self.join(summary, elsewhere))
        return self.out(read.to(x.dtype).flatten(-2)), summary

    def summarise(self, k: Tensor, v: Tensor) -> Tensor:
        raise NotImplementedError

    def join(self, summary: Tensor, elsewhere: Tensor) -> Tensor:
        raise NotImplementedError

    def read(self, q: Tensor, summary: Tensor) -> Tensor:
        raise NotImplementedError


class LinearAttention(SpatialAttention):
    """ReLU linear attention (Katharopoulos et al. 2020; SANA, Xie et al. 2024), summed in float32.

    A summary is sum_k relu(k) [v, 1], (B, F, H, E, E + 1): its last column gives the denominator in the same product,
    its size does not depend on the number of tokens, and summaries add.
    """

    needs_temperature = False

    def summarise(self, k: Tensor, v: Tensor) -> Tensor:
        values = F.pad(v.float(), (0, 1), value=1.0)  # (B, F, L, H, E + 1)
        with torch.autocast(k.device.type, enabled=False):  # which would sum in half precision
            return torch.matmul(k.relu().movedim(-3, -1), values.transpose(-3, -2))

    def join(self, summary: Tensor, elsewhere: Tensor) -> Tensor:
        return summary + elsewhere.float()

    def read(self, q: Tensor, summary: Tensor) -> Tensor:
        with torch.autocast(q.device.type, enabled=False):
            sums = torch.matmul(q.relu().transpose(-3, -2), summary)  # (B, F, H, L, E + 1)
        return (sums[..., :-1] / (sums[..., -1:] + SUM_EPSILON)).transpose(-3, -2)


class SoftmaxAttention(SpatialAttention):
    """Softmax attention. A summary is the keys and values themselves, (B, F, L, 2, H, E); summaries are joined in L."""

    needs_temperature = True

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__(width, head_width)
        self.kernel = SoftmaxKernel()

    def summarise(self, k: Tensor, v: Tensor) -> Tensor:
        return torch.stack([k.to(v.dtype), v], dim=-3)

    def join(self, summary: Tensor, elsewhere: Tensor) -> Tensor:
        return torch.cat([summary, elsewhere.expand(-1, summary.shape[1], *[-1] * 4).to(summary.dtype)], dim=2)

    def read(self, q: Tensor, summary: Tensor) -> Tensor:
        k, v = summary.flatten(0, 1).unbind(-3)
        return self.kernel(q.flatten(0, 1), k, v).unflatten(0, q.shape[:2])


SPATIAL_ATTENTIONS: dict[str, type[SpatialAttention]] = {"linear": LinearAttention, "softmax": SoftmaxAttention}


class TemporalAttention(nn.Module):
    """Softmax attention over time at each place, then a Linear that starts at zero (the paper's "adapt")."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.project = HeadProjection(width, head_width, sharpen=True)
        self.kernel = SoftmaxKernel()
        self.adapt = nn.Linear(width, width)

    def context(self, x: Tensor, rotations: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Context frames (B, S, P, D), which see only each other -> the frames after this layer, their keys and values.

        Chunk frames do not change them, so one call serves every denoising step.
        """
        q, k, v = self._project(x, rotations)
        return x + self._attend(q, k, v, mask), k, v

    def forward(self, x: Tensor, rotations: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Chunk frames (B, F, P, D) look at the context's keys and values (B, S, P, H, E) and at each other.

        `rotations` (F, E / 2) place the frames in time, `mask` (B, 1, 1, S + F) is True where a frame may be seen.
        """
        q, k, v = self._project(x, rotations)
        return self._attend(q, torch.cat([keys, k], dim=1), torch.cat([values, v], dim=1), mask)

    def _project(self, x: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.project(self.norm(x))  # (B, F, P, H, E)
        turn = rotations[:, None, None]
        return rotate(q, turn), rotate(k, turn), v

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        # Every head of every place is a head of its own: (B, F, P H, E) needs no transposed copy.
        seen = self.kernel(*(part.flatten(2, 3) for part in (q, k, v)), mask)
        return self.adapt(seen.reshape(*q.shape[:3], -1))


class CrossAttention(nn.Module):
    """Softmax attention from clip tokens to a condition's tokens; adds nothing until it has learnt to."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.width = width
        self.heads = (exact_div(width, head_width), head_width)
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.kernel = SoftmaxKernel()
        self.out = nn.Linear(width, width)

    def keys_values(self, tokens: Tensor) -> Tensor:
        """(n, L, D) -> (n, L, 2, H, E): all that is needed of a condition, for as many steps as it lasts."""
        return self.kv(F.layer_norm(tokens, (self.width,), eps=NORM_EPSILON)).unflatten(-1, (2, *self.heads))

    def forward(self, x: Tensor, keys_values: Tensor) -> Tensor:
        """x (B, F, P, D) and keys and values of every frame (B F, ...) or of every sample (B, ...)."""
        k, v = keys_values.unbind(-3)
        q = self.q(F.layer_norm(x, (self.width,), eps=NORM_EPSILON))
        q = q.reshape(len(keys_values), -1, *self.heads)
        return self.out(self.kernel(q, k, v).reshape(x.shape))
