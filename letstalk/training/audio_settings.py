"""What a training run of the audio encoder may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import SettingsError
from letstalk.runtime import cache_dir
from letstalk.training.arguments import read_settings


@dataclass(frozen=True)
class AudioTraining:
    """Ends after `minutes` or `steps`, whichever is given."""

    out: Path
    talks: tuple[str, ...]  # folders of talks to learn from, as `letstalk train talks` made them
    validation: Path | None = None  # talks of voices that are never trained on; without them nothing is measured
    recordings: Path | None = None  # folder of real speech to listen to; never trained on
    minutes: float | None = None
    steps: int | None = None
    slice_minutes: float | None = None  # this process stops after so long; --resume does the next slice of the run
    init: Path | None = None  # an audio encoder to begin with
    resume: bool = False
    rows: int = 8  # windows in a step
    window_frames: int = 100
    learning_rate: float = 1.5e-3
    warmup_steps: int = 100
    last_rate: float = 0.03  # share of the learning rate that is left at the end
    average_decay: float = 0.998
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    weights_every_minutes: float = 3.0
    log_every: int = 50
    validate_every: int = 500

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise SettingsError("A run needs an end.", "Give either --minutes or --steps.")
        wrong = [name for name in ("rows", "window_frames", "log_every", "validate_every") if getattr(self, name) < 1]
        if wrong:
            raise SettingsError(f"{' and '.join(wrong)} must be at least 1.", "Give a larger number.")
        if not self.talks:
            raise SettingsError("There is nothing to learn from.", "Give --talks, a folder of letstalk train talks.")


def read_arguments(arguments: Sequence[str]) -> AudioTraining:
    """`--name value` (or `--flag` alone) for every field above; folders of talks are separated by commas."""
    return read_settings(AudioTraining, arguments, cache_dir() / "runs" / "audio")
