"""`letstalk generate` as a user meets it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiny_engine import sound_of

from letstalk import cli_generate
from letstalk.cli import main
from letstalk.media.audio import write_wav
from letstalk.media.image import save_image
from letstalk.media.video_reader import read_video
from letstalk.settings import Preset

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LETSTALK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def command(model_folder: Path, picture: np.ndarray, tmp_path: Path) -> list[str]:
    """All that a run needs; 13 frames, few steps, one thread."""
    save_image(tmp_path / "face.png", picture)
    write_wav(tmp_path / "speech.wav", sound_of(12 * 640 + 100))
    return [
        *("generate", "--weights", str(model_folder), "--threads", "1", "--steps", "1", "--chunk", "5"),
        *("--audio", str(tmp_path / "speech.wav"), "--out", str(tmp_path / "out.mp4")),
        *("--portrait", str(tmp_path / "face.png")),
    ]


def run(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_a_portrait_speaks(command: list[str], capsys: Capture, tmp_path: Path, own_cache: Path) -> None:
    code, out, err = run([*command, "--full-frame", "--seed", "4"], capsys)
    assert code == 0, err
    frames, sound = read_video(tmp_path / "out.mp4")
    assert frames.shape == (13, 360, 300, 3) and sound is not None
    assert "real-time factor" in out and "the first picture after" in out and out.count("\n") == 1
    assert "Ready after" in err and "note: " in err
    assert not list(own_cache.glob("unfinished/*")) and not list(own_cache.glob("jobs/*"))


def test_several_pictures_of_one_person(command: list[str], capsys: Capture, tmp_path: Path) -> None:
    face = str(tmp_path / "face.png")
    assert run([*command, face, face], capsys)[0] == 0
    code, _, err = run([*command, face, face, face], capsys)
    assert code == 2 and "4 pictures were given" in err


def test_overlap_is_the_same_video(command: list[str], capsys: Capture, tmp_path: Path) -> None:
    assert run([*command, "--no-overlap"], capsys)[0] == 0
    alone = read_video(tmp_path / "out.mp4")[0]
    assert run([*command, "--overlap"], capsys)[0] == 0
    assert np.array_equal(read_video(tmp_path / "out.mp4")[0], alone)


def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    command: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(command, capsys)[0] == 0
    whole = read_video(tmp_path / "out.mp4")[0]
    real_bar = cli_generate.progress_bar

    @contextmanager
    def impatient(num_frames: int) -> Iterator[Callable[[float], None]]:
        """The user presses Ctrl-C during the second chunk."""
        with real_bar(num_frames) as advance:

            def told(frames_done: float) -> None:
                advance(frames_done)
                if frames_done > 5:
                    signal.raise_signal(signal.SIGINT)

            yield told

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(cli_generate, "progress_bar", impatient)
    code, out, err = run([*command, "--chunk", "3"], capsys)
    assert code == 130 and "what is done will be kept" in err and "--resume goes on" in out
    assert signal.getsignal(signal.SIGINT) is before
    assert len(read_video(tmp_path / "out.mp4")[0]) == 3

    monkeypatch.setattr(cli_generate, "progress_bar", real_bar)
    code, _, err = run([*command, "--resume"], capsys)
    assert code == 2 and "begun with other chunk_frames" in err
    code, out, _ = run([*command, "--chunk", "3", "--resume"], capsys)
    assert code == 0 and "0.1 s of it from before" in out
    assert len(read_video(tmp_path / "out.mp4")[0]) == len(whole)


def test_a_missing_model_is_told_before_anything_is_read(
    command: list[str], capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letstalk.engine.find.resource_dir", lambda name: tmp_path / name)
    (tmp_path / "speech.wav").write_bytes(b"")
    place = command.index("--weights")
    code, out, err = run([*command[:place], *command[place + 2 :]], capsys)
    assert code == 2 and out == "" and "no model 'mini'" in err and "letstalk train" in err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--steps", "0"], "steps: input should be greater"),
        (["--size", "300"], "256 or 512"),
        (["--scheduler", "magic"], "'euler', 'heun', 'dpm' or 'unipc'"),
        (["--out", "video.avi"], "end in .mp4"),
        (["--audio", "absent.wav"], "does not exist"),
        (["--preset", "maxi"], "no preset 'maxi'"),
    ],
)
def test_mistakes_are_sentences(command: list[str], capsys: Capture, wrong: list[str], message: str) -> None:
    code, out, err = run([*command, *wrong], capsys)
    assert code == 2 and out == "" and message in err and "Traceback" not in err


def test_the_demo_lets_sample_portraits_talk(
    model_folder: Path, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from letstalk import demo

    real = demo.resource_dir
    monkeypatch.setattr(demo, "resource_dir", lambda name: model_folder.parent if name == "weights" else real(name))
    monkeypatch.setattr(demo, "MODEL", "tiny")
    monkeypatch.setattr("letstalk.runtime.num_free_cores", lambda: 1)
    monkeypatch.setattr(demo, "MOST_SECONDS", 0.4)
    monkeypatch.setattr("letstalk.settings.load_preset", lambda name: Preset(name="tiny", summary="", weights="tiny"))
    code, out, err = run(["demo", "--out", str(tmp_path / "demo")], capsys)
    assert code == 0, err
    videos = sorted((tmp_path / "demo").glob("*.mp4"))
    assert [path.name for path in videos] == ["demo-grace.mp4", "demo-otto-painted.mp4"]
    assert [len(read_video(path)[0]) for path in videos] == [10, 10] and out.count("real-time factor") == 2
