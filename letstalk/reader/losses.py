"""What the four networks are asked for, as named terms; each network has its own, so weights matter only inside one.

Distances of points are in eye distances whatever the patch. Points that are hidden count less, not nothing: a reader
that sees half a mouth must still say where the mouth is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional as F

from letstalk.reader.geometry import EYE, FACE, MOUTH
from letstalk.reader.network import EyeOutput, FaceOutput, MouthOutput, Points, ReaderNetwork

HIDDEN_WEIGHT = 0.3
OPEN_GAP = 0.02  # eye distances: below it a mouth counts as closed
LEAST_LOG_ERROR = -7.0

Batch = dict[str, torch.Tensor]
Terms = dict[str, torch.Tensor]

WEIGHTS: dict[str, float] = {
    "face.points": 10.0, "face.maps": 0.3, "face.rotation": 1.0, "face.is_face": 0.3,
    "mouth.points": 5.0, "mouth.maps": 0.15,
    "mouth.gap": 20.0, "mouth.gap_error": 0.05, "mouth.open": 0.5, "mouth.width": 3.0,
    "eye.points": 10.0, "eye.maps": 0.3, "eye.opening": 10.0, "eye.gaze": 1.0,
    "finder.score": 1.0, "finder.shift": 0.3, "finder.size": 1.0,
}  # fmt: skip


def point_distance(found: Points, truth: torch.Tensor, visible: torch.Tensor, unit: float) -> torch.Tensor:
    """Mean distance (n,) in eye distances of points (n, k, 2) in patch pixels."""
    distance = ((found.places - truth) * unit).square().sum(-1).add(1e-6).sqrt()
    weight = HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * visible
    return (distance * weight).sum(-1) / weight.sum(-1)


def map_surprise(found: Points, truth: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Cross-entropy (n,) of the heat maps with the four cells round each true place.

    Centres of mass alone learn slowly: at the start every cell pulls on them equally. Points outside of the patch do
    not count.
    """
    count, points, height, width = found.logits.shape
    logs = found.logits.flatten(2).log_softmax(-1)
    cells = (truth + 0.5) / found.stride - 0.5
    last = torch.tensor([width - 1, height - 1], device=truth.device)
    inside = ((cells > -1) & (cells < last + 1)).all(-1).float()
    low = cells.clamp(min=0).minimum(last - 1e-3).floor()
    share = (cells - low).clamp(0, 1)
    surprise = torch.zeros(count, points, device=truth.device)
    for dx in (0, 1):
        for dy in (0, 1):
            weight = (share[..., 0] if dx else 1 - share[..., 0]) * (share[..., 1] if dy else 1 - share[..., 1])
            index = ((low[..., 1] + dy) * width + low[..., 0] + dx).long()
            surprise = surprise - weight * logs.gather(-1, index[..., None])[..., 0]
    counted = inside * (HIDDEN_WEIGHT + (1 - HIDDEN_WEIGHT) * visible)
    return (surprise * counted).sum(-1) / counted.sum(-1).clamp(min=1)


def face_terms(network: ReaderNetwork, batch: Batch) -> Terms:
    out: FaceOutput = network.face(batch["face"])
    is_face = batch["is_face"]
    share = is_face / is_face.sum().clamp(min=1)
    distance = point_distance(out.points, batch["face_points"], batch["face_visible"], FACE.unit)
    surprise = map_surprise(out.points, batch["face_points"], batch["face_visible"])
    turned = (out.rotation - batch["face_rotation"]).abs().mean((1, 2))
    return {
        "face.points": (distance * share).sum(),
        "face.maps": (surprise * share).sum(),
        "face.rotation": (turned * share).sum(),
        "face.is_face": F.binary_cross_entropy_with_logits(out.logit, is_face),
    }


def mouth_terms(network: ReaderNetwork, batch: Batch) -> Terms:
    out: MouthOutput = network.mouth(batch["mouth"])
    error = (out.gap - batch["gap"]).abs()
    log_error = out.log_gap_error.clamp(min=LEAST_LOG_ERROR)
    return {
        "mouth.points": point_distance(out.points, batch["mouth_points"], batch["mouth_visible"], MOUTH.unit).mean(),
        "mouth.maps": map_surprise(out.points, batch["mouth_points"], batch["mouth_visible"]).mean(),
        # Weighted by the true gap it would read low: the cheapest guess then leans to where errors cost more.
        "mouth.gap": error.mean(),
        # Laplace likelihood for the width alone: it must not make hard mouths count less for the gap itself.
        "mouth.gap_error": (error.detach() / log_error.exp() + log_error).mean(),
        "mouth.open": F.binary_cross_entropy_with_logits(out.open_logit, (batch["gap"] >= OPEN_GAP).float()),
        "mouth.width": (out.width - batch["width"]).abs().mean(),
    }


def eye_terms(network: ReaderNetwork, batch: Batch) -> Terms:
    out: EyeOutput = network.eye(batch["eyes"].flatten(0, 1))
    opening = batch["lid_opening"].flatten()
    truth, visible = batch["eye_points"].flatten(0, 1), batch["eye_visible"].flatten(0, 1)
    distance = point_distance(out.points, truth, visible, EYE.unit)
    seen = (opening > 0.1).float()  # behind closed lids nobody can tell
    gaze = (out.gaze - batch["gaze"].flatten(0, 1)).abs().mean(-1)
    return {
        "eye.points": distance.mean(),
        "eye.maps": map_surprise(out.points, truth, visible).mean(),
        "eye.opening": (out.opening - opening).abs().mean(),
        "eye.gaze": (gaze * seen).sum() / seen.sum().clamp(min=1),
    }


def finder_terms(network: ReaderNetwork, batch: Batch) -> Terms:
    out, truth, counts = network.finder(batch["canvas"]), batch["finder_truth"], batch["finder_counts"]
    wanted = truth[:, 0]
    logit = out[:, 0]
    crossed = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    # Focal: thousands of easy background cells must not drown the few that matter.
    surprise = (logit.sigmoid() - wanted).abs().square()
    number = wanted.sum().clamp(min=1)
    return {
        "finder.score": (crossed * surprise * counts).sum() / number,
        "finder.shift": ((out[:, 1:3] - truth[:, 1:3]).abs().sum(1) * wanted).sum() / number,
        "finder.size": ((out[:, 3] - truth[:, 3]).abs() * wanted).sum() / number,
    }


PARTS: dict[str, Callable[[ReaderNetwork, Batch], Terms]] = {
    "finder": finder_terms, "face": face_terms, "mouth": mouth_terms, "eye": eye_terms,
}  # fmt: skip


def all_terms(network: ReaderNetwork, batch: Batch, parts: Sequence[str] = tuple(PARTS)) -> Terms:
    """Terms of the networks in `parts`; the four share nothing, so any of them can be trained alone."""
    return {name: value for part in parts for name, value in PARTS[part](network, batch).items()}


def total(terms: Terms) -> torch.Tensor:
    return torch.stack([WEIGHTS[name] * value for name, value in terms.items()]).sum()
