"""What a training run of the autoencoder may be told, and how it is read from a command line without any package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import SettingsError
from letstalk.runtime import cache_dir
from letstalk.training.arguments import read_settings
from letstalk.training.codec_stages import Stage


@dataclass(frozen=True)
class CodecTraining:
    """Ends after `minutes` or `steps`, whichever is given; progress through the stages is the share of it."""

    out: Path
    minutes: float | None = None
    steps: int | None = None
    slice_minutes: float | None = None  # this process stops after so long; --resume does the next slice of the run
    init: Path | None = None  # weights to begin with
    state: Path | None = None  # where the state to go on from is kept; inside `out` where left out
    resume: bool = False
    plan: str = "standard"  # a table of codec_stages
    stage: str | None = None  # only this one of it
    since: str | None = None  # this one of it and those after
    rows: int = 16  # pairs in a step; fewer_rows where pictures above 128 are painted
    fewer_rows: int = 8
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    compile: bool = False  # a quarter faster a step on a CPU, after some minutes of compiling; needs a C++ compiler
    workers: int = 1  # processes that render; 0 renders in the training process
    assets: Path | None = None
    procedural: bool = False  # people from code alone
    voices: tuple[str, ...] = ()  # none: random faces instead of speech, for machines without a speech engine
    first_clips: int = 16
    capacity: int = 128
    clips_per_step: float = 0.25
    frames_per_clip: int = 16
    weights_every_minutes: float = 3.0
    log_every: int = 50
    validate_every: int = 1000  # also a sheet
    validation_clips: int = 12
    portraits: Path | None = None  # folder of pictures to drive for a look; never trained on
    judge_learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise SettingsError("A run needs an end.", "Give either --minutes or --steps.")
        wrong = [name for name in ("rows", "fewer_rows") if getattr(self, name) < 2 or getattr(self, name) % 2]
        if wrong:
            raise SettingsError(f"{' and '.join(wrong)} must be even and at least 2.", "Rows are drawn two by two.")

    @property
    def state_folder(self) -> Path:
        return self.state or self.out / "state"

    def capacity_at(self, size: int) -> int:
        """Clips of large pictures take the place of four."""
        return max(self.first_clips, self.capacity // 4) if size > 256 else self.capacity

    def rows_in(self, stage: Stage) -> int:
        """Large pictures cost where they are painted; motion alone costs the same at every size."""
        return self.fewer_rows if stage.paints and stage.size > 128 else self.rows


def read_arguments(arguments: Sequence[str]) -> CodecTraining:
    """`--name value` (or `--flag` alone) for every field above."""
    return read_settings(CodecTraining, arguments, cache_dir() / "runs" / "codec")
