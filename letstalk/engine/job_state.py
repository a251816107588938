"""All that a job carries from one chunk to the next, as one value that can be saved, loaded and handed on.

Noise is drawn from the seed and the frame's number, chunk boundaries follow from the frame's number: neither needs
state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from letstalk.engine.pauses import PauseMeter
from letstalk.errors import InputError, SettingsError
from letstalk.longform.memory_bank import MemoryBank
from letstalk.models.audio_encoder import AudioState
from letstalk.types import num_samples_for_frames

FORMAT = "letstalk-job-1"


@dataclass(frozen=True)
class JobState:
    """A job at a chunk boundary: everything before `next_frame` is made, nothing after it has begun.

    `recipe` names what the frames depend on besides (settings, portraits, weights), so that a job is never continued
    with something else.
    """

    next_frame: int
    samples: Tensor  # (n,) float32: the sound from `next_frame` on that has come already
    tokens: Tensor  # (1, k, N, Da): audio tokens of the frames from `next_frame` on that are complete
    sound_ended: bool  # the audio encoder was told so
    audio: AudioState
    memory: MemoryBank
    pauses: PauseMeter
    recipe: Mapping[str, str]

    @property
    def num_heard(self) -> int:
        """Samples taken from the source so far. Whoever continues a job from live sound begins there."""
        return num_samples_for_frames(self.next_frame) + len(self.samples)

    def to(self, device: torch.device) -> JobState:
        """Where the networks are; the sound stays on the CPU."""
        audio = {name: tensor.to(device) for name, tensor in self.audio.to_tensors().items()}
        return replace(
            self, tokens=self.tokens.to(device), audio=AudioState.from_tensors(audio), memory=self.memory.to(device)
        )

    def save(self, path: Path) -> Path:
        """One safetensors file; it appears complete or not at all."""
        from letstalk.media.files import atomic_target

        tensors = {"samples": self.samples, "tokens": self.tokens, **self.memory.to_tensors()}
        tensors |= {f"audio.{name}": tensor for name, tensor in self.audio.to_tensors().items()}
        numbers = {
            "next_frame": self.next_frame,
            "sound_ended": self.sound_ended,
            "pauses": asdict(self.pauses),
            "recipe": dict(self.recipe),
        }
        content = save(
            {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
            metadata={"format": FORMAT, "job": json.dumps(numbers)},
        )
        with atomic_target(path) as partial:
            partial.write_bytes(content)  # not `save_file`: on a full disk it raises an error of its own kind
        return path

    @classmethod
    def load(cls, path: Path) -> JobState:
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise _no_state(path)
                numbers: dict[str, Any] = json.loads(metadata["job"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
            audio = {name.removeprefix("audio."): part for name, part in tensors.items() if name.startswith("audio.")}
            return cls(
                samples=tensors["samples"],
                tokens=tensors["tokens"],
                audio=AudioState.from_tensors(audio),
                memory=MemoryBank.from_tensors(tensors),
                pauses=PauseMeter(**numbers.pop("pauses")),
                **numbers,
            )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise _no_state(path) from error

    def check_recipe(self, recipe: Mapping[str, str]) -> None:
        """Refuses to continue with other things than the job was begun with."""
        others = sorted(name for name in {*self.recipe, *recipe} if self.recipe.get(name) != recipe.get(name))
        if others:
            raise SettingsError(
                f"The saved job was begun with other {' and '.join(others)}.",
                "Give it what it was begun with, or start anew.",
            )


def _no_state(path: Path) -> InputError:
    from letstalk.media.files import quoted

    return InputError(f"{quoted(path)} is no saved job that can be continued.", "Start the job anew.")
