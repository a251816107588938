"""The real trainer of the audio encoder on nonsense syllables: it learns, leaves its files, and can be interrupted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from letstalk.errors import InputError, SettingsError
from letstalk.models import mel
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.runtime import torch_generator
from letstalk.synthetic.visemes import VISEME_INDEX
from letstalk.training.appearance import Draw
from letstalk.training.audio import AudioTrainer, main
from letstalk.training.audio_batches import HearingSettings, WindowShape, draw_batch
from letstalk.training.audio_examiner import best_lag, contact_recall, read_recordings
from letstalk.training.audio_settings import AudioTraining, read_arguments
from letstalk.training.audio_task import disguise
from letstalk.training.talks import MOTION_NAMES, Talk, TalkJob, TalkSettings, make_talk, make_talks

SHAPE = WindowShape(20, 3000, 1000)


def small_encoder(seed: int = 0) -> MelAudioEncoder:
    return MelAudioEncoder(hop_width=24, frame_width=32, token_width=16, ratio=2, seed=seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six talks, one of them of noise."""
    out = tmp_path_factory.mktemp("talks")
    assert len(list(make_talks(TalkJob(out, TalkSettings(num_frames=120, noise_share=0.2), "train", 6)))) == 6
    return out


def settings(folder: Path, out: Path, **changes: object) -> AudioTraining:
    chosen = AudioTraining(
        out=out, talks=(str(folder),), validation=folder, steps=4, rows=2, window_frames=25, log_every=1,
        device="cpu", precision="float32", warmup_steps=2,
    )  # fmt: skip
    return replace(chosen, **changes)


