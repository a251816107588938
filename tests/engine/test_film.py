"""A job on disk: a playable file whatever happens, and a killed job that goes on to the same video."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_engine import sound_of

from letstalk.engine.chunks import Hooks, Step
from letstalk.engine.film import FilmOptions, FilmResult, film
from letstalk.engine.journal import KEPT_SECONDS, LATENTS, SOUND, STATE, Journal
from letstalk.engine.session import Session
from letstalk.errors import Cancelled, InputError, OutputError, SettingsError
from letstalk.media.audio import load_audio, write_wav
from letstalk.media.video import VideoWriter
from letstalk.media.video_reader import read_video
from letstalk.pipeline import LetsTalkPipeline
from letstalk.runtime import CancelToken
from letstalk.settings import GenerationSettings
from letstalk.types import Audio, Portrait, VideoChunk

NUM_SAMPLES = 12 * 640 + 100  # chunks of 3, 5 and 5 frames


@pytest.fixture(scope="module")
def session(pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings) -> Session:
    return pipe.session(portrait, settings)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Audio:
    return load_audio(write_wav(tmp_path_factory.mktemp("sound") / "speech.wav", sound_of(NUM_SAMPLES)))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.of(tmp_path / "out.mp4", tmp_path / "unfinished")


def shoot(
    session: Session, audio: Audio, target: Path, journal: Journal | None = None, *, stop_at: int | None = None,
    resume: bool = False,
) -> FilmResult:  # fmt: skip
    """One run of a job; with `stop_at` the user stops it while that frame's chunk is being made."""
    token = CancelToken()

    def on_step(step: Step) -> None:
        if stop_at is not None and stop_at in range(step.first_frame, step.first_frame + step.num_frames):
            token.stop()

    with VideoWriter(target, session.frame_shape, audio_source=audio.source) as writer:
        options = FilmOptions(resume=resume)
        return film(session, audio, writer, hooks=Hooks(on_step, token), journal=journal, options=options)


@pytest.fixture(scope="module")
def uninterrupted(session: Session, recording: Audio, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    target = tmp_path_factory.mktemp("whole") / "out.mp4"
    result = shoot(session, recording, target)
    assert result.complete and result.num_resumed_frames == 0 and result.real_time_factor > 0
    assert {"sound", "transformer", "decoder", "encoder"} <= set(result.stage_seconds)
    assert 0 < result.first_frame_seconds < result.seconds
    return read_video(target)[0]


def test_the_file_is_as_long_as_its_sound(uninterrupted: np.ndarray, session: Session, recording: Audio) -> None:
    assert uninterrupted.shape == (13, 256, 256, 3)
    made = np.concatenate([chunk.frames for chunk in session.stream(recording)])
    assert np.abs(uninterrupted.astype(int) - made).mean() < 6  # H.264 at its usual quality


def test_a_stopped_job_leaves_a_playable_file_and_goes_on(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path, uninterrupted: np.ndarray
) -> None:
    target = tmp_path / "out.mp4"
    first = shoot(session, recording, target, journal, stop_at=9)
    frames, sound = read_video(target)
    assert not first.complete and len(frames) == 8 and sound is not None and sound.num_frames == 8
    second = shoot(session, recording, target, journal, resume=True)
    assert second.complete and (second.num_resumed_frames, second.num_made_frames) == (8, 5)
    assert np.array_equal(read_video(target)[0], uninterrupted)
    assert not journal.folder.exists()


def test_without_resume_a_job_starts_anew(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path, uninterrupted: np.ndarray
) -> None:
    shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=9)
    again = shoot(session, recording, tmp_path / "out.mp4", journal)
    assert again.complete and again.num_resumed_frames == 0
    assert np.array_equal(read_video(tmp_path / "out.mp4")[0], uninterrupted)


def test_resume_with_nothing_to_resume_makes_the_whole(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path
) -> None:
    result = shoot(session, recording, tmp_path / "out.mp4", journal, resume=True)
    assert result.complete and result.num_resumed_frames == 0


