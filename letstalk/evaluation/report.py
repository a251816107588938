"""Figures with an interval, bounds and a bar; a report of them as JSON and as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.runtime import numpy_generator

NUM_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bar:
    """What a figure must reach; both ends belong to it."""

    least: float = -math.inf
    most: float = math.inf

    def met_by(self, value: float) -> bool:
        """nan meets no bar: what was not measured was not passed."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        if math.isinf(self.most):
            return f">= {self.least:g}"
        if math.isinf(self.least):
            return f"<= {self.most:g}"
        return f"{self.least:g} .. {self.most:g}"


@dataclass(frozen=True)
class Figure:
    """One line of a report: a mean over clips, beside what the static copy and the truth would get."""

    name: str
    unit: str
    value: float
    low: float  # ends of the bootstrap interval
    high: float
    num_clips: int
    bar: Bar | None = None
    static_copy: float | None = None  # the reference as it is, in place of every picture
    truth: float | None = None  # the true pictures in place of the made ones; None where it says nothing

    @property
    def passed(self) -> bool | None:
        """None where there is no bar."""
        return None if self.bar is None else self.bar.met_by(self.value)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "unit": self.unit, "value": _number(self.value), "low": _number(self.low),
            "high": _number(self.high), "num_clips": self.num_clips, "bar": None if self.bar is None else str(self.bar),
            "passed": self.passed, "static_copy": _number(self.static_copy), "truth": _number(self.truth),
        }  # fmt: skip


@dataclass(frozen=True)
class Report:
    suite: str
    figures: tuple[Figure, ...]
    about: dict[str, Any]  # what was examined, on what, with which seed
    details: list[dict[str, Any]] = field(default_factory=list)  # one row for each clip or portrait
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(figure.passed is not False for figure in self.figures)

    def to_dict(self) -> dict[str, Any]:
        rows = [{key: _number(value) for key, value in row.items()} for row in self.details]
        return {
            "suite": self.suite, "passed": self.passed, "about": self.about, "notes": list(self.notes),
            "figures": [figure.to_dict() for figure in self.figures], "details": rows,
        }  # fmt: skip

    def write(self, folder: Path) -> Path:
        """`SUITE.json` in the folder, which is made."""
        from letstalk.media.files import atomic_target, output_error

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        target = folder / f"{self.suite}.json"
        with atomic_target(target) as partial:
            partial.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return target


def figure(
    name: str,
    values: np.ndarray | list[float],
    unit: str = "",
    bar: Bar | None = None,
    static_copy: np.ndarray | list[float] | None = None,
    truth: np.ndarray | list[float] | None = None,
    seed: int = 0,
) -> Figure:
    """From one value for each clip; clips where it could not be measured (nan) are left out and not counted."""
    measured = np.asarray(values, np.float64)
    measured = measured[np.isfinite(measured)]
    low, high = bootstrap_interval(measured, seed)
    bounds = [None if values is None else mean_of(values) for values in (static_copy, truth)]
    return Figure(name, unit, mean_of(measured), low, high, len(measured), bar, *bounds)


def mean_of(values: np.ndarray | list[float]) -> float:
    """nan values are left out; nan where nothing is left."""
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    return float(array.mean()) if len(array) else math.nan


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter
    13).

    Clips are drawn anew, not frames: frames of one clip resemble each other, and counting each would feign certainty.
    """
    if len(values) == 0:
        return math.nan, math.nan
    drawn = numpy_generator(seed, "bootstrap").integers(len(values), size=(NUM_RESAMPLES, len(values)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.asarray(values, np.float64)[drawn].mean(1), (tail, 1 - tail))
    return float(low), float(high)


def table(report: Report) -> Iterator[str]:
    """Lines of plain text: value, interval, bounds, bar, passed."""
    yield f"{report.suite:<36}{'value':>9}  {'95 % of clips':^18}{'static':>9}{'truth':>9}{'clips':>7}  bar"
    for item in report.figures:
        verdict = "" if item.passed is None else "passed" if item.passed else "MISSED"
        interval = f"{_short(item.low)} .. {_short(item.high)}"
        bounds = f"{_short(item.static_copy):>9}{_short(item.truth):>9}"
        bar = "" if item.bar is None else str(item.bar)
        line = f"{item.name:<36}{_short(item.value):>9}  {interval:^18}{bounds}{item.num_clips:>7}  {bar:<12}{verdict}"
        yield line.rstrip()
    yield from (f"note: {note}" for note in report.notes)


def _short(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    if value and abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"


def _number(value: Any) -> Any:
    """JSON knows no nan: what could not be measured is null."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
