"""One training step's computation of the talker: from a window of latents and sound to named losses.

Everything is inside one `forward`, so that the module can be wrapped for many devices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from letstalk.flow import NUM_TIMESTEPS
from letstalk.flow.distributions import TimeBuckets, TimeDistribution, data_from_velocity, noisy, velocity_target
from letstalk.longform.losses import FrameBefore, frame_errors, motion_errors
from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.noise import MEMORY_NOISE, MemoryNoise, perturb_memory
from letstalk.longform.rollout import roll_out
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.training.talk_batch import TalkBatch
from letstalk.training.talk_losses import LatentReader, expression_errors
from letstalk.training.talk_sampling import ChunkMaker, SamplingSettings

LOSS_WEIGHTS = {"flow": 1.0, "motion": 0.5, "expression": 1.0}


@dataclass(frozen=True)
class TaskSettings:
    memory_frames: int = 8
    times: TimeDistribution = field(default_factory=lambda: TimeDistribution(shift=3.0, noise_share=0.05))
    memory_noise: MemoryNoise = MEMORY_NOISE
    drop_portrait: float = 0.1  # portrait alone
    drop_audio: float = 0.1  # sound alone
    drop_both: float = 0.05
    drop_control: float = 0.3  # each control of a row on its own
    mouth_weight: float = 2.0  # of the latent cells that move the mouth
    # As videos are made: an unguided roll-out moves less, and its memory would be calmer than any at run time.
    rollout: SamplingSettings = field(default_factory=lambda: SamplingSettings(steps=4, audio_weight=2.0))


class StepDraws(NamedTuple):
    """What is random in a step besides the batch and the memory's noise; B rows."""

    noise: Tensor  # (B, F, C, h, w)
    times: Tensor  # (B,) 0..1
    portrait_given: Tensor  # (B,) bool
    audio_given: Tensor  # (B,) bool
    controls_given: Tensor  # (B, 1, K) bool


def draw_step(settings: TaskSettings, chunk: Tensor, num_controls: int, generator: torch.Generator) -> StepDraws:
    """`chunk` (B, F, C, h, w) gives the shape and the device; numbers come from the generator."""
    rows, device = len(chunk), chunk.device
    place = torch.rand(rows, generator=generator)
    only_portrait = settings.drop_both + settings.drop_portrait
    without_portrait = place < only_portrait
    without_audio = (place < settings.drop_both) | (
        (place >= only_portrait) & (place < only_portrait + settings.drop_audio)
    )
    controls = torch.rand(rows, 1, num_controls, generator=generator) >= settings.drop_control
    drawn = StepDraws(
        torch.randn(chunk.shape, generator=generator), settings.times.draw(rows, generator),
        ~without_portrait, ~without_audio, controls,
    )  # fmt: skip
    return StepDraws(*(part.to(device) for part in drawn))


class TalkOutput(NamedTuple):
    losses: dict[str, Tensor]
    buckets: TimeBuckets  # of the flow loss


