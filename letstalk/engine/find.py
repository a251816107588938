"""Where a model lies on this machine. Light: it answers before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from letstalk.errors import MissingAssetError
from letstalk.runtime import resource_dir

PIPELINE_FILE = "model_index.json"  # diffusers' name for the list of a pipeline's parts
HOW_TO_GET_ONE = "Train one with `letstalk train`, or name a folder that holds a saved pipeline."


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a shipped model ("mini") or of a saved pipeline; says what to do when there is none."""
    given, shipped = Path(name_or_path), resource_dir("weights")
    for folder in (given, shipped / name_or_path):
        if (folder / PIPELINE_FILE).is_file():
            return folder
    if given.is_dir():
        raise MissingAssetError(f"{given} holds no saved pipeline (there is no {PIPELINE_FILE}).", HOW_TO_GET_ONE)
    there = ", ".join(sorted(path.parent.name for path in shipped.glob(f"*/{PIPELINE_FILE}")))
    raise MissingAssetError(
        f"There is no model {str(name_or_path)!r} on this machine.",
        f"Shipped models: {there}; or name a folder that holds a saved pipeline." if there else HOW_TO_GET_ONE,
    )
