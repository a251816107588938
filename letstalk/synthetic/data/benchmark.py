"""The frozen exam: held-out people who speak, with sound and labels, in a folder that verifies itself.

Built once by `letstalk synth benchmark`, never trained on, never changed. Each clip is a video (see media/archive.py)
and an npz of labels; MANIFEST.json names them with their hashes, HASH holds the hash of the manifest. Reading needs no
pack and no voice engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError
from letstalk.runtime import resource_dir
from letstalk.synthetic.data.clip_renderer import ClipLabels, ClipMotion
from letstalk.synthetic.pictures.regions import HEAD_REGIONS, REGION_CODE
from letstalk.synthetic.voice.speech import Phone

MANIFEST_NAME, HASH_NAME = "MANIFEST.json", "HASH"
BENCHMARK_FORMAT = 1
FACE_REGIONS = ("face", "lips", "mouth", "eyes", "brows")
_FLOW_STEP_PX = 1 / 64
_GET_IT_AGAIN = "Get the folder again from the project; its numbers are only comparable when it is unchanged."

# Labels are stored as whole steps of this size in 16 bits: far below what any reader can tell apart.
_STEPS: dict[str, float] = {
    "landmarks": 1 / 64, "mouth_gap": 1e-4, "mouth_width": 1e-4, "mouth_box": 1, "lid_opening": 1e-4,
    "lid_closure": 1e-4, "gaze": 1e-4, "head_rotation": 1 / 32000, "head_angles": 1e-4, "head_translation": 2e-3,
    "viseme": 1,
}  # fmt: skip
_EXACT = ("landmarks_visible", "speaking")


@dataclass(frozen=True)
class FlowPair:
    """The exact motion between two frames: sampling frame `reference` at cell + flow gives frame `target`."""

    target: int
    reference: int
    flow: np.ndarray  # (64, 64, 2) float32 in half-widths of the picture
    visible: np.ndarray  # (64, 64) bool: the reference shows what the target shows here


@dataclass(frozen=True)
class BenchmarkClip:
    """One person who plays one performance. Labels begin with (num_frames,); pictures are decoded when asked for."""

    folder: Path
    about: Mapping[str, Any]  # its entry in the manifest

    @property
    def name(self) -> str:
        return self.about["name"]

    @property
    def same_performance_as(self) -> str | None:
        """The clip with the same performance by another person, frame for frame; None for a first performer."""
        return self.about["same_performance_as"]

    @property
    def num_frames(self) -> int:
        return self.about["num_frames"]

    @property
    def size(self) -> int:
        return self.about["size"]

    @property
    def phones(self) -> tuple[Phone, ...]:
        return tuple(Phone(*phone) for phone in self.about["speech"]["phones"])

    def frames(self) -> np.ndarray:
        """(num_frames, size, size, 3) uint8; decoded anew at each call, the same bytes on every machine."""
        from letstalk.media.archive import read_archive

        return read_archive(self.folder / self.about["video"])[0]

    def samples(self) -> np.ndarray:
        """(num_frames * 640,) float32 at 16 kHz."""
        from letstalk.media.archive import read_archive

        _, sound = read_archive(self.folder / self.about["sound"])
        assert sound is not None, "the first performer's file carries the sound"
        return sound

    @cached_property
    def _stored(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / self.about["labels"], allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """As the fields of `ClipLabels` (without regions and cover) for this one person."""
        counted = {"viseme", "mouth_box"}
        read = {
            name: self._stored[name] if name in counted else (self._stored[name] * np.float32(step)).astype(np.float32)
            for name, step in _STEPS.items()
        }
        return {**read, **{name: self._stored[name] for name in _EXACT}}

    @cached_property
    def head_mask(self) -> np.ndarray:
        """(num_frames, size, size) bool: skin of the head, face, hair, glasses."""
        return self._mask("head_mask")

    @cached_property
    def face_mask(self) -> np.ndarray:
        """(num_frames, size, size) bool: the face from hairline to chin with mouth, eyes and brows."""
        return self._mask("face_mask")

    def _mask(self, name: str) -> np.ndarray:
        shape = (self.num_frames, self.size, self.size)
        return np.unpackbits(self._stored[name], count=int(np.prod(shape))).astype(bool).reshape(shape)

    @cached_property
    def flow_pairs(self) -> tuple[FlowPair, ...]:
        flows = self._stored["flow"].astype(np.float32) * np.float32(_FLOW_STEP_PX * 2 / self.size)
        visible = np.unpackbits(self._stored["flow_visible"], count=flows[..., 0].size).astype(bool)
        pairs = zip(self._stored["flow_frames"], flows, visible.reshape(flows.shape[:3]), strict=True)
        return tuple(FlowPair(int(target), int(reference), flow, seen) for (target, reference), flow, seen in pairs)


def write_labels(path: Path, labels: ClipLabels, person: int, motion: ClipMotion, pairs: list[tuple[int, int]]) -> None:
    """The npz of one person, with the flow of some pairs (target, reference); `BenchmarkClip` reads it back."""
    size = labels.regions.shape[-1]
    stored: dict[str, np.ndarray] = {}
    for name, step in _STEPS.items():
        steps = np.rint(getattr(labels, name)[person].astype(np.float64) / step)
        assert np.abs(steps).max() < 2**15, f"{name} does not fit into 16 bits"
        stored[name] = steps.astype(np.int16)
    stored |= {name: getattr(labels, name)[person] for name in _EXACT}
    for name, regions in (("head_mask", HEAD_REGIONS), ("face_mask", FACE_REGIONS)):
        stored[name] = np.packbits(np.isin(labels.regions[person], [REGION_CODE[region] for region in regions]))
    flows = [motion.flow(target, reference) for target, reference in pairs]
    in_steps = np.stack([flow for flow, _ in flows]) * (size / 2 / _FLOW_STEP_PX)
    stored["flow"] = np.clip(np.rint(in_steps), -(2**15), 2**15 - 1).astype(np.int16)
    stored["flow_visible"] = np.packbits(np.stack([visible for _, visible in flows]))
    stored["flow_frames"] = np.array(pairs, np.int16)
    np.savez_compressed(path, allow_pickle=False, **stored)


def benchmark_folder() -> Path:
    return resource_dir("assets") / "benchmark"


def load_benchmark(folder: Path | None = None) -> list[BenchmarkClip]:
    """All clips, after every byte of the folder was checked against its hashes. A changed exam is refused."""
    folder = folder or benchmark_folder()
    manifest = _checked_manifest(folder)
    return [BenchmarkClip(folder, entry) for entry in manifest["clips"]]


def benchmark_hash(folder: Path | None = None) -> str:
    """The hash that stands for the whole exam; reports name it."""
    path = (folder or benchmark_folder()) / HASH_NAME
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise InputError(f"There is no benchmark in {path.parent}.", _GET_IT_AGAIN) from error


def _checked_manifest(folder: Path) -> dict[str, Any]:
    expected = benchmark_hash(folder)
    try:
        data = (folder / MANIFEST_NAME).read_bytes()
        if hashlib.sha256(data).hexdigest() != expected:
            raise InputError(f"The manifest of the benchmark in {folder} was changed.", _GET_IT_AGAIN)
        manifest = json.loads(data)
        if manifest["format"] != BENCHMARK_FORMAT:
            raise InputError(f"The benchmark in {folder} has another format.", _GET_IT_AGAIN)
        for name, digest in manifest["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise InputError(f"{name} of the benchmark in {folder} was changed.", _GET_IT_AGAIN)
    except OSError as error:
        raise InputError(f"The benchmark in {folder} is incomplete ({error.strerror}).", _GET_IT_AGAIN) from error
    return manifest
