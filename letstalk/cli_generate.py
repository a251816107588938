"""`letstalk generate`: from pictures and a recording to a video file, with progress, a clean stop and resuming."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from letstalk.engine.film import FilmResult
    from letstalk.engine.session import Session
    from letstalk.runtime import CancelToken
    from letstalk.settings import Preset
    from letstalk.types import Audio

EXIT_STOPPED = 130
_SETTING = "the preset's by default"


@dataclass(frozen=True)
class Machine:
    """What a job runs on."""

    device: str
    dtype: str
    threads: int | None
    overlap: bool | None


def generate(
    portrait: Annotated[list[Path], typer.Option("--portrait", help="A picture; up to three of the same person.")],
    audio: Annotated[Path, typer.Option("--audio", help="Speech: any sound or video file.")],
    out: Annotated[Path, typer.Option("--out", help="The video, .mp4.")],
    more: Annotated[
        list[Path] | None, typer.Argument(help="More pictures of the same person.", metavar="[P2 P3]")
    ] = None,
    preset: Annotated[str, typer.Option(help="A shipped preset or a .yaml file.")] = "mini",
    weights: Annotated[Path | None, typer.Option(help="Folder of a model instead of the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help=f"Same seed, same video; {_SETTING}.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps; more is slower.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="euler, heun, dpm or unipc.")] = None,
    guidance_portrait: Annotated[float | None, typer.Option(help="Weight of the portrait; 1 costs nothing.")] = None,
    guidance_audio: Annotated[float | None, typer.Option(help="Weight of the sound; higher opens wider.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Frames made at a time.")] = None,
    first_chunk: Annotated[int | None, typer.Option(help="Frames of the first chunk.")] = None,
    memory: Annotated[int | None, typer.Option(help="Earlier frames that a chunk sees.")] = None,
    motion: Annotated[float | None, typer.Option(help="Strength of motion, 1 is as learned.")] = None,
    idle: Annotated[str | None, typer.Option(help="The face in silence: alive or still.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the generated square: 256 or 512.")] = None,
    full_frame: Annotated[bool | None, typer.Option("--full-frame", help="Paste back into the whole picture.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a video that was stopped or killed.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; the free cores by default.")] = None,
    overlap: Annotated[
        bool | None, typer.Option(help="Transformer and decoder at the same time; where threads allow, by default.")
    ] = None,
) -> None:
    """Make a portrait speak a recording. Ctrl-C ends it with what is done; --resume goes on."""
    from letstalk.settings import load_preset

    chosen = load_preset(preset)
    settings = chosen.generation.changed(
        seed=seed, steps=steps, scheduler=scheduler, guidance_portrait=guidance_portrait,
        guidance_audio=guidance_audio, chunk_frames=chunk, first_chunk_frames=first_chunk, memory_frames=memory,
        motion_strength=motion, idle=idle, size=size, full_frame=full_frame,
    )  # fmt: skip
    chosen = chosen.changed(generation=settings, weights=None if weights is None else str(weights))
    order = Order([*portrait, *(more or [])], audio, out, resume)
    machine = Machine(device, dtype, threads, overlap)
    result = run(order, chosen, machine)
    for note in result.notes:
        show(f"note: {note}")
    print(summary(result))
    if not result.complete:
        print(f"Stopped: {result.video.path} holds what was done. The same command with --resume goes on.")
        raise typer.Exit(EXIT_STOPPED)


@dataclass(frozen=True)
class Order:
    portraits: list[Path]
    audio: Path
    out: Path
    resume: bool = False


def run(order: Order, preset: Preset, machine: Machine) -> FilmResult:
    """What can be refused is refused before anything heavy loads."""
    from letstalk.engine.find import find_model
    from letstalk.media.audio import load_audio
    from letstalk.media.files import check_target
    from letstalk.media.image import WHOLE_PICTURE_LIMITS, load_image
    from letstalk.media.video import SUFFIXES
    from letstalk.runtime import RuntimePlan

    begin = time.perf_counter()
    folder = find_model(preset.weights)
    check_target(order.out, [*order.portraits, order.audio], SUFFIXES)
    limits = WHOLE_PICTURE_LIMITS if preset.generation.full_frame else None
    pictures = [load_image(path, limits) for path in order.portraits]
    speech = load_audio(order.audio)

    from letstalk.pipeline import LetsTalkPipeline

    plan, overlap = RuntimePlan.choose(machine.device, machine.dtype, machine.threads).side_by_side(machine.overlap)
    device, dtype = plan.apply()
    pipeline = LetsTalkPipeline.from_pretrained(folder, dtype=dtype).place(device, dtype)
    session = pipeline.session(pictures, preset.generation)
    show(f"Ready after {time.perf_counter() - begin:.1f} s on {plan.device} in {plan.dtype}.")
    return shoot(session, speech, order, overlap)


def shoot(session: Session, speech: Audio, order: Order, overlap: bool) -> FilmResult:
    """Makes the video under a progress bar. The first Ctrl-C ends it well, a second one at once."""
    from letstalk.engine.chunks import Hooks
    from letstalk.engine.film import FilmOptions, film
    from letstalk.engine.journal import Journal
    from letstalk.media.video import VideoWriter
    from letstalk.runtime import CancelToken

    token = CancelToken()
    with (
        VideoWriter(order.out, session.frame_shape, audio_source=speech.source) as writer,
        stopping(token),
        progress_bar(speech.num_frames) as advance,
    ):
        return film(
            session,
            speech,
            writer,
            hooks=Hooks(lambda step: advance(step.frames_done), token),
            journal=Journal.of(order.out),
            options=FilmOptions(order.resume, overlap),
        )


@contextmanager
def stopping(token: CancelToken) -> Iterator[None]:
    """Ctrl-C, or a polite kill, stops the job and keeps what is done; the second one gives up."""

    def stop(number: int, frame: object) -> None:
        if token.stopped:
            raise KeyboardInterrupt
        show("Stopping; what is done will be kept.")
        token.stop()

    before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def progress_bar(num_frames: int) -> Iterator[Callable[[float], None]]:
    """Frames made, time gone, time to go. Where nobody watches, one line at the end."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        *(BarColumn(), TaskProgressColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} frames")),
        *(TimeElapsedColumn(), TextColumn("to go"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=console.is_terminal) as bar:
        task = bar.add_task("", total=num_frames)
        yield lambda frames_done: bar.update(task, completed=frames_done)


def summary(result: FilmResult) -> str:
    """One line: what was made, how fast, and how soon it began."""
    from letstalk.types import seconds_for_frames

    made, resumed = seconds_for_frames(result.num_made_frames), seconds_for_frames(result.num_resumed_frames)
    said = f"{result.video.path}: {result.video.duration_seconds:.1f} s of video"
    if resumed:
        said += f", {resumed:.1f} s of it from before"
    if not made:
        return said
    return (
        f"{said}; {made:.1f} s made in {result.seconds:.1f} s (real-time factor {result.real_time_factor:.2f}), "
        f"the first picture after {result.first_frame_seconds:.2f} s"
    )


def show(line: str) -> None:
    """For whoever watches; the result alone goes to stdout."""
    print(line, file=sys.stderr, flush=True)
