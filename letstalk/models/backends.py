"""Which kernel computes softmax attention: torch's own, xformers, or any other that diffusers can dispatch to."""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend, dispatch_attention_fn
from torch import Tensor, nn

from letstalk.errors import SettingsError

logger = logging.getLogger(__name__)

NATIVE = "native"
# What kernels raise when they are not installed, not built for this machine, or not made for these tensors.
REFUSALS = (RuntimeError, ValueError, ImportError, OSError, AttributeError, TypeError, AssertionError, KeyError)


class BackendChoice(NamedTuple):
    plain: str  # for attention without a mask
    masked: str  # for attention with one: not every kernel knows masks


class SoftmaxKernel(nn.Module):
    """softmax(q k^T / sqrt(width)) v for (n, L, heads, head width). Its only state is the backend's name."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = BackendChoice(NATIVE, NATIVE)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """`mask` (n, 1, 1, L_k) is True where a key may be seen. The result has v's dtype."""
        # Queries and keys leave their norm in float32. On a CPU attention over few tokens is also faster that way.
        dtype = torch.float32 if v.device.type == "cpu" else v.dtype
        backend = self.choice.plain if mask is None else self.choice.masked
        out = dispatch_attention_fn(q.to(dtype), k.to(dtype), v.to(dtype), attn_mask=mask, backend=named(backend))
        return out.to(v.dtype)

    def extra_repr(self) -> str:
        return f"backend={self.choice.plain}"


def named(backend: str) -> AttentionBackendName:
    try:
        return AttentionBackendName(backend)
    except ValueError:
        public = ", ".join(name.value for name in AttentionBackendName if not name.value.startswith("_"))
        raise SettingsError(f"Unknown attention backend {backend!r}.", f"Use one of: {public}.") from None


def usable_backend(backend: str, head_width: int, device: torch.device, dtype: torch.dtype) -> BackendChoice:
    """`backend` if it computes a small attention on this device, else native; says so in one line of the log.

    A kernel's word is not enough: xformers is accepted on a CPU and fails at the first call.
    """
    name = named(backend.lower())
    if name == AttentionBackendName.NATIVE:
        return BackendChoice(NATIVE, NATIVE)
    reason = _refusal(name, head_width, device, dtype, masked=False)
    if reason is not None:
        logger.warning("Attention backend %s is not usable here (%s): using native.", name.value, reason)
        return BackendChoice(NATIVE, NATIVE)
    if _refusal(name, head_width, device, dtype, masked=True) is not None:
        logger.warning("Attention backend %s knows no masks: native is used where memory has gaps.", name.value)
        return BackendChoice(name.value, NATIVE)
    return BackendChoice(name.value, name.value)


def _refusal(
    backend: AttentionBackendName, head_width: int, device: torch.device, dtype: torch.dtype, *, masked: bool
) -> str | None:
    """Why the backend cannot compute, as the first line of its own message; None when it can."""
    if device.type == "cpu":
        dtype = torch.float32  # as SoftmaxKernel computes there
    q = torch.zeros(1, 16, 2, head_width, device=device, dtype=dtype)
    k = torch.zeros(1, 25, 2, head_width, device=device, dtype=dtype)  # odd: some kernels want masks of 8 n columns
    mask = torch.ones(1, 1, 1, 25, device=device, dtype=torch.bool) if masked else None
    try:
        # The context asks for packages and restores what other models of this process use.
        with attention_backend(backend):
            dispatch_attention_fn(q, k, k, attn_mask=mask, backend=backend)
    except REFUSALS as error:
        lines = str(error).strip().splitlines()
        return lines[0].rstrip(".: ") if lines else type(error).__name__
    return None
