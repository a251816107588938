"""A closer look at mouth and eyes, by the networks of the face reader.

At the encoder's grid of 4 pixels a lid is half a cell. Where the face is, key points have told already; patches of the
full picture, cut upright and of one size there, show how lips and lids stand, and what is read from them joins the
latent by one linear layer: a change of the mouth is the same change of the latent on every face.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from letstalk.reader.differentiable import cut_patches, place_of
from letstalk.reader.geometry import EYE, MOUTH
from letstalk.reader.network import EyeNet, MouthNet, Points, ReaderConfig, ReaderNetwork

# Readings count about as much as places: roughly one over their spread on rendered people.
GAP_GAIN, WIDTH_GAIN, OPEN_GAIN, LID_GAIN, GAZE_GAIN = 8.0, 8.0, 0.25, 5.0, 4.0
PLACE_GAIN = 8.0


class Glimpses(nn.Module):
    """Pictures (N, 3, 256, 256) and key points (N, K, 2) normalised -> what is read (N, num_values) float32."""

    mean_face: Tensor  # (K, 2) face coordinates

    def __init__(self, landmark_names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = ReaderConfig(landmark_names=landmark_names)
        self.mouth, self.eye = MouthNet(self.names), EyeNet(self.names)
        self.register_buffer("mean_face", torch.zeros(len(landmark_names), 2))
        self.num_values = 2 * len(self.names.mouth) + 3 + 2 * (2 * len(self.names.eyes[0]) + 3)

    def take_over(self, reader: ReaderNetwork) -> None:
        """The reader's weights; it must know the same landmarks."""
        assert reader.config.landmark_names == self.names.landmark_names
        self.mouth.load_state_dict(reader.mouth.state_dict())
        self.eye.load_state_dict(reader.eye.state_dict())
        self.mean_face.copy_(reader.mean_face)

    def forward(self, pictures: Tensor, keypoints: Tensor) -> Tensor:
        with torch.no_grad():  # key points learn from landmarks; a patch must not pull them
            place = place_of(keypoints, self.mean_face, self.names.stable)
            in_face = place.to_face(keypoints.float().contiguous())
            full, dtype = pictures.float(), self.mouth.numbers.hidden.weight.dtype
            mouths = cut_patches(full, place, MOUTH, in_face[:, self.names.mouth].mean(1)).to(dtype)
            eyes = torch.cat(
                [
                    cut_patches(full, place, EYE, in_face[:, points].mean(1), mirrored=side == 1)
                    for side, points in enumerate(self.names.eyes)
                ]
            ).to(dtype)
        mouth, eye = self.mouth(mouths), self.eye(eyes)  # 96 x 64; both eyes of 48 x 32, right ones mirrored
        of_mouth = [
            _places(mouth.points, MOUTH.width, MOUTH.height),
            torch.stack([GAP_GAIN * mouth.gap, WIDTH_GAIN * mouth.width, OPEN_GAIN * mouth.open_logit], 1),
        ]
        of_eyes = torch.cat(
            [_places(eye.points, EYE.width, EYE.height), LID_GAIN * eye.opening[:, None], GAZE_GAIN * eye.gaze], 1
        )
        return torch.cat([*of_mouth, *of_eyes.chunk(2)], 1).float()


def _places(points: Points, width: int, height: int) -> Tensor:
    """(N, 2 k), from the middle of the patch."""
    middle = points.places.new_tensor([width - 1, height - 1]) / 2
    return (PLACE_GAIN / height * (points.places - middle)).flatten(1)
