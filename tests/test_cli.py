"""The command as a user meets it: exit codes, sentences instead of tracebacks, JSON that parses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from letstalk.cli import main
from letstalk.media.audio import write_wav
from letstalk.media.image import save_image

Capture = pytest.CaptureFixture[str]
NAMES = ["with space", "it's", 'say "hi"', "ünïcödé 语音", "n" * 200, "-dash", "100%05d", "concat:a|b"]


def run(arguments: list[str], capsys: Capture) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_help_names_the_commands(capsys: Capture) -> None:
    code, out, _ = run(["--help"], capsys)
    assert code == 0
    assert all(name in out for name in ("doctor", "probe", "demo", "generate", "synth", "train", "reader"))


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "letstalk", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip().count(".") == 2


def test_a_users_mistake_is_two_sentences_and_exit_code_2(capsys: Capture, tmp_path: Path) -> None:
    code, out, err = run(["probe", str(tmp_path / "absent.wav")], capsys)
    assert code == 2 and out == ""
    assert "does not exist" in err and "Traceback" not in err


@pytest.mark.parametrize("content", [b"", b"just some text, renamed", b"RIFF\x24\x00\x00\x00WAVEfmt "])
@pytest.mark.parametrize("ending", [".wav", ".png", ""])
def test_probe_refuses_what_is_neither(capsys: Capture, tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"file{ending}"
    path.write_bytes(content)
    code, _, err = run(["probe", str(path)], capsys)
    assert code == 2 and err.startswith("letstalk: ") and "Traceback" not in err


@pytest.mark.parametrize("stem", NAMES)
def test_probe_reads_files_of_any_name(capsys: Capture, tmp_path: Path, stem: str) -> None:
    write_wav(tmp_path / f"{stem}.wav", np.sin(np.arange(16_000) / 20).astype(np.float32) * 0.3)
    code, out, _ = run(["probe", "--json", "--", str(tmp_path / f"{stem}.wav")], capsys)
    report = json.loads(out)
    assert code == 0 and report["kind"] == "sound" and report["facts"]["length"] == "1.00 s"


def test_names_are_shown_on_any_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a script that the terminal lacks nor control characters in a name spoil the report."""
    path = write_wav(tmp_path / "语音\n\x1b[31m.wav", np.full(16_000, 0.1, np.float32))
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as stopped:
        main(["probe", str(path)])
    assert stopped.value.code == 0
    assert terminal.getvalue().splitlines()[0] == b'"????[31m.wav": sound'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_full_disk_behind_a_pipe_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    raw = io.FileIO("/dev/full", "w")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, write_through=True))
    code, _, err = run(["--version"], capsys)
    assert code == 2 and "no space left" in err and "Traceback" not in err


def test_probe_finds_the_face(capsys: Capture, tmp_path: Path) -> None:
    from skimage.data import astronaut

    path = save_image(tmp_path / "astronaut.png", astronaut())
    code, out, _ = run(["probe", str(path), "--json"], capsys)
    report = json.loads(out)
    assert code == 0 and report["kind"] == "picture"
    assert report["facts"]["faces"] >= 1 and report["facts"]["found by"] != "centre"


def test_doctor_reports_every_section(capsys: Capture) -> None:
    code, out, _ = run(["doctor", "--json"], capsys)
    findings = json.loads(out)
    assert {finding["section"] for finding in findings} >= {"machine", "packages", "devices", "media", "faces", "files"}
    missing = [finding for finding in findings if finding["state"] == "missing"]
    assert code == (1 if missing else 0)
    assert all(finding["advice"] for finding in missing)


def test_doctor_fails_when_a_requirement_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    from letstalk import doctor

    monkeypatch.setattr(doctor, "_installed_version", lambda name: None if name == "av" else "0.0.1")
    findings = list(doctor._packages(doctor.Section("packages")))
    absent = next(finding for finding in findings if finding.name == "av")
    assert (absent.state, absent.detail) == ("missing", "not installed")
    assert doctor.exit_code(findings) == 1


def test_doctor_survives_what_it_is_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is when people ask it: each section answers, whatever the others lack."""
    from letstalk import doctor

    for name in ("torch", "psutil"):
        monkeypatch.setitem(sys.modules, name, None)
    findings = doctor.examine()
    broken = {finding.section for finding in findings if finding.name == "look"}
    assert broken == {"machine", "devices"} and doctor.exit_code(findings) == 1
    assert {finding.section for finding in findings} >= {"packages", "media", "faces", "files", "speech"}


def test_ctrl_c_is_a_word_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("letstalk.probe.probe_file", interrupted)
    code, _, err = run(["probe", str(tmp_path)], capsys)
    assert code == 130 and err == "letstalk: stopped.\n"
