"""A whole pipeline of the real classes at tiny size, and sound for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from letstalk.engine.session import MadeChunk
from letstalk.flow.schedulers import make_scheduler
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.blocks import initialise
from letstalk.models.transformer import TalkingTransformer
from letstalk.pipeline import LetsTalkPipeline

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
        with torch.no_grad():
            for parameter in talker.parameters():
                parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
            for part in (codec.motion, codec.synthesis):
                initialise(part, generator)
            # So little that the picture stays a picture.
            for head in (
                codec.motion.flow16,
                codec.motion.flow32,
                codec.motion.flow64,
                *codec.synthesis.heads.values(),
            ):
                head.weight *= 0.15
    return LetsTalkPipeline(talker, codec, encoder, make_scheduler("euler", 3.0))


def sound_of(num_samples: int) -> np.ndarray:
    """A voice-like buzz that comes and goes, float32 at 16 kHz."""
    seconds = np.arange(num_samples) / 16_000
    buzz = sum(np.sin(2 * np.pi * 130 * k * seconds) / k for k in range(1, 12))
    return (0.2 * buzz * np.clip(np.sin(2 * np.pi * 3 * seconds), 0, 1)).astype(np.float32)


def in_pieces(samples: np.ndarray, length: int) -> Iterator[np.ndarray]:
    for start in range(0, len(samples), length):
        yield samples[start : start + length]


def frames_of(chunks: list[MadeChunk]) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in chunks])
