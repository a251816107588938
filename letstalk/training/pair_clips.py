"""Rendered clips cut down to what pairs need: a few frames spread over seconds, their labels, and flow between many of
them.

Rendering is the cost, so 16 frames give far more than 16 pairs; flows are computed beside the renderer, in its
process, and a training step only copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import Performance
from letstalk.synthetic.data.clip_renderer import ClipRenderer, cached_renderer, play
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, clip_spec
from letstalk.synthetic.data.script import write_script
from letstalk.synthetic.data.workers import prepare_worker
from letstalk.synthetic.pictures.dense_motion import backward_flow
from letstalk.synthetic.pictures.labels import FrameLabels
from letstalk.synthetic.pictures.regions import HEAD_REGIONS
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.split import Split
from letstalk.training.readings import READING_NAMES

FLOW_SIDE = 64
# Frames of a clip are neighbours or seconds apart by these shares; the rest is anything in between.
SAME_SHARE, NEAR_SHARE = 0.08, 0.25
NEAR_FRAMES = 2


@dataclass(frozen=True)
class PairClip:
    """P people play the same n moments; G references for every target. Places are normalised, flows in half-widths."""

    pictures: np.ndarray  # (P, n, 3, S, S) uint8
    person: np.ndarray  # (P, n, 1, S, S) uint8, share of the pixel that is person
    head: np.ndarray  # (P, n, 1, 64, 64) uint8, 255 where the head is
    landmarks: np.ndarray  # (P, n, K, 2) float32
    readings: np.ndarray  # (P, n, len(READING_NAMES)) float32
    references: np.ndarray  # (n, G) int16: frames that may be the reference of a target; the same for all people
    flow: np.ndarray  # (P, n, G, 2, 64, 64) float16
    visible: np.ndarray  # (P, n, G, 1, 64, 64) uint8, 0 or 1

    @property
    def num_people(self) -> int:
        return len(self.pictures)

    @property
    def num_frames(self) -> int:
        return self.pictures.shape[1]

    @property
    def num_bytes(self) -> int:
        return sum(getattr(self, item.name).nbytes for item in fields(self))


@dataclass(frozen=True)
class PairSettings:
    """What is cut from each clip."""

    frames_per_clip: int = 16
    references_per_target: int = 6

    def __post_init__(self) -> None:
        if not self.frames_per_clip >= 2 or not 1 <= self.references_per_target <= self.frames_per_clip:
            raise SettingsError(
                f"{self.frames_per_clip} frames with {self.references_per_target} references make no pairs.",
                "Take at least 2 frames, and no more references than frames.",
            )


def spread_frames(num_available: int, wanted: int, random: np.random.Generator) -> np.ndarray:
    """(wanted,) rising frame numbers: one from each equal stretch of the clip, so that gaps of all lengths occur."""
    edges = np.linspace(0, num_available, wanted + 1)
    places = edges[:-1] + random.random(wanted) * np.diff(edges)
    return np.minimum(places.astype(int), num_available - 1)


def choose_references(num_frames: int, count: int, random: np.random.Generator) -> np.ndarray:
    """(num_frames, count) int16 references for every target: few the target itself, some near, most anywhere."""
    chosen = random.integers(num_frames, size=(num_frames, count))
    kind = random.random((num_frames, count))
    own = np.arange(num_frames)[:, None]
    near = np.clip(own + random.integers(1, NEAR_FRAMES + 1, size=chosen.shape) * random.choice((-1, 1), chosen.shape),
                   0, num_frames - 1)  # fmt: skip
    chosen = np.where(kind < SAME_SHARE + NEAR_SHARE, near, chosen)
    return np.where(kind < SAME_SHARE, own, chosen).astype(np.int16)


def render_pair_clip(renderer: ClipRenderer, spec: ClipSpec, settings: PairSettings) -> PairClip:
    """Renders only the frames that are kept; a pure function of spec and settings."""
    random = numpy_generator(spec.performance_seed, "pairs")
    track = write_script(spec).performance
    chosen = spread_frames(track.num_frames, settings.frames_per_clip, random)
    track = replace(track, **{item.name: getattr(track, item.name)[chosen] for item in fields(Performance)})
    references = choose_references(settings.frames_per_clip, settings.references_per_target, random)
    people = []
    for role in spec.roles:
        prepared = renderer.person(role.person_seed, spec.procedural)
        scene = sample_scene(role.scene_seed, prepared.person, style=role.style)
        people.append(_pairs_of(*play(prepared, scene, track, spec.size), references))
    return PairClip(
        references=references, **{name: np.stack([arrays[name] for arrays in people]) for name in people[0]}
    )


def _pairs_of(frames: np.ndarray, labels: list[FrameLabels], references: np.ndarray) -> dict[str, np.ndarray]:
    """One person's arrays of a `PairClip`."""
    count, size = len(frames), frames.shape[1]
    flow = np.empty((*references.shape, 2, FLOW_SIDE, FLOW_SIDE), np.float16)
    visible = np.empty((*references.shape, 1, FLOW_SIDE, FLOW_SIDE), np.uint8)
    for target in range(count):
        for place, reference in enumerate(references[target]):
            way, seen = backward_flow(labels[target].motion, labels[reference].motion)
            # Points that have left the picture may lie anywhere; beyond two widths float16 and the loss gain nothing.
            flow[target, place] = np.clip(np.moveaxis(way, -1, 0), -4, 4)
            visible[target, place, 0] = seen
    heads = np.stack([label.mask(*HEAD_REGIONS) for label in labels])
    return {
        "pictures": np.ascontiguousarray(np.moveaxis(frames, -1, 1)),
        "person": np.stack([label.cover for label in labels])[:, None],
        "head": _shrink(heads.astype(np.float32) * 255)[:, None].astype(np.uint8),
        "landmarks": normalise_places(np.stack([label.landmarks for label in labels]), size),
        "readings": np.stack([frame_readings(label) for label in labels]),
        "flow": flow,
        "visible": visible,
    }  # fmt: skip


