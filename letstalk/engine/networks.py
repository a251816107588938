"""The networks of a pipeline side by side, and what must be true for them to work together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from letstalk.errors import LetsTalkError
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.settings import GenerationSettings

PROBED_VALUES = 64  # of each tensor, for the fingerprint


@dataclass(frozen=True)
class Networks:
    """`scheduler` is a template: its shift counts, every run works on a scheduler of its own."""

    transformer: TalkingTransformer
    autoencoder: ReferenceAutoencoder
    audio_encoder: AudioEncoder
    scheduler: Any

    def check(self) -> None:
        """Refuses networks that were not trained for one another."""
        self.transformer.check_codec(self.autoencoder.config["latent_hash"])
        tokens = (self.audio_encoder.num_tokens, self.audio_encoder.token_width)
        expected = (self.transformer.config["audio_tokens"], self.transformer.config["audio_width"])
        if tokens != expected:
            raise LetsTalkError(
                f"The audio encoder gives {tokens[0]} x {tokens[1]} numbers a frame, the transformer wants "
                f"{expected[0]} x {expected[1]}.",
                "Use both from one folder.",
            )

    def remarks(self, settings: GenerationSettings) -> tuple[str, ...]:
        """What the user should know of settings that these networks follow but were not trained for."""
        trained = self.transformer.config["max_memory"]
        if settings.memory_frames > trained:
            return (f"This model was trained to remember {trained} frames; {settings.memory_frames} may look worse.",)
        return ()

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        side = self.transformer.config["latent_side"]
        return self.transformer.config["latent_channels"], side, side

    @property
    def audio_shape(self) -> tuple[int, int]:
        return self.audio_encoder.num_tokens, self.audio_encoder.token_width

    def fingerprint(self) -> str:
        """Names the weights by a few values of every tensor: quick, and another training changes all of them."""
        digest = hashlib.sha256()
        networks: tuple[nn.Module, ...] = (self.transformer, self.autoencoder, self.audio_encoder)
        for network in networks:
            for name, tensor in sorted(network.state_dict().items()):
                flat = tensor.detach().flatten()
                probe = flat[:: max(1, len(flat) // PROBED_VALUES)][:PROBED_VALUES]
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(probe.float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]
