"""The talker's training on tiny real models: batches, one step's computation, a run, its files and its resumption."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from letstalk.errors import InputError, LetsTalkError, SettingsError
from letstalk.models import mel
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.transformer import TalkingTransformer
from letstalk.runtime import torch_generator
from letstalk.training.fusion_study import FUSION_SCHEMES, scheme_name, train_fusions
from letstalk.training.latent_films import LatentFilm, finished_codec, open_latents
from letstalk.training.talk_batch import FilmShelf, TalkBatch, WindowShape, delta_scale, padded_slice
from letstalk.training.talk_losses import LatentReader, expression_errors, mouth_cells
from letstalk.training.talk_sampling import SamplingSettings
from letstalk.training.talker import TalkerTrainer, main
from letstalk.training.talker_examiner import TalkerExaminer
from letstalk.training.talker_settings import TalkerTraining, read_arguments
from letstalk.training.talker_task import TalkerTask, TaskSettings, draw_step, weighted_total
from tests.training.conftest import Stores

CPU = torch.device("cpu")


def small_encoder(seed: int = 0) -> MelAudioEncoder:
    return MelAudioEncoder(
        num_tokens=2, token_width=32, hop_width=16, frame_width=32, ratio=1, hop_past=(2, 1), hop_future=(1, 0),
        frame_past=(2, 1), frame_future=(1, 0), seed=seed,
    )  # fmt: skip


def small_transformer(seed: int = 0, **changes: object) -> TalkingTransformer:
    shape = {"latent_channels": 8, "width": 32, "depth": 2, "audio_tokens": 2, "audio_width": 32, "max_memory": 4}
    return TalkingTransformer(**{**shape, "delta_scale": [2.0] * 8, "seed": seed, **changes})


@pytest.fixture
def films(stores: Stores) -> list[LatentFilm]:
    return open_latents(stores.latents, finished_codec(stores.codec).config["latent_hash"])


@pytest.fixture
def shelf(films: list[LatentFilm]) -> FilmShelf:
    return FilmShelf(films, small_encoder())


def window_shape() -> WindowShape:
    return WindowShape.of(small_encoder(), memory_frames=4, chunk_frames=6)


def small_task(stores: Stores, **changes: object) -> TalkerTask:
    reader = LatentReader(finished_codec(stores.codec), CPU)
    settings = replace(TaskSettings(memory_frames=4, rollout=SamplingSettings(steps=1)), **changes)
    return TalkerTask(small_transformer(), small_encoder(), reader, settings, torch.rand(8, 8))


# Batches


def test_a_batch_is_a_function_of_seed_and_step(shelf: FilmShelf, films: list[LatentFilm]) -> None:
    shape = window_shape()
    batch = shelf.batch(shape, 2, rows=5, seed=(3, 0, 17))
    again = FilmShelf(films, small_encoder()).batch(shape, 2, rows=5, seed=(3, 0, 17))
    assert all(torch.equal(getattr(batch, name), getattr(again, name)) for name in vars(batch))
    other = shelf.batch(shape, 2, rows=5, seed=(3, 0, 18))
    assert not torch.equal(batch.latents, other.latents)
    assert batch.latents.shape == (5, 4 + 12, 8, 8, 8) and batch.valid.shape == (5, 16)
    assert batch.samples.shape == (5, shape.past_samples + 16 * 640 + shape.future_samples)


def test_a_window_holds_the_film_and_its_sound(shelf: FilmShelf, films: list[LatentFilm]) -> None:
    shape = window_shape()
    row = shelf.window(shape, 0, start=12, num_frames=10, view=1)
    assert torch.equal(row["latents"], films[0].latents[1, 12:22]) and row["valid"].all()
    first = 12 * 640 - shape.past_samples
    inside = films[0].sound()[max(first, 0) : 22 * 640 + shape.future_samples]
    assert torch.equal(row["samples"][-len(inside) :], inside)
    early = shelf.window(shape, 0, start=-3, num_frames=10, view=0)
    assert early["valid"].tolist() == [False] * 3 + [True] * 7
    assert not early["latents"][:3].any() and torch.equal(early["latents"][3:], films[0].latents[0, :7])
    assert not early["samples"][: shape.past_samples + 3 * 640].any()


@pytest.mark.parametrize("start", [-4, 0, 9, 30])
def test_a_windows_tokens_are_those_of_the_whole_film(shelf: FilmShelf, films: list[LatentFilm], start: int) -> None:
    """Sound before the window, and the loudness that the encoder has followed so far, come with it."""
    encoder = small_encoder()
    row = shelf.window(window_shape(), 1, start, num_frames=10, view=0)
    tokens, _ = encoder.encode_window(row["samples"][None], row["loudness"][None])
    whole = encoder(films[1].sound()[None])
    inside = slice(max(0, -start), 10)
    assert torch.allclose(tokens[0, inside], whole[0, start + inside.start : start + 10], atol=1e-5)


def test_padded_slices() -> None:
    values = torch.arange(1, 6)
    assert padded_slice(values, -2, 3).tolist() == [0, 0, 1, 2, 3]
    assert padded_slice(values, 3, 8).tolist() == [4, 5, 0, 0, 0]
    assert padded_slice(values, -3, -1).tolist() == [0, 0]
    assert padded_slice(values, 6, 8).tolist() == [0, 0]


def test_differences_are_scaled_to_unit_variance(stores: Stores, films: list[LatentFilm]) -> None:
    codec = finished_codec(stores.codec)
    scale = delta_scale(films, codec)
    apart = torch.stack([
        codec.normalise(film.latents[0].float())[:, None] - codec.normalise(film.references[0].float())
        for film in films
    ])  # fmt: skip
    spread = (apart * scale[:, None, None]).square().mean((0, 1, 2, 4, 5)).sqrt()
    assert spread.min() > 0.5 and spread.max() < 2.0


def test_too_short_films_are_told(shelf: FilmShelf) -> None:
    with pytest.raises(InputError, match="frames long"):
        shelf.batch(replace(window_shape(), chunk_frames=60), 1, 2, (0,))


# One step


def a_batch(shelf: FilmShelf, rows: int = 4, num_chunks: int = 1) -> TalkBatch:
    return shelf.batch(window_shape(), num_chunks, rows, (0, 0, 1)).to(CPU)


def test_every_part_learns(stores: Stores, shelf: FilmShelf) -> None:
    """After two steps: layers that start at zero let nothing through in the first."""
    task = small_task(stores, drop_control=0.5)
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    for step in range(4):
        optimizer.zero_grad()
        weighted_total(task(a_batch(shelf, 8), torch_generator(step)).losses).backward()
        optimizer.step()
    silent = [name for name, p in task.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    assert all(p.grad is None for p in task.reader.codec.parameters())


@pytest.mark.parametrize("num_chunks", [1, 2])
def test_a_step_is_a_function_of_its_generator(stores: Stores, shelf: FilmShelf, num_chunks: int) -> None:
    task, batch = small_task(stores), a_batch(shelf, num_chunks=num_chunks)
    first, again = (task(batch, torch_generator(5), num_chunks).losses for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["flow"], task(batch, torch_generator(6), num_chunks).losses["flow"])


def test_a_roll_out_goes_on_from_the_models_own_frames(stores: Stores, shelf: FilmShelf) -> None:
    """Same truth, other weights: the memory that the chunk sees is another, and no gradient flows through it."""
    task, batch = small_task(stores), a_batch(shelf, num_chunks=2)
    portrait = task.reader.normalise(batch.reference)
    data = task.transformer.deltas(task.reader.normalise(batch.latents), portrait)
    tokens, _ = task.audio_encoder.encode_window(batch.samples, batch.loudness)
    bank = task.remembered(batch, portrait, data, tokens, 10, torch_generator(1))
    assert bank.latents.shape == (4, 4, 8, 8, 8) and not bank.latents.requires_grad
    assert not torch.allclose(bank.latents, data[:, 6:10]), "its own, not the film's"
    assert torch.equal(bank.audio, tokens[:, 6:10]) and bank.audio.requires_grad
    truth = task.remembered(batch, portrait, data, tokens, 4, torch_generator(1))
    assert torch.equal(truth.latents, data[:, :4])


def test_conditions_are_dropped_as_often_as_asked() -> None:
    draws = draw_step(TaskSettings(), torch.zeros(4000, 1, 1, 1, 1), 2, torch_generator(0))
    portrait, audio = draws.portrait_given, draws.audio_given
    both = (~portrait & ~audio).float().mean()
    assert abs(float(both) - 0.05) < 0.015
    assert abs(float((~portrait & audio).float().mean()) - 0.10) < 0.02
    assert abs(float((portrait & ~audio).float().mean()) - 0.10) < 0.02
    assert abs(float(draws.controls_given.float().mean()) - 0.7) < 0.03


def test_one_batch_overfits(stores: Stores, shelf: FilmShelf) -> None:
    task = small_task(stores, drop_portrait=0.0, drop_audio=0.0, drop_both=0.0)
    batch = a_batch(shelf, 2)
    optimizer = torch.optim.Adam(task.parameters(), 4e-3)
    losses = []
    for step in range(100):
        optimizer.zero_grad()
        total = weighted_total(task(batch, torch_generator(step % 4)).losses)
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])


def test_cells_round_the_mouth_weigh_more(stores: Stores, films: list[LatentFilm]) -> None:
    """On an untrained decoder no cell moves a pixel; on one whose heads are not zero some do."""
    codec = finished_codec(stores.codec)
    portraits = torch.stack([film.portrait for film in films]).float() / 127.5 - 1
    latents = torch.stack([film.references[0, 0] for film in films]).float()
    assert not mouth_cells(codec, latents, portraits).any()
    task = small_task(stores)
    assert task.cell_weight is not None and task.cell_weight.min() >= 1 and task.cell_weight.max() <= 2


def test_what_the_autoencoder_reads_is_a_loss(stores: Stores, films: list[LatentFilm]) -> None:
    reader = LatentReader(finished_codec(stores.codec), CPU)
    reader.codec.geometry.out.weight.data.normal_(0, 0.05)
    frames = reader.normalise(films[0].latents[:1].float())
    assert not expression_errors(reader, frames, frames).any()
    moved = (frames + 0.5).requires_grad_()
    errors = expression_errors(reader, moved, frames)
    assert errors.shape == frames.shape[:2] and errors.min() > 0
    errors.sum().backward()
    assert moved.grad is not None and moved.grad.abs().sum() > 0
    reader.codec.geometry.reset_heads()


# A run


def settings(stores: Stores, out: Path, **changes: object) -> TalkerTraining:
    chosen = TalkerTraining(
        out=out, latents=stores.latents, codec=stores.codec, validation=stores.latents, steps=4, rows=2,
        memory_frames=4, chunk_frames=6, device="cpu", precision="float32", log_every=1, validation_films=2,
        rollouts_from=0.0, rollout_share=0.5,
    )  # fmt: skip
    return replace(chosen, **changes)


def trainer(chosen: TalkerTraining, seed: int = 0) -> TalkerTrainer:
    codec_hash = finished_codec(chosen.codec).config["latent_hash"]
    return TalkerTrainer(chosen, small_transformer(seed, latent_hash=codec_hash), small_encoder(seed))


def events(out: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_leaves_weights_figures_and_a_sheet(stores: Stores, tmp_path: Path, precision: str) -> None:
    figures = trainer(settings(stores, tmp_path, precision=precision)).run()
    assert {"mouth_r", "mouth_r_shuffled", "unguided_mouth_spread", "silent_gap", "audio_gap", "seam"} <= set(figures)
    steps = events(tmp_path, "step")
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert {"flow", "motion", "expression", "total", "rows_per_second", "s 0.8-1"} <= set(steps[0])
    assert "transformer.blocks" in events(tmp_path, "gradients")[0]
    assert len(list((tmp_path / "sheets").glob("*.png"))) == 1
    loaded = TalkingTransformer.from_pretrained(tmp_path / "ema" / "transformer")
    loaded.check_codec(finished_codec(stores.codec).config["latent_hash"])
    assert loaded.config["delta_scale"] == [2.0] * 8
    MelAudioEncoder.from_pretrained(tmp_path / "ema" / "audio_encoder")
    assert json.loads((tmp_path / "ema" / "scheduler" / "scheduler_config.json").read_text())["shift"] == 3.0


def test_interrupted_and_resumed_equals_uninterrupted(stores: Stores, tmp_path: Path) -> None:
    whole = trainer(settings(stores, tmp_path / "whole", validation=None))
    whole.run()
    first = trainer(settings(stores, tmp_path / "parts", validation=None))
    first.train_step()
    first.train_step()
    first.feed.close()
    first.save_state()
    second = trainer(settings(stores, tmp_path / "parts", validation=None, resume=True), seed=99)
    assert second.clock.step == 2
    second.run()
    for (name, a), b in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def test_a_new_run_is_made_for_its_latents_and_another_begins_with_it(stores: Stores, tmp_path: Path) -> None:
    small_encoder(3).save_pretrained(tmp_path / "audio")
    chosen = settings(stores, tmp_path / "a", steps=1, validation=None, size="fusion", audio_init=tmp_path / "audio")
    first = TalkerTrainer(chosen)
    first.run()
    config = first.model.transformer.config
    assert config["latent_channels"] == 8 and config["audio_width"] == 32 and min(config["delta_scale"]) > 0
    second = TalkerTrainer(settings(stores, tmp_path / "b", steps=1, validation=None, init=tmp_path / "a" / "ema"))
    second.feed.close()
    assert second.model.transformer.config["delta_scale"] == config["delta_scale"] and second.clock.step == 0
    kept = TalkingTransformer.from_pretrained(tmp_path / "a" / "ema" / "transformer").float()
    assert torch.equal(second.model.transformer.out.weight, kept.out.weight)


def test_a_transformer_of_another_autoencoder_is_refused(stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(LetsTalkError, match="speaks of the latents"):
        TalkerTrainer(settings(stores, tmp_path), small_transformer(latent_hash="another"), small_encoder())


def test_the_true_latents_have_the_best_figures(stores: Stores, films: list[LatentFilm]) -> None:
    """The examiner's own yardsticks: truth against itself is in step, truth against another film is not."""
    reader = LatentReader(finished_codec(stores.codec), CPU)
    examiner = TalkerExaminer(films, reader, CPU)
    spoken = examiner.speak(small_transformer(), small_encoder(), 4, 6, SamplingSettings(steps=1))
    assert spoken.latents.shape == (2, 50, 8, 8, 8)
    truth = torch.stack([film.readings for film in films])
    figures = examiner.figures(replace(spoken, readings=truth), 6)
    assert figures["mouth_r"] == pytest.approx(1.0, abs=1e-4) and figures["mouth_best_lag"] == 0
    assert figures["mouth_r_shuffled"] < 0.9
    late = torch.cat([truth[:, :1], truth[:, :-1]], 1)
    assert examiner.figures(replace(spoken, readings=late), 6)["mouth_best_lag"] == 1


