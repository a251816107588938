"""An autoencoder comes back from its folder as it was, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from letstalk.errors import InputError, LetsTalkError, MissingAssetError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.loading import load_autoencoder, weights_hash

PIECE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(stirred_codec: ReferenceAutoencoder, tmp_path: Path) -> Path:
    stirred_codec.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_is_loaded_is_what_was_saved(stirred_codec: ReferenceAutoencoder, folder: Path) -> None:
    loaded = load_autoencoder(folder)
    picture = torch.rand(1, 3, 128, 128) * 2 - 1
    kept, found = stirred_codec.state_dict(), loaded.state_dict()
    assert kept.keys() == found.keys() and all(torch.equal(kept[name], found[name]) for name in kept)
    assert torch.allclose(loaded.encode(picture), stirred_codec.encode(picture), atol=1e-5)
    assert not loaded.training and not any(value.requires_grad for value in loaded.parameters())
    assert load_autoencoder(folder, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_hash_names_the_weights(folder: Path) -> None:
    before = weights_hash(folder)
    tensors = load_file(folder / PIECE)
    save_file({**tensors, "motion.flow64.bias": tensors["motion.flow64.bias"] + 1}, folder / PIECE)
    assert weights_hash(folder) != before and len(before) == 16


def test_a_folder_without_an_autoencoder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match="no autoencoder"):
        load_autoencoder(tmp_path)
    (folder / PIECE).unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_autoencoder(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"_class_name": "AutoencoderKL"}'])
def test_another_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"cannot be read|another model"):
        load_autoencoder(folder)


def test_weights_that_are_not_all_there_are_refused(folder: Path) -> None:
    tensors = load_file(folder / PIECE)
    tensors.pop("motion.flow64.weight")
    save_file(tensors, folder / PIECE)
    with pytest.raises(InputError, match=r"do not fit.*motion\.flow64\.weight"):
        load_autoencoder(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "latent_channels": 4}))
    with pytest.raises(InputError):
        load_autoencoder(folder)


def test_an_encoder_that_is_not_the_frozen_one_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "latent_hash": "0" * 16}))
    with pytest.raises(LetsTalkError, match="do not belong"):
        load_autoencoder(folder)
