"""The moment when an encoder becomes final, and how a run remembers it.

From then on its latents have a name (the hash of its weights), a mean and a spread, and only the decoder improves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from letstalk.models.autoencoder import ReferenceAutoencoder

LATENT_VERSION = 1
ENTRIES = ("latents_mean", "latents_std", "latent_version", "latent_hash")


def is_frozen(model: ReferenceAutoencoder) -> bool:
    """Its configuration speaks of the encoder that it has."""
    return model.config["latent_hash"] == model.encoder_hash()


def freeze(trained: ReferenceAutoencoder, average: ReferenceAutoencoder, latents: Tensor) -> None:
    """The averaged encoder is final, and is what training goes on with; `latents` (N, C, h, w) are its own."""
    with torch.no_grad():
        for part in ("encoder", "geometry"):
            getattr(trained, part).load_state_dict(getattr(average, part).state_dict())
    values = latents.float()
    average.freeze_latents(values.mean((0, 2, 3)), values.std((0, 2, 3)), LATENT_VERSION)


def entries(model: ReferenceAutoencoder) -> dict[str, Any]:
    return {name: model.config[name] for name in ENTRIES}


def take_entries(model: ReferenceAutoencoder, values: Mapping[str, Any]) -> None:
    """If they speak of the encoder that the model has; it may have been trained on since."""
    if values.get("latent_hash") == model.encoder_hash():
        model.register_to_config(**{name: values[name] for name in ENTRIES if name in values})


def drop_stale_entries(model: ReferenceAutoencoder) -> None:
    """An encoder that learnt on is another one: weights of a run in progress promise nothing."""
    if not is_frozen(model):
        model.register_to_config(latents_mean=None, latents_std=None, latent_version=0, latent_hash=None)


def entries_beside(weights: Path) -> dict[str, Any]:
    """Those of the configuration in a folder of weights; none for a single file."""
    path = weights / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
