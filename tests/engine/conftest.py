"""A whole pipeline of the real classes at tiny size, saved to disk as a user would have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_engine import tiny_pipeline

from letstalk.media.framing import Framing
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_pipeline(stirred=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipe(model_folder: Path) -> LetsTalkPipeline:
    return LetsTalkPipeline.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def untrained() -> LetsTalkPipeline:
    return tiny_pipeline(stirred=False).place("cpu", torch.float32)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """(360, 300, 3) uint8: smooth colours with an eye, a nose and a mouth, so that every motion shows."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(60, 200, (9, 8, 3), dtype=np.uint8))
    full = np.asarray(small.resize((300, 360), Image.Resampling.BICUBIC)).copy()
    full[130:140, 90:120] = full[130:140, 180:210] = (20, 20, 20)
    full[220:235, 120:180] = (150, 40, 40)
    return full


@pytest.fixture(scope="session")
def portrait(picture: np.ndarray) -> Portrait:
    """A square of 256 out of the picture, framed by hand."""
    framing = Framing(np.array([[1.0, 0.0, 20.0], [0.0, 1.0, 40.0]]), 256, *picture.shape[:2])
    return Portrait(picture[40:296, 20:276].copy(), picture, framing, "hand")


@pytest.fixture(scope="session")
def settings() -> GenerationSettings:
    """Two steps and short chunks: many boundaries in little time."""
    return GenerationSettings(steps=2, chunk_frames=5, first_chunk_frames=3, memory_frames=4, seed=11)
