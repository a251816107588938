from __future__ import annotations

import pytest
import torch

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.blocks import initialise


def small_codec(seed: int = 0) -> ReferenceAutoencoder:
    """The real class, narrow."""
    return ReferenceAutoencoder(
        latent_channels=8, num_landmarks=5, reading_names=("pitch", "gap"), picture_sizes=(128, 256, 512),
        encoder_widths=(8, 8, 16, 16), encoder_depths=(1, 1, 1), texture_widths=(8, 8, 8),
        motion_widths=(16, 16, 16, 8), motion_depths=(1, 1, 1, 1), synthesis_widths=(16, 16, 8, 8),
        synthesis_depths=(1, 1, 1, 1), geometry_width=16, seed=seed,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""


@pytest.fixture
def fresh_codec() -> ReferenceAutoencoder:
    return small_codec().eval()


@pytest.fixture
def stirred_codec() -> ReferenceAutoencoder:
    """As if trained: no head is zero any more, motion is small enough to stay in the picture."""
    model = small_codec().eval()
    initialise(model, torch.Generator().manual_seed(7))
    with torch.no_grad():
        for head in (model.motion.flow16, model.motion.flow32, model.motion.flow64):
            head.weight *= 0.3
    return model
