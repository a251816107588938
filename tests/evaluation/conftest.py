"""Clips of the frozen benchmark and narrow autoencoders of the real class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from letstalk.evaluation.coder import Coder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.blocks import initialise
from letstalk.reader.predict import FaceReader
from letstalk.synthetic.data.benchmark import BenchmarkClip, load_benchmark
from letstalk.training.checkpoints import save_weights


def narrow_codec() -> ReferenceAutoencoder:
    return ReferenceAutoencoder(
        latent_channels=8, num_landmarks=5, reading_names=("gap",), picture_sizes=(128, 256),
        encoder_widths=(8, 8, 16, 16), texture_widths=(8, 8, 8), motion_widths=(16, 16, 16, 8),
        motion_depths=(1, 1, 1, 1), synthesis_widths=(16, 16, 8, 8), geometry_width=16,
    ).eval()  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""


@pytest.fixture(scope="session")
def clips() -> list[BenchmarkClip]:
    """One performance by two people."""
    return load_benchmark()[:2]


@pytest.fixture(scope="session")
def untrained() -> Coder:
    """It gives back the reference, so every figure must be the static copy's."""
    return Coder(narrow_codec())


@pytest.fixture(scope="session")
def stirred() -> Coder:
    """As if badly trained: no head is zero any more."""
    model = narrow_codec()
    initialise(model, torch.Generator().manual_seed(7))
    with torch.no_grad():
        for head in (model.motion.flow16, model.motion.flow32, model.motion.flow64):
            head.weight *= 0.3
    return Coder(model)


@pytest.fixture(scope="session")
def weights(untrained: Coder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "autoencoder"
    save_weights(untrained.model, folder)
    return folder


@pytest.fixture(scope="session")
def reader() -> FaceReader:
    return FaceReader.load()
