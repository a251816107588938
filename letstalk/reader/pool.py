"""The training pool: rendered frames with their truth, as plain arrays on disk that any process can map.

A pool is a folder of shards; a shard is a folder of .npy files, written under another name and renamed when whole.
Rendering goes on where it stopped. What a shard holds is a function of the pool's settings and the shard's number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from letstalk.errors import MissingAssetError
from letstalk.reader.samples import Record

FIELDS = ("pictures", "landmarks", "visible", "gap", "width", "lid_opening", "gaze", "rotation", "background", "traits")
TRAITS = ("person_seed", "stylised", "glasses", "beard")  # columns of `traits`, for tables


@dataclass(frozen=True)
class Frames:
    """Some frames in a row; the same fields as `Record`, one row each."""

    pictures: np.ndarray  # (n, size, size, 3) uint8
    landmarks: np.ndarray  # (n, num_landmarks, 2) float32
    visible: np.ndarray  # (n, num_landmarks) bool
    gap: np.ndarray  # (n,) float32
    width: np.ndarray  # (n,) float32
    lid_opening: np.ndarray  # (n, 2) float32
    gaze: np.ndarray  # (n, 2) float32
    rotation: np.ndarray  # (n, 3, 3) float32
    background: np.ndarray  # (n, size, size / 8) uint8, one bit a pixel
    traits: np.ndarray  # (n, len(TRAITS)) int64

    def __len__(self) -> int:
        return len(self.pictures)

    def record(self, index: int) -> Record:
        return Record(
            picture=np.asarray(self.pictures[index]),
            landmarks=np.asarray(self.landmarks[index], np.float64),
            visible=np.asarray(self.visible[index]),
            gap=float(self.gap[index]),
            width=float(self.width[index]),
            lid_opening=np.asarray(self.lid_opening[index], np.float64),
            gaze=np.asarray(self.gaze[index], np.float64),
            rotation=np.asarray(self.rotation[index], np.float64),
            background=np.unpackbits(self.background[index], axis=-1) * np.uint8(255),
        )

    def write(self, folder: Path) -> None:
        part = folder.with_name(folder.name + ".part")
        part.mkdir(parents=True, exist_ok=True)
        for name in FIELDS:
            np.save(part / f"{name}.npy", getattr(self, name))
        part.rename(folder)

    @classmethod
    def read(cls, folder: Path) -> Frames:
        """Mapped, not loaded: pages come in as they are needed and processes share them."""
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in FIELDS})

    @classmethod
    def stack(cls, records: list[Record], traits: list[tuple[int, ...]]) -> Frames:
        stacked = {name: np.stack([np.asarray(getattr(record, name)) for record in records]) for name in (
            "landmarks", "gap", "width", "lid_opening", "gaze", "rotation")}  # fmt: skip
        return cls(
            pictures=np.stack([record.picture for record in records]),
            visible=np.stack([record.visible for record in records]).astype(bool),
            background=np.packbits(np.stack([record.background for record in records]) > 127, axis=-1),
            traits=np.array(traits, np.int64),
            **{name: value.astype(np.float32) for name, value in stacked.items()},
        )


class Pool:
    """All whole shards of a folder, seen as one list of frames."""

    def __init__(self, folder: Path) -> None:
        shards = sorted(path for path in folder.glob("shard-*") if path.is_dir() and path.suffix != ".part")
        if not shards:
            raise MissingAssetError(
                f"There are no rendered frames in {folder}.", "Make them with `letstalk reader render`."
            )
        self.shards = [Frames.read(path) for path in shards]
        self._ends = np.cumsum([len(shard) for shard in self.shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _locate(self, index: int) -> tuple[Frames, int]:
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return self.shards[shard], index - (int(self._ends[shard - 1]) if shard else 0)

    def record(self, index: int) -> Record:
        shard, row = self._locate(index)
        return shard.record(row)

    def column(self, name: str) -> np.ndarray:
        return np.concatenate([np.asarray(getattr(shard, name)) for shard in self.shards])

    def __iter__(self) -> Iterator[Record]:
        return (self.record(index) for index in range(len(self)))


def write_manifest(folder: Path, settings: object) -> None:
    """Settings of the pool beside it; other settings in the same folder would mix two distributions."""
    folder.mkdir(parents=True, exist_ok=True)
    path, values = folder / "pool.json", json.loads(json.dumps(asdict(settings)))  # type: ignore[call-overload]
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != values:
        raise MissingAssetError(f"{folder} holds a pool with other settings.", "Choose another folder or remove it.")
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
