"""From sound to latents, chunk after chunk: listen, sample with guidance, remember."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from letstalk.engine.clock import StageClock
from letstalk.engine.controls import motion_controls
from letstalk.engine.job_state import JobState
from letstalk.engine.networks import Networks
from letstalk.engine.pauses import PauseMeter
from letstalk.engine.sitter import Sitter
from letstalk.engine.sound import SoundSource
from letstalk.errors import InputError
from letstalk.flow.frame_noise import frame_noise
from letstalk.flow.guidance import Velocity, guided, needed_passes, repeat_batch
from letstalk.flow.schedulers import Stopped, make_scheduler, sample, shift_of
from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.plan import ChunkPlan
from letstalk.media.loudness import frame_levels_db
from letstalk.models.transformer import PortraitCache
from letstalk.runtime import CancelToken
from letstalk.settings import GenerationSettings
from letstalk.types import num_samples_for_frames


@dataclass(frozen=True)
class Step:
    """Where a job is: one evaluation of the network for one chunk has just ended."""

    first_frame: int
    num_frames: int
    step: int  # 1 is the first
    num_steps: int

    @property
    def frames_done(self) -> float:
        """Frames before this chunk, and of this chunk the share that is done."""
        return self.first_frame + self.num_frames * self.step / self.num_steps


StepCallback = Callable[[Step], None]


@dataclass(frozen=True)
class Hooks:
    """What a caller may have to say while a job runs, and the clock that measures it."""

    on_step: StepCallback | None = None
    cancel: CancelToken | None = None
    clock: StageClock | None = None

    @property
    def stopped(self) -> bool:
        """The caller asked to stop or to cancel."""
        return self.cancel is not None and self.cancel.stopped

    def check(self) -> None:
        """Raises `Cancelled` or `Stopped` when the caller asked for it."""
        if self.cancel is not None:
            self.cancel.check()
        if self.stopped:
            raise Stopped


@dataclass(frozen=True)
class LatentChunk:
    frames: range
    latents: Tensor  # (F, C, h, w) float32: scaled deltas from the portrait, as the transformer makes them
    samples: np.ndarray  # (n,) float32: the sound of these frames
    state: JobState  # after this chunk


class ChunkMaker:
    """All that chunks of one person with one set of settings have in common on the transformer's side."""

    def __init__(self, networks: Networks, sitter: Sitter, settings: GenerationSettings) -> None:
        self.networks, self.settings = networks, settings
        self.plan = ChunkPlan(settings.chunk_frames, settings.first_chunk_frames)
        self._scheduler = make_scheduler(settings.scheduler, shift_of(networks.scheduler))
        self._controls = tuple(networks.transformer.config["control_names"])
        motion_controls(settings, self._controls, np.zeros(0, bool))  # refuses what the network cannot do, now
        self._passes = needed_passes(settings.guidance_portrait, settings.guidance_audio)
        self._portrait = self._prepare_portrait(sitter.latents)

    def begin(self, recipe: Mapping[str, str]) -> JobState:
        """The state before the first chunk."""
        device, encoder = self.networks.device, self.networks.audio_encoder
        memory = MemoryBank.empty(
            1, self.settings.memory_frames, self.networks.latent_shape, self.networks.audio_shape, device=device
        )
        return JobState(
            next_frame=0,
            samples=torch.zeros(0),
            tokens=torch.zeros(1, 0, *self.networks.audio_shape, device=device),
            sound_ended=False,
            audio=encoder.begin(1, device),
            memory=memory,
            pauses=PauseMeter(),
            recipe=recipe,
        )

    def chunks(self, source: SoundSource, state: JobState, hooks: Hooks) -> Iterator[LatentChunk]:
        """All chunks from `state` to the end of the sound; ends early, without a word, after `CancelToken.stop`."""
        while True:
            try:
                chunk = self._next(source, state, hooks)
            except Stopped:
                return
            if chunk is None:
                return
            yield chunk
            state = chunk.state

    # Decorates functions and never a generator: the mode would leak to whoever consumes it.
    @torch.inference_mode()
    def _next(self, source: SoundSource, state: JobState, hooks: Hooks) -> LatentChunk | None:
        hooks.check()
        clock = hooks.clock or StageClock()
        state = self._listen(source, state, clock)
        if state.num_heard == 0:
            raise InputError("There is no sound.", "Choose a recording with speech in it.")
        frames_ready = state.next_frame + state.tokens.shape[1]
        frames = self.plan.next_chunk(state.next_frame, frames_ready, state.sound_ended)
        if frames is None:
            return None
        samples = state.samples[: num_samples_for_frames(len(frames))]
        paused, pauses = state.pauses.push(frame_levels_db(samples.numpy()))
        controls = motion_controls(self.settings, self._controls, paused)
        tokens = state.tokens[:, : len(frames)]
        with clock.stage("transformer"):
            latents = self._sample(frames, self._velocity(tokens, state.memory, controls), hooks)
        after = replace(
            state,
            next_frame=frames.stop,
            samples=state.samples[len(samples) :].clone(),
            tokens=state.tokens[:, len(frames) :].clone(),
            memory=state.memory.push(latents, tokens),
            pauses=pauses,
        )
        return LatentChunk(frames, latents[0], samples.numpy(), after)

    def _listen(self, source: SoundSource, state: JobState, clock: StageClock) -> JobState:
        """Takes and encodes the sound that the next chunk needs.

        The encoder is always given the same pieces, whatever the source's: the same sound gives the same bits.
        """
        if state.sound_ended:
            return state
        encoder = self.networks.audio_encoder
        end_sample = num_samples_for_frames(self.plan.boundary_after(state.next_frame)) + encoder.lookahead_samples
        num_wanted = max(0, end_sample - state.num_heard)
        taken = torch.from_numpy(np.array(source.take(num_wanted), np.float32))
        ended = len(taken) < num_wanted
        with clock.stage("sound"):
            fresh, audio = encoder.push(taken[None].to(self.networks.device), state.audio, final=ended)
        return replace(
            state,
            samples=torch.cat([state.samples, taken]),
            tokens=torch.cat([state.tokens, fresh.float()], 1),
            sound_ended=ended,
            audio=audio,
        )

    def _sample(self, frames: range, velocity: Velocity, hooks: Hooks) -> Tensor:
        """(1, F, C, h, w) float32"""
        noise = frame_noise(self.settings.seed, frames.start, len(frames), self.networks.latent_shape)

        def tell(step: int, num_steps: int, latents: Tensor) -> None:
            if hooks.on_step is not None:
                hooks.on_step(Step(frames.start, len(frames), step, num_steps))

        return sample(
            velocity,
            noise[None].to(self.networks.device),
            self._scheduler,
            self.settings.steps,
            on_step=tell,
            cancel=hooks.cancel,
        )

    def _velocity(self, tokens: Tensor, memory: MemoryBank, controls: Tensor | None) -> Velocity:
        """The guided velocity of one chunk: `tokens` (1, F, N, Da), `controls` (1, F, K)."""
        transformer, passes = self.networks.transformer, len(self._passes)
        audio, bank = repeat_batch(tokens, passes), memory.repeat(passes)
        wishes = None if controls is None else repeat_batch(controls.to(tokens.device), passes)
        heard = torch.tensor([item.audio_given for item in self._passes], device=tokens.device)
        remembered = transformer.prepare_memory(self._portrait, bank.latents, bank.audio, bank.valid, audio_given=heard)

        def velocity(latents: Tensor, timestep: Tensor, portrait_given: Tensor, audio_given: Tensor) -> Tensor:
            return transformer(
                latents,
                timestep,
                portrait_cache=self._portrait,
                portrait_given=portrait_given,
                audio=audio,
                audio_given=audio_given,
                memory_cache=remembered,
                controls=wishes,
            )

        return guided(velocity, self.settings.guidance_portrait, self.settings.guidance_audio)

    @torch.inference_mode()
    def _prepare_portrait(self, latents: Tensor) -> PortraitCache:
        transformer, passes = self.networks.transformer, self._passes
        given = torch.tensor([item.portrait_given for item in passes], device=latents.device)
        return transformer.prepare_portrait(repeat_batch(latents, len(passes)), given)
