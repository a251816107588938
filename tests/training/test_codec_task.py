"""Who learns from what in each stage."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.training.augment import plain_input
from letstalk.training.batch import PairBatch
from letstalk.training.codec_stages import Stage, decoder_stages, standard_stages
from letstalk.training.codec_task import CodecTask, StepInput, transferred, weighted_total
from letstalk.training.judge import PatchJudge
from letstalk.training.strangers import load_reader
from tests.training.conftest import known_pairs

LATENT = (8, 8, 8)
STAGES = {stage.name: stage for stage in (*standard_stages(), *decoder_stages())}


READER = load_reader()  # random textures are no faces: it trusts nothing it sees here


def given(rows: int, references: int, size: int) -> StepInput:
    return plain_input(known_pairs(rows, references, size), LATENT, stranger_share=0.25)


def train(model: ReferenceAutoencoder, stage: Stage, inputs: StepInput, steps: int, rate: float = 2e-3) -> list[dict]:
    task = CodecTask(model, READER)
    optimizer = torch.optim.AdamW(model.parameters(), rate, (0.9, 0.98))
    history = []
    for _ in range(steps):
        found = task(inputs, stage).losses
        optimizer.zero_grad()
        weighted_total(found, stage).backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in found.items()})
    return history


def with_gradient(model: ReferenceAutoencoder) -> set[str]:
    return {name for name, value in model.named_parameters() if value.grad is not None and bool(value.grad.any())}


EXPECTED = {
    "geometry": {"encoder", "geometry", "motion"},
    "pictures": {"encoder", "geometry", "motion", "texture", "synthesis"},
    "joint": {"encoder", "geometry", "motion", "texture", "synthesis"},
    "decoder": {"motion", "texture", "synthesis"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_part_learns_in_its_stage_and_no_other_does(codec: ReferenceAutoencoder, name: str) -> None:
    stage = STAGES[name]
    # Two references where they are compared; heads that start at zero open the way to what lies before them.
    train(codec, stage, given(2, 2 if name == "joint" else 1, stage.size), steps=2)
    touched = with_gradient(codec)
    assert {parameter.split(".")[0] for parameter in touched} == EXPECTED[name]
    for part in EXPECTED[name]:
        owned = {n for n, _ in codec.named_parameters() if n.startswith(part + ".")}
        other_sizes = {n for n in owned if ".heads." in n and f".heads.{stage.size}." not in n}
        finer = {n for n in owned if "128" in n.split(".")[1] and stage.size == 128 and part == "synthesis"}
        missing = owned - touched - other_sizes - finer
        assert not missing, missing


def test_pictures_reach_motion_only_in_the_joint_stage(codec: ReferenceAutoencoder) -> None:
    train(codec, STAGES["pictures"], given(2, 1, 128), steps=2)
    reached = {"pictures": {"texture", "synthesis"}, "joint": {"encoder", "motion", "texture", "synthesis"}}
    for name, expected in reached.items():
        codec.zero_grad()
        output = CodecTask(codec, READER)(given(2, 1, 128), STAGES[name])
        (output.losses["pixels"] + output.losses["gradients"]).backward()
        assert {parameter.split(".")[0] for parameter in with_gradient(codec)} == expected


def test_judge_pushes_the_picture_only_when_it_has_joined(codec: ReferenceAutoencoder) -> None:
    inputs, stage = given(2, 1, 256), STAGES["joint"]
    judge = PatchJudge(width=8)
    assert "adversary" not in CodecTask(codec, READER)(inputs, stage, judge).losses
    joined = replace(inputs, judging=True)
    found = CodecTask(codec, READER)(joined, stage, judge).losses
    assert {"adversary", "matching"} <= set(found)
    weighted_total(found, stage).backward()


def test_transfer_adds_the_partners_change_to_ones_own_reference() -> None:
    latents = torch.randn(4, 3, 8, 8, 8)
    partner = torch.tensor([1, 0, 2, 3])
    found = transferred(latents, partner, torch.tensor([True, False, True, False]))
    assert torch.allclose(found[0], latents[0, 1] + latents[1, 0] - latents[1, 1], atol=1e-5)
    assert torch.equal(found[1], latents[1, 0])
    assert torch.allclose(found[2], latents[2, 0], atol=1e-5)  # its own partner: the change is its own


def test_latent_noise_is_measured_in_spreads_of_the_latents(codec: ReferenceAutoencoder) -> None:
    inputs = given(2, 1, 128)
    quiet = CodecTask(codec, READER)(inputs, STAGES["geometry"])
    noisy_input = StepInput(inputs.batch, inputs.views, inputs.transfer, torch.ones(2, *LATENT))
    train(codec, STAGES["geometry"], inputs, steps=2)
    quiet, noisy = (CodecTask(codec, READER)(each, STAGES["geometry"]) for each in (inputs, noisy_input))
    assert (quiet.motions[0].flow64 - noisy.motions[0].flow64).abs().max() > 0
    assert quiet.losses["landmarks"] == noisy.losses["landmarks"]  # what is read is what was encoded


def test_one_batch_is_learnt(codec: ReferenceAutoencoder) -> None:
    """Landmarks and flow of four pairs, from scratch."""
    history = train(codec, STAGES["geometry"], given(4, 1, 128), steps=90, rate=4e-3)
    assert history[-1]["landmarks"] < 0.35 * history[0]["landmarks"]
    assert history[-1]["flow"] < 0.6 * history[0]["flow"]


def test_frozen_encoder_is_not_even_recorded(codec: ReferenceAutoencoder, pairs: PairBatch) -> None:
    encoded = CodecTask(codec).encode(pairs.pictures, frozen=True)
    assert not encoded.latents.requires_grad
    assert CodecTask(codec).encode(pairs.pictures, frozen=False).latents.requires_grad


def test_one_batch_is_painted(codec: ReferenceAutoencoder) -> None:
    """Two pairs from scratch: the output ends closer to the truth than the copy it started as, and than the warp
    alone.
    """
    inputs = given(2, 1, 128)
    history = train(codec, STAGES["pictures"], inputs, steps=80, rate=4e-3)
    assert history[-1]["pixels"] < 0.6 * history[0]["pixels"]
    assert history[-1]["gradients"] < history[0]["gradients"]
    with torch.no_grad():
        decoded = CodecTask(codec, READER)(inputs, STAGES["pictures"]).decoded
    assert decoded is not None
    truth = inputs.batch.pictures[:, 0]
    assert (decoded.pictures - truth).abs().mean() < (decoded.warped - truth).abs().mean()
    seen = torch.nn.functional.interpolate(inputs.batch.visibility[:, 0], size=(128, 128), mode="nearest")
    assert 0.98 > decoded.keep[seen > 0].mean() > decoded.keep[seen == 0].mean() + 0.02
