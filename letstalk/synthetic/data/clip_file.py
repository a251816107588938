"""A clip as named arrays of a shard file, and back, piece by piece."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError
from letstalk.synthetic.controls import Performance
from letstalk.synthetic.data.clip_renderer import Clip, ClipLabels, ClipMotion
from letstalk.synthetic.data.packing import (
    PictureCodec,
    decode_flac,
    decode_picture,
    deflate,
    encode_flac,
    inflate,
    join_bytes,
)
from letstalk.synthetic.data.plan import ClipSpec
from letstalk.synthetic.voice.speech import Phone, Speech


def clip_tensors(clip: Clip, pictures: PictureCodec) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays of bytes, and the rest as JSON-able values.

    Frames are compressed as `pictures` says and sound is rounded to 16 bits; labels and packed motion stay exact.
    """
    named: dict[str, np.ndarray] = {f"label/{name}": array for name, array in clip.labels.arrays().items()}
    for person, motion in enumerate(clip.motion):
        named |= {f"motion/{person}/{name}": array for name, array in motion.packed.items()}
    named |= {f"performance/{item.name}": getattr(clip.performance, item.name) for item in fields(Performance)}
    tensors = {name: deflate(array) for name, array in named.items()}
    size = clip.spec.size
    coded = [pictures.encode(frame) for frame in clip.frames.reshape(-1, size, size, 3)]
    tensors["frames"], tensors["frame_ends"] = join_bytes(coded)
    tensors["sound"] = np.frombuffer(encode_flac(clip.speech.samples), np.uint8)
    about = {
        "spec": clip.spec.to_dict(),
        "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in named.items()},
        "speech": {
            "phones": clip.speech.phones, "alphabet": clip.speech.alphabet, "voice": clip.speech.voice,
            "language": clip.speech.language, "text": clip.speech.text,
        },
    }  # fmt: skip
    return tensors, about


class ShardFile:
    """One opened shard. Bytes are read from the file when they are asked for."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            self.tensors = safe_open(path, framework="np")
            self.about: list[dict[str, Any]] = json.loads(self.tensors.metadata()["clips"])
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{path} is not a shard of clips ({error}).", "Delete it and render again.") from error

    def __len__(self) -> int:
        return len(self.about)

    def clip(self, place: int) -> StoredClip:
        return StoredClip(self, place)


class StoredClip:
    """One clip of a shard. All is decoded on first use; labels, motion and sound are then kept, frames are not."""

    def __init__(self, file: ShardFile, place: int) -> None:
        self._file, self._place = file, place
        self._about = file.about[place]
        self.spec = ClipSpec.from_dict(self._about["spec"])

    @property
    def num_people(self) -> int:
        return len(self.spec.roles)

    @property
    def num_frames(self) -> int:
        return self.spec.num_frames

    def frame(self, person: int, index: int) -> np.ndarray:
        """(size, size, 3) uint8."""
        assert 0 <= person < self.num_people and 0 <= index < self.num_frames, (person, index)
        return self._frames(person * self.num_frames + index, 1)[0]

    def frames(self, person: int) -> np.ndarray:
        """(num_frames, size, size, 3) uint8."""
        return self._frames(person * self.num_frames, self.num_frames)

    def flow(self, person: int, target: int, reference: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Clip.flow`."""
        return self.motion[person].flow(target, reference)

    @cached_property
    def labels(self) -> ClipLabels:
        return ClipLabels(**{item.name: self._array(f"label/{item.name}") for item in fields(ClipLabels)})

    @cached_property
    def motion(self) -> tuple[ClipMotion, ...]:
        people = []
        for person in range(self.num_people):
            prefix = f"motion/{person}/"
            names = [name for name in self._about["arrays"] if name.startswith(prefix)]
            people.append(ClipMotion({name.removeprefix(prefix): self._array(name) for name in names}))
        return tuple(people)

    @cached_property
    def speech(self) -> Speech:
        about = self._about["speech"]
        phones = tuple(Phone(*phone) for phone in about["phones"])
        return Speech(decode_flac(self._read("sound")), **{**about, "phones": phones})

    @cached_property
    def performance(self) -> Performance:
        return Performance(**{item.name: self._array(f"performance/{item.name}") for item in fields(Performance)})

    def load(self) -> Clip:
        """All of it at once."""
        frames = np.stack([self.frames(person) for person in range(self.num_people)])
        return Clip(self.spec, frames, self.labels, self.motion, self.speech, self.performance)

    @cached_property
    def _frame_ends(self) -> np.ndarray:
        return np.concatenate([[0], self._read("frame_ends")])

    def _frames(self, first: int, count: int) -> np.ndarray:
        ends = self._frame_ends
        data = self._file.tensors.get_slice(f"{self._place}/frames")[int(ends[first]) : int(ends[first + count])]
        starts = ends[first : first + count + 1] - ends[first]
        return np.stack([decode_picture(data[a:b]) for a, b in pairwise(starts)])

    def _array(self, name: str) -> np.ndarray:
        dtype, shape = self._about["arrays"][name]
        return inflate(self._read(name), dtype, tuple(shape))

    def _read(self, name: str) -> np.ndarray:
        return self._file.tensors.get_tensor(f"{self._place}/{name}")
