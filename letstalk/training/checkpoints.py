"""What a run leaves on disk: weights to use (small pieces, float16) and the state to go on from.

Both appear complete: a new folder is written beside the old one and takes its place. If the machine stops between the
two renames, the old one is still there under its other name, and is found. No pickle anywhere.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from letstalk.errors import InputError, OutputError

PIECE_SIZE = "8500KB"  # shipped weights lie in a repository whose files stay under 9 MB


def save_weights(model: ModelMixin, folder: Path) -> None:
    """Float16 safetensors in pieces under 9 MB, with their configuration; the model itself is left as it is."""
    half = copy.deepcopy(model)
    nn.Module.to(half, torch.float16)  # diffusers' own `to` warns about modules that this family does not have
    with _Replacement(folder) as fresh:
        half.save_pretrained(fresh, max_shard_size=PIECE_SIZE)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Every weight must be there and fit; a folder of `save_weights` or one file of it."""
    model.load_state_dict(read_weights(folder))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's safetensors files, float32."""
    pieces = sorted(folder.glob("*.safetensors")) if folder.is_dir() else [folder]
    if not pieces or not all(piece.is_file() for piece in pieces):
        raise InputError(f"{folder} holds no weights.", "Give a folder that training wrote, or its ema folder.")
    found: dict[str, Tensor] = {}
    for piece in pieces:
        found |= load_file(piece)
    return {name: value.float() for name, value in found.items()}


def save_state(folder: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """State to go on from: tensors by name, and whatever JSON can hold."""
    with _Replacement(folder) as fresh:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, fresh / "state.safetensors"
        )
        (fresh / "state.json").write_text(json.dumps(dict(numbers)), encoding="utf-8")


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    folder = folder if folder.exists() else _put_aside(folder)
    try:
        numbers = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return load_file(folder / "state.safetensors"), numbers
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} holds no state to go on from.", "Start anew, or give the right folder.") from error


def optimizer_tensors(name: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments under names that `restore_optimizer` reads."""
    state = optimizer.state_dict()["state"]
    return {
        f"{name}.{index}.{key}": torch.as_tensor(value)
        for index, values in state.items()
        for key, value in values.items()
    }


def restore_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    groups = optimizer.state_dict()["param_groups"]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(f"{name}."):
            index, field = key.removeprefix(f"{name}.").split(".", 1)
            state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _put_aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".old")


class _Replacement:
    """A folder that takes the place of `target` when the block ends well, and leaves nothing when it does not."""

    def __init__(self, target: Path) -> None:
        self.target, self.fresh = target, target.with_name(target.name + ".new")

    def __enter__(self) -> Path:
        try:
            shutil.rmtree(self.fresh, ignore_errors=True)
            self.fresh.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"{self.target} cannot be written ({error.strerror}).", "Choose another folder."
            ) from error
        return self.fresh

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self.fresh, ignore_errors=True)
            return
        old = _put_aside(self.target)
        if self.target.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.target.rename(old)
        self.fresh.rename(self.target)
        shutil.rmtree(old, ignore_errors=True)
