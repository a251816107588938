"""Where a job's sound comes from: a whole recording, or blocks that are still being spoken.

A job asks for exact numbers of samples, so nothing it computes depends on how the sound was cut on its way here.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from letstalk.errors import InputError
from letstalk.types import Audio

# What `as_source` understands. An array and the blocks of an iterable are mono float samples in -1..1 at 16 kHz.
Sound = Audio | str | os.PathLike | np.ndarray | Iterable[np.ndarray]


class SoundSource(Protocol):
    def take(self, num_samples: int) -> np.ndarray:
        """The next samples, (num_samples,) float32; fewer only at the end of the sound, then none."""
        ...


class Recording:
    """A sound that is all there, from sample `start` on."""

    def __init__(self, samples: np.ndarray, start: int = 0) -> None:
        self._samples, self._place = samples, start

    def take(self, num_samples: int) -> np.ndarray:
        taken = self._samples[self._place : self._place + num_samples]
        self._place += len(taken)
        return taken


class LiveSound:
    """Blocks of any length; pulled one at a time and only when they are needed.

    `check` is called before each pull and may raise: whoever stops a job does not wait for a whole chunk of sound.
    """

    def __init__(self, blocks: Iterable[np.ndarray], check: Callable[[], None] | None = None) -> None:
        self._blocks: Iterator[np.ndarray] | None = iter(blocks)
        self._check = check
        self._waiting: deque[np.ndarray] = deque()

    def take(self, num_samples: int) -> np.ndarray:
        taken, num_missing = [np.zeros(0, np.float32)], num_samples
        while num_missing and (block := self._next_block()) is not None:
            taken.append(block[:num_missing])
            if len(block) > num_missing:
                self._waiting.appendleft(block[num_missing:])
            num_missing -= len(taken[-1])
        return np.concatenate(taken)

    def _next_block(self) -> np.ndarray | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._check is not None:
            self._check()
        block = next(self._blocks, None) if self._blocks is not None else None
        if block is None:
            self._blocks = None  # an iterator that has ended is not asked again
            return None
        return checked_samples(block)


def as_audio(sound: Sound) -> Audio | None:
    """The recording, read from its file where a path is given; None for live blocks."""
    if isinstance(sound, Audio):
        return sound
    if isinstance(sound, str | os.PathLike):
        from letstalk.media.audio import load_audio

        return load_audio(Path(sound))
    if isinstance(sound, np.ndarray):
        return Audio(checked_samples(sound))
    if not isinstance(sound, Iterable):
        raise InputError(
            f"Sound cannot be taken from {type(sound).__name__}.", "Give a file, an Audio, or blocks of samples."
        )
    return None


def as_source(sound: Sound, start: int = 0, check: Callable[[], None] | None = None) -> SoundSource:
    """What a job reads from. A recording is taken up at sample `start`; live blocks must begin there themselves, and
    `check` is called before each of them.
    """
    audio = as_audio(sound)
    if audio is not None:
        return Recording(audio.samples, start)
    assert not isinstance(sound, Audio | str | os.PathLike)
    return LiveSound(sound, check)


def checked_samples(block: np.ndarray) -> np.ndarray:
    """(n,) float32 in -1..1. What is not finite becomes silence; what is no mono float sound is refused."""
    values = np.asarray(block)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"A block of shape {values.shape} and type {values.dtype} is no mono float sound at 16 kHz.",
            "Send it through letstalk.media.audio.resample_stream first.",
        )
    return np.clip(np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0), -1.0, 1.0)
