"""Rendering a data set into files: resumable, in parallel, with the same bytes however often it was interrupted.

A folder holds `manifest.jsonl` and one safetensors file for each cast (see `plan.py`). Files appear complete or not at
all, and the manifest gets its line after the file is there, so that a killed job loses at most the shards in work. One
job writes into a folder at a time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError, OutputError, SettingsError
from letstalk.runtime import CancelToken
from letstalk.synthetic.data.clip_file import ShardFile, StoredClip, clip_tensors
from letstalk.synthetic.data.clip_renderer import cached_renderer
from letstalk.synthetic.data.packing import PictureCodec
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, clip_spec
from letstalk.synthetic.data.script import check_sources
from letstalk.synthetic.data.workers import worker_pool
from letstalk.synthetic.split import Split, check_split
from letstalk.version import VERSION

MANIFEST_NAME = "manifest.jsonl"
MANIFEST_FORMAT = 1
RENDER_AGAIN = "Delete it and run the same `letstalk synth render` again: only what is missing is rendered."


@dataclass(frozen=True)
class RenderJob:
    folder: Path
    settings: ClipSettings
    split: Split
    num_clips: int
    assets: Path | None = None  # the pack; None takes the one in the cache folder. Unused by procedural people
    pictures: PictureCodec = field(default_factory=PictureCodec)
    num_workers: int = 1

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.num_clips < 1 or self.num_workers < 1:
            raise SettingsError("Clips and workers are counted from 1.", "Give a number of at least 1.")

    @property
    def num_shards(self) -> int:
        return -(-self.num_clips // self.settings.clips_per_cast)

    def specs(self, shard: int) -> tuple[ClipSpec, ...]:
        size = self.settings.clips_per_cast
        last = min(self.num_clips, (shard + 1) * size)
        return tuple(clip_spec(self.settings, self.split, index) for index in range(shard * size, last))

    def header(self) -> dict[str, Any]:
        """What a folder must agree on. The number of clips and workers may change from run to run."""
        return {
            "format": MANIFEST_FORMAT, "letstalk": VERSION, "split": self.split, "settings": self.settings.to_dict(),
            "pictures": asdict(self.pictures), "pack_sha256": self._pack_sha256(),
        }  # fmt: skip

    def _pack_sha256(self) -> str | None:
        if self.settings.procedural:
            return None
        from letstalk.synthetic.people.assets import pack_path

        return file_sha256(pack_path(self.assets))


@dataclass(frozen=True)
class Shard:
    """One line of the manifest."""

    name: str
    sha256: str
    num_bytes: int
    clips: tuple[ClipSpec, ...]

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "clips": [clip.to_dict() for clip in self.clips]})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Shard:
        return cls(**{**values, "clips": tuple(ClipSpec.from_dict(clip) for clip in values["clips"])})


@dataclass(frozen=True)
class Manifest:
    header: dict[str, Any]
    shards: tuple[Shard, ...]

    @property
    def num_clips(self) -> int:
        return sum(len(shard.clips) for shard in self.shards)

    @property
    def content_hash(self) -> str:
        """One hash of all frames, sounds and labels; the same whatever order the shards were finished in."""
        lines = sorted(f"{shard.name} {shard.sha256}\n" for shard in self.shards)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        path = folder / MANIFEST_NAME
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{folder} holds no rendered clips ({MANIFEST_NAME} is missing).", RENDER_AGAIN) from error
        records = list(_whole_records(lines))
        if not records or records[0].get("format") != MANIFEST_FORMAT:
            raise InputError(f"{path} is not a manifest of this version.", "Choose another folder.")
        shards = {record["name"]: Shard.from_dict(record) for record in records[1:]}
        return cls(records[0], tuple(shards[name] for name in sorted(shards)))

    def write(self, folder: Path) -> None:
        from letstalk.media.files import atomic_target

        with atomic_target(folder / MANIFEST_NAME) as partial:
            rows = [json.dumps(self.header), *(shard.to_json() for shard in self.shards)]
            partial.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _whole_records(lines: list[str]) -> Iterator[dict[str, Any]]:
    """A job that was killed while it wrote leaves half a last line: that shard is rendered again."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


@dataclass(frozen=True)
class Progress:
    done_clips: int
    num_clips: int
    num_kept: int  # of the clips that are done, those of an earlier run
    elapsed_seconds: float

    @property
    def left_seconds(self) -> float | None:
        fresh = self.done_clips - self.num_kept
        return self.elapsed_seconds / fresh * (self.num_clips - self.done_clips) if fresh else None


