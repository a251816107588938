"""The frozen exam: built whole or not at all, read back without a pack, refused when a byte is changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import InputError, OutputError
from letstalk.synthetic.data.benchmark import BenchmarkClip, benchmark_folder, benchmark_hash, load_benchmark
from letstalk.synthetic.data.benchmark_build import MOST_BYTES, BenchmarkPlan, BenchmarkReport, build_benchmark
from letstalk.synthetic.data.clip_renderer import Clip, render_clip
from letstalk.synthetic.split import split_of_person
from letstalk.synthetic.voice.voices import voice_named

SMALL = BenchmarkPlan(num_first=2, num_second=1, num_frames=30, size=64, procedural=True, silent=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkReport:
    return build_benchmark(tmp_path_factory.mktemp("exam") / "benchmark", SMALL, num_workers=1)


@pytest.fixture(scope="module")
def clips(built: BenchmarkReport) -> list[BenchmarkClip]:
    return load_benchmark(built.folder)


@pytest.fixture(scope="module")
def truth() -> Clip:
    return render_clip(SMALL.specs()[0])


def test_it_holds_first_and_second_performers(clips: list[BenchmarkClip]) -> None:
    assert [clip.name for clip in clips] == ["clip-01", "clip-01-b", "clip-02"]
    assert [clip.same_performance_as for clip in clips] == [None, "clip-01", None]
    assert np.array_equal(clips[0].labels["gaze"], clips[1].labels["gaze"])
    assert np.array_equal(clips[0].samples(), clips[1].samples())
    assert not np.array_equal(clips[0].frames(), clips[1].frames())


def test_pictures_and_sound_are_those_that_were_rendered(
    built: BenchmarkReport, clips: list[BenchmarkClip], truth: Clip
) -> None:
    frames = clips[0].frames()
    assert frames.shape == (30, 64, 64, 3)
    squared = np.mean((frames.astype(float) - truth.frames[0]) ** 2)
    assert 10 * np.log10(255**2 / squared) == pytest.approx(built.video_psnr_db["clip-01"], abs=0.02)
    assert built.video_psnr_db["clip-01"] > 36
    assert np.abs(clips[0].samples() - truth.speech.samples).max() <= 1 / 32767


def test_labels_are_those_that_were_rendered(clips: list[BenchmarkClip], truth: Clip) -> None:
    for name, found in clips[0].labels.items():
        expected = getattr(truth.labels, name)[0]
        assert found.shape == expected.shape and np.abs(found.astype(float) - expected).max() <= 0.01, name
    assert np.abs(clips[0].labels["mouth_gap"] - truth.labels.mouth_gap[0]).max() <= 1e-4
    head = clips[0].head_mask
    assert head.shape == (30, 64, 64) and (head & (truth.labels.cover[0] == 0)).sum() == 0
    assert (clips[0].face_mask & ~head).sum() == 0 and 0.02 < clips[0].face_mask.mean() < head.mean()


def test_flow_pairs_are_exact_and_far_apart(clips: list[BenchmarkClip], truth: Clip) -> None:
    pairs = clips[0].flow_pairs
    assert len(pairs) == 6 and {np.sign(pair.target - pair.reference) for pair in pairs} <= {-1, 1}
    for pair in pairs:
        assert 12 <= abs(pair.target - pair.reference) <= 29
        flow, visible = truth.flow(0, pair.target, pair.reference)
        assert np.abs(pair.flow - flow).max() <= 1 / 64 and np.array_equal(pair.visible, visible)


def test_a_second_build_gives_the_same_hash(built: BenchmarkReport, tmp_path: Path) -> None:
    again = build_benchmark(tmp_path / "again", SMALL, num_workers=2)
    assert again.hash == built.hash == benchmark_hash(built.folder)
    assert again.num_bytes == sum(path.stat().st_size for path in built.folder.iterdir())


@pytest.mark.parametrize("name", ["clip-01.mp4", "clip-02.npz", "MANIFEST.json"])
def test_a_changed_exam_is_refused(built: BenchmarkReport, tmp_path: Path, name: str) -> None:
    for path in built.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    load_benchmark(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="changed"):
        load_benchmark(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match="incomplete"):
        load_benchmark(tmp_path)


def test_an_exam_is_never_replaced(built: BenchmarkReport, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not an empty folder"):
        build_benchmark(built.folder, SMALL, num_workers=1)
    with pytest.raises(InputError, match="no benchmark"):
        load_benchmark(tmp_path)


def test_a_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("letstalk.synthetic.data.benchmark_build.write_labels", fail)
    with pytest.raises(OutputError, match="space"):
        build_benchmark(tmp_path / "exam", SMALL, num_workers=1)
    assert list(tmp_path.iterdir()) == []


def test_an_exam_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letstalk.synthetic.data.benchmark_build.MOST_BYTES", 10_000)
    with pytest.raises(OutputError, match="crf"):
        build_benchmark(tmp_path / "exam", SMALL, num_workers=1)
    assert list(tmp_path.iterdir()) == []


def test_the_real_plan_is_held_out_and_complete() -> None:
    specs = BenchmarkPlan().specs()
    people = [role.person_seed for spec in specs for role in spec.roles]
    assert len(specs) == 24 and sum(len(spec.roles) == 2 for spec in specs) == 10 and len(set(people)) == 34
    assert {split_of_person(seed) for seed in people} == {"test"}
    voices = {spec.speech.voice for spec in specs if spec.speech}
    assert {voice_named(name).split for name in voices} == {"test"} and len(voices) >= 6
    assert {spec.num_frames for spec in specs} == {125} and {spec.size for spec in specs} == {256}
    skipped = BenchmarkPlan(skipped_people=(0, 5)).specs()
    assert people[0] not in [role.person_seed for spec in skipped for role in spec.roles]


def test_the_shipped_exam_is_whole_and_small() -> None:
    folder = benchmark_folder()
    clips = load_benchmark(folder)
    assert len(clips) == 34
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MOST_BYTES
    assert hashlib.sha256((folder / "MANIFEST.json").read_bytes()).hexdigest() == benchmark_hash()
