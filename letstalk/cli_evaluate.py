"""`letstalk evaluate` measures what we ship, `letstalk codec` shows the autoencoder on a video."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from letstalk.evaluation.suites import SuiteOrder

app = typer.Typer(help="Measure quality on the frozen benchmark, beside bounds and bars.", no_args_is_help=True)

EXIT_BAR_MISSED = 1

WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Folder of the autoencoder; else the shipped.")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder of the JSON file and the sheet.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Draws pairs and intervals.")]
StepOption = Annotated[int, typer.Option(min=1, help="Series are made at every so many frames.")]
DtypeOption = Annotated[str, typer.Option(help="float32, or bfloat16 as it runs where that is fast.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of this process; the free cores by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback()
def common() -> None:
    """Measure quality on the frozen benchmark, beside bounds and bars. Exit code 1 when a bar is missed."""


@app.command()
def codec(
    weights: WeightsOption = None,
    out: OutOption = None,
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of frames drawn from each clip.")] = 8,
    seed: SeedOption = 0,
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """The autoencoder: pictures, flow, sharpness and laws."""
    from letstalk.evaluation.clip_views import Examination
    from letstalk.evaluation.suites import SuiteOrder

    chosen = Examination(seed=seed, pairs_per_clip=pairs)
    _examine(SuiteOrder("codec", weights, None, out, chosen, dtype, threads), as_json)


@app.command()
def transfer(
    weights: WeightsOption = None,
    out: OutOption = None,
    frame_step: StepOption = 3,
    seed: SeedOption = 0,
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """One person's motion on another, against what that other truly did."""
    from letstalk.evaluation.clip_views import Examination
    from letstalk.evaluation.suites import SuiteOrder

    chosen = Examination(seed=seed, frame_step=frame_step)
    _examine(SuiteOrder("transfer", weights, None, out, chosen, dtype, threads), as_json)


@app.command()
def portraits(
    folder: Annotated[Path, typer.Option("--portraits", help="Pictures; the face of each is found and framed.")],
    weights: WeightsOption = None,
    out: OutOption = None,
    frame_step: StepOption = 3,
    seed: SeedOption = 0,
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pictures of your own, driven by the benchmark's people; --out also gives a sheet to look at."""
    from letstalk.evaluation.clip_views import Examination
    from letstalk.evaluation.suites import SuiteOrder

    chosen = Examination(seed=seed, frame_step=frame_step)
    _examine(SuiteOrder("portraits", weights, folder, out, chosen, dtype, threads), as_json)


def recode_video(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="A picture of a face.")],
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video, of the same person or, with --drive, any.")],
    out: Annotated[Path, typer.Option("--out", help="The video to write, .mp4.")],
    weights: WeightsOption = None,
    size: Annotated[int, typer.Option(help="Side of the pictures: 256 or 512.")] = 256,
    as_is: Annotated[bool, typer.Option("--as-is", help="Both are square and framed already.")] = False,
    drive: Annotated[bool, typer.Option("--drive", help="Move REF as the video moves since its first frame.")] = False,
    dtype: DtypeOption = "float32",
    threads: ThreadsOption = None,
) -> None:
    """Encode a video and decode it with a reference picture: what the autoencoder alone does to a face."""
    from letstalk.evaluation.coder import Coder
    from letstalk.evaluation.recode import Recoding, recode
    from letstalk.media.face import FaceFinder
    from letstalk.models.loading import load_autoencoder
    from letstalk.reader.detector import as_detector
    from letstalk.reader.predict import FaceReader
    from letstalk.runtime import RuntimePlan

    device, chosen_dtype = RuntimePlan.choose("auto", dtype, threads).apply()
    coder = Coder(load_autoencoder(weights, device, chosen_dtype))
    finder = FaceFinder(as_detector(FaceReader.load(device=device)))
    result = recode(coder, finder, Recoding(reference, video, out, size, as_is, drive))
    print(f"{result.path}: {result.num_frames} frames")
    if not drive:
        print(f"PSNR {result.psnr_db:.2f} dB against the video; the reference shown still: {result.static_copy_db:.2f}")
    for note in result.notes:
        print(f"note: {note}")


def _examine(order: SuiteOrder, as_json: bool) -> None:
    from letstalk.evaluation.report import table
    from letstalk.evaluation.suites import run_suite

    report = run_suite(order, _show_progress if sys.stderr.isatty() else lambda done, total: None)
    if as_json:
        print(json.dumps(report.to_dict(), indent=1, allow_nan=False))
    else:
        for line in table(report):
            print(line)
        print(
            f"{'All bars passed.' if report.passed else 'A bar was missed.'} {report.about['cpu_seconds']} CPU seconds."
        )
    if not report.passed:
        raise typer.Exit(EXIT_BAR_MISSED)


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} ", end="" if done < total else "\n", file=sys.stderr, flush=True)
