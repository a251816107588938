"""The small parts of a job: its sound, its pauses, its wishes, its saved state, its clock."""

from __future__ import annotations

import resource
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_engine import in_pieces, sound_of

from letstalk.engine.clock import StageClock
from letstalk.engine.controls import LEAST_AMOUNT, motion_controls
from letstalk.engine.job_state import JobState
from letstalk.engine.pauses import PAUSE_FRAMES, PauseMeter
from letstalk.engine.sound import LiveSound, Recording
from letstalk.errors import InputError, OutputError, SettingsError
from letstalk.media.loudness import frame_levels_db
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import SAMPLES_PER_FRAME, Portrait


@pytest.mark.parametrize("piece", [1, 7, 100, 1000])
def test_a_source_gives_exact_numbers_of_samples(piece: int) -> None:
    samples = sound_of(500)
    for source in (LiveSound(in_pieces(samples, piece)), Recording(samples)):
        parts = [source.take(count) for count in (0, 3, 200, 250, 100, 5)]
        assert [len(part) for part in parts] == [0, 3, 200, 250, 47, 0]
        assert np.array_equal(np.concatenate(parts), samples)


def test_live_sound_is_pulled_only_as_far_as_needed() -> None:
    blocks = iter(in_pieces(sound_of(1000), 100))
    LiveSound(blocks).take(201)
    assert len(list(blocks)) == 7


class TestPauses:
    def paused(self, samples: np.ndarray) -> np.ndarray:
        return PauseMeter().push(frame_levels_db(samples))[0]

    def test_speech_silence_speech(self) -> None:
        voice = sound_of(20 * SAMPLES_PER_FRAME) + 0.02 * np.sin(np.arange(20 * SAMPLES_PER_FRAME) / 9).astype(
            np.float32
        )
        quiet = np.zeros(20 * SAMPLES_PER_FRAME, np.float32)
        paused = self.paused(np.concatenate([voice, quiet, voice]))
        assert not paused[:20].any() and paused[20 + PAUSE_FRAMES : 40].all() and not paused[40:].any()

    @pytest.mark.parametrize("gain", [0.05, 0.3, 3.0])
    def test_loudness_does_not_matter(self, gain: float) -> None:
        voice = sound_of(30 * SAMPLES_PER_FRAME)
        quiet = np.zeros(20 * SAMPLES_PER_FRAME, np.float32)
        spoken = np.concatenate([voice, quiet])
        different = self.paused(gain * spoken) != self.paused(spoken)
        assert different.sum() <= 1  # a frame at the very edge

    def test_pieces_do_not_matter(self) -> None:
        levels = np.random.default_rng(0).normal(-40, 20, 200)
        whole, _ = PauseMeter().push(levels)
        meter, parts = PauseMeter(), []
        for part in np.split(levels, [1, 17, 60, 61, 150]):
            paused, meter = meter.push(part)
            parts.append(paused)
        assert np.array_equal(np.concatenate(parts), whole)


class TestControls:
    names = ("head_motion", "something_else", "expression")

    def test_strength_is_a_ratio_and_usual_is_zero(self) -> None:
        speaking = np.zeros(3, bool)
        values = [
            motion_controls(GenerationSettings(motion_strength=strength), self.names, speaking)
            for strength in (0.0, 0.5, 1.0, 2.0)
        ]
        heads = [float(value[0, 0, 0]) for value in values if value is not None]
        assert heads == pytest.approx(np.log([LEAST_AMOUNT, 0.5, 1.0, 2.0]), abs=1e-6)
        assert all(value is not None and value.shape == (1, 3, 3) for value in values)
        assert all(value is not None and (value[..., 1] == 0).all() for value in values)

    def test_a_still_face_is_still_in_pauses_alone(self) -> None:
        paused = np.array([True, False, True])
        values = motion_controls(GenerationSettings(idle="still"), self.names, paused)
        assert values is not None and values[0, :, 2].tolist() == pytest.approx(
            [np.log(LEAST_AMOUNT), 0.0, np.log(LEAST_AMOUNT)]
        )

    def test_a_network_without_controls(self) -> None:
        assert motion_controls(GenerationSettings(), (), np.zeros(2, bool)) is None
        for wish in ({"motion_strength": 0.5}, {"idle": "still"}):
            with pytest.raises(SettingsError, match="no control over motion"):
                motion_controls(GenerationSettings(**wish), (), np.zeros(2, bool))


class TestJobState:
    @pytest.fixture
    def state(self, pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings) -> JobState:
        return next(pipe.stream(portrait, sound_of(6000), settings, steps=1)).state

    def test_every_bit_survives(self, state: JobState, tmp_path: Path) -> None:
        loaded = JobState.load(state.save(tmp_path / "state"))
        assert (loaded.next_frame, loaded.sound_ended, loaded.pauses) == (3, False, state.pauses)
        assert loaded.recipe == state.recipe and loaded.num_heard == state.num_heard
        for one, other in (
            *zip(loaded.memory.to_tensors().values(), state.memory.to_tensors().values(), strict=True),
            *zip(loaded.audio.to_tensors().values(), state.audio.to_tensors().values(), strict=True),
            (loaded.samples, state.samples),
            (loaded.tokens, state.tokens),
        ):
            assert one.dtype == other.dtype and torch.equal(one, other)

    def test_what_is_no_state_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        with pytest.raises(InputError, match="no saved job"):
            JobState.load(path)
        path.write_bytes(b"\x10\0\0\0\0\0\0\0 this is not json")
        with pytest.raises(InputError, match="no saved job"):
            JobState.load(path)
        save_file({"samples": torch.zeros(3)}, path)
        with pytest.raises(InputError, match="no saved job"):
            JobState.load(path)

    def test_where_it_cannot_be_written(self, state: JobState, tmp_path: Path) -> None:
        with pytest.raises(OutputError):
            state.save(tmp_path / "absent" / "state")

    def test_a_full_disk_is_a_sentence_and_the_state_before_stays(self, state: JobState, tmp_path: Path) -> None:
        before = state.save(tmp_path / "state").read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            with pytest.raises(OutputError, match="no space left"):
                replace(state, next_frame=9).save(tmp_path / "state")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_clock_adds_up_over_threads() -> None:
    clock = StageClock()

    def work() -> None:
        for _ in range(50):
            with clock.stage("work"):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(ValueError), clock.stage("failed"):
        raise ValueError
    assert list(clock.seconds()) == ["work", "failed"] and clock.seconds()["work"] > 0
