"""Where faces are in a whole picture: the finder network on a small pyramid, then distinct places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from letstalk.reader import geometry
from letstalk.reader.network import FinderNet, to_network

LEVELS = (96, 192, 384)  # longest side in pixels; faces from a twentieth of the picture up to more than all of it
MULTIPLE = 32
MOST_PLACES = 16
ROUGH_SCORE = 0.2


@dataclass(frozen=True)
class FoundFace:
    box: np.ndarray  # (4,) float32 pixels: left, top, right, bottom, forehead to chin
    landmarks: np.ndarray  # (num_landmarks, 2) pixels
    confidence: float  # 0..1


def rough_places(finder: FinderNet, picture: np.ndarray, device: torch.device) -> np.ndarray:
    """Upright placements (n, 2, 3), at most `MOST_PLACES`, the best first; n may be 0."""
    places, scores = zip(*(_level(finder, picture, side, device) for side in LEVELS), strict=True)
    all_places, all_scores = np.concatenate(places), np.concatenate(scores)
    return all_places[distinct(all_places, all_scores)[:MOST_PLACES]]


@torch.inference_mode()
def _level(
    finder: FinderNet, picture: np.ndarray, longest_side: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    small, factor = _resized(picture, longest_side)
    out = finder(to_network(torch.from_numpy(small).to(device))[None])[0].cpu()
    score = out[0].sigmoid()
    highest = torch.nn.functional.max_pool2d(score[None], 3, 1, 1)[0]
    rows, columns = torch.nonzero((score == highest) & (score > ROUGH_SCORE), as_tuple=True)
    cells = torch.stack([columns, rows], -1) + 0.5 + out[1:3, rows, columns].T
    # Pixel centres lie at halves: x + .5 = (x' + .5) / factor.
    centres = (cells.double().numpy() * finder.STRIDE) / factor - 0.5
    units = finder.TYPICAL_SIZE * out[3, rows, columns].double().exp().numpy() / float(factor.mean())
    return geometry.upright(centres, units), score[rows, columns].numpy()


def _resized(picture: np.ndarray, longest_side: int) -> tuple[np.ndarray, np.ndarray]:
    """The picture with its longest side so long, its edges running on to a multiple of 32, and the factor (x, y)."""
    import cv2

    height, width = picture.shape[:2]
    share = longest_side / max(height, width)
    size = np.maximum(np.round(np.array([width, height]) * share), 1).astype(int)
    shrinks = share < 1
    small = cv2.resize(
        picture, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    right, bottom = (-size % MULTIPLE).tolist()
    padded = cv2.copyMakeBorder(small, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    return padded, size / np.array([width, height])


def distinct(places: np.ndarray, scores: np.ndarray) -> list[int]:
    """Indices of places with a score above 0, the best first, without those that mean the same face as a better one."""
    kept: list[int] = []
    units = geometry.scale_of(places)
    for index in np.argsort(-scores, kind="stable"):
        reach = 1.2 * np.maximum(units[kept], units[index])
        distance = np.hypot(*(places[kept][:, :, 2] - places[index][:, 2]).T)
        if scores[index] > 0 and (distance > reach).all():
            kept.append(int(index))
    return kept
