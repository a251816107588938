"""Loading an autoencoder from a folder, with a sentence for whatever is wrong with it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from letstalk.errors import InputError, MissingAssetError
from letstalk.models.autoencoder import ReferenceAutoencoder

SHIPPED_AUTOENCODER = Path(__file__).resolve().parent.parent / "weights" / "mini" / "autoencoder"
_TRAIN_IT = "Train one with `letstalk train codec`, or name a folder that it wrote."


def load_autoencoder(
    folder: Path | None = None, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ReferenceAutoencoder:
    """The shipped autoencoder, or the one in `folder`, ready for inference. Weights that do not fit are refused."""
    folder = folder or SHIPPED_AUTOENCODER
    if not (folder / ReferenceAutoencoder.config_name).is_file():
        raise MissingAssetError(f"There is no autoencoder in {folder}.", _TRAIN_IT)
    try:
        kind = json.loads((folder / ReferenceAutoencoder.config_name).read_text(encoding="utf-8")).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"The configuration of the autoencoder in {folder} cannot be read.", _TRAIN_IT) from error
    if kind != ReferenceAutoencoder.__name__:
        raise InputError(f"{folder} holds another model ({kind}).", _TRAIN_IT)
    try:
        loaded: Any = ReferenceAutoencoder.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"The autoencoder in {folder} cannot be loaded ({_first_line(error)}).", _TRAIN_IT) from error
    model, found = loaded
    wrong = [name for problem in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in found[problem]]
    if wrong:
        raise InputError(f"The weights in {folder} do not fit their configuration ({wrong[0]}).", _TRAIN_IT)
    model.check_latents()
    model.requires_grad_(False)
    return model.eval().to(device).to(memory_format=torch.channels_last)


def weights_hash(folder: Path | None = None) -> str:
    """Names the weights of a folder by the content of their files; reports say which they examined."""
    digest = hashlib.sha256()
    for path in sorted((folder or SHIPPED_AUTOENCODER).glob("*.safetensors")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
