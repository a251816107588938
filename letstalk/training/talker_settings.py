"""What a training run of the talker may be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import SettingsError
from letstalk.models.sizes import TRANSFORMERS
from letstalk.runtime import cache_dir
from letstalk.training.arguments import read_settings


@dataclass(frozen=True)
class TalkerTraining:
    """Ends after `minutes` or `steps`, whichever is given."""

    out: Path
    latents: Path  # films to learn from, as `letstalk train latents` wrote them
    codec: Path | None = None  # the autoencoder that made them; without it the shipped one
    validation: Path | None = None  # latents of people who are never trained on; without them nothing is measured
    minutes: float | None = None
    steps: int | None = None
    slice_minutes: float | None = None  # this process stops after so long; --resume does the next slice of the run
    init: Path | None = None  # folder with transformer/ and audio_encoder/ to begin with
    audio_init: Path | None = None  # a pre-trained audio encoder
    freeze_audio: bool = False  # the audio encoder stays as it is, and is not saved: several models share it
    resume: bool = False
    size: str = "mini"  # a name of models/sizes.py
    portrait_fusion: str = "symbiotic"
    audio_fusion: str = "direct"
    rows: int = 16  # windows in a step
    memory_frames: int = 8
    chunk_frames: int = 16
    films: int | None = None  # only the first so many
    learning_rate: float = 6e-4
    audio_learning_rate: float = 2e-4
    warmup_steps: int = 150
    last_rate: float = 0.05  # share of the learning rate that is left at the end
    rollouts_from: float = 0.6  # progress after which the model sometimes goes on from its own frames
    rollout_share: float = 0.2  # of the steps
    average_decay: float = 0.9985
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    weights_every_minutes: float = 3.0
    log_every: int = 50
    validate_every_minutes: float = 12.0
    validation_films: int = 12

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise SettingsError("A run needs an end.", "Give either --minutes or --steps.")
        if self.size not in TRANSFORMERS:
            raise SettingsError(f"There is no size {self.size!r}.", f"Use one of: {', '.join(TRANSFORMERS)}.")
        if self.freeze_audio and not (self.audio_init or self.init):
            raise SettingsError("An untrained audio encoder cannot stay as it is.", "Give --audio-init.")
        wrong = [name for name in ("rows", "memory_frames", "chunk_frames", "log_every") if getattr(self, name) < 1]
        if wrong:
            raise SettingsError(f"{' and '.join(wrong)} must be at least 1.", "Give a larger number.")


def read_arguments(arguments: Sequence[str]) -> TalkerTraining:
    """`--name value` (or `--flag` alone) for every field above."""
    return read_settings(TalkerTraining, arguments, cache_dir() / "runs" / "talker")
