"""A whole pipeline of the real classes at tiny size, saved to disk as a user would have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from letstalk.flow.schedulers import make_scheduler
from letstalk.media.framing import Framing
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.blocks import initialise
from letstalk.models.transformer import TalkingTransformer
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait

CHANNELS = 8


def tiny_codec() -> ReferenceAutoencoder:
    codec = ReferenceAutoencoder(
        latent_channels=CHANNELS, num_landmarks=5, reading_names=(), picture_sizes=(128, 256, 512),
        encoder_widths=(8, 8, 16, 16), encoder_depths=(1, 1, 1), texture_widths=(8, 8, 8),
        motion_widths=(16, 16, 16, 8), motion_depths=(1, 1, 1, 1), synthesis_widths=(16, 16, 8, 8),
        synthesis_depths=(1, 1, 1, 1), geometry_width=16,
    )  # fmt: skip
    codec.freeze_latents(torch.zeros(CHANNELS), torch.ones(CHANNELS), version=1)
    return codec


def tiny_pipeline(*, stirred: bool, **transformer: object) -> LetsTalkPipeline:
    """`stirred`: as if trained, no head is zero any more, so that sound, memory and controls all change the pixels."""
    codec, encoder = tiny_codec(), MelAudioEncoder(num_tokens=2, token_width=16, hop_width=16, frame_width=16)
    talker = TalkingTransformer(
        **{"latent_channels": CHANNELS, "width": 32, "depth": 2, "audio_tokens": 2, "audio_width": 16, "max_memory": 8}
        | {"latent_hash": codec.config["latent_hash"], "delta_scale": [2.0] * CHANNELS}
        | transformer
    )  # fmt: skip
    if stirred:
        generator = torch.Generator().manual_seed(5)
        for network, size in ((talker, 0.15), (codec.motion, 0.05), (codec.synthesis, 0.05)):
            initialise(network, torch.Generator().manual_seed(3))
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter += size * torch.randn(parameter.shape, generator=generator)
    return LetsTalkPipeline(talker, codec, encoder, make_scheduler("euler", 3.0))


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


@pytest.fixture
def speech() -> Callable[[int], np.ndarray]:
    """A voice-like sound of so many samples."""

    def make(num_samples: int) -> np.ndarray:
        seconds = np.arange(num_samples) / 16_000
        buzz = sum(np.sin(2 * np.pi * 130 * k * seconds) / k for k in range(1, 12))
        return (0.2 * buzz * np.clip(np.sin(2 * np.pi * 3 * seconds), 0, 1)).astype(np.float32)

    return make
