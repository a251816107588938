"""The pipeline: one to three pictures and a sound in, chunks of talking video out, while they are made.

    pipe = LetsTalkPipeline.from_pretrained("mini")
    pipe("portrait.png", "speech.wav", seed=7).save("out.mp4")

`stream` is the primitive: everything else collects or consumes it. Saved pipelines name this module: it stays here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils import logging
from torch import nn

from letstalk.engine.chunks import Hooks, StepCallback
from letstalk.engine.find import HOW_TO_GET_ONE, find_model
from letstalk.engine.job_state import JobState
from letstalk.engine.networks import Networks
from letstalk.engine.session import MadeChunk, Session
from letstalk.engine.sitter import Picture, framed
from letstalk.engine.sound import Sound, as_audio
from letstalk.errors import Cancelled, MissingAssetError
from letstalk.media.face import FaceFinder
from letstalk.media.image import WHOLE_PICTURE_LIMITS
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.runtime import CancelToken
from letstalk.settings import GenerationSettings
from letstalk.types import seconds_for_frames


@dataclass(frozen=True)
class TalkingVideo:
    """A whole video in memory: 11 MB a second at 256 x 256. Long ones are better streamed into a writer."""

    frames: np.ndarray  # (num_frames, height, width, 3) uint8, 25 a second
    samples: np.ndarray  # (num_samples,) float32 at 16 kHz: the speech that the frames show
    source: Path | None = None  # the recording, if the speech came from a file: its own sound is what is saved
    notes: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float:
        return seconds_for_frames(len(self.frames))

    def save(self, path: Path | str) -> Path:
        """An MP4 with sound; it appears complete or not at all."""
        from letstalk.media.video import VideoWriter

        height, width = self.frames.shape[1:3]
        with VideoWriter(Path(path), (height, width), audio_source=self.source) as writer:
            writer.write(self.frames, self.samples)
            return writer.finish().path


class LetsTalkPipeline(DiffusionPipeline):
    """Transformer, autoencoder, audio encoder and scheduler as one diffusers pipeline.

    Nothing about a job is kept in it: any number of streams may run on one pipeline, in turns or in threads.
    """

    def __init__(
        self,
        transformer: TalkingTransformer,
        autoencoder: ReferenceAutoencoder,
        audio_encoder: AudioEncoder,
        scheduler: Any,
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer, autoencoder=autoencoder, audio_encoder=audio_encoder, scheduler=scheduler
        )
        self._finder: FaceFinder | None = None
        self.networks.check()

    @property
    def networks(self) -> Networks:
        return Networks(self.transformer, self.autoencoder, self.audio_encoder, self.scheduler)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, dtype: torch.dtype | None = None, **kwargs: Any) -> Self:  # type: ignore[override]
        """A shipped model by its name ("mini"), or a folder of `save_pretrained`. Nothing is ever downloaded.

        Further arguments are those of diffusers. Without `dtype` everything computes in float32.
        """
        older_name = kwargs.pop("torch_dtype", None)  # that diffusers had for `dtype`
        folder = find_model(name_or_path)
        try:
            with _no_progress_bar():
                pipeline = super().from_pretrained(folder, local_files_only=True, use_safetensors=True, **kwargs)
        except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise MissingAssetError(f"The model in {folder} cannot be loaded ({reason}).", HOW_TO_GET_ONE) from error
        pipeline._check_complete(folder)
        pipeline.autoencoder.check_latents()  # while the weights are as they were saved
        return pipeline.place(pipeline.device, dtype or older_name or torch.float32)

    def place(self, device: torch.device | str, dtype: torch.dtype) -> Self:
        """Where and how precisely the networks work. The audio encoder stays in float32: it costs next to nothing."""
        for name, part in self.components.items():
            if isinstance(part, nn.Module):
                # diffusers' own `to` warns about modules that these networks do not have.
                nn.Module.to(part, device, torch.float32 if name == "audio_encoder" else dtype)
                part.eval().requires_grad_(False)
        nn.Module.to(self.autoencoder, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def session(
        self, portraits: Picture | Sequence[Picture], settings: GenerationSettings | None = None, **changes: Any
    ) -> Session:
        """What several videos of one person with one set of settings share; encodes the pictures once."""
        settings = (settings or GenerationSettings()).changed(**changes)
        self.autoencoder.check_size(settings.size)
        limits = WHOLE_PICTURE_LIMITS if settings.full_frame else None
        framed_portraits = framed(portraits, settings.size, self._face_finder, limits)
        return Session(self.networks, framed_portraits, settings)

    def stream(
        self,
        portraits: Picture | Sequence[Picture],
        audio: Sound,
        settings: GenerationSettings | None = None,
        *,
        on_step: StepCallback | None = None,
        cancel: CancelToken | None = None,
        state: JobState | None = None,
        overlap: bool = False,
        **changes: Any,
    ) -> Iterator[MadeChunk]:
        """Video chunks of a talking person, as soon as they are made.

        `portraits` are one to three pictures of the same person: files, arrays, PIL pictures or framed `Portrait`s.
        `audio` is a recording (file, `Audio`, samples at 16 kHz) or an iterable of live blocks of samples; with live
        blocks the length need not be known, and chunks come as soon as their sound has. Single settings may be given
        by name (`seed=7`). What can be refused is refused here, before the first chunk is asked for.

        `on_step` hears of every evaluation of the transformer. `CancelToken.stop` ends the stream within one of them
        or at the next live block, `cancel` raises `Cancelled`; chunks that came before are complete either way.

        `state` is that of an earlier chunk (`chunk.state`): the stream goes on after it as if it had never ended. Live
        blocks must then begin at sample `state.num_heard`; a recording is given whole again.

        With `overlap` the transformer (and with it `on_step` and the pulling of live blocks) runs in a thread of its
        own, one chunk ahead of the decoder: the same frames, sooner on two cores.
        """
        hooks = Hooks(on_step, cancel)
        return self.session(portraits, settings, **changes).stream(audio, state=state, hooks=hooks, overlap=overlap)

    def __call__(
        self,
        portraits: Picture | Sequence[Picture],
        audio: Sound,
        settings: GenerationSettings | None = None,
        **options: Any,
    ) -> TalkingVideo:
        """The collected stream; `options` are those of `stream`. `Cancelled` when it was stopped before any frame."""
        recording = as_audio(audio)
        chunks = list(self.stream(portraits, audio if recording is None else recording, settings, **options))
        if not chunks:
            raise Cancelled
        return TalkingVideo(
            frames=np.concatenate([chunk.frames for chunk in chunks]),
            samples=np.concatenate([chunk.samples for chunk in chunks]),
            # A stream that was taken up in the middle has not all of the recording.
            source=recording.source if recording and chunks[0].first_frame == 0 else None,
            notes=tuple(note for chunk in chunks for note in chunk.notes),
        )

    def _check_complete(self, folder: Path) -> None:
        """diffusers leaves a weight that no file has without a value, and says so only in its log."""
        for part_name, part in self.components.items():
            for name, tensor in part.state_dict().items() if isinstance(part, nn.Module) else ():
                if tensor.is_meta:
                    raise MissingAssetError(
                        f"The model in {folder} cannot be loaded ({part_name} has no weight {name}).", HOW_TO_GET_ONE
                    )

    def _face_finder(self) -> FaceFinder:
        """Loaded when the first picture has to be searched for a face, then kept."""
        if self._finder is None:
            from letstalk.reader.detector import as_detector
            from letstalk.reader.predict import FaceReader

            self._finder = FaceFinder(as_detector(FaceReader.load()))
        return self._finder


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Loading takes a second; a bar for it would only stand in the way of the job's own."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
