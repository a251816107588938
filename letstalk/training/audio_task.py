"""What a step of the audio encoder computes: tokens -> mouth, viseme and speech of each frame, and named losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models import mel
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.blocks import initialise
from letstalk.synthetic.visemes import VISEME_NAMES
from letstalk.training.appearance import Draw
from letstalk.training.audio_batches import AudioBatch
from letstalk.training.talks import MOTION_NAMES

LOSS_WEIGHTS = {"motion": 1.0, "velocity": 0.5, "viseme": 0.5, "speaking": 0.5}
# Of the motion's channels; contacts are what a viewer sees first.
CHANNEL_WEIGHTS = {"mouth-open": 2.0, "lip-seal": 4.0, "mouth-pursing": 1.5, "stress": 0.5}
LABEL_SMOOTHING = 0.05
MOST_WARP = 0.12
MOST_RESPONSE_DB, RESPONSE_KNOTS, RESPONSE_SHARE = 8.0, 6, 0.5
MOST_MASKED, MASK_SHARE = 10, 0.5


@dataclass(frozen=True)
class Heard:
    """What is read from the tokens of B x F frames."""

    motion: Tensor  # (B, F, len(MOTION_NAMES))
    viseme: Tensor  # (B, F, num_visemes) logits
    speaking: Tensor  # (B, F) logit


class HearingHeads(nn.Module):
    """One linear layer: whatever it reads lies open in the tokens. `motion_mean` and `motion_std` are of the talks."""

    motion_mean: Tensor
    motion_std: Tensor

    def __init__(self, num_inputs: int, motion_mean: Tensor, motion_std: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(num_inputs, len(MOTION_NAMES) + len(VISEME_NAMES) + 1)
        self.register_buffer("motion_mean", motion_mean)
        self.register_buffer("motion_std", motion_std)
        initialise(self, torch.Generator().manual_seed(0))

    def forward(self, tokens: Tensor) -> Heard:
        read = self.linear(tokens.flatten(2)).float()  # (B, F, N, Da) -> (B, F, outputs)
        motion, viseme, speaking = read.split([len(MOTION_NAMES), len(VISEME_NAMES), 1], -1)
        return Heard(motion * self.motion_std + self.motion_mean, viseme, speaking[..., 0])


class AudioTask(nn.Module):
    def __init__(self, encoder: MelAudioEncoder, heads: HearingHeads) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads

    def forward(self, batch: AudioBatch, draw: Draw) -> dict[str, Tensor]:
        features, _ = mel.features(batch.samples, batch.loudness)  # (B, hops, 81)
        features = disguise(features, draw)
        heard = self.heads(self.encoder.encode_features(features))
        return hearing_losses(heard, batch, self.heads.motion_std)

    @torch.no_grad()
    def listen(self, samples: Tensor) -> Heard:
        """Whole recordings (B, n), as a user's."""
        return self.heads(self.encoder(samples))


def hearing_losses(heard: Heard, batch: AudioBatch, motion_std: Tensor) -> dict[str, Tensor]:
    """In units of each channel's spread, so that lips that hardly move in synthetic speech count too."""
    weights = heard.motion.new_tensor([CHANNEL_WEIGHTS.get(name, 1.0) for name in MOTION_NAMES])
    error = (heard.motion - batch.motion) / motion_std  # (B, F, K)
    return {
        "motion": (weights * error.square()).mean(),
        "velocity": (weights * error.diff(dim=1).square()).mean(),
        "viseme": F.cross_entropy(
            heard.viseme.flatten(0, 1), batch.viseme.flatten(), label_smoothing=LABEL_SMOOTHING
        ),
        "speaking": F.binary_cross_entropy_with_logits(heard.speaking, batch.speaking),
    }  # fmt: skip


def disguise(features: Tensor, draw: Draw) -> Tensor:
    """Other throats and other microphones: bands move along frequency by up to 12 %, a smooth response of some decibels
    lies over them, some are taken away.

    Band masks after SpecAugment (Park et al., 2019); the last feature is no band and stays.
    """
    bands, rest = features[..., : mel.NUM_BANDS], features[..., mel.NUM_BANDS :]
    rows = bands.shape[0]
    place = torch.arange(mel.NUM_BANDS, device=bands.device, dtype=torch.float32)
    factor = 1 + draw.uniform(rows, 1, low=-MOST_WARP, high=MOST_WARP)
    source = (place * factor).clamp(0, mel.NUM_BANDS - 1)  # (B, 80)
    weights = (1 - (source[:, None, :] - place[None, :, None]).abs()).clamp_min(0)  # (B, 80 from, 80 to)
    moved = bands @ weights
    knots = draw.uniform(rows, 1, RESPONSE_KNOTS, low=-MOST_RESPONSE_DB, high=MOST_RESPONSE_DB) / mel.RANGE_DB
    knots = knots * draw.chance(rows, RESPONSE_SHARE)[:, None, None]
    response = F.interpolate(knots, mel.NUM_BANDS, mode="linear", align_corners=True)  # (B, 1, 80)
    moved = torch.where(moved > 0, (moved + response).clamp(0, 1), 0.0)  # what was silent stays so
    start, width = draw.uniform(rows, 2, high=mel.NUM_BANDS), draw.uniform(rows, 2, high=MOST_MASKED)
    masked = (place >= start[..., None]) & (place < (start + width)[..., None])  # (B, 2, 80)
    masked = masked.any(1) & draw.chance(rows, MASK_SHARE)[:, None]
    return torch.cat([moved * ~masked[:, None], rest], -1)
