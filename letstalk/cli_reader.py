"""`letstalk reader`: train, measure and use the face reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

    from letstalk.reader.evaluate import Scores
    from letstalk.reader.network import ReaderConfig
    from letstalk.reader.predict import FaceReader, FaceReadings

app = typer.Typer(
    help="The network that reads landmarks, mouth, eyes and head pose from a picture.", no_args_is_help=True
)

PoolOption = Annotated[Path, typer.Option("--pool", help="Folder of rendered frames (`letstalk reader render`).")]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="Folder of weights; the shipped ones by default.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of this process; the free cores by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", help="Folder; rendering goes on where it stopped.")],
    people: Annotated[int, typer.Option(min=1, help="How many people; tens, rounded up.")] = 1500,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    portraits: Annotated[bool, typer.Option(help="Framed as portraits, speaking, and nothing wilder.")] = False,
    assets: Annotated[Path | None, typer.Option(help="Asset pack; the one in the cache by default.")] = None,
    procedural: Annotated[bool, typer.Option(help="People from code alone, without the asset pack.")] = False,
    processes: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Render people with their truth, to train on or to measure on."""
    from letstalk.reader.rendering import PoolSettings, RenderJob, render_pool

    settings = PoolSettings(split=split, procedural=procedural)
    if portraits:
        settings = replace(settings, close_share=0.0, drawn_share=0.15, free_share=0.0)
    shards = -(-people // settings.people_per_shard)
    render_pool(RenderJob(out, settings, assets), shards, processes, lambda line: print(line, flush=True))


@app.command()
def train(
    pool: PoolOption,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; training goes on where it stopped.")],
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Training time in all; the rate falls to zero at its end.")
    ] = 35,
    init: Annotated[Path | None, typer.Option(help="Folder of weights to begin with instead of random ones.")] = None,
    parts: Annotated[
        str, typer.Option(help="Networks to train; the others stay as they are.")
    ] = "finder,face,mouth,eye",
    plain_share: Annotated[float, typer.Option(min=0, max=1, help="Frames that keep the renderer's look.")] = 1 / 6,
    learning_rate: Annotated[float, typer.Option(min=0, help="At the start; it falls to zero.")] = 1.5e-3,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or another device.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: ThreadsOption = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make batches; 0: this one.")] = 0,
) -> None:
    """Train the reader; weights are written every three minutes to OUT/weights."""
    from letstalk.reader.batches import BatchSettings
    from letstalk.reader.network import ReaderNetwork
    from letstalk.reader.pool import Pool
    from letstalk.reader.train import Trainer, TrainSettings, new_network
    from letstalk.reader.train import train as run
    from letstalk.runtime import RuntimePlan
    from letstalk.synthetic.controls import LANDMARK_NAMES

    chosen_device, chosen_dtype = RuntimePlan.choose(device, dtype, threads).apply()
    frames = Pool(pool)
    batches = BatchSettings(seed=seed, plain_share=plain_share, parts=_parts(parts))
    settings = TrainSettings(minutes=minutes, learning_rate=learning_rate, batches=batches)
    network = new_network(frames, LANDMARK_NAMES, seed) if init is None else ReaderNetwork.load(init)
    trainer = Trainer(out, network, settings, chosen_device)
    resumed = trainer.resume()
    print(f"{len(frames)} frames, {'resumed at' if resumed else 'from'} step {trainer.progress.step}", flush=True)
    run(trainer, frames, chosen_dtype, workers, lambda line: print(line, flush=True))


@app.command()
def evaluate(
    pool: PoolOption,
    weights: WeightsOption = None,
    frames: Annotated[int, typer.Option(min=8, help="At most so many, taken evenly.")] = 1000,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the reader on people of a pool, by condition, beside a reader that sees nothing."""
    from letstalk.reader.evaluate import evaluate as measure
    from letstalk.reader.pool import Pool

    _print_scores(measure(_reader(weights, threads), Pool(pool), frames), as_json)


@app.command()
def exam(weights: WeightsOption = None, threads: ThreadsOption = None, as_json: JsonOption = False) -> None:
    """Measure the reader on the frozen benchmark, clip by clip, beside a reader that sees nothing."""
    from letstalk.reader.exam import examine
    from letstalk.synthetic.data.benchmark import load_benchmark

    _print_scores(examine(_reader(weights, threads), load_benchmark()), as_json)


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="A picture or a video.")],
    weights: WeightsOption = None,
    overlay: Annotated[Path | None, typer.Option(help="Write the picture with its points to this PNG.")] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the reader sees in a picture, or in each frame of a video."""
    reader = _reader(weights, threads)
    frames, still = _frames(file)
    readings = reader.read(frames, track=not still)
    if overlay is not None:
        _write_overlay(overlay, frames[0], readings, reader.config)
    rows = [_row(readings, index) for index in range(len(readings))]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for index, row in enumerate(rows):
        print(f"{index:>5}  " + "  ".join(f"{key} {value}" for key, value in row.items() if key != "landmarks"))


def _print_scores(results: dict[str, Scores], as_json: bool) -> None:
    from letstalk.reader.evaluate import table

    if as_json:
        print(json.dumps({name: scores.to_dict() for name, scores in results.items()}, indent=1))
        return
    for line in table(results):
        print(line)


def _parts(words: str) -> tuple[str, ...]:
    from letstalk.errors import SettingsError
    from letstalk.reader.losses import PARTS

    chosen = tuple(word.strip() for word in words.split(","))
    unknown = [word for word in chosen if word not in PARTS]
    if unknown:
        raise SettingsError(f"There is no network {unknown[0]!r}.", f"Choose of: {', '.join(PARTS)}.")
    return chosen


def _reader(weights: Path | None, threads: int | None) -> FaceReader:
    """On the best device, in float32, with the threads that nobody else is using."""
    from letstalk.reader.predict import FaceReader
    from letstalk.runtime import RuntimePlan

    device, dtype = RuntimePlan.choose("auto", "float32", threads).apply()
    return FaceReader.load(weights, device, dtype)


def _frames(file: Path) -> tuple[np.ndarray, bool]:
    """Frames (n, h, w, 3) uint8 of a video or a picture, and whether it is a picture."""
    from letstalk.errors import InputError
    from letstalk.media.image import load_image
    from letstalk.media.video_reader import read_video

    try:
        return load_image(file).pixels[None], True
    except InputError as not_a_picture:
        try:
            return read_video(file, fps=None)[0], False
        except InputError:
            raise not_a_picture from None


def _row(readings: FaceReadings, index: int) -> dict[str, object]:
    """One frame in plain numbers: lengths in eye distances, angles in degrees."""
    import numpy as np

    return {
        "confidence": round(float(readings.confidence[index]), 3),
        "gap": round(float(readings.mouth_gap[index]), 4),
        "gap_error": round(float(readings.mouth_gap_error[index]), 4),
        "open": round(float(readings.mouth_open_probability[index]), 3),
        "width": round(float(readings.mouth_width[index]), 3),
        "lids": np.round(readings.lid_opening[index].astype(float), 3).tolist(),
        "pitch_yaw_roll": np.round(np.rad2deg(readings.head_rotation[index].astype(float)), 1).tolist(),
        "landmarks": np.round(readings.landmarks[index].astype(float), 1).tolist(),
    }


def _write_overlay(target: Path, frame: np.ndarray, readings: FaceReadings, config: ReaderConfig) -> None:
    from letstalk.media.image import save_image
    from letstalk.reader.overlay import draw_readings

    save_image(target, draw_readings(frame, readings, 0, config))
