"""Runs a suite by name: loads what it needs, says what was examined, writes what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from letstalk.errors import SettingsError
from letstalk.evaluation.clip_views import Examination
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.report import Report
from letstalk.models.loading import load_autoencoder, weights_hash
from letstalk.reader.predict import FaceReader
from letstalk.runtime import RuntimePlan
from letstalk.synthetic.data.benchmark import benchmark_hash, load_benchmark
from letstalk.version import VERSION

SUITES = ("codec", "transfer", "portraits")
SHEET_NAME = "portraits.png"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SuiteOrder:
    suite: str
    weights: Path | None = None  # folder of the autoencoder; None: the shipped one
    portraits: Path | None = None  # folder of pictures, for the suite `portraits`
    out: Path | None = None  # folder of the JSON file and the sheet; None: nothing is written
    chosen: Examination = field(default_factory=Examination)
    dtype: str = "float32"
    num_threads: int | None = None


def run_suite(order: SuiteOrder, progress: Progress = lambda done, total: None) -> Report:
    """Loads, examines, writes. Refuses before anything heavy is loaded where it can."""
    if order.suite not in SUITES:
        raise SettingsError(f"There is no suite {order.suite!r}.", f"Use one of: {', '.join(SUITES)}.")
    if order.suite == "portraits" and order.portraits is None:
        raise SettingsError("The suite portraits needs pictures.", "Name a folder with --portraits.")
    plan = RuntimePlan.choose("auto", order.dtype, order.num_threads)
    device, dtype = plan.apply()
    coder = Coder(load_autoencoder(order.weights, device, dtype))
    about: dict[str, Any] = {
        "version": VERSION,
        "torch": _torch_version(),
        "runtime": plan.to_dict(),
        "weights": weights_hash(order.weights),
        "latents": coder.model.encoder_hash(),
        "benchmark": benchmark_hash(),
        "examination": asdict(order.chosen),
    }
    started, computed = time.monotonic(), time.process_time()
    report = _run(order, coder, about, progress)
    about["seconds"] = round(time.monotonic() - started, 1)
    about["cpu_seconds"] = round(time.process_time() - computed, 1)
    if order.out is not None:
        report.write(order.out)
    return report


def _run(order: SuiteOrder, coder: Coder, about: dict[str, Any], progress: Progress) -> Report:
    clips, chosen = load_benchmark(), order.chosen
    if order.suite == "codec":
        from letstalk.evaluation.codec_suite import examine_codec

        return examine_codec(coder, clips, chosen, about, progress)
    reader = FaceReader.load(device=coder.device)  # the instrument reads in full precision, whatever is examined
    if order.suite == "transfer":
        from letstalk.evaluation.transfer_suite import examine_transfer

        return examine_transfer(coder, reader, clips, chosen, about, progress)
    from letstalk.evaluation.portraits_suite import examine_portraits, read_portraits, sheet

    assert order.portraits is not None
    portraits = read_portraits(order.portraits, reader)
    about["portraits"] = [named.name for named in portraits]
    report, driven = examine_portraits(coder, reader, portraits, clips, chosen, about, progress)
    if order.out is not None:
        from letstalk.media.image import save_image

        order.out.mkdir(parents=True, exist_ok=True)
        save_image(order.out / SHEET_NAME, sheet(driven))
    return report


def _torch_version() -> str:
    import torch

    return str(torch.__version__)
