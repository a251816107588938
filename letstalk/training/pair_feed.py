"""Feeds training steps: one pool of clips at a time; the next batch is collected and augmented while the current one
is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from letstalk.runtime import numpy_generator
from letstalk.synthetic.data.plan import ClipSettings
from letstalk.synthetic.split import Split
from letstalk.training.batch import PairBatch
from letstalk.training.codec_settings import CodecTraining
from letstalk.training.codec_stages import Stage
from letstalk.training.pair_clips import PairClips, PairSettings, stream_pair_clips
from letstalk.training.pair_pool import ClipPool, PoolSettings, batch_at

REFERENCE_COUNTS = (1, 1, 2, 3)  # one portrait is the usual case
PROCESS_STRIDE = 1_000_000  # clip numbers of one process of many; no run gets that far


def clips_of(
    settings: CodecTraining, size: int, split: Split, first_cast: int = 0, *, clips_per_cast: int = 4
) -> PairClips:
    """Endless clips of two people each, of this size."""
    clips = ClipSettings(
        seed=settings.seed, size=size, procedural=settings.procedural, people_per_clip=(2, 2),
        clips_per_cast=clips_per_cast, voices=settings.voices,
    )  # fmt: skip
    pairs = PairSettings(settings.frames_per_clip, min(6, settings.frames_per_clip))
    return PairClips(clips, pairs, split, settings.assets, first_cast)


Prepare = Callable[[PairBatch, int, Stage], Any]  # runs in the feed's own thread
Key = tuple[int, Stage, int]  # step, stage, number of references


class PairFeed:
    """Prepared batches by step. A stage with another picture size begins a new pool; where it began belongs to a run's
    state.
    """

    def __init__(
        self, settings: CodecTraining, prepare: Prepare, process: int = 0, state: dict[str, Any] | None = None
    ) -> None:
        self.settings, self.prepare, self.process = settings, prepare, process
        self._began: dict[str, Any] = dict(state or {"size": 0, "step": 0})
        self._pool: ClipPool | None = None
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="pairs")
        self._next: tuple[Key, Future[Any]] | None = None

    @property
    def state(self) -> dict[str, Any]:
        return dict(self._began)

    def given(self, step: int, stage: Stage) -> Any:
        """What `prepare` makes of the batch of `step`; begins with the one after it."""
        wanted = self._key(step, stage)
        future = self._next[1] if self._next and self._next[0] == wanted else self._submit(wanted)
        given = future.result()
        following = self._key(step + 1, stage)
        self._next = (following, self._submit(following))
        return given

    def close(self) -> None:
        self._collector.shutdown(wait=True, cancel_futures=True)
        self._pool = None

    def _key(self, step: int, stage: Stage) -> Key:
        counts = [count for count in REFERENCE_COUNTS if count <= stage.max_references]
        random = numpy_generator(self.settings.seed, "references", step)
        return step, stage, int(random.choice(counts))

    def _submit(self, key: Key) -> Future[Any]:
        return self._collector.submit(self._collect, *key)

    def _collect(self, step: int, stage: Stage, references: int) -> Any:
        """Runs in the collector's thread alone, one at a time, in the order of the steps."""
        if stage.size != self._began["size"]:
            self._began, self._pool = {"size": stage.size, "step": step}, None
        pool_step = step - self._began["step"]
        if self._pool is None:
            self._pool = self._open(stage.size, pool_step)
        shape = (self.settings.rows_in(stage), references)
        return self.prepare(batch_at(self._pool, self.settings.seed, pool_step, shape, self.process), step, stage)

    def _open(self, size: int, pool_step: int) -> ClipPool:
        chosen = self.settings
        per_cast = clips_of(chosen, size, "train").clips.clips_per_cast

        def stream(first_clip: int) -> Any:
            first = first_clip + self.process * PROCESS_STRIDE
            numbered = stream_pair_clips(clips_of(chosen, size, "train", first // per_cast), chosen.workers)
            for _ in range(first % per_cast):  # a pool may begin in the middle of a cast
                next(numbered)
            return numbered

        return ClipPool(
            stream, PoolSettings(chosen.first_clips, chosen.capacity_at(size), chosen.clips_per_step), pool_step
        )
