"""Where a face must be right: soft ellipses round mouth and eyes, from landmarks, at any resolution."""

from __future__ import annotations

import torch
from torch import Tensor

from letstalk.models.warp import identity_grid
from letstalk.synthetic.controls import LANDMARK_INDEX, LANDMARK_NAMES

MOUTH_POINTS = tuple(i for i, name in enumerate(LANDMARK_NAMES) if name.startswith(("lip_", "mouth_")))
EYE_POINTS = {
    side: tuple(i for i, name in enumerate(LANDMARK_NAMES) if name.startswith(f"eye_{side}_"))
    for side in ("left", "right")
}
EYE_CENTRES = (LANDMARK_INDEX["eye_left_centre"], LANDMARK_INDEX["eye_right_centre"])


def _reach(name: str) -> float:
    """How far a landmark speaks for its surroundings, half-widths: about half of the way to its neighbours."""
    if name.startswith(("lip_", "mouth_", "eye_")):
        return 0.05
    return 0.1 if name.startswith(("nose", "brow")) else 0.2


LANDMARK_REACHES = tuple(_reach(name) for name in LANDMARK_NAMES)
MOUTH_MARGIN = 1.5  # half-axes of the ellipse in half-extents of the points
EYE_MARGIN = 1.6
ROUNDEST = 0.5  # a closed mouth or eye still gets an ellipse this high for its width


def eye_distance(landmarks: Tensor) -> Tensor:
    """(..., K, 2) -> (...) half-widths."""
    left, right = (landmarks[..., index, :] for index in EYE_CENTRES)
    return (left - right).norm(dim=-1)


def ellipse(points: Tensor, side: int, margin: float) -> Tensor:
    """(N, P, 2) points -> (N, 1, side, side): 1 inside the upright ellipse round them, falling to 0 outside."""
    low, high = points.amin(1), points.amax(1)
    half = (high - low) * 0.5 * margin
    half = torch.maximum(half, ROUNDEST * half.amax(1, keepdim=True)).clamp_min(1e-3)
    grid = identity_grid(side, side, points.device)
    away = (grid - ((low + high) * 0.5)[:, :, None, None]) / half[:, :, None, None]
    return torch.sigmoid((1 - away.square().sum(1, keepdim=True)) * 6)


def mouth_area(landmarks: Tensor, side: int) -> Tensor:
    return ellipse(landmarks[:, MOUTH_POINTS], side, MOUTH_MARGIN)


def eyes_area(landmarks: Tensor, side: int) -> Tensor:
    both = [ellipse(landmarks[:, points], side, EYE_MARGIN) for points in EYE_POINTS.values()]
    return torch.maximum(*both)


def focus_weights(landmarks: Tensor, side: int, mouth: float, eyes: float) -> Tensor:
    """(N, K, 2) -> (N, 1, side, side) weights: 1 elsewhere, `mouth` and `eyes` there."""
    weight = 1 + (mouth - 1) * mouth_area(landmarks, side)
    return torch.maximum(weight, 1 + (eyes - 1) * eyes_area(landmarks, side))