def test_a_job_without_memory_goes_on(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, recording: Audio, journal: Journal,
    tmp_path: Path,
) -> None:  # fmt: skip
    session = pipe.session(portrait, settings, memory_frames=0)
    shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=4)
    assert shoot(session, recording, tmp_path / "out.mp4", journal, resume=True).num_resumed_frames == 3


def test_stop_acts_while_an_earlier_run_is_written_again(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path, uninterrupted: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """An hour of video takes minutes to decode again."""
    target, token, decode = tmp_path / "out.mp4", CancelToken(), session.frames
    shoot(session, recording, target, journal, stop_at=9)

    def impatient(*arguments: object) -> np.ndarray:
        token.stop()
        return decode(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, VideoWriter(target, session.frame_shape) as writer:
        patch.setattr(session, "frames", impatient)
        options = FilmOptions(resume=True)
        result = film(session, recording, writer, hooks=Hooks(cancel=token), journal=journal, options=options)
    assert not result.complete and (result.num_resumed_frames, result.num_made_frames) == (3, 0)
    again = shoot(session, recording, target, journal, resume=True)
    assert again.complete and again.num_resumed_frames == 8, "the journal has kept what was not written"
    assert np.array_equal(read_video(target)[0], uninterrupted)


def test_an_error_ends_the_thread_that_works_ahead(session: Session, recording: Audio, tmp_path: Path) -> None:
    def broken(chunk: object) -> None:
        raise ZeroDivisionError

    with (
        pytest.raises(ZeroDivisionError) as caught,  # which holds on to everything in the frames of the error
        VideoWriter(tmp_path / "out.mp4", session.frame_shape) as writer,
    ):
        film(session, recording, writer, options=FilmOptions(overlap=True, on_chunk=broken))
    for thread in threading.enumerate():
        if thread.name == "letstalk-ahead":
            thread.join(10)
            assert not thread.is_alive()
    assert caught.value is not None


def test_what_the_writer_did_is_told(pipe: LetsTalkPipeline, portrait: Portrait, tmp_path: Path) -> None:
    odd = replace(portrait, full=portrait.full[:-1], framing=replace(portrait.framing, full_height=359))
    result = shoot(pipe.session(odd, steps=1, full_frame=True), Audio(sound_of(600)), tmp_path / "out.mp4")
    assert any("even sides" in note for note in result.notes)


def test_cancel_leaves_nothing(session: Session, recording: Audio, journal: Journal, tmp_path: Path) -> None:
    token = CancelToken()
    with (
        pytest.raises(Cancelled),
        VideoWriter(tmp_path / "out.mp4", session.frame_shape) as writer,
    ):
        options = FilmOptions(on_chunk=lambda chunk: token.cancel())
        film(session, recording, writer, hooks=Hooks(cancel=token), journal=journal, options=options)
    assert not (tmp_path / "out.mp4").exists() and not journal.folder.exists()


def test_stopped_before_the_first_frame(session: Session, recording: Audio, journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frame to save"):
        shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=0)
    assert not (tmp_path / "out.mp4").exists() and not journal.folder.exists()


class TestWhatCannotGoOn:
    @pytest.fixture
    def stopped(self, session: Session, recording: Audio, journal: Journal, tmp_path: Path) -> Journal:
        shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=4)
        return journal

    def resume(self, session: Session, audio: Audio, journal: Journal, tmp_path: Path) -> FilmResult:
        return shoot(session, audio, tmp_path / "out.mp4", journal, resume=True)

    def test_another_sound(self, session: Session, stopped: Journal, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="another sound"):
            self.resume(session, Audio(sound_of(NUM_SAMPLES + 1)), stopped, tmp_path)

    def test_other_settings(
        self, pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, recording: Audio,
        stopped: Journal, tmp_path: Path,
    ) -> None:  # fmt: skip
        with pytest.raises(SettingsError, match="begun with other seed"):
            self.resume(pipe.session(portrait, settings, seed=4), recording, stopped, tmp_path)

    @pytest.mark.parametrize("part", [LATENTS, SOUND])
    @pytest.mark.parametrize("lost", [False, True])
    def test_a_damaged_journal(
        self, session: Session, recording: Audio, stopped: Journal, tmp_path: Path, part: str, lost: bool
    ) -> None:
        (stopped.folder / part).unlink()
        if not lost:
            (stopped.folder / part).mkdir()
        with pytest.raises(InputError, match="damaged"):
            self.resume(session, recording, stopped, tmp_path)

    def test_the_old_file_stays(self, session: Session, stopped: Journal, tmp_path: Path) -> None:
        before = (tmp_path / "out.mp4").read_bytes()
        with pytest.raises(SettingsError):
            self.resume(session, Audio(sound_of(100)), stopped, tmp_path)
        assert (tmp_path / "out.mp4").read_bytes() == before


def test_a_chunk_without_its_state_does_not_count(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path, uninterrupted: np.ndarray
) -> None:
    """The process may die between the two writes."""
    shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=9)
    with (journal.folder / LATENTS).open("ab") as file:
        file.write(b"half a chunk")
    result = shoot(session, recording, tmp_path / "out.mp4", journal, resume=True)
    assert result.num_resumed_frames == 8
    assert np.array_equal(read_video(tmp_path / "out.mp4")[0], uninterrupted)


