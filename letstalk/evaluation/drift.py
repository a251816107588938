"""Drift: what changes steadily over minutes of video, told apart from what only goes up and down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from letstalk.types import FPS

CONFIDENCE = 0.95
BLOCK_SECONDS = 10.0  # neighbouring frames say nearly the same thing; means over ten seconds hardly do
FEWEST_BLOCKS = 4


@dataclass(frozen=True)
class Drift:
    """Slope of a measure in its own unit per minute, with the ends of its 95 % interval."""

    per_minute: float
    low: float
    high: float
    level: float  # mean over the whole series, to hold the slope against
    num_blocks: int

    @property
    def is_clear(self) -> bool:
        """The interval leaves zero out: the series goes somewhere."""
        return self.low > 0 or self.high < 0


def drift_of(values: np.ndarray, rate_hz: float = FPS, block_seconds: float = BLOCK_SECONDS) -> Drift:
    """A measure of each frame (num_frames,) -> its drift; all nan when there are fewer than four blocks to judge by.

    A straight line through the means of blocks, with Student's interval. Frames themselves cannot be fitted: they are
    not independent, and the interval would come out several times too narrow. Frames that could not be measured (nan)
    are left out, and so are a block without any and the partial one at the end.
    """
    series = np.asarray(values, np.float64)
    block_frames = max(1, round(block_seconds * rate_hz))
    num_blocks = len(series) // block_frames
    blocks = np.ma.masked_invalid(series[: num_blocks * block_frames].reshape(num_blocks, block_frames))
    means = blocks.mean(1).filled(math.nan) if num_blocks else np.zeros(0)
    minutes = (np.arange(num_blocks) + 0.5) * block_frames / rate_hz / 60.0
    known = np.isfinite(means)
    if known.sum() < FEWEST_BLOCKS:
        return Drift(math.nan, math.nan, math.nan, math.nan, int(known.sum()))
    slope, reach = _slope(minutes[known], means[known])
    return Drift(slope, slope - reach, slope + reach, float(means[known].mean()), int(known.sum()))


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of the least-squares line, and half the width of its interval."""
    from scipy.stats import t as student

    centred = x - x.mean()
    spread = float(centred @ centred)
    slope = float(centred @ y) / spread
    residuals = y - y.mean() - slope * centred
    freedom = len(x) - 2
    error = math.sqrt(float(residuals @ residuals) / freedom / spread)
    return slope, float(student.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