def test_the_five_fusions_share_one_frozen_ear(stores: Stores, tmp_path: Path) -> None:
    small_encoder(3).save_pretrained(tmp_path / "audio")
    base = settings(
        stores, tmp_path / "study", steps=1, validation=None, audio_init=tmp_path / "audio", freeze_audio=True
    )
    assert {name for name, _ in train_fusions(base)} == {scheme_name(*scheme) for scheme in FUSION_SCHEMES}
    for portrait, audio in FUSION_SCHEMES:
        folder = tmp_path / "study" / scheme_name(portrait, audio) / "ema"
        config = TalkingTransformer.load_config(folder / "transformer")
        assert (config["portrait_fusion"], config["audio_fusion"]) == (portrait, audio)
        assert not (folder / "audio_encoder").exists()
        size = sum(path.stat().st_size for path in (folder / "transformer").glob("*.safetensors"))
        assert size < 4_000_000
    with pytest.raises(SettingsError, match="share"):
        next(train_fusions(replace(base, freeze_audio=False)))


def test_a_study_that_is_cut_into_slices_is_not_taken_for_finished(stores: Stores, tmp_path: Path) -> None:
    small_encoder(3).save_pretrained(tmp_path / "audio")
    base = settings(
        stores, tmp_path / "study", steps=1, validation=None, audio_init=tmp_path / "audio", freeze_audio=True
    )
    assert list(train_fusions(replace(base, slice_minutes=0.0))) == []
    assert not list((tmp_path / "study").glob("*/figures.json")), "no step was taken"
    name, _ = next(train_fusions(base))
    assert json.loads((tmp_path / "study" / name / "state" / "state.json").read_text())["step"] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--minuts", "3"], "--minuts"), (["--minutes", "1"], "--latents"), (["--latents", "x"], "end"),
     (["--latents", "x", "--steps", "1", "--size", "huge"], "huge"),
     (["--latents", "x", "--steps", "1", "--freeze-audio"], "untrained")],
)  # fmt: skip
def test_wrong_arguments_are_told(words: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_arguments(words)


def test_a_missing_autoencoder_is_told(stores: Stores, tmp_path: Path) -> None:
    words = ["--steps", "1", "--latents", str(stores.latents), "--codec", str(tmp_path), "--out", str(tmp_path / "x")]
    assert main([*words, "--device", "cpu"]) == 2


def test_training_needs_nothing_of_the_app() -> None:
    """A bare GPU machine has no sound, video or web libraries."""
    code = "import sys, letstalk.training.talker; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = {"gradio", "av", "librosa", "insightface", "typer", "pydantic", "moviepy", "click"}
    assert not unwanted & set(found), unwanted & set(found)


def test_loudness_before_the_film_is_the_floor(shelf: FilmShelf) -> None:
    assert shelf.loudness_before(0, 0) == shelf.loudness_before(0, -5) == mel.LOUDNESS_FLOOR_DB
    assert shelf.loudness_before(0, 40) > mel.LOUDNESS_FLOOR_DB