def render_shards(
    job: RenderJob, on_progress: Callable[[Progress], None] | None = None, cancel: CancelToken | None = None
) -> Manifest:
    """Renders what is missing and returns the complete manifest. `cancel` is looked at between shards."""
    from letstalk.media.files import output_error

    # Before anything is written: whoever corrects a mistake must not find a folder that was begun with it.
    header = json.loads(json.dumps(job.header()))
    check_sources(job.settings, job.split)
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        kept = _prepare(job, header)
        finished = {shard.name: shard for shard in kept.shards}
        start, num_kept = time.monotonic(), kept.num_clips
        with (job.folder / MANIFEST_NAME).open("a", encoding="utf-8") as manifest:
            for shard in _rendered(job, [n for n in range(job.num_shards) if shard_name(n) not in finished], cancel):
                manifest.write(shard.to_json() + "\n")
                manifest.flush()
                finished[shard.name] = shard
                if on_progress:
                    done = sum(len(item.clips) for item in finished.values())
                    on_progress(Progress(done, job.num_clips, num_kept, time.monotonic() - start))
        result = Manifest(kept.header, tuple(finished[name] for name in sorted(finished)))
        result.write(job.folder)
    except OSError as error:
        raise output_error(job.folder, error) from error
    return result


def _prepare(job: RenderJob, header: dict[str, Any]) -> Manifest:
    """The manifest to go on from: its lines are those shards that are still wanted and whole."""
    from letstalk.media.files import is_partial

    kept: list[Shard] = []
    if (job.folder / MANIFEST_NAME).exists():
        old = Manifest.read(job.folder)
        differing = [key for key in header if old.header.get(key) != header[key]]
        if differing:
            raise OutputError(
                f"{job.folder} was begun with other settings ({', '.join(differing)}).", "Choose an empty folder."
            )
        wanted = {shard_name(number): job.specs(number) for number in range(job.num_shards)}
        kept = [shard for shard in old.shards if wanted.get(shard.name) == shard.clips and _is_whole(job.folder, shard)]
    for path in filter(is_partial, job.folder.iterdir()):
        path.unlink()
    manifest = Manifest(header, tuple(kept))
    manifest.write(job.folder)
    return manifest


def _is_whole(folder: Path, shard: Shard) -> bool:
    path = folder / shard.name
    return path.is_file() and path.stat().st_size == shard.num_bytes and file_sha256(path) == shard.sha256


def _rendered(job: RenderJob, numbers: list[int], cancel: CancelToken | None) -> Iterator[Shard]:
    """Shards in the order in which they are finished."""
    cancel = cancel or CancelToken()
    if job.num_workers == 1:
        for number in numbers:
            cancel.check()
            yield write_shard(job, number)
        return
    with worker_pool(job.num_workers) as pool:
        waiting, running = iter(numbers), set[Future[Shard]]()
        try:
            while True:
                cancel.check()
                for number in waiting:
                    running.add(pool.submit(write_shard, job, number))
                    if len(running) >= job.num_workers:
                        break
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def write_shard(job: RenderJob, number: int) -> Shard:
    """Renders one cast into its file; called in worker processes."""
    from safetensors.numpy import save

    from letstalk.media.files import atomic_target

    renderer = cached_renderer(job.assets, job.settings.procedural)
    tensors: dict[str, np.ndarray] = {}
    about: list[dict[str, Any]] = []
    specs = job.specs(number)
    for place, spec in enumerate(specs):
        clip_arrays, clip_about = clip_tensors(renderer.render(spec), job.pictures)
        tensors |= {f"{place}/{name}": array for name, array in clip_arrays.items()}
        about.append(clip_about)
    # A single key: the order of several would differ from run to run.
    data = save(tensors, metadata={"clips": json.dumps(about)})
    path = job.folder / shard_name(number)
    with atomic_target(path) as partial:
        partial.write_bytes(data)
    return Shard(path.name, hashlib.sha256(data).hexdigest(), len(data), specs)


def shard_name(number: int) -> str:
    return f"shard-{number:06d}.safetensors"


def file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", "Check the name and the rights.") from error


class ShardReader:
    """Random access to the clips of a folder. Nothing is decoded before it is asked for."""

    def __init__(self, folder: Path, verify: bool = False) -> None:
        """`verify` reads every file once and compares its hash with the manifest's."""
        self.folder = folder
        self.manifest = Manifest.read(folder)
        for shard in self.manifest.shards:
            path = folder / shard.name
            if not path.is_file() or path.stat().st_size != shard.num_bytes:
                raise InputError(f"{path} is missing or incomplete.", RENDER_AGAIN)
            if verify and file_sha256(path) != shard.sha256:
                raise InputError(f"{path} is not as it was rendered.", RENDER_AGAIN)
        self._opened: dict[str, ShardFile] = {}

    @cached_property
    def _places(self) -> tuple[tuple[str, int], ...]:
        return tuple((shard.name, place) for shard in self.manifest.shards for place in range(len(shard.clips)))

    @property
    def specs(self) -> tuple[ClipSpec, ...]:
        return tuple(clip for shard in self.manifest.shards for clip in shard.clips)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> StoredClip:
        name, place = self._places[number]
        if name not in self._opened:
            self._opened[name] = ShardFile(self.folder / name)
        return self._opened[name].clip(place)

    def __iter__(self) -> Iterator[StoredClip]:
        return (self[number] for number in range(len(self)))
