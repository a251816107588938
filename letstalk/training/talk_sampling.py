"""The talker at work, as far as training needs it: chunk after chunk on its own memory, in latents, for many rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from letstalk.flow.frame_noise import frame_noise
from letstalk.flow.guidance import guided, needed_passes, repeat_batch
from letstalk.flow.schedulers import make_scheduler, sample
from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.plan import ChunkPlan
from letstalk.models.transformer import TalkingTransformer


@dataclass(frozen=True)
class SamplingSettings:
    steps: int = 4
    shift: float = 3.0
    portrait_weight: float = 1.0
    audio_weight: float = 1.0


@dataclass(frozen=True)
class ChunkMaker:
    """Makes the next frames of B rows from a memory: a `longform.rollout.ChunkSampler`.

    `audio` (B, T, N, Da) covers all frames that will be asked for, `noise` gives (B, len(frames), C, h, w) for them.
    """

    transformer: TalkingTransformer
    portrait: Tensor  # (B, C, h, w) normalised
    audio: Tensor
    noise: Callable[[range], Tensor]
    settings: SamplingSettings
    controls: Tensor | None = None  # (B, T, K)

    @torch.no_grad()
    def __call__(self, bank: MemoryBank, frames: range) -> Tensor:
        """Differences from the portrait, (B, len(frames), C, h, w) float32."""
        passes = needed_passes(self.settings.portrait_weight, self.settings.audio_weight)
        rows, device = self.portrait.shape[0], self.portrait.device
        given = [torch.tensor([getattr(item, name) for item in passes], device=device).repeat_interleave(rows)
                 for name in ("portrait_given", "audio_given")]  # fmt: skip
        portrait = self.transformer.prepare_portrait(repeat_batch(self.portrait, len(passes)), given[0])
        kept = bank.repeat(len(passes))
        memory = self.transformer.prepare_memory(portrait, kept.latents, kept.audio, kept.valid, audio_given=given[1])
        audio = repeat_batch(self.audio[:, frames.start : frames.stop], len(passes))
        controls: dict[str, Any] = {}
        if self.controls is not None:
            controls = {"controls": repeat_batch(self.controls[:, frames.start : frames.stop], len(passes))}

        def velocity(latents: Tensor, timestep: Tensor, portrait_given: Tensor, audio_given: Tensor) -> Tensor:
            return self.transformer(
                latents, timestep, portrait_cache=portrait, portrait_given=portrait_given, audio=audio,
                audio_given=audio_given, memory_cache=memory, **controls,
            )  # fmt: skip

        scheduler = make_scheduler("euler", self.settings.shift)
        way = guided(velocity, self.settings.portrait_weight, self.settings.audio_weight)
        return sample(way, self.noise(frames).to(device), scheduler, self.settings.steps)


def speak(maker: ChunkMaker, num_frames: int, memory_frames: int, plan: ChunkPlan) -> Tensor:
    """A whole video of B rows, (B, num_frames, C, h, w) differences from their portraits."""
    rows, channels, height, width = maker.portrait.shape
    tokens, token_width = maker.audio.shape[2:]
    device = maker.portrait.device
    bank = MemoryBank.empty(rows, memory_frames, (channels, height, width), (tokens, token_width), device=device)
    made = []
    for frames in plan.chunks(num_frames):
        made.append(maker(bank, frames))
        bank = bank.push(made[-1], maker.audio[:, frames.start : frames.stop])
    return torch.cat(made, 1)


def seeded_noise(seeds: list[int], latent_shape: tuple[int, ...]) -> Callable[[range], Tensor]:
    """The noise of one job for each row, as when a video is made."""
    return lambda frames: torch.stack([frame_noise(seed, frames.start, len(frames), latent_shape) for seed in seeds])
