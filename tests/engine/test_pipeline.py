"""The pipeline as a diffusers pipeline: saved, loaded, found by name, refused with a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import load_file, save_file
from tiny_engine import sound_of, tiny_pipeline

from letstalk.engine import find
from letstalk.errors import LetsTalkError, MissingAssetError, SettingsError
from letstalk.flow.schedulers import make_scheduler, shift_of
from letstalk.media.video_reader import read_video
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait


def test_saved_is_loaded_bit_for_bit(
    portrait: Portrait, settings: GenerationSettings, pipe: LetsTalkPipeline, tmp_path: Path
) -> None:
    pipe.save_pretrained(tmp_path / "again")
    again = LetsTalkPipeline.from_pretrained(tmp_path / "again")
    assert again.networks.fingerprint() == pipe.networks.fingerprint()
    first, second = (network(portrait, sound_of(2000), settings).frames for network in (pipe, again))
    assert np.array_equal(first, second)


def test_the_saved_pipeline_names_this_module(model_folder: Path) -> None:
    """Moving a class breaks every pipeline that was ever saved."""
    index = json.loads((model_folder / "model_index.json").read_text())
    assert index["_class_name"] == "LetsTalkPipeline"
    assert {name: tuple(index[name]) for name in ("transformer", "autoencoder", "audio_encoder", "scheduler")} == {
        "transformer": ("letstalk.models.transformer", "TalkingTransformer"),
        "autoencoder": ("letstalk.models.autoencoder", "ReferenceAutoencoder"),
        "audio_encoder": ("letstalk.models.audio_encoder", "MelAudioEncoder"),
        "scheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
    }


def test_a_shipped_model_is_found_by_its_name(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "resource_dir", lambda name: model_folder.parent)
    assert find.find_model("tiny") == model_folder
    with pytest.raises(MissingAssetError, match="Shipped models: tiny"):
        find.find_model("maxi")


def test_a_missing_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "resource_dir", lambda name: tmp_path / "none")
    with pytest.raises(MissingAssetError, match=r"no model 'mini' on this machine.*letstalk train"):
        LetsTalkPipeline.from_pretrained("mini")
    with pytest.raises(MissingAssetError, match="holds no saved pipeline"):
        LetsTalkPipeline.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("transformer/diffusion_pytorch_model.safetensors", b"\x08\0\0\0\0\0\0\0 nothing"),
        ("transformer/diffusion_pytorch_model.safetensors", None),
        ("transformer/config.json", b"{"),
        ("scheduler/scheduler_config.json", None),
        ("model_index.json", b"[]"),
    ],
)
def test_a_damaged_folder_is_a_sentence(model_folder: Path, tmp_path: Path, part: str, content: bytes | None) -> None:
    shutil.copytree(model_folder, tmp_path / "damaged")
    if content is None:
        (tmp_path / "damaged" / part).unlink()
    else:
        (tmp_path / "damaged" / part).write_bytes(content)
    with pytest.raises(LetsTalkError, match="cannot be loaded"):
        LetsTalkPipeline.from_pretrained(tmp_path / "damaged")


def test_a_missing_weight_is_a_sentence(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "partial")
    path = tmp_path / "partial" / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["patch_in.weight"]
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(MissingAssetError, match=r"transformer has no weight patch_in\.weight"):
        LetsTalkPipeline.from_pretrained(tmp_path / "partial")


def test_weights_of_another_encoder_are_refused(model_folder: Path, tmp_path: Path) -> None:
    """Same shapes, other numbers: only the hash can tell."""
    shutil.copytree(model_folder, tmp_path / "mixed")
    path = tmp_path / "mixed" / "autoencoder" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["encoder.patch.weight"] += 0.1
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(LetsTalkError, match="do not belong to its configuration"):
        LetsTalkPipeline.from_pretrained(tmp_path / "mixed")


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_precision_is_chosen_and_the_ear_keeps_float32(model_folder: Path, name: str) -> None:
    half = LetsTalkPipeline.from_pretrained(model_folder, **{name: torch.bfloat16})
    assert {name: part.dtype for name, part in half.components.items() if isinstance(part, torch.nn.Module)} == {
        "transformer": torch.bfloat16, "autoencoder": torch.bfloat16, "audio_encoder": torch.float32,
    }  # fmt: skip
    assert not any(p.requires_grad for p in half.transformer.parameters()) and not half.transformer.training


def test_audio_of_another_width_is_refused() -> None:
    with pytest.raises(LetsTalkError, match="the transformer wants 2 x 8"):
        tiny_pipeline(stirred=False, audio_width=8)


def test_a_video_is_saved_with_its_sound(
    untrained: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, tmp_path: Path
) -> None:
    path = untrained(portrait, sound_of(6000), settings).save(tmp_path / "out.mp4")
    frames, sound = read_video(path)
    assert len(frames) == 10 and sound is not None
    assert np.abs(sound.samples).max() > 0.05


def test_any_scheduler_for_flow_matching_may_be_the_template(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    """Its shift counts; its kind is a setting."""
    template = make_scheduler("unipc", shift_of(pipe.scheduler))
    other = LetsTalkPipeline(pipe.transformer, pipe.autoencoder, pipe.audio_encoder, template)
    first, second = (network(portrait, sound_of(600), settings).frames for network in (pipe, other))
    assert np.array_equal(first, second)
    wrong = LetsTalkPipeline(pipe.transformer, pipe.autoencoder, pipe.audio_encoder, DDIMScheduler())
    with pytest.raises(SettingsError, match="DDIMScheduler is no scheduler for flow"):
        wrong.session(portrait, settings)


def test_more_memory_than_trained_is_said(pipe: LetsTalkPipeline, portrait: Portrait) -> None:
    assert not any("remember" in note for note in pipe.session(portrait, memory_frames=8).notes)
    assert any("trained to remember 8" in note for note in pipe.session(portrait, memory_frames=9).notes)
