"""What a job leaves on disk while it runs, so that a killed one can go on: its state, and the latents made so far.

Not the frames: latents take 4 kB each and decode to the same frames again, several times faster than they were made.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from letstalk.engine.job_state import JobState
from letstalk.errors import InputError, SettingsError
from letstalk.longform.plan import ChunkPlan
from letstalk.media.files import output_error, remove_tree
from letstalk.runtime import cache_dir
from letstalk.types import Audio

STATE, LATENTS, SOUND = "state.safetensors", "latents.f32", "sound.sha256"
KEPT_SECONDS = 30 * 24 * 3600.0


def journals_root() -> Path:
    return cache_dir() / "unfinished"


class Journal:
    """The folder of one unfinished video. It lasts until the video is complete, and over the death of the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, target: Path, root: Path | None = None) -> Journal:
        """The journal of the video that is to be written to `target`, whether there is one or not."""
        name = hashlib.sha256(str(target.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return cls((root or journals_root()) / name)

    @property
    def holds_chunks(self) -> bool:
        return (self.folder / STATE).is_file()

    def begin(self, audio: Audio) -> None:
        """An empty journal. Other ones that nobody has asked for in a month go."""
        self.remove()
        try:
            self.folder.mkdir(mode=0o700, parents=True)  # it holds a voice and a face
            (self.folder / SOUND).write_text(_sound_hash(audio))
            (self.folder / LATENTS).touch()
        except OSError as error:
            raise output_error(self.folder, error) from None
        for other in self.folder.parent.iterdir():
            with suppress(OSError):  # another process was quicker
                if other.is_dir() and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                    remove_tree(other)

    def add(self, latents: Tensor, state: JobState) -> None:
        """One more chunk, (F, C, h, w), and the state after it. The state comes last: it says how much counts.

        Each frame has its place: what a process that died left behind the last state is written over, and two that
        were started by mistake on one video write the same.
        """
        values = latents.float().cpu().contiguous().numpy()
        try:
            with (self.folder / LATENTS).open("r+b") as file:
                file.seek((state.next_frame - len(values)) * values[0].nbytes)
                file.write(values.tobytes())
        except OSError as error:
            raise output_error(self.folder, error) from None
        state.save(self.folder / STATE)

    def take_up(self, audio: Audio) -> JobState | None:
        """The state to go on from; None where nothing was begun. Refuses another sound than the job's."""
        if not self.holds_chunks:
            return None
        state = JobState.load(self.folder / STATE)
        num_bytes = 4 * state.next_frame * state.memory.latents.shape[2:].numel()
        try:
            sound = (self.folder / SOUND).read_bytes()
            with (self.folder / LATENTS).open("rb") as file:
                is_whole = file.seek(0, os.SEEK_END) >= num_bytes
        except OSError:
            is_whole = False
        if not is_whole:
            raise InputError("What was kept of the unfinished video is damaged.", "Start it anew, without --resume.")
        if sound != _sound_hash(audio).encode():
            raise SettingsError("The unfinished video was begun with another sound.", "Give the same, or start anew.")
        return state

    def chunks(self, plan: ChunkPlan, state: JobState) -> Iterator[tuple[range, Tensor]]:
        """The latents up to `state`, (F, C, h, w) float32, in the chunks in which they were made."""
        shape = state.memory.latents.shape[2:]
        with (self.folder / LATENTS).open("rb") as file:
            for frames in plan.chunks(state.next_frame):
                values = np.frombuffer(bytearray(file.read(4 * len(frames) * shape.numel())), np.float32)
                yield frames, torch.from_numpy(values).view(len(frames), *shape)

    def remove(self) -> None:
        remove_tree(self.folder)


def _sound_hash(audio: Audio) -> str:
    return hashlib.sha256(np.ascontiguousarray(audio.samples).data).hexdigest()
