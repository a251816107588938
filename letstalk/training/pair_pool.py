"""A pool of clips from which pairs are drawn while a slower renderer refreshes it.

Which clips lie in the pool at a step, and which pairs are drawn, is a function of the seed and the step: a resumed run
goes on as if it had never stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.training.batch import PairBatch
from letstalk.training.pair_clips import PairClip

ClipStream = Callable[[int], Iterator[PairClip]]  # first clip number -> clips from it on


@dataclass(frozen=True)
class PoolSettings:
    """Steps count from the pool's own first one. If the renderer cannot keep up, the step waits for it."""

    first_clips: int = 16  # there before the first step
    capacity: int = 128  # the oldest leave
    clips_per_step: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.first_clips <= self.capacity or self.clips_per_step < 0:
            raise SettingsError(
                f"A pool of {self.capacity} clips cannot begin with {self.first_clips}.",
                "Take first_clips between 1 and capacity, and clips_per_step of at least 0.",
            )

    def window(self, step: int) -> tuple[int, int]:
        """Clip numbers [first, end) that lie in the pool at `step`."""
        end = self.first_clips + int(step * self.clips_per_step)
        return max(0, end - self.capacity), end


class ClipPool:
    """The clips of a moving window of their numbers, in memory."""

    def __init__(self, stream: ClipStream, settings: PoolSettings, step: int = 0) -> None:
        self.settings = settings
        self._first, _ = settings.window(step)
        self._clips: deque[PairClip] = deque()
        self._stream = stream(self._first)

    def at(self, step: int) -> deque[PairClip]:
        """The pool of this step; steps must not go back."""
        first, end = self.settings.window(step)
        assert first >= self._first, "a pool forgets: it cannot go back"
        while self._first + len(self._clips) < end:
            self._clips.append(next(self._stream))
        while self._first < first:
            self._clips.popleft()
            self._first += 1
        return self._clips


def draw_batch(clips: deque[PairClip], num_rows: int, num_references: int, random: np.random.Generator) -> PairBatch:
    """Rows 2k and 2k + 1 come from one clip and show the same moments where it has two people."""
    assert num_rows % 2 == 0, "rows come in twos"
    rows, partner = [], []
    for k in range(num_rows // 2):
        clip = clips[int(random.integers(len(clips)))]
        if clip.num_people > 1:
            first, second = (int(p) for p in random.choice(clip.num_people, 2, replace=False))
            moment = draw_moment(clip, num_references, random)
            rows += [take_row(clip, first, *moment), take_row(clip, second, *moment)]
            partner += [2 * k + 1, 2 * k]
        else:
            rows += [take_row(clip, 0, *draw_moment(clip, num_references, random)) for _ in range(2)]
            partner += [2 * k, 2 * k + 1]
    arrays = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return PairBatch(partner=torch.tensor(partner), **arrays)


def draw_moment(clip: PairClip, num_references: int, random: np.random.Generator) -> tuple[int, np.ndarray]:
    """A target and places in its list of references."""
    target = int(random.integers(clip.num_frames))
    choices = clip.references.shape[1]
    return target, random.choice(choices, num_references, replace=num_references > choices)


def take_row(clip: PairClip, person: int, target: int, places: np.ndarray) -> dict[str, np.ndarray]:
    """One row of a `PairBatch` as bytes and half floats, without its partner."""
    frames = np.concatenate([[target], clip.references[target, places]])
    return {
        "pictures": clip.pictures[person, frames],
        "person": clip.person[person, frames],
        "flow": clip.flow[person, target, places],
        "visibility": clip.visible[person, target, places] * np.uint8(255),
        "head": clip.head[person, frames],
        "landmarks": clip.landmarks[person, frames],
        "readings": clip.readings[person, frames],
    }


def batch_at(pool: ClipPool, seed: int, step: int, shape: tuple[int, int], process: int = 0) -> PairBatch:
    """The batch of a step; `shape` is (rows, references). Every process draws its own rows from its own pool."""
    random = numpy_generator(seed, "rows", process, step)
    return draw_batch(pool.at(step), *shape, random)