def normalise_places(pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixel centres (0 is the middle of the first pixel) to -1..1 between the picture's outer edges."""
    return ((pixels + 0.5) * (2.0 / size) - 1).astype(np.float32)


def frame_readings(label: FrameLabels) -> np.ndarray:
    """(len(READING_NAMES),) float32 in the order of READING_NAMES."""
    values = (*label.head.angles, label.mouth_gap, label.mouth_width, *label.lid_opening, *label.gaze)
    assert len(values) == len(READING_NAMES)
    return np.array(values, np.float32)


def _shrink(masks: np.ndarray) -> np.ndarray:
    """(n, S, S) -> (n, 64, 64) means."""
    block = masks.shape[1] // FLOW_SIDE
    return masks.reshape(len(masks), FLOW_SIDE, block, FLOW_SIDE, block).mean((2, 4))


class PairClips(IterableDataset[tuple[PairClip, ...]]):
    """Casts of clips in order, for ever; worker w of W renders casts w, w + W, ... as the loader takes them in turn."""

    def __init__(
        self, clips: ClipSettings, pairs: PairSettings, split: Split, assets: Path | None = None, first_cast: int = 0
    ) -> None:
        if clips.size % FLOW_SIDE:
            raise SettingsError(
                f"Pairs of size {clips.size} do not fit their flow.", f"Take a multiple of {FLOW_SIDE}."
            )
        self.clips, self.pairs, self.assets, self.first_cast = clips, pairs, assets, first_cast
        self.split: Split = split

    def __iter__(self) -> Iterator[tuple[PairClip, ...]]:
        worker = get_worker_info()
        if worker is not None:
            prepare_worker()
        renderer = cached_renderer(self.assets, self.clips.procedural)
        cast, step = self.first_cast + (worker.id if worker else 0), worker.num_workers if worker else 1
        while True:
            yield self.render_cast(renderer, cast)
            cast += step

    def render_cast(self, renderer: ClipRenderer, cast: int) -> tuple[PairClip, ...]:
        size = self.clips.clips_per_cast
        specs = (clip_spec(self.clips, self.split, cast * size + place) for place in range(size))
        return tuple(render_pair_clip(renderer, spec, self.pairs) for spec in specs)


def stream_pair_clips(clips: PairClips, num_workers: int) -> Iterator[PairClip]:
    """One by one in the order of their numbers, rendered ahead by worker processes (0: in this one)."""
    loader = DataLoader(
        clips,
        batch_size=None,
        num_workers=num_workers,
        multiprocessing_context="spawn" if num_workers else None,
        prefetch_factor=1 if num_workers else None,
    )
    for cast in loader:
        yield from cast
