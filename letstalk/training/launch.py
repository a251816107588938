"""One process or many: accelerate where it is installed, plain torch where it is not. The training loop sees no
difference.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from letstalk.runtime import has_fast_bf16, pick_device


class Launch:
    """Device, precision and the place of this process among all."""

    def __init__(self, device: str = "auto", precision: str = "auto") -> None:
        wanted = pick_device(device)
        self._accelerator = _accelerator(wanted) if find_spec("accelerate") else None
        self.device = self._accelerator.device if self._accelerator else wanted
        fast = has_fast_bf16(self.device) if precision == "auto" else precision == "bfloat16"
        self.dtype = torch.bfloat16 if fast else torch.float32

    @property
    def process(self) -> int:
        return self._accelerator.process_index if self._accelerator else 0

    @property
    def is_main(self) -> bool:
        return self.process == 0

    def prepare(self, module: nn.Module) -> nn.Module:
        """On the device, in channels_last, and wrapped where several processes train together."""
        module = module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._accelerator.prepare_model(module) if self._accelerator else module

    def autocast(self) -> AbstractContextManager[Any]:
        """Weights and optimiser stay float32; convolutions run in bfloat16 where that is fast."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def attention(self) -> AbstractContextManager[Any]:
        """On a CPU, the plain kernel: the backward of the flash one takes a third of the step where a sequence has few
        tokens.
        """
        if self.device.type == "cpu":
            return sdpa_kernel(SDPBackend.MATH)
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        if self._accelerator:
            self._accelerator.backward(loss)
        else:
            loss.backward()


def _accelerator(device: torch.device) -> Any:
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # Stages leave parts of the model out of the step.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[unused])
