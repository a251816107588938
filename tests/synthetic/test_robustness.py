"""The search for faces that must not be: it finds what is broken, and nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from letstalk.errors import MissingAssetError
from letstalk.synthetic.controls import still_performance
from letstalk.synthetic.data.clip_renderer import ClipRenderer
from letstalk.synthetic.data.robustness import RobustnessReport, SeedReport, check_seeds, frame_problems
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.pictures.labels import FrameLabels, read_labels
from letstalk.synthetic.pictures.regions import REGION_CODE
from letstalk.synthetic.pictures.renderer import Frame, Renderer
from letstalk.synthetic.pictures.scene import sample_scene


@pytest.fixture(scope="module")
def good() -> tuple[Frame, FrameLabels]:
    prepared = ClipRenderer(None).person(5, procedural=True)
    renderer = Renderer(prepared, sample_scene(5, prepared.person, style="photo"), 128)
    performance = still_performance()
    frame = renderer.draw(pose_vertices(prepared.person, performance, 0))
    return frame, read_labels(renderer, frame, performance, 0)


def problems(frame: Frame, labels: FrameLabels, picture: np.ndarray | None = None) -> set[str]:
    return set(frame_problems(frame.picture if picture is None else picture, frame.vertices, labels))


def test_a_good_face_has_no_problem(good: tuple[Frame, FrameLabels]) -> None:
    assert problems(*good) == set()


def test_each_problem_is_seen(good: tuple[Frame, FrameLabels]) -> None:
    frame, labels = good
    with_nan = labels.landmarks.copy()
    with_nan[3, 0] = np.nan
    assert problems(frame, replace(labels, landmarks=with_nan)) == {"not a number"}
    assert problems(frame, replace(labels, regions=np.zeros_like(labels.regions))) == {"empty face"}
    assert problems(frame, labels, np.full_like(frame.picture, 90)) == {"flat face"}
    holed = labels.regions.copy()
    x, y = labels.landmarks.mean(axis=0).astype(int)
    holed[y - 2 : y + 3, x - 2 : x + 3] = REGION_CODE["background"]
    assert problems(frame, replace(labels, regions=holed)) == {"hole"}
    without = labels.regions.copy()
    without[np.isin(without, [REGION_CODE["lips"], REGION_CODE["mouth"]])] = REGION_CODE["face"]
    assert problems(frame, replace(labels, regions=without)) == {"no lips"}


def test_an_error_is_a_finding_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ClipRenderer, seed: int, procedural: bool) -> None:
        raise ValueError(f"seed {seed} has two noses")

    monkeypatch.setattr(ClipRenderer, "person", fail)
    reports = list(check_seeds(range(3, 5), procedural=True))
    assert [report.problems for report in reports] == [("error",)] * 2 and "two noses" in reports[1].detail


def test_a_missing_pack_is_told_at_once(tmp_path: object) -> None:
    with pytest.raises(MissingAssetError):
        list(check_seeds(range(1), assets=tmp_path / "nothing.npz"))  # type: ignore[operator]


def test_procedural_people_are_all_well() -> None:
    report = RobustnessReport(tuple(check_seeds(range(8), size_px=64, procedural=True)))
    assert report.counts == {} and report.failed == ()


def test_counts() -> None:
    seeds = (SeedReport(1, ("hole",)), SeedReport(2, ()), SeedReport(3, ("flat face", "hole")))
    report = RobustnessReport(seeds)
    assert report.counts == {"hole": 2, "flat face": 1} and [seed.seed for seed in report.failed] == [1, 3]
