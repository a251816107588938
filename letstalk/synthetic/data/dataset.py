"""Clips rendered on the fly for training, in worker processes.

    for clip in stream_clips(SyntheticClips(settings, "train", first_cast=900), Workers(2)):
        ...

The order is that of the clip numbers, whatever the number of workers: one worker renders all clips of a cast (their
people are the costly part), the loader takes casts from the workers in turn. So a run that is resumed at a cast sees
what it would have seen, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from letstalk.synthetic.data.clip_renderer import Clip, cached_renderer
from letstalk.synthetic.data.plan import ClipSettings, clip_spec
from letstalk.synthetic.split import Split, check_split


class SyntheticClips(IterableDataset[tuple[Clip, ...]]):
    """Each item is one cast: `settings.clips_per_cast` clips. Worker w of W renders casts w, w + W, w + 2 W, ...

    Endless unless `num_casts` is given. Nothing is opened before the first item is asked for, so the object travels to
    spawned workers.
    """

    def __init__(
        self,
        settings: ClipSettings,
        split: Split,
        assets: Path | None = None,
        first_cast: int = 0,
        num_casts: int | None = None,
    ) -> None:
        assert first_cast >= 0
        self.settings, self.assets = settings, assets
        self.split: Split = check_split(split)
        self.first_cast, self.num_casts = first_cast, num_casts

    def __iter__(self) -> Iterator[tuple[Clip, ...]]:
        worker = get_worker_info()
        if worker is not None:
            import cv2

            cv2.setNumThreads(1)  # each worker has one core
        start, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        casts = islice(count(), self.num_casts) if self.num_casts is not None else count()
        renderer = cached_renderer(self.assets, self.settings.procedural)
        size = self.settings.clips_per_cast
        for cast in islice(casts, start, None, step):
            first = (self.first_cast + cast) * size
            yield tuple(renderer.render(clip_spec(self.settings, self.split, first + place)) for place in range(size))


@dataclass(frozen=True)
class Workers:
    """Workers are spawned: forked ones inherit the locks of threads that they do not have, and wait for ever."""

    num_workers: int = 1  # 0 renders in this process
    casts_ahead: int = 2  # rendered in advance by each worker: hides the first person's cost and uneven clips


def stream_clips(clips: SyntheticClips, workers: Workers = Workers()) -> Iterator[Clip]:
    """The clips of a data set one by one, rendered ahead of time by worker processes."""
    loader = DataLoader(
        clips,
        batch_size=None,
        num_workers=workers.num_workers,
        multiprocessing_context="spawn" if workers.num_workers else None,
        prefetch_factor=workers.casts_ahead if workers.num_workers else None,
    )
    for cast in loader:
        yield from cast
