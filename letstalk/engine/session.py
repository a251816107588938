"""A session: one person with one set of settings, and the stream of video made from any sound.

A session holds what all chunks share and never changes; what changes is a `JobState`. So one session serves any number
of jobs, also at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from letstalk.engine.ahead import ahead
from letstalk.engine.chunks import ChunkMaker, Hooks, LatentChunk
from letstalk.engine.clock import StageClock
from letstalk.engine.job_state import JobState
from letstalk.engine.networks import Networks
from letstalk.engine.sitter import Sitter, pictures_hash
from letstalk.engine.sound import Sound, SoundSource, as_audio, as_source
from letstalk.media.paste import PasteBack
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait, VideoChunk

DECODED_AT_ONCE = 16  # frames: long chunks of large pictures would take gigabytes


@dataclass(frozen=True, kw_only=True)
class MadeChunk(VideoChunk):
    """A chunk with what is needed to go on after it, and to decode it again."""

    state: JobState
    latents: Tensor  # (F, C, h, w) float32: `Session.frames` makes the same frames of it again


class Session:
    """`portraits` have crops of the settings' size; the first one speaks, the others show more of the same person."""

    def __init__(self, networks: Networks, portraits: tuple[Portrait, ...], settings: GenerationSettings) -> None:
        networks.autoencoder.check_size(settings.size)
        self.networks, self.portraits, self.settings = networks, portraits, settings
        self._sitter = Sitter.encode(portraits, networks.autoencoder)
        self._maker = ChunkMaker(networks, self._sitter, settings)
        self._paste = PasteBack(portraits[0]) if settings.full_frame else None
        self.recipe = _recipe(networks, portraits, settings)

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width of the video."""
        height, width = (self.portraits[0].full if self._paste else self.portraits[0].crop).shape[:2]
        return height, width

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the pictures and what to know of the settings, each sentence once."""
        said = [note for portrait in self.portraits for note in portrait.notes]
        return tuple(dict.fromkeys([*said, *self.networks.remarks(self.settings)]))

    def stream(
        self, sound: Sound, *, state: JobState | None = None, hooks: Hooks | None = None, overlap: bool = False
    ) -> Iterator[MadeChunk]:
        """Chunks as soon as they are made. `LetsTalkPipeline.stream` says what the arguments mean."""
        hooks = hooks or Hooks()
        if state is not None:
            state.check_recipe(self.recipe)
        audio = as_audio(sound)
        source = as_source(sound if audio is None else audio, state.num_heard if state else 0, hooks.check)
        notes = () if state else (*self.notes, *(audio.notes if audio else ()))
        state = state.to(self.networks.device) if state else self._maker.begin(self.recipe)
        return self._decoded(source, state, hooks, notes, overlap)

    def _decoded(
        self, source: SoundSource, state: JobState, hooks: Hooks, notes: tuple[str, ...], overlap: bool
    ) -> Iterator[MadeChunk]:
        clock = hooks.clock or StageClock()
        made: Iterator[LatentChunk] = self._maker.chunks(source, state, hooks)
        if overlap:
            made = ahead(made, given_up=lambda: hooks.stopped)
        with closing(made):  # type: ignore[type-var]  both are generators
            for chunk in made:
                if hooks.stopped:
                    break
                yield MadeChunk(
                    first_frame=chunk.frames.start,
                    frames=self.frames(chunk.latents, clock),
                    samples=chunk.samples,
                    notes=notes,
                    state=chunk.state,
                    latents=chunk.latents,
                )
                notes = ()
        if hooks.cancel is not None:
            hooks.cancel.check()

    @torch.inference_mode()
    def frames(self, latents: Tensor, clock: StageClock | None = None) -> np.ndarray:
        """Deltas (F, C, h, w) of one chunk -> video frames (F, height, width, 3) uint8."""
        clock = clock or StageClock()
        with clock.stage("decoder"):
            crops = np.concatenate([self._crops(part) for part in latents.split(DECODED_AT_ONCE)])
        if self._paste is None:
            return crops
        with clock.stage("paste"):
            return np.stack([self._paste.frame(crop) for crop in crops])

    def _crops(self, latents: Tensor) -> np.ndarray:
        """Deltas (F, C, h, w) -> crops (F, S, S, 3) uint8."""
        codec = self.networks.autoencoder
        deltas = latents[None].to(self.networks.device)
        wanted = self.networks.transformer.undo_deltas(deltas, self._sitter.latents)[0]  # (F, C, h, w) normalised
        wanted = codec.denormalise(wanted).to(codec.dtype)
        pictures = codec.decode(wanted, self._sitter.references).pictures.float()  # (F, 3, S, S) in -1..1
        levels = ((pictures + 1.0) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _recipe(networks: Networks, portraits: tuple[Portrait, ...], settings: GenerationSettings) -> dict[str, str]:
    """What frames depend on besides the sound, by the names that a user knows."""
    chosen = {name: json.dumps(value) for name, value in settings.model_dump().items()}
    return {"pictures": pictures_hash(portraits), "weights": networks.fingerprint(), **chosen}
