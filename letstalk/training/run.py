"""What every training run needs whatever it trains: a clock, a polite end, steps that are not finite left out."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from letstalk.errors import LetsTalkError, SettingsError
from letstalk.runtime import CancelToken

log = logging.getLogger(__name__)


class Trainer(Protocol):
    def run(self, cancel: CancelToken | None = None) -> object: ...


@dataclass
class RunClock:
    """How far a run is: by the clock or by steps, over all the processes that it was cut into."""

    minutes: float | None = None
    steps: int | None = None
    slice_minutes: float | None = None  # this process ends after so long, the run does not
    step: int = 0
    earlier_seconds: float = 0.0  # of processes before this one
    _begin: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise SettingsError("A run needs an end.", "Give either --minutes or --steps.")

    @property
    def seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self._begin

    @property
    def progress(self) -> float:
        """0..1 and a little more."""
        if self.steps is not None:
            return self.step / self.steps
        return self.seconds / (60 * (self.minutes or 1))

    @property
    def goes_on(self) -> bool:
        slice_is_over = self.slice_minutes is not None and time.monotonic() - self._begin > 60 * self.slice_minutes
        return self.progress < 1 and not slice_is_over


class SafeUpdate:
    """Clips gradients and leaves out a step that is not finite; many of those in a row mean that the run is lost."""

    def __init__(self, optimizer: torch.optim.Optimizer, largest_gradient: float, bad_steps_allowed: int = 20) -> None:
        self.optimizer, self.largest_gradient = optimizer, largest_gradient
        self.bad_steps_allowed, self._bad_steps = bad_steps_allowed, 0

    def __call__(self, total: Tensor, parameters: Iterable[nn.Parameter]) -> tuple[bool, Tensor]:
        """After backward. Returns whether the step was taken, and the norm of the gradient before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.largest_gradient)
        fine = bool(torch.isfinite(total)) and bool(torch.isfinite(norm))
        if fine:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._bad_steps = 0 if fine else self._bad_steps + 1
        if self._bad_steps > self.bad_steps_allowed:
            raise LetsTalkError("Training lost its footing.", "Go on from earlier weights at a lower rate.")
        return fine, norm


@contextmanager
def stopped_by_signals(cancel: CancelToken) -> Iterator[None]:
    """Ctrl-C and a polite kill end the run after the step in work, with weights and state on disk."""
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: cancel.stop()) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_command(make_trainer: Callable[[], Trainer]) -> int:
    """A run from the command line: exit code 0, or 2 after a user's mistake, which is told in one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    cancel = CancelToken()
    try:
        trainer = make_trainer()
        with stopped_by_signals(cancel):
            trainer.run(cancel)
    except LetsTalkError as error:
        log.error("%s", error)
        return 2
    return 0