class TalkerTask(nn.Module):
    """Transformer and audio encoder, trained together."""

    def __init__(
        self, transformer: TalkingTransformer, audio_encoder: AudioEncoder, reader: LatentReader,
        settings: TaskSettings | None = None, mouth: Tensor | None = None,
    ) -> None:  # fmt: skip
        """`mouth` (h, w) in 0..1 says which latent cells move the mouth."""
        super().__init__()
        self.transformer, self.audio_encoder = transformer, audio_encoder
        self.reader, self.settings = reader, settings or TaskSettings()
        self.cell_weight = None if mouth is None else 1 + (self.settings.mouth_weight - 1) * mouth

    def forward(self, batch: TalkBatch, generator: torch.Generator, num_chunks: int = 1) -> TalkOutput:
        memory_frames = self.settings.memory_frames
        portrait = self.reader.normalise(batch.reference)  # (B, C, h, w)
        data = self.transformer.deltas(self.reader.normalise(batch.latents), portrait)  # (B, L, C, h, w)
        data = torch.where(batch.valid[:, :, None, None, None], data, 0.0)
        tokens, _ = self.audio_encoder.encode_window(batch.samples, batch.loudness)  # (B, L, N, Da)

        first = data.shape[1] - (data.shape[1] - memory_frames) // num_chunks  # of the chunk that is trained on
        bank = self.remembered(batch, portrait, data, tokens, first, generator)
        shown, stds = perturb_memory(bank, self.settings.memory_noise, generator)
        before = FrameBefore(bank.latents[:, -1], data[:, first - 1], shown.valid[:, -1])

        chunk, sound = data[:, first:], tokens[:, first:]  # (B, F, ...)
        draws = draw_step(self.settings, chunk, batch.amounts.shape[1], generator)
        velocity = self.transformer(
            noisy(chunk, draws.noise, draws.times), NUM_TIMESTEPS * draws.times,
            portrait=portrait, portrait_given=draws.portrait_given, audio=sound, audio_given=draws.audio_given,
            memory=shown.latents, memory_audio=shown.audio, memory_valid=shown.valid, memory_noise=stds,
            **self.controls(batch, draws, chunk.shape[1]),
        )  # (B, F, C, h, w)  # fmt: skip
        return self.losses(velocity.float(), chunk, draws, portrait, before)

    def remembered(
        self, batch: TalkBatch, portrait: Tensor, data: Tensor, tokens: Tensor, first: int, generator: torch.Generator
    ) -> MemoryBank:
        """The frames before frame `first` of the window: true ones, or, in a roll-out, the model's own."""
        count = self.settings.memory_frames
        truth = MemoryBank(data[:, :count], tokens[:, :count], batch.valid[:, :count])
        if first == count:
            return truth
        own = torch.randn(data[:, count:first].shape, generator=generator)
        maker = ChunkMaker(
            self.transformer, portrait, tokens[:, count:first].detach(),
            lambda frames: own[:, frames.start : frames.stop], self.settings.rollout,
            **self.controls(batch, None, first - count),
        )  # fmt: skip
        made = roll_out(maker, truth, tokens[:, count:first].detach(), [first - count])
        # The same frames' sound again, this time with its gradient.
        return MemoryBank(made.latents, tokens[:, first - count : first], made.valid)

    def controls(self, batch: TalkBatch, draws: StepDraws | None, num_frames: int) -> dict[str, Tensor]:
        """Arguments of the transformer, where it has controls; `ChunkMaker` gives them all."""
        if self.transformer.controls is None:
            return {}
        amounts = batch.amounts[:, None].expand(-1, num_frames, -1)
        if draws is None:
            return {"controls": amounts}
        return {"controls": amounts, "controls_given": draws.controls_given.expand_as(amounts)}

    def losses(
        self, velocity: Tensor, chunk: Tensor, draws: StepDraws, portrait: Tensor, before: FrameBefore
    ) -> TalkOutput:
        weight = self.cell_weight
        errors = frame_errors(velocity, velocity_target(chunk, draws.noise), weight).mean(1)  # (B,)
        noised = noisy(chunk, draws.noise, draws.times)
        found = data_from_velocity(noised, velocity, draws.times)  # (B, F, C, h, w)
        of_found, of_chunk = (self.transformer.undo_deltas(part, portrait) for part in (found, chunk))
        # What is read from a guess far from the data is a guess too: the nearer, the more it counts.
        nearness = 1 - draws.times
        expression = (expression_errors(self.reader, of_found, of_chunk).mean(1) * nearness).mean()
        return TalkOutput(
            {"flow": errors.mean(), "motion": motion_errors(found, chunk, before, weight).mean(),
             "expression": expression},
            TimeBuckets.of(errors, draws.times),
        )  # fmt: skip


def weighted_total(found: dict[str, Tensor]) -> Tensor:
    return torch.stack([weight * found[name] for name, weight in LOSS_WEIGHTS.items()]).sum()
