"""The real transformer, tiny, and a chunk for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from letstalk.models.transformer import TalkingTransformer

SCHEMES = ("direct", "siamese", "symbiotic")
COMBINATIONS = [(portrait, audio) for portrait in SCHEMES for audio in SCHEMES]
CHANNELS, SIDE, TOKENS, AUDIO_WIDTH, PLACES = 3, 4, 2, 6, 4


def tiny_talker(*, stirred: bool = True, **changes: Any) -> TalkingTransformer:
    """Patch 2 of 4 x 4 latents: 4 tokens a frame, 2 heads. `stirred` breaks every zero, as training does."""
    settings: dict[str, Any] = {
        "latent_channels": CHANNELS, "latent_side": SIDE, "width": 16, "head_width": 8, "depth": 3,
        "audio_tokens": TOKENS, "audio_width": AUDIO_WIDTH, "seed": 1,
    }  # fmt: skip
    model = TalkingTransformer(**(settings | changes)).eval()
    if stirred:
        stir(model)
    return model


def stir(model: TalkingTransformer) -> None:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.2 * torch.randn(weights.shape, generator=generator)


def chunk(batch: int = 2, frames: int = 3, memory: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Everything that `forward` takes but the masks."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "latents": draw(batch, frames, CHANNELS, SIDE, SIDE),
        "timestep": 1000 * torch.rand(batch, generator=generator),
        "portrait": draw(batch, CHANNELS, SIDE, SIDE),
        "audio": draw(batch, frames, TOKENS, AUDIO_WIDTH),
        "memory": draw(batch, memory, CHANNELS, SIDE, SIDE),
        "memory_audio": draw(batch, memory, TOKENS, AUDIO_WIDTH),
        "memory_noise": 0.17 * torch.rand(batch, generator=generator),
        "controls": draw(batch, frames, 2),
    }


def rows(given: dict[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    return {name: value[start:stop] for name, value in given.items()}
