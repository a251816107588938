"""Frozen videos: small, near-perfect, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import InputError
from letstalk.media.archive import read_archive, write_archive


def moving_discs(num_frames: int, size: int = 64) -> np.ndarray:
    """Saturated colours on a gradient: full colour resolution is what this format is for."""
    y, x = np.mgrid[0:size, 0:size]
    frames = np.stack([np.broadcast_to(np.stack([x * 3, y * 3, 255 - x], -1), (size, size, 3))] * num_frames)
    for number, frame in enumerate(frames := frames.clip(0, 255).astype(np.uint8)):
        frame[(x - 20 - 2 * number) ** 2 + (y - 30) ** 2 < 60] = (220, 20, 30)
    return frames


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(np.float64) - second) ** 2)))


def test_frames_and_speech_come_back(tmp_path: Path, speech_like: np.ndarray) -> None:
    frames = moving_discs(12)
    samples = speech_like[: 12 * 640]
    write_archive(tmp_path / "clip.mp4", frames, samples, crf=8)
    read, sound = read_archive(tmp_path / "clip.mp4")
    assert read.shape == frames.shape and read.dtype == np.uint8
    assert psnr(read, frames) > 38
    assert sound is not None and sound.shape == samples.shape
    assert np.abs(sound - samples).max() < 1 / 32767


def test_colours_are_not_tinted(tmp_path: Path) -> None:
    """A wrong colour matrix or range would show as a shift of whole areas."""
    colours = [
        (0, 0, 0),
        (255, 255, 255),
        (128, 128, 128),
        (200, 30, 40),
        (20, 180, 60),
        (30, 40, 210),
        (230, 180, 150),
    ]
    for colour in colours:
        frames = np.broadcast_to(np.uint8(colour), (2, 32, 32, 3))
        write_archive(tmp_path / "flat.mp4", frames, None, crf=4)
        read, _ = read_archive(tmp_path / "flat.mp4")
        assert np.abs(read.astype(int) - colour).max() <= 3, colour


def test_better_quality_costs_more(tmp_path: Path) -> None:
    frames = moving_discs(10)
    results = []
    for crf in (4, 24):
        path = write_archive(tmp_path / f"{crf}.mp4", frames, None, crf=crf)
        results.append((path.stat().st_size, psnr(read_archive(path)[0], frames)))
    assert results[0][0] > results[1][0] and results[0][1] > results[1][1] + 3


def test_same_frames_same_bytes(tmp_path: Path, speech_like: np.ndarray) -> None:
    frames = moving_discs(8)
    first, second = (
        write_archive(tmp_path / f"{n}.mp4", frames, speech_like[:5120], crf=16).read_bytes() for n in "ab"
    )
    assert first == second
    silent, none = read_archive(write_archive(tmp_path / "c.mp4", frames, None, crf=16))
    assert none is None and len(silent) == 8


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "clip.mp4", moving_discs(4), None, crf=16)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="damaged"):
        read_archive(path)
    with pytest.raises(InputError):
        read_archive(tmp_path / "nothing.mp4")