def test_two_runs_by_mistake_on_one_video_do_no_harm(
    session: Session, recording: Audio, journal: Journal, tmp_path: Path, uninterrupted: np.ndarray
) -> None:
    """Both go on with one journal and make the same chunk; it is there once when a third takes it up."""
    shoot(session, recording, tmp_path / "out.mp4", journal, stop_at=4)

    def start_another(step: Step) -> None:
        if (step.first_frame, step.step) == (3, 1):
            shoot(session, recording, tmp_path / "other.mp4", journal, stop_at=9, resume=True)

    def die(chunk: VideoChunk) -> None:
        if chunk.first_frame == 8:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "out.mp4", session.frame_shape) as writer:
        options = FilmOptions(resume=True, on_chunk=die)
        film(session, recording, writer, hooks=Hooks(start_another), journal=journal, options=options)
    assert shoot(session, recording, tmp_path / "out.mp4", journal, resume=True).num_resumed_frames == 13
    assert np.array_equal(read_video(tmp_path / "out.mp4")[0], uninterrupted)


def test_journals_that_nobody_wants_go(recording: Audio, tmp_path: Path) -> None:
    old, fresh = (Journal.of(tmp_path / name, tmp_path / "unfinished") for name in ("old.mp4", "fresh.mp4"))
    old.begin(recording)
    os.utime(old.folder, (time.time() - KEPT_SECONDS - 60,) * 2)
    fresh.begin(recording)
    assert fresh.folder.is_dir() and not old.folder.exists()


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_video(model_folder: Path, picture: np.ndarray, tmp_path: Path) -> None:
    from letstalk.media.image import save_image

    save_image(tmp_path / "face.png", picture)
    write_wav(tmp_path / "speech.wav", sound_of(16_000 * 4))
    environment = os.environ | {"LETSTALK_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [
        *(sys.executable, "-m", "letstalk", "generate", "--weights", str(model_folder), "--steps", "2"),
        *("--portrait", str(tmp_path / "face.png"), "--audio", str(tmp_path / "speech.wav"), "--threads", "1"),
    ]
    subprocess.run([*command, "--out", str(tmp_path / "whole.mp4")], env=environment, check=True)
    victim = subprocess.Popen([*command, "--out", str(tmp_path / "out.mp4")], env=environment)
    journal = Journal.of(tmp_path / "out.mp4", tmp_path / "cache" / "unfinished")
    while not (journal.folder / STATE).is_file():
        assert victim.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL and not (tmp_path / "out.mp4").exists()
    done = subprocess.run(
        [*command, "--resume", "--out", str(tmp_path / "out.mp4")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "from before" in done.stdout, done.stderr
    whole, resumed = (read_video(tmp_path / name) for name in ("whole.mp4", "out.mp4"))
    assert np.array_equal(whole[0], resumed[0]) and len(whole[0]) == 100
    assert not list((tmp_path / "cache" / "jobs").iterdir()), "the dead process left something behind"
