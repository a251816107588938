"""The numbers that are read from a latent beside landmarks: head pose, mouth, lids and gaze, and what a mirror or a
turn does to them.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Radians for pose and gaze; gap and width of the mouth in distances of the eyes; lids in widths of the eye.
READING_NAMES: tuple[str, ...] = (
    "pitch", "yaw", "roll", "mouth_gap", "mouth_width", "lid_left", "lid_right", "gaze_yaw", "gaze_pitch",
)  # fmt: skip
# About the spread of each over the training people: an error of one spread costs the same for all.
READING_SPREAD: tuple[float, ...] = (0.12, 0.15, 0.08, 0.10, 0.12, 0.10, 0.10, 0.15, 0.10)

_INDEX = {name: place for place, name in enumerate(READING_NAMES)}
_MIRROR_SIGN = tuple(-1.0 if name in ("yaw", "roll", "gaze_yaw") else 1.0 for name in READING_NAMES)
_MIRROR_PLACE = tuple(
    _INDEX[{"lid_left": "lid_right", "lid_right": "lid_left"}.get(name, name)] for name in READING_NAMES
)


def reading_errors(found: Tensor, truth: Tensor) -> Tensor:
    """(..., num_readings) absolute errors in spreads."""
    return (found - truth).abs() / found.new_tensor(READING_SPREAD)


def mirrored_readings(readings: Tensor) -> Tensor:
    """Readings (..., num_readings) of the mirrored picture: left and right change names, sideways angles their sign."""
    return readings[..., list(_MIRROR_PLACE)] * readings.new_tensor(_MIRROR_SIGN)


def turned_readings(readings: Tensor, clockwise_radians: Tensor) -> Tensor:
    """Readings (N, num_readings) after the picture was turned by (N,). Exact: a turn mixes pitch and yaw of a turned
    head.
    """
    pitch, yaw, roll = (readings[:, _INDEX[name]] for name in ("pitch", "yaw", "roll"))
    turn = -clockwise_radians  # seen from the front, y up, angles count counter-clockwise
    # Only these rows and columns of (turn about z) @ (about y) @ (about x) @ (about z) are needed.
    cp, sp, cy, sy, cr, sr = (f(a) for a in (pitch, yaw, roll) for f in (torch.cos, torch.sin))
    first = torch.stack([cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp], dim=1)
    second = torch.stack([cp * sr, cp * cr, -sp], dim=1)
    third_z = cy * cp
    cos, sin = turn.cos()[:, None], turn.sin()[:, None]
    first, second = cos * first - sin * second, sin * first + cos * second
    moved = readings.clone()
    moved[:, _INDEX["pitch"]] = -torch.asin(second[:, 2].clamp(-1, 1))
    moved[:, _INDEX["yaw"]] = torch.atan2(first[:, 2], third_z)
    moved[:, _INDEX["roll"]] = torch.atan2(second[:, 0], second[:, 1])
    return moved
