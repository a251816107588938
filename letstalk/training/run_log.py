"""One JSON line for each report of a run, and where the time went."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class RunLog:
    """Appends to `log.jsonl`; readable at any moment, also after a kill."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def write(self, event: str, **values: Any) -> None:
        rounded = {key: round(v, 6) if isinstance(v, float) else v for key, v in values.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **rounded}) + "\n")


class Stopwatch:
    """Seconds spent in named parts since the last `take`."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begin

    def take(self) -> dict[str, float]:
        taken, self._seconds = self._seconds, {}
        return taken


class Means:
    """Running means of named numbers since the last `take`."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, name: str, value: float) -> None:
        total, count = self._sums.get(name, (0.0, 0))
        self._sums[name] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        taken = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return taken
