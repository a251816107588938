"""One block of the talking transformer, in the order of LetsTalk's later system: time, sound, place, feed-forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.attention import NORM_EPSILON, SPATIAL_ATTENTIONS, TemporalAttention
from letstalk.models.feedforward import GatedFeedForward
from letstalk.models.fusion import AUDIO_FUSIONS, PORTRAIT_FUSIONS, FusionShape

NUM_MODULATIONS = 6  # shift, scale and gate of the spatial attention, then of the feed-forward
SCALES = (1, 4)
Modulation = tuple[Tensor, Tensor, Tensor]  # shift, scale, gate, each (B, F or 1, 1, D)


@dataclass(frozen=True)
class BlockShape:
    width: int
    head_width: int
    ffn_ratio: float
    siamese_ratio: float
    side: int  # tokens of a frame lie on a side x side grid
    attention: str
    portrait_fusion: str
    audio_fusion: str

    def fusion(self, side: int) -> FusionShape:
        return FusionShape(self.width, self.head_width, self.siamese_ratio, self.attention, side)


class BlockInput(NamedTuple):
    """What surrounds the clip tokens in one block; S context frames, B samples."""

    modulation: Tensor  # (B, F or 1, 6, D), before the block's own table
    rotations: Tensor  # (F, E / 2), the clip frames' places in time
    keys: Tensor  # (B, S, P, H, E) of the context frames at this depth
    values: Tensor
    mask: Tensor | None  # (B, 1, 1, S + F), True where a frame may be seen; None when all may
    portrait: Tensor  # this block's guide from the portrait; what it is, the fusion scheme knows
    audio: Tensor


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=NORM_EPSILON), scale)


class Block(nn.Module):
    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.temporal = TemporalAttention(shape.width, shape.head_width)
        self.audio = AUDIO_FUSIONS[shape.audio_fusion](shape.fusion(side=0))
        self.spatial = SPATIAL_ATTENTIONS[shape.attention](shape.width, shape.head_width)
        self.portrait = PORTRAIT_FUSIONS[shape.portrait_fusion](shape.fusion(side=shape.side))
        self.feed = GatedFeedForward(shape.width, shape.ffn_ratio, shape.side)
        # adaLN-single (PixArt-alpha, Chen et al. 2023): one network of t for all blocks, a table for each.
        self.table = nn.Parameter(torch.zeros(NUM_MODULATIONS, shape.width))

    def forward(self, x: Tensor, joined: Tensor | None, given: BlockInput) -> tuple[Tensor, Tensor | None]:
        """Clip tokens x (B, F, P, D) and the condition tokens that travel with them, (B, F, J, D) or None."""
        spatial, feed = self.modulations(given.modulation)
        places = x.shape[2]

        x = x + self.temporal(x, given.rotations, given.keys, given.values, given.mask)  # (B, F, P, D)
        x = self.audio.cross(x, given.audio)
        together = x if joined is None else torch.cat([x, joined], dim=2)  # (B, F, P + J, D)
        together, _ = self.look_around(together, spatial, self.portrait.elsewhere(given.portrait))
        x = self.portrait.cross(together[:, :, :places], given.portrait)
        shift, scale, gate = feed
        x = torch.addcmul(x, gate, self.feed(modulate(x, shift, scale)))  # the clip's tokens only
        return x, None if joined is None else together[:, :, places:]

    def look_around(self, x: Tensor, modulation: Modulation, elsewhere: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The spatial step: x (B, F, L, D) after it, and the summary of its keys and values."""
        shift, scale, gate = modulation
        seen, summary = self.spatial(modulate(x, shift, scale), elsewhere)
        return torch.addcmul(x, gate, seen), summary

    def look_inwards(self, tokens: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
        """The spatial step of tokens (B, L, D) that see only each other, under `modulation` (B, 1, 6, D)."""
        spatial, _ = self.modulations(modulation)
        tokens, summary = self.look_around(tokens[:, None], spatial)
        return tokens[:, 0], summary

    def modulations(self, shared: Tensor) -> tuple[Modulation, Modulation]:
        """Of the spatial attention and of the feed-forward, from what all blocks share: (B, F or 1, 6, D)."""
        shift, scale, gate, *feed = (shared + self.table)[:, :, :, None].unbind(2)
        return (shift, scale, gate), (feed[0], feed[1], feed[2])

    def reset_gates(self) -> None:
        """The block starts as the identity: gates, `adapt` and cross-attention add nothing yet."""
        with torch.no_grad():
            self.table.zero_()
            for row in SCALES:
                self.table[row] = 1.0
