"""The command line of the synthetic people and the demo, on procedural people at small size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from letstalk import demo as demo_module
from letstalk.cli import main
from letstalk.media.image import load_image
from letstalk.media.video_reader import read_video
from letstalk.synthetic.data.packing import encode_flac
from letstalk.synthetic.data.shards import ShardReader
from letstalk.synthetic.voice.alignment import write_alignment
from letstalk.synthetic.voice.speech import Phone, Speech, fill_silence


def run(*arguments: object) -> int:
    """Exit code of one command."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def recording(tmp_path: Path, speech_like: np.ndarray) -> Path:
    """An alignment file with its sound beside it: "mama" said somehow."""
    phones = (Phone(0.1, 0.2, "m"), Phone(0.2, 0.45, "aa"), Phone(1.1, 1.2, "m"), Phone(1.2, 1.6, "aa"))
    speech = Speech(speech_like, fill_silence(phones, len(speech_like) / 16_000), "arpabet", "recording", "en")
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "mama.flac").write_bytes(encode_flac(speech.samples))
    write_alignment(folder / "mama.txt", speech)
    return folder / "mama.txt"


def test_render_then_render_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("--procedural", "--engines", "none", "--size", 64, "--frames", 3)
    assert run("synth", "render", "--out", tmp_path / "set", "--clips", 3, *wanted) == 0
    first = capsys.readouterr()
    assert "content hash" in first.out and "nobody will speak" in first.err
    assert run("synth", "render", "--out", tmp_path / "set", "--clips", 6, *wanted) == 0
    assert len(ShardReader(tmp_path / "set", verify=True)) == 6
    assert run("synth", "render", "--out", tmp_path / "set", "--clips", 6, *wanted, "--seed", 5) == 2
    assert "other settings" in capsys.readouterr().err


def test_render_from_recordings(tmp_path: Path, recording: Path) -> None:
    wanted = ("--procedural", "--recording", recording, "--size", 64, "--frames", 20, "--clips", 8)
    assert run("synth", "render", "--out", tmp_path / "set", *wanted) == 0
    spoken = [clip for clip in ShardReader(tmp_path / "set") if clip.spec.kind == "recording"]
    assert spoken and all(clip.speech.voice == "recording" for clip in spoken)
    assert all(len(clip.speech.samples) == 20 * 640 for clip in spoken)
    assert max(float(clip.labels.mouth_gap.max()) for clip in spoken) > 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("render", "--out", "x", "--engines", "parrot"), "no engine"),
        (("render", "--out", "x", "--split", "exam"), "no split"),
        (("render", "--out", "x", "--procedural", "--engines", "none", "--size", "77"), "size 77"),
        (("sheet", "--out", "x.png"), "one thing"),
        (("sheet", "--out", "x.png", "--people", "2", "--styles", "1"), "one thing"),
        (("sheet", "--out", "x.xyz", "--people", "1", "--procedural", "--size", "32"), "picture format"),
        (("clip", "--out", "x.mp4", "--style", "cubist", "--procedural"), "no style"),
        (("clip", "--out", "x.mp4", "--procedural", "--alignment", "nothing.txt"), "does not exist"),
        (("clip", "--out", "x.mp4", "--procedural", "--alignment", "x.txt", "--text", "Hello."), "one thing"),
        (("render", "--out", "x", "--assets", "nothing.npz", "--engines", "none"), "no asset pack"),
        (("render", "--out", "x", "--procedural", "--recording", "nothing.txt"), "does not exist"),
        (("render", "--out", "x", "--procedural", "--recording", "nothing.txt", "--split", "test"), "three or more"),
        (("sync", "--voices", "flite:nobody"), "no voice"),
        (("check", "--assets", "nothing.npz"), "no asset pack"),
        (("benchmark", "--out", "x", "--assets", "nothing.npz", "--workers", "1"), ""),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("synth", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_absent_voices_are_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("synth", "render", "--out", tmp_path / "set", "--procedural", "--engines", "flite") == 2
    assert "not installed: flite:awb" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_check_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("synth", "check", "--seeds", 3, "--size", 64, "--procedural") == 0
    assert "3 seeds: 0 with a problem" in capsys.readouterr().out


def test_sheets_are_pictures(tmp_path: Path) -> None:
    for kind, count in (("people", 3), ("visemes", 1), ("styles", 1)):
        out = tmp_path / f"{kind}.png"
        assert run("synth", "sheet", f"--{kind}", count, "--out", out, "--size", 48, "--procedural") == 0
        assert load_image(out).pixels.std() > 10, kind


def test_a_clip_without_words_and_one_from_an_alignment(tmp_path: Path, recording: Path) -> None:
    wanted = ("--size", 64, "--procedural")
    assert run("synth", "clip", "--out", tmp_path / "quiet.mp4", "--seconds", 0.4, *wanted) == 0
    frames, sound = read_video(tmp_path / "quiet.mp4")
    assert len(frames) == 10 and (sound is None or np.abs(sound.samples).max() < 1e-3)
    assert run("synth", "clip", "--out", tmp_path / "mama.mp4", "--alignment", recording, *wanted) == 0
    frames, sound = read_video(tmp_path / "mama.mp4")
    assert len(frames) == 60 and sound is not None and np.abs(sound.samples).max() > 0.05


def test_lips_are_measured_on_faces(capsys: pytest.CaptureFixture[str]) -> None:
    from letstalk.synthetic.voice.voices import is_installed, voice_named

    if not is_installed(voice_named("flite:slt")):
        pytest.skip("flite is not installed")
    assert run("synth", "lips", "--people", 1, "--seconds", 6, "--voices", "flite:slt", "--procedural") == 0
    assert "all" in capsys.readouterr().out.splitlines()[-1]


def test_the_demo_says_who_is_seen(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LETSTALK_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.setattr(demo_module, "resource_dir", lambda name: tmp_path / name)
    monkeypatch.setattr(demo_module, "MOST_SECONDS", 0.4)
    assert run("demo", "--out", tmp_path / "out") == 2
    assert "no sample recordings" in capsys.readouterr().err
    (tmp_path / "assets").mkdir()
    recording.parent.rename(tmp_path / "assets" / "speech")
    assert run("demo", "--out", tmp_path / "out") == 0
    assert "made from code alone" in capsys.readouterr().out
    assert len(read_video(tmp_path / "out" / "demo.mp4")[0]) == 10
