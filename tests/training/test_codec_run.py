"""The real trainer on procedural people: a run, its files, and a run that was interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from letstalk.errors import SettingsError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.training import checkpoints
from letstalk.training.codec import CodecTrainer, main
from letstalk.training.codec_examiner import drive
from letstalk.training.codec_settings import CodecTraining, read_arguments
from tests.training.conftest import small_codec


def settings(out: Path, **changes: object) -> CodecTraining:
    chosen = CodecTraining(
        out=out, steps=4, procedural=True, workers=0, rows=2, fewer_rows=2, first_clips=1, clips_per_step=0.5,
        capacity=4, frames_per_clip=3, validation_clips=1, log_every=1, device="cpu", precision="float32",
        stage="pictures",
    )  # fmt: skip
    return replace(chosen, **changes)


def events(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_weights_figures_and_a_sheet(tmp_path: Path) -> None:
    CodecTrainer(settings(tmp_path), small_codec()).run()
    loaded = ReferenceAutoencoder.from_pretrained(tmp_path / "ema")
    loaded.check_latents()
    assert len(loaded.config.latents_std) == 8 and min(loaded.config.latents_std) > 0
    assert (tmp_path / "sheets" / "last.png").stat().st_size > 1000
    steps = [event for event in events(tmp_path) if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert {"flow", "landmarks", "pixels", "total", "pairs_per_second", "share_forward"} <= set(steps[0])
    end = events(tmp_path)[-1]
    assert end["event"] == "end" and {"static_head", "psnr_mouth", "transfer_warp_mouth", "flow_folded"} <= set(end)


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    whole = CodecTrainer(settings(tmp_path / "whole"), small_codec())
    whole.run()
    first = CodecTrainer(settings(tmp_path / "parts"), small_codec())
    for _ in range(2):
        first.train_step(*first.plan.at(first.progress))
    first.feed.close()
    first.save_state()
    second = CodecTrainer(settings(tmp_path / "parts", resume=True), small_codec(seed=99))
    assert second.step == 2
    second.run()
    for (name, a), b in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name


def test_a_portrait_driven_by_its_own_calm_frame_stays_as_it_is(tmp_path: Path) -> None:
    """An untrained codec copies; with pictures in the folder a second sheet is made."""
    from PIL import Image

    Image.effect_noise((200, 150), 60).save(tmp_path / "noise.png")
    CodecTrainer(settings(tmp_path / "run", steps=1, portraits=tmp_path), small_codec()).run()
    assert (tmp_path / "run" / "sheets" / "last-portraits.png").stat().st_size > 1000
    portraits, driver = torch.rand(2, 3, 128, 128) * 2 - 1, torch.rand(3, 3, 128, 128) * 2 - 1
    frames = drive(small_codec(), portraits, driver)
    assert torch.equal(frames, portraits[:, None].expand(-1, 3, -1, -1, -1))


def test_a_slice_ends_early_and_a_polite_kill_keeps_everything(tmp_path: Path) -> None:
    sliced = CodecTrainer(settings(tmp_path / "slice", slice_minutes=1e-9), small_codec())
    sliced.run()
    assert sliced.step == 0 and (tmp_path / "slice" / "state" / "state.json").is_file()

    out = tmp_path / "killed"
    words = "--steps 100000 --procedural --rows 2 --workers 0 --first-clips 1 --clips-per-step 0 --frames-per-clip 2 "
    words += f"--validation-clips 1 --log-every 1 --device cpu --stage geometry --out {out}"
    run = subprocess.Popen([sys.executable, "-m", "letstalk.training.codec", *words.split()])
    deadline = time.monotonic() + 240
    while not (out / "log.jsonl").is_file() or not any(event["event"] == "step" for event in events(out)):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    run.terminate()
    assert run.wait(timeout=240) == 0
    assert events(out)[-1]["event"] == "end" and (out / "ema" / "config.json").is_file()


def test_init_begins_with_given_weights_and_a_fresh_optimiser(tmp_path: Path) -> None:
    CodecTrainer(settings(tmp_path / "a", steps=1), small_codec()).run()
    second = CodecTrainer(settings(tmp_path / "b", init=tmp_path / "a" / "ema"), small_codec(seed=5))
    kept = ReferenceAutoencoder.from_pretrained(tmp_path / "a" / "ema")
    assert second.model.encoder_hash() == kept.encoder_hash() and second.step == 0


def test_training_large_pictures_leaves_small_ones_as_they_are(tmp_path: Path) -> None:
    """To the last bit, in what is trained and in what is saved; the large head starts as the small one and learns."""
    codec = small_codec()
    with torch.no_grad():
        codec.synthesis.heads["256"].weight.normal_(0, 0.05)
    codec.freeze_latents(torch.zeros(8), torch.ones(8), version=1)
    checkpoints.save_weights(codec, tmp_path / "small")
    chosen = settings(tmp_path / "run", plan="large", stage=None, steps=1, frames_per_clip=2, init=tmp_path / "small")
    trainer = CodecTrainer(chosen, small_codec(seed=1))
    begun = trainer.model.synthesis.heads["512"].weight.clone()
    assert begun.any()
    trainer.train_step(*trainer.plan.at(0.0))
    trainer.feed.close()
    trainer.save()
    before = checkpoints.read_weights(tmp_path / "small")
    for name, value in checkpoints.read_weights(tmp_path / "run" / "ema").items():
        assert torch.equal(value, before[name]) or name.startswith("synthesis.heads.512."), name
    ReferenceAutoencoder.from_pretrained(tmp_path / "run" / "ema").check_latents()
    learning = {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    assert learning == {"synthesis.heads.512.weight", "synthesis.heads.512.bias"}
    assert not torch.equal(trainer.model.synthesis.heads["512"].weight, begun)
    sizes = [CodecTraining(out=tmp_path, steps=1, first_clips=8, capacity=64).capacity_at(size) for size in (256, 512)]
    assert sizes == [64, 16]


def test_arguments_become_settings() -> None:
    chosen = read_arguments(
        ["--minutes", "2.5", "--out", "runs/x", "--init", "w", "--fewer-rows", "4", "--procedural", "--voices", "a,b"]
    )
    assert chosen == CodecTraining(
        out=Path("runs/x"), minutes=2.5, init=Path("w"), fewer_rows=4, procedural=True, voices=("a", "b")
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--minuts", "3"], "--minuts"), (["--steps", "many"], "many"), (["--steps"], "value"), ([], "end"),
     (["--steps", "1", "--rows", "3"], "even")],
)  # fmt: skip
def test_wrong_arguments_are_told(words: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_arguments(words)


def test_a_missing_pack_is_told_before_anything_starts(tmp_path: Path) -> None:
    words = ["--steps", "1", "--assets", str(tmp_path / "none.npz"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(words) == 2


def test_training_needs_nothing_of_the_app() -> None:
    """A bare GPU machine has no sound, video or web libraries."""
    code = "import sys, letstalk.training.codec; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = {"gradio", "av", "librosa", "insightface", "typer", "pydantic", "moviepy", "matplotlib", "click"}
    assert not unwanted & set(found), unwanted & set(found)


def test_a_final_encoder_stays_the_one_its_configuration_names(tmp_path: Path) -> None:
    """From the first decoder step on, through a resumed slice and a run that begins with the weights."""
    chosen = settings(tmp_path / "run", stage="fine", steps=2)
    first = CodecTrainer(chosen, small_codec())
    first.train_step(*first.plan.at(0.0))
    first.feed.close()
    first.save()
    named = ReferenceAutoencoder.from_pretrained(tmp_path / "run" / "ema").config["latent_hash"]
    assert named == first.average.model.encoder_hash() == first.model.encoder_hash()
    CodecTrainer(replace(chosen, resume=True), small_codec(seed=99)).run()
    later = settings(tmp_path / "later", plan="decoder", stage=None, steps=1, init=tmp_path / "run" / "ema")
    CodecTrainer(later, small_codec(seed=99)).run()
    for folder in ("run", "later"):
        loaded = ReferenceAutoencoder.from_pretrained(tmp_path / folder / "ema")
        loaded.check_latents()
        assert loaded.config["latent_hash"] == named, folder


def test_weights_of_a_run_that_goes_on_promise_nothing(tmp_path: Path) -> None:
    CodecTrainer(settings(tmp_path, steps=1), small_codec()).run()
    assert ReferenceAutoencoder.from_pretrained(tmp_path / "ema").config["latent_hash"]
    again = CodecTrainer(settings(tmp_path, steps=3, resume=True), small_codec())
    again.train_step(*again.plan.at(0.5))
    again.feed.close()
    again.save()
    loaded = ReferenceAutoencoder.from_pretrained(tmp_path / "ema")
    assert loaded.config["latent_hash"] is None and loaded.config["latents_std"] is None
    loaded.check_latents()