def events(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_weights_figures_and_a_log(folder: Path, tmp_path: Path) -> None:
    recordings = tmp_path / "real"
    recordings.mkdir()
    soundfile.write(recordings / "one.flac", make_talk(TalkSettings(num_frames=100), "train", 9).sound(), 16_000)
    figures = AudioTrainer(settings(folder, tmp_path, recordings=recordings), small_encoder()).run()
    loaded = MelAudioEncoder.from_pretrained(tmp_path / "ema").eval()
    assert loaded(torch.zeros(1, 6400)).shape == (1, 10, 4, 16)
    assert (tmp_path / "heads.safetensors").is_file()
    found = events(tmp_path)
    assert [event["step"] for event in found if event["event"] == "step"] == [1, 2, 3, 4]
    assert found[-1]["event"] == "end" and "recording" in {event["event"] for event in found}
    wanted = {
        "r_open",
        "r_open_shuffled",
        "contact_recall",
        "silence_open",
        "noise_open",
        "gain_change",
        "real_r_energy",
    }
    assert wanted <= set(figures) and all(np.isfinite(figures[name]) for name in wanted)


def test_it_learns_and_the_sound_is_the_reason(folder: Path, tmp_path: Path) -> None:
    """Sixty steps on six talks: far from good, but far from another talk's sound."""
    chosen = settings(folder, tmp_path, steps=60, rows=4, window_frames=50, learning_rate=4e-3, average_decay=0.9)
    figures = AudioTrainer(chosen, small_encoder()).run()
    first, last = (np.mean([event["total"] for event in part]) for part in _ends(tmp_path))
    assert last < 0.75 * first
    assert figures["r_open"] > 0.6 and figures["r_open"] > figures["r_open_shuffled"] + 0.4
    assert figures["viseme_accuracy"] > figures["viseme_accuracy_shuffled"]


def _ends(out: Path) -> tuple[list[dict], list[dict]]:
    steps = [event for event in events(out) if event["event"] == "step"]
    return steps[:8], steps[-8:]


def test_interrupted_and_resumed_equals_uninterrupted(folder: Path, tmp_path: Path) -> None:
    whole = AudioTrainer(settings(folder, tmp_path / "whole"), small_encoder())
    whole.run()
    first = AudioTrainer(settings(folder, tmp_path / "parts"), small_encoder())
    first.train_step()
    first.train_step()
    first.save()
    second = AudioTrainer(settings(folder, tmp_path / "parts", resume=True), small_encoder(seed=9))
    assert second.clock.step == 2
    second.run()
    for (name, a), b in zip(whole.task.named_parameters(), second.task.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name


def test_init_begins_with_given_weights(folder: Path, tmp_path: Path) -> None:
    AudioTrainer(settings(folder, tmp_path / "a", steps=1), small_encoder()).run()
    second = AudioTrainer(settings(folder, tmp_path / "b", init=tmp_path / "a" / "ema"), small_encoder(seed=5))
    kept = MelAudioEncoder.from_pretrained(tmp_path / "a" / "ema").state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in second.task.encoder.state_dict().items())


def test_windows_carry_the_labels_of_their_sound() -> None:
    """A talk whose sound and labels both count its frames."""
    count = np.arange(200)
    talk = Talk(
        samples=np.repeat(count * 100, 640).astype(np.int16),
        motion=np.repeat(count[:, None], len(MOTION_NAMES), 1).astype(np.float16),
        viseme=count.astype(np.int16) % 24,
        speaking=np.ones(200, bool),
    )
    plain = HearingSettings(fresh_share=0.0, noise_share=0.0, gain_db=(0.0, 0.0), offset_share=0.0)
    batch = draw_batch([talk], SHAPE, 6, plain, seed=1, step=0)
    frames = batch.samples[:, SHAPE.past_samples : SHAPE.past_samples + 640 * 20].unflatten(1, (20, 640))
    heard = (frames.mean(-1) * 32767 / 100).round()
    assert torch.equal(heard, batch.motion[:, :, 0]) and torch.equal(heard.long() % 24, batch.viseme)
    assert len(heard[:, 0].unique()) > 2, "windows begin at different moments"


def test_fresh_windows_have_heard_nothing_and_batches_repeat(folder: Path) -> None:
    talks = [make_talk(TalkSettings(num_frames=120), "train", number) for number in range(3)]
    fresh = draw_batch(talks, SHAPE, 4, HearingSettings(fresh_share=1.0, offset_share=0.0), 1, 7)
    assert not fresh.samples[:, : SHAPE.past_samples].any()
    assert torch.equal(fresh.loudness, torch.full((4,), mel.LOUDNESS_FLOOR_DB))
    older = draw_batch(talks, SHAPE, 4, HearingSettings(fresh_share=0.0), 1, 7)
    assert float(older.loudness.max()) > mel.LOUDNESS_FLOOR_DB
    again = draw_batch(talks, SHAPE, 4, HearingSettings(fresh_share=0.0), 1, 7)
    assert torch.equal(older.samples, again.samples) and torch.equal(older.loudness, again.loudness)


def test_talks_shorter_than_a_window_are_filled_with_their_end() -> None:
    talk = make_talk(TalkSettings(num_frames=10, noise_share=0.0), "train", 0)
    batch = draw_batch([talk], SHAPE, 2, HearingSettings(), 1, 0)
    assert batch.motion.shape == (2, 20, len(MOTION_NAMES)) and batch.samples.shape == (2, SHAPE.num_samples)


def test_disguise_moves_and_masks_bands_and_keeps_silence() -> None:
    draw = Draw(torch_generator(3), torch.device("cpu"))
    features = torch.rand(16, 30, mel.NUM_FEATURES, generator=torch_generator(4))
    changed = disguise(features, draw)
    assert torch.equal(changed[..., -1], features[..., -1]) and float((changed - features).abs().mean()) > 0.05
    assert float(changed.min()) >= 0 and float(changed.max()) <= 1.0001
    assert not disguise(torch.zeros_like(features), draw).any()
    masked = (changed[..., : mel.NUM_BANDS] == 0).all(1).sum(1)
    assert 0 < int((masked > 0).sum()) < 16 and int(masked.max()) <= 22


def test_figures_know_their_answers() -> None:
    p, aa = VISEME_INDEX["p"], VISEME_INDEX["aa"]
    viseme = np.array([0, p, p, aa, aa, p, aa, 0])
    sealed = np.array([0, 0, 1, 0, 0, 0, 0, 0], bool)
    assert contact_recall(sealed, viseme) == (0.5, 2)
    assert contact_recall(np.array([1, 0, 0, 0, 1, 0, 0, 0], bool), viseme) == (1.0, 2)
    truth = np.sin(np.arange(200) / 3.0)
    assert [best_lag(np.roll(truth, lag), truth) for lag in (-2, 0, 3)] == [-2, 0, 3]


def test_arguments_become_settings(tmp_path: Path) -> None:
    chosen = read_arguments(["--minutes", "2", "--out", "x", "--talks", "a,b", "--validation", "v", "--rows", "3"])
    assert chosen == AudioTraining(out=Path("x"), talks=("a", "b"), validation=Path("v"), minutes=2.0, rows=3)
    with pytest.raises(SettingsError, match="end"):
        read_arguments(["--talks", "a"])
    with pytest.raises(SettingsError, match="--talks"):
        read_arguments(["--steps", "1", "--talks", ","])
    with pytest.raises(InputError, match="recordings"):
        read_recordings(tmp_path)
    assert main(["--steps", "1", "--talks", str(tmp_path / "none"), "--device", "cpu"]) == 2
