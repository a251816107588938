from __future__ import annotations

import math

import numpy as np
import pytest

from letstalk.evaluation.drift import drift_of
from letstalk.runtime import numpy_generator

FRAMES_PER_MINUTE = 25 * 60


def slow_noise(num_frames: int, seed: int, memory_frames: float = 25.0) -> np.ndarray:
    """Of unit variance, and frames remember each other for about a second, as those of a moving face do."""
    from scipy.signal import lfilter

    keep = math.exp(-1 / memory_frames)
    drawn = numpy_generator(seed, "slow noise").standard_normal(num_frames + 500)
    return lfilter([math.sqrt(1 - keep**2)], [1.0, -keep], drawn)[500:]


def test_a_line_is_found_exactly() -> None:
    minutes = np.arange(10 * FRAMES_PER_MINUTE) / FRAMES_PER_MINUTE
    found = drift_of(3.0 - 0.25 * minutes)
    assert found.per_minute == pytest.approx(-0.25) and found.low == pytest.approx(found.high)
    assert found.level == pytest.approx(3.0 - 0.25 * 5, abs=1e-3) and found.num_blocks == 60 and found.is_clear


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """19 of 20 times; fitted to single frames it would be right in about one of five."""
    minutes = np.arange(5 * FRAMES_PER_MINUTE) / FRAMES_PER_MINUTE
    runs = [drift_of(0.1 * minutes + slow_noise(len(minutes), seed)) for seed in range(200)]
    share = np.mean([run.low <= 0.1 <= run.high for run in runs])
    assert 0.88 <= share <= 0.99
    by_frames = [drift_of(slow_noise(len(minutes), seed), block_seconds=0.04) for seed in range(60)]
    assert np.mean([not run.is_clear for run in by_frames]) < 0.5


def test_a_long_video_tells_a_small_drift_that_a_short_one_cannot() -> None:
    def found_in(minutes: int) -> float:
        drift = 0.02 * np.arange(minutes * FRAMES_PER_MINUTE) / FRAMES_PER_MINUTE
        return float(np.mean([drift_of(drift + slow_noise(len(drift), seed)).is_clear for seed in range(10)]))

    assert found_in(60) == 1.0 and found_in(3) < 0.5


def test_a_quick_swing_is_no_drift() -> None:
    """Blinks and nods are gone in the means of blocks."""
    swing = np.sin(np.arange(10 * FRAMES_PER_MINUTE) / 11.0)
    assert abs(drift_of(swing).per_minute) < 0.002


def test_frames_without_a_measure_are_left_out() -> None:
    minutes = np.arange(3 * FRAMES_PER_MINUTE + 100) / FRAMES_PER_MINUTE
    values = 2.0 * minutes
    values[::7] = math.nan
    values[250:500] = math.nan  # a whole block
    found = drift_of(values)
    assert found.num_blocks == 17 and found.per_minute == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("num_frames", [0, 1, 999])
def test_too_short_a_video_tells_nothing(num_frames: int) -> None:
    found = drift_of(np.ones(num_frames))
    assert math.isnan(found.per_minute) and not found.is_clear
