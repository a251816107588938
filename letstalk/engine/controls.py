"""The user's wishes about motion as the network's controls: how much more or less than usual, frame by frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from letstalk.errors import SettingsError
from letstalk.settings import GenerationSettings

LEAST_AMOUNT = 0.35  # of the usual motion: about the calmest tenth of the training clips; less would be a guess
MOTION_CONTROLS = frozenset({"head_motion", "expression"})


def motion_controls(settings: GenerationSettings, names: tuple[str, ...], paused: np.ndarray) -> Tensor | None:
    """(1, F, K) float32 of log-ratios, 0 as usual; `paused` (F,) bool. None where the network has no controls.

    Motion strength sets the amount everywhere; an idle face that is to keep still has the least of it in pauses.
    """
    if not names:
        if settings.motion_strength != 1.0 or settings.idle != "alive":
            raise SettingsError(
                "This model has no control over motion.", "Leave motion strength at 1 and idle at alive."
            )
        return None
    amount = np.full(len(paused), max(settings.motion_strength, LEAST_AMOUNT))
    if settings.idle == "still":
        amount[paused] = LEAST_AMOUNT
    column = torch.from_numpy(np.log(amount).astype(np.float32))
    none = torch.zeros_like(column)
    return torch.stack([column if name in MOTION_CONTROLS else none for name in names], -1)[None]
