"""Reads mouths and eyes from pictures that are still tensors: a gradient leads from the readings back to the pixels.

`predict.py` does the same for finished frames. Here nothing is searched: the caller knows about where the face is, and
one look at it says exactly where.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.errors import MissingAssetError
from letstalk.reader.geometry import EYE, FACE, MOUTH, PatchShape
from letstalk.reader.network import WEIGHTS_FILE, FaceOutput, ReaderNetwork

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights" / "reader"
# Sides to which larger pictures are averaged before patches are cut: of a framed portrait that is about one pixel of
# the patch for one of the picture, and plain sampling of more would alias.
FACE_SIDE, DETAIL_SIDE = 128, 256
# Spread of a detail patch's place that the networks have learnt to bear: x and y in eye distances, log scale, radians.
JITTER = (0.035, 0.035, 0.05, 0.05)


class Placement(NamedTuple):
    """Similarities from face coordinates to normalised places of the picture: place = turn * point + shift, complex."""

    turn: Tensor  # (n,) complex64
    shift: Tensor  # (n,) complex64

    def to_picture(self, points: Tensor) -> Tensor:
        """(n, k, 2) -> the same."""
        return torch.view_as_real(self.turn[:, None] * torch.view_as_complex(points) + self.shift[:, None])

    def to_face(self, places: Tensor) -> Tensor:
        return torch.view_as_real((torch.view_as_complex(places) - self.shift[:, None]) / self.turn[:, None])

    def jittered(self, jitter: Tensor) -> Placement:
        """`jitter` (n, 4) in spreads of JITTER."""
        x, y, log_scale, angle = (jitter.float() * jitter.new_tensor(JITTER)).unbind(1)
        return Placement(self.turn * torch.polar(log_scale.exp(), angle), self.shift + self.turn * torch.complex(x, y))


class TensorReadings(NamedTuple):
    """Of n pictures. Sides are the character's; the mouth is measured in distances of the eyes."""

    gap: Tensor  # (n,), below 0 for lips pressed together
    gap_error: Tensor  # (n,) expected absolute error of `gap`
    width: Tensor  # (n,)
    lids: Tensor  # (n, 2) left, right: opening / width of that eye
    landmarks: Tensor  # (n, K, 2) normalised, without a gradient
    confidence: Tensor  # (n,) 0..1 that a face is where it was looked for, without a gradient


class DifferentiableReader(nn.Module):
    """Frozen. Pictures (n, 3, S, S) in -1..1 and about where their landmarks are -> `TensorReadings`.

    A gradient reaches the pixels of the patches, not the place from which they are cut: a wrong reading shall be
    answered by another mouth, not by another crop.
    """

    def __init__(self, network: ReaderNetwork) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    @classmethod
    def load(cls, folder: Path = WEIGHTS_FOLDER) -> DifferentiableReader:
        if not (folder / WEIGHTS_FILE).is_file():
            raise MissingAssetError(
                f"There are no face reader weights in {folder}.", "Train them with `letstalk reader train`."
            )
        return cls(ReaderNetwork.load(folder))

    def forward(self, pictures: Tensor, landmarks: Tensor, jitter: Tensor | None = None) -> TensorReadings:
        """`landmarks` (n, K, 2) normalised; `jitter` (n, 4) in spreads moves the detail patches a little."""
        config = self.network.config
        pictures = pictures.float()
        with torch.no_grad():
            landmarks, confidence = self._look(pictures, landmarks.float())
            place = self._place(landmarks)
            in_face = place.to_face(landmarks)
            place = place if jitter is None else place.jittered(jitter)
        fine = _averaged(pictures, DETAIL_SIDE)
        mouth = self.network.read_mouths(cut_patches(fine, place, MOUTH, in_face[:, config.mouth].mean(1)))
        eyes = [
            cut_patches(fine, place, EYE, in_face[:, points].mean(1), mirrored=side == 1)
            for side, points in enumerate(config.eyes)
        ]
        opening = self.network.eye(torch.cat(eyes)).opening
        lids = torch.stack(opening.chunk(2), dim=1)
        return TensorReadings(mouth.gap, mouth.gap_error, mouth.width, lids, landmarks, confidence)

    def _look(self, pictures: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        place = self._place(landmarks)
        found: FaceOutput = self.network.face(cut_patches(_averaged(pictures, FACE_SIDE), place, FACE))
        centre = found.points.places.new_tensor([FACE.width - 1, FACE.height - 1]) / 2
        points = (found.points.places - centre) * FACE.unit
        return place.to_picture(points.contiguous()), found.logit.float().sigmoid()

    def _place(self, landmarks: Tensor) -> Placement:
        return place_of(landmarks, self.network.mean_face, self.network.config.stable)


def place_of(landmarks: Tensor, mean_face: Tensor, stable: list[int]) -> Placement:
    """Of (n, K, 2) normalised landmarks, by least squares over the points that are `stable` (`geometry.similarity`)."""
    source = torch.view_as_complex(mean_face[stable].float().contiguous())
    target = torch.view_as_complex(landmarks[:, stable].float().contiguous())
    source_mean, target_mean = source.mean(), target.mean(1)
    away = (source - source_mean).conj()
    turn = (away * (target - target_mean[:, None])).sum(1) / away.abs().square().sum()
    return Placement(turn, target_mean - turn * source_mean)


def _averaged(pictures: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(pictures, side) if pictures.shape[-1] > side else pictures


def cut_patches(
    pictures: Tensor, place: Placement, shape: PatchShape, centres: Tensor | None = None, mirrored: bool = False
) -> Tensor:
    """(n, 3, height, width) as `geometry.cut_patch` cuts them; `centres` (n, 2) in face coordinates."""
    xs = (torch.arange(shape.width, device=pictures.device) - (shape.width - 1) / 2) * shape.unit
    ys = (torch.arange(shape.height, device=pictures.device) - (shape.height - 1) / 2) * shape.unit
    xs = -xs if mirrored else xs
    points = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).flatten(0, 1)[None]  # (1, h w, 2)
    points = points if centres is None else points + centres[:, None]
    points = points.expand(len(pictures), -1, -1).contiguous()
    places = place.to_picture(points).unflatten(1, (shape.height, shape.width))
    cut = F.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.contiguous(memory_format=torch.channels_last)
