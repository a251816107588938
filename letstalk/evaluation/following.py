"""Does one series follow another: the mouth of a made face that of its driver, frame for frame.

Pearson's r says whether it moves at the same moments, whatever by how much; the ratio of standard deviations says by
how much. Either alone can be deceived: a mouth that hardly moves may have r = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Following:
    r: float  # -1..1; 0 where one of the two stands still
    spread: float  # standard deviation of the follower / of the driver; nan where the driver stands still


def following(found: np.ndarray, driver: np.ndarray) -> Following:
    """Of two series (n,) of one length, without any shift in time."""
    assert found.shape == driver.shape and found.ndim == 1 and len(found) > 1, (found.shape, driver.shape)
    one, other = (series.astype(np.float64) - series.mean(dtype=np.float64) for series in (found, driver))
    stands_still = other.std() < 1e-9
    if stands_still or one.std() < 1e-9:
        return Following(0.0, float("nan") if stands_still else 0.0)
    return Following(float((one * other).mean() / (one.std() * other.std())), float(one.std() / other.std()))
