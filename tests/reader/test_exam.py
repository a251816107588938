"""The shipped reader on the frozen benchmark: people that no training saw, read by everybody alike."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.reader.exam import examine
from letstalk.reader.predict import FaceReader
from letstalk.synthetic.data.benchmark import load_benchmark

CLIPS = ("clip-03", "clip-09", "clip-18")  # a photograph, one who never speaks, a drawing


@pytest.fixture(scope="module")
def results() -> dict:
    clips = [clip for clip in load_benchmark() if clip.name in CLIPS]
    assert len(clips) == len(CLIPS)
    return examine(FaceReader.load(), clips)


def test_the_shipped_reader_passes(results: dict) -> None:
    seen = results["all clips"]
    assert seen.found > 0.98
    assert seen.landmarks < 0.03
    assert seen.closed_right > 0.95
    assert seen.gap < 0.02 and seen.gap_r > 0.95


def test_a_reader_that_sees_nothing_fails(results: dict) -> None:
    blind = results["mean face, constant gap"]
    assert blind.landmarks > 0.04 and blind.gap > 0.03 and blind.closed_right < 0.8


def test_all_clips_are_the_mean_of_the_clips(results: dict) -> None:
    each = [scores for name, scores in results.items() if name.startswith("clip-")]
    assert results["all clips"].num_frames == sum(scores.num_frames for scores in each)
    assert results["all clips"].gap == pytest.approx(np.mean([scores.gap for scores in each]), rel=1e-3)
