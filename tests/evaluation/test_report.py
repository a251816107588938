from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from letstalk.evaluation.report import Bar, Report, bootstrap_interval, figure, table


def test_bars_include_their_ends_and_refuse_what_was_not_measured() -> None:
    between = Bar(0.8, 1.1)
    assert between.met_by(0.8) and between.met_by(1.1) and not between.met_by(1.11)
    assert not between.met_by(math.nan)
    assert [str(bar) for bar in (Bar(least=30), Bar(most=1.2), between)] == [">= 30", "<= 1.2", "0.8 .. 1.1"]


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(100):
        low, high = bootstrap_interval(random.normal(5, 2, 34), seed)
        hits += low <= 5 <= high
    assert 88 <= hits <= 99
    assert bootstrap_interval(np.full(10, 3.0)) == (3, 3)
    assert all(math.isnan(end) for end in bootstrap_interval(np.zeros(0)))


def test_what_could_not_be_measured_is_left_out_and_not_counted() -> None:
    found = figure("PSNR", [30, math.nan, 32], "dB", Bar(least=31), static_copy=[20, 22, math.nan], truth=[math.nan])
    assert (found.value, found.num_clips, found.static_copy, found.passed) == (31, 2, 21, True)
    assert found.truth is not None and math.isnan(found.truth)


@pytest.fixture
def report() -> Report:
    figures = (
        figure("a", [1, 2, 3], bar=Bar(least=3)),
        figure("b", [1, 2, 3], bar=Bar(most=2)),
        figure("c", [math.nan]),
    )
    return Report("small", figures, {"seed": 0}, [{"clip": "one", "a": np.float32(1), "b": math.nan}], ("Odd.",))


def test_one_missed_bar_fails_the_report_and_the_table_says_which(report: Report) -> None:
    assert not report.passed
    head, a, b, c, note = table(report)
    assert a.endswith("MISSED") and b.endswith("passed") and ">= 3" in a and "bar" in head and "-" in c
    assert note == "note: Odd."


def test_json_says_the_same_and_has_no_nan(report: Report, tmp_path: Path) -> None:
    path = report.write(tmp_path / "new" / "folder")
    read = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert path.name == "small.json" and read["passed"] is False
    assert [item["passed"] for item in read["figures"]] == [False, True, None]
    assert read["figures"][2]["value"] is None and read["details"][0] == {"clip": "one", "a": 1.0, "b": None}
    assert [path.name for path in path.parent.iterdir()] == ["small.json"]
