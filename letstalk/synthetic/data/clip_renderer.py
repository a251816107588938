"""Clips: the same performance by one or several people, with sound, pictures and labels, from a `ClipSpec` alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from letstalk.synthetic.controls import Performance
from letstalk.synthetic.data.plan import ClipSpec, Role
from letstalk.synthetic.data.script import Script, write_script
from letstalk.synthetic.people.assets import AssetPack, load_assets
from letstalk.synthetic.people.identity import make_person
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.dense_motion import MotionRecord, backward_flow, pack_motion, unpack_motion
from letstalk.synthetic.pictures.labels import FrameLabels, read_labels
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import Scene, sample_scene
from letstalk.synthetic.voice.speech import Speech

PEOPLE_KEPT = 8  # prepared people that a process remembers; about 15 MB each


@dataclass(frozen=True)
class ClipLabels:
    """`FrameLabels` of every person and frame: each array begins with (num_people, num_frames)."""

    landmarks: np.ndarray  # (..., NUM_LANDMARKS, 2) float32 pixels
    landmarks_visible: np.ndarray  # (..., NUM_LANDMARKS) bool
    mouth_gap: np.ndarray  # (...) float32, of the distance of the eyes
    mouth_width: np.ndarray  # (...) float32, of the distance of the eyes
    mouth_box: np.ndarray  # (..., 4) int16 pixels: left, top, right, bottom, the last two exclusive
    lid_opening: np.ndarray  # (..., 2) float32, of the width of the eye
    lid_closure: np.ndarray  # (..., 2) float32, 0..1
    gaze: np.ndarray  # (..., 2) float32 radians
    head_rotation: np.ndarray  # (..., 3, 3) float32 against the camera
    head_angles: np.ndarray  # (..., 3) float32 radians: pitch, yaw, roll
    head_translation: np.ndarray  # (..., 3) float32 decimetres
    viseme: np.ndarray  # (...) int16
    speaking: np.ndarray  # (...) bool
    regions: np.ndarray  # (..., size, size) uint8, codes of regions.REGIONS
    cover: np.ndarray  # (..., size, size) uint8, share of the pixel that is person

    def arrays(self) -> dict[str, np.ndarray]:
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class ClipMotion:
    """The motion of one person in packed form: small enough to store and to send between processes."""

    packed: dict[str, np.ndarray]  # see dense_motion.pack_motion

    def flow(self, target: int, reference: int) -> tuple[np.ndarray, np.ndarray]:
        """Backward flow (grid, grid, 2) float32 in half-widths, visibility (grid, grid) bool: see dense_motion.py."""
        record_target, record_reference = self._records(target, reference)
        return backward_flow(record_target, record_reference)

    def _records(self, *frames: int) -> list[MotionRecord]:
        """Only these frames are unpacked: a trainer draws pairs from many clips."""
        shared = ("motion_size", "motion_triangles")
        chosen = {name: array if name in shared else array[list(frames)] for name, array in self.packed.items()}
        return unpack_motion(chosen)


@dataclass(frozen=True)
class Clip:
    spec: ClipSpec
    frames: np.ndarray  # (num_people, num_frames, size, size, 3) uint8
    labels: ClipLabels
    motion: tuple[ClipMotion, ...]  # of each person
    speech: Speech  # exactly 640 samples for each frame
    performance: Performance

    @property
    def num_people(self) -> int:
        return len(self.frames)

    @property
    def num_frames(self) -> int:
        return self.frames.shape[1]

    def flow(self, person: int, target: int, reference: int) -> tuple[np.ndarray, np.ndarray]:
        """Where in frame `reference` is what frame `target` shows, and is it seen there? See `ClipMotion.flow`."""
        return self.motion[person].flow(target, reference)


class ClipRenderer:
    """Renders clips one after another and remembers the last people, whose making costs more than many frames.

    Belongs to one thread. What it renders does not depend on what it rendered before.
    """

    def __init__(self, pack: AssetPack | None) -> None:
        """Without a pack only procedural people can be made."""
        self._pack = pack
        self._people: OrderedDict[tuple[int, bool], PreparedPerson] = OrderedDict()

    def person(self, seed: int, procedural: bool) -> PreparedPerson:
        key = (seed, procedural)
        if key not in self._people:
            self._people[key] = PreparedPerson(self._make(seed, procedural))
            if len(self._people) > PEOPLE_KEPT:
                self._people.popitem(last=False)
        self._people.move_to_end(key)
        return self._people[key]

    def _make(self, seed: int, procedural: bool) -> Person:
        if procedural:
            return procedural_person(seed)
        assert self._pack is not None, "people from the pack need a pack"
        return make_person(self._pack, seed)

    def render(self, spec: ClipSpec) -> Clip:
        script = write_script(spec)
        people = [self._play(spec, role, script) for role in spec.roles]
        return Clip(
            spec=spec,
            frames=np.stack([frames for frames, _ in people]),
            labels=_stack_labels([labels for _, labels in people]),
            motion=tuple(ClipMotion(pack_motion([frame.motion for frame in labels])) for _, labels in people),
            speech=script.speech,
            performance=script.performance,
        )

    def _play(self, spec: ClipSpec, role: Role, script: Script) -> tuple[np.ndarray, list[FrameLabels]]:
        prepared = self.person(role.person_seed, spec.procedural)
        scene = sample_scene(role.scene_seed, prepared.person, style=role.style)
        if spec.clean:
            scene = replace(scene, finish=replace(scene.finish, noise=0.0, jpeg_quality=0))
        return play(prepared, scene, script.performance, spec.size)


def play(
    prepared: PreparedPerson, scene: Scene, performance: Performance, size_px: int
) -> tuple[np.ndarray, list[FrameLabels]]:
    """Frames (num_frames, size, size, 3) uint8 of a person who plays a performance, and the labels of each."""
    renderer = Renderer(prepared, scene, size_px)
    pictures = np.empty((performance.num_frames, size_px, size_px, 3), np.uint8)
    labels = []
    for index in range(performance.num_frames):
        frame = renderer.draw(pose_vertices(prepared.person, performance, index), index)
        pictures[index] = frame.picture
        labels.append(read_labels(renderer, frame, performance, index))
    return pictures, labels


def _stack_labels(people: list[list[FrameLabels]]) -> ClipLabels:
    frames = [frame for person in people for frame in person]
    columns = [_label_values(frame) for frame in frames]
    shape = (len(people), len(people[0]))
    return ClipLabels(
        **{name: np.stack([column[name] for column in columns]).reshape(*shape, *values.shape)
           for name, values in columns[0].items()}
    )  # fmt: skip


def _label_values(frame: FrameLabels) -> dict[str, np.ndarray]:
    """The fields of `ClipLabels` for one frame."""
    return {
        "landmarks": frame.landmarks, "landmarks_visible": frame.landmarks_visible,
        "mouth_gap": np.array(frame.mouth_gap, np.float32), "mouth_width": np.array(frame.mouth_width, np.float32),
        "mouth_box": np.array(frame.mouth_box(), np.int16), "lid_opening": frame.lid_opening,
        "lid_closure": frame.lid_closure, "gaze": frame.gaze, "head_rotation": frame.head.rotation,
        "head_angles": frame.head.angles, "head_translation": frame.head.translation,
        "viseme": np.array(frame.viseme, np.int16), "speaking": np.array(frame.speaking), "regions": frame.regions,
        "cover": frame.cover,
    }  # fmt: skip


@lru_cache(maxsize=1)
def cached_renderer(assets: Path | None, procedural: bool) -> ClipRenderer:
    """The renderer of this process; opening the pack takes a second."""
    return ClipRenderer(None if procedural else load_assets(assets))


def render_clip(spec: ClipSpec, pack: AssetPack | None = None) -> Clip:
    """One clip. Same spec and pack, same bytes; `pack` may be None for procedural people."""
    return ClipRenderer(pack).render(spec)
