"""Renders the pool: many people, a few scenes with each, a few frames of each scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from letstalk.reader.pool import Frames, write_manifest
from letstalk.reader.poses import babble, mixed_poses
from letstalk.reader.samples import Record
from letstalk.runtime import numpy_generator

if TYPE_CHECKING:
    from letstalk.synthetic.controls import Performance
    from letstalk.synthetic.people.assets import AssetPack
    from letstalk.synthetic.person import Person
    from letstalk.synthetic.pictures.renderer import PreparedPerson
    from letstalk.synthetic.pictures.scene import Scene


@dataclass(frozen=True)
class PoolSettings:
    split: str = "train"
    seed: int = 0
    size: int = 256
    people_per_shard: int = 10
    scenes_per_person: int = 3
    frames_per_scene: int = 4
    close_share: float = 0.6  # scenes framed nearer than portraits, for the detail that large pictures have
    drawn_share: float = 0.25  # scenes in the look of drawings
    free_share: float = 1.0  # scenes with freely drawn faces between the spoken ones; the rest are speech alone
    procedural: bool = False  # people from code alone, without the asset pack


def scene_for(settings: PoolSettings, rng: np.random.Generator, person: Person) -> Scene:
    """A scene of the generator, often nearer and from more of a side than a portrait."""
    from letstalk.synthetic.pictures.camera import Camera, aim
    from letstalk.synthetic.pictures.scene import sample_scene
    from letstalk.synthetic.pictures.stylise import STYLES

    style = str(rng.choice(list(STYLES))) if rng.random() < settings.drawn_share else "photo"
    scene = sample_scene(int(rng.integers(2**40)), person, style)
    if rng.random() >= settings.close_share:
        return scene
    share, yaw, pitch = rng.uniform(0.65, 1.0), rng.normal(0, 0.16), rng.normal(0, 0.1)
    focal = scene.camera.focal
    rotation, position = aim(person, yaw, pitch, rng.normal(0, 0.03), focal, share)
    centre = (0.5 + rng.normal(0, 0.04), 0.5 + rng.normal(0, 0.03))
    return replace(scene, camera=Camera(rotation, position, focal, centre))


def render_person(
    settings: PoolSettings, number: int, assets: Path | None = None
) -> tuple[list[Record], list[tuple[int, ...]]]:
    """Records and traits (pool.TRAITS) of one person of the split; `assets` is the pack, if not in the cache."""
    from letstalk.synthetic.split import check_split, person_seed

    seed = person_seed(check_split(settings.split), number)
    rng = numpy_generator(settings.seed, "reader pool", settings.split, number)
    prepared = _prepared(settings, seed, assets)
    records, traits = [], []
    for _ in range(settings.scenes_per_person):
        scene = scene_for(settings, rng, prepared.person)
        drawn = _play(prepared, scene, _poses(settings, rng), settings.size)
        records += drawn
        traits += [(seed, int(scene.style.kind != "photo"), *_looks(prepared.person))] * len(drawn)
    return records, traits


def _prepared(settings: PoolSettings, seed: int, assets: Path | None) -> PreparedPerson:
    from letstalk.synthetic.people.identity import make_person
    from letstalk.synthetic.people.procedural import procedural_person
    from letstalk.synthetic.pictures.renderer import PreparedPerson

    return PreparedPerson(procedural_person(seed) if settings.procedural else make_person(_pack(assets), seed))


@lru_cache(maxsize=1)
def _pack(assets: Path | None) -> AssetPack:
    from letstalk.synthetic.people.assets import load_assets

    return load_assets(assets)


def _looks(person: Person) -> tuple[int, int]:
    """Whether there are glasses, and a beard."""
    kinds = {material.kind for material in person.materials}
    return int("glasses" in kinds), int(str(person.labels.get("beard", "none")) not in ("none", "", "shaved"))


def _poses(settings: PoolSettings, rng: np.random.Generator) -> Performance:
    make = mixed_poses if rng.random() < settings.free_share else babble
    return make(rng, settings.frames_per_scene)


def _play(prepared: PreparedPerson, scene: Scene, performance: Performance, size: int) -> list[Record]:
    from letstalk.synthetic.people.posing import pose_vertices
    from letstalk.synthetic.pictures.labels import read_labels
    from letstalk.synthetic.pictures.renderer import Renderer

    renderer = Renderer(prepared, scene, size)
    records = []
    for index in range(performance.num_frames):
        frame = renderer.draw(pose_vertices(prepared.person, performance, index), index)
        labels = read_labels(renderer, frame, performance, index)
        records.append(
            Record(
                picture=frame.picture,
                landmarks=labels.landmarks.astype(np.float64),
                visible=labels.landmarks_visible,
                gap=labels.mouth_gap,
                width=labels.mouth_width,
                lid_opening=labels.lid_opening,
                gaze=labels.gaze,
                rotation=labels.head.rotation,
                background=255 - labels.cover,
            )
        )
    return records


def render_shard(settings: PoolSettings, shard: int, assets: Path | None = None) -> Frames:
    first = shard * settings.people_per_shard
    records, traits = [], []
    for number in range(first, first + settings.people_per_shard):
        more_records, more_traits = render_person(settings, number, assets)
        records += more_records
        traits += more_traits
    return Frames.stack(records, traits)


@dataclass(frozen=True)
class RenderJob:
    folder: Path
    settings: PoolSettings
    assets: Path | None = None

    def shard_folder(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:05d}"

    def render(self, shard: int) -> int:
        render_shard(self.settings, shard, self.assets).write(self.shard_folder(shard))
        return shard


def render_pool(job: RenderJob, num_shards: int, num_processes: int, report: Callable[[str], None]) -> None:
    """Renders the shards that are missing, each in one of `num_processes` processes."""
    write_manifest(job.folder, job.settings)
    missing = [shard for shard in range(num_shards) if not job.shard_folder(shard).exists()]
    for done, shard in enumerate(_finished(job, missing, num_processes), 1):
        report(f"shard {shard} ({done} of {len(missing)})")


def _finished(job: RenderJob, shards: list[int], num_processes: int) -> Iterator[int]:
    if num_processes <= 1:
        yield from map(job.render, shards)
        return
    import multiprocessing

    from letstalk.synthetic.data.workers import prepare_worker

    with multiprocessing.get_context("spawn").Pool(num_processes, prepare_worker) as processes:
        yield from processes.imap_unordered(job.render, shards)
