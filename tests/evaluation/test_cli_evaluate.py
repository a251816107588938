"""The commands as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from letstalk.cli import main
from letstalk.media.image import save_image
from letstalk.media.video import VideoWriter
from letstalk.synthetic.data.benchmark import BenchmarkClip

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


@pytest.fixture
def short(clips: list[BenchmarkClip], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clips instead of 34."""
    monkeypatch.setattr("letstalk.evaluation.suites.load_benchmark", lambda: clips)


def test_a_missed_bar_is_exit_code_1_and_the_figures_are_written(
    capsys: Capture, weights: Path, tmp_path: Path, short: None
) -> None:
    words = ("evaluate", "codec", "--weights", weights, "--pairs", 1, "--threads", 1, "--out", tmp_path)
    code, out, _ = run(capsys, *words)
    assert code == 1 and "MISSED" in out and "passed" in out and "A bar was missed." in out
    written = json.loads((tmp_path / "codec.json").read_text())
    assert written["passed"] is False and len(written["details"]) == 2
    about = written["about"]
    assert len(about["benchmark"]) == 64 and len(about["weights"]) == 16 and about["examination"]["pairs_per_clip"] == 1


def test_transfer_and_portraits_run_from_the_command(
    capsys: Capture, weights: Path, clips: list[BenchmarkClip], tmp_path: Path, short: None
) -> None:
    words = ("--weights", weights, "--frame-step", 25, "--threads", 1, "--out", tmp_path / "out")
    code, out, _ = run(capsys, "evaluate", "transfer", *words, "--json")
    assert code == 1 and json.loads(out) == json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert "mouth gap follows the driver" in out
    (tmp_path / "people").mkdir()
    save_image(tmp_path / "people" / "one.png", clips[1].frames()[0])
    code, out, _ = run(capsys, "evaluate", "portraits", "--portraits", tmp_path / "people", *words)
    assert code == 1 and "share with" in out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["portraits.json", "portraits.png", "transfer.json"]


def test_without_weights_there_is_a_sentence(capsys: Capture, tmp_path: Path) -> None:
    code, _, err = run(capsys, "evaluate", "codec", "--weights", tmp_path / "absent", "--threads", 1)
    assert code == 2 and "There is no autoencoder" in err and "Traceback" not in err
    code, _, err = run(capsys, "evaluate", "portraits", "--portraits", tmp_path, "--weights", tmp_path)
    assert code == 2 and "There is no autoencoder" in err


def test_a_video_goes_through_the_codec(
    capsys: Capture, weights: Path, clips: list[BenchmarkClip], tmp_path: Path
) -> None:
    frames = clips[0].frames()[:5]
    save_image(tmp_path / "face.png", frames[0])
    with VideoWriter(tmp_path / "in.mp4", (256, 256)) as writer:
        writer.write(frames, clips[0].samples()[: 5 * 640])
        writer.finish()
    words = ("codec", tmp_path / "face.png", tmp_path / "in.mp4", "--out", tmp_path / "out.mp4", "--as-is")
    code, out, _ = run(capsys, *words, "--weights", weights, "--threads", 1)
    assert code == 0 and "5 frames" in out and "PSNR" in out and (tmp_path / "out.mp4").is_file()
    code, _, err = run(capsys, *words, "--weights", weights, "--size", 300, "--threads", 1)
    assert code == 2 and "size 300" in err


def test_help_names_the_suites(capsys: Capture) -> None:
    _, out, _ = run(capsys, "--help")
    assert "evaluate" in out and "codec" in out
    _, out, _ = run(capsys, "evaluate", "--help")
    assert all(suite in out for suite in ("codec", "transfer", "portraits"))
