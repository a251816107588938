"""Three ways for a condition (the portrait, the sound) to reach the clip, after LetsTalk (arXiv 2411.16748, section 3).

- direct: every block looks at the condition's tokens by cross-attention;
- siamese: a second transformer of the same depth reads the condition, and block l looks at its features of depth l;
- symbiotic: the condition's tokens join the clip's in each frame's spatial attention, where self-attention fuses them.
  Jointly, both change each other. One-way, the condition's tokens see only themselves at noise level 0; they go
  through the same weights, do not depend on the clip, and only what their keys and values amount to remains.

Each block holds one of these for each condition. They differ in what they do at three moments, and a block calls all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from letstalk.models.attention import NORM_EPSILON, SPATIAL_ATTENTIONS, CrossAttention
from letstalk.models.feedforward import GatedFeedForward

# The spatial step of a block for tokens on their own: (n, L, D) -> the tokens after it and their summary (n, 1, ...).
LookInwards = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class FusionShape:
    """What a scheme must know of the transformer it is built into."""

    width: int
    head_width: int
    ffn_ratio: float
    attention: str  # key of SPATIAL_ATTENTIONS
    side: int  # of the grid on which the condition's tokens lie; 0 when they have no places


class Fusion(nn.Module):
    """One condition in one block. This class alone is the condition that has no influence."""

    joins: ClassVar[bool] = False  # its tokens travel with the clip's through the blocks

    def prepare(self, tokens: Tensor, look_inwards: LookInwards | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (n, L, D) of this depth -> what this block needs of them, and the tokens of the next depth.

        Never depends on the clip: it is done once for as many denoising steps and chunks as the condition lasts. Only
        the one-way scheme asks for `look_inwards`.
        """
        return tokens.new_empty(len(tokens), 0), tokens

    def cross(self, x: Tensor, guide: Tensor) -> Tensor:
        """Clip tokens (B, F, P, D) after looking at the condition outside the spatial attention."""
        return x

    def elsewhere(self, guide: Tensor) -> Tensor | None:
        """The summary (B, 1, ...) of keys and values that the spatial attention is to include."""
        return None


class DirectFusion(Fusion):
    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.attention = CrossAttention(shape.width, shape.head_width)

    def prepare(self, tokens: Tensor, look_inwards: LookInwards | None = None) -> tuple[Tensor, Tensor]:
        return self.attention.keys_values(tokens), tokens

    def cross(self, x: Tensor, guide: Tensor) -> Tensor:
        return x + self.attention(x, guide)


class SiameseFusion(DirectFusion):
    def __init__(self, shape: FusionShape) -> None:
        super().__init__(shape)
        self.layer = SiameseLayer(shape)

    def prepare(self, tokens: Tensor, look_inwards: LookInwards | None = None) -> tuple[Tensor, Tensor]:
        tokens = self.layer(tokens)
        return self.attention.keys_values(tokens), tokens


class JointSymbioticFusion(Fusion):
    """Nothing of its own: the tokens are in the sequence, the backbone's weights do the rest."""

    joins = True

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()


class OneWaySymbioticFusion(Fusion):
    def __init__(self, shape: FusionShape) -> None:
        super().__init__()

    def prepare(self, tokens: Tensor, look_inwards: LookInwards | None = None) -> tuple[Tensor, Tensor]:
        assert look_inwards is not None
        tokens, summary = look_inwards(tokens)
        return summary, tokens

    def elsewhere(self, guide: Tensor) -> Tensor | None:
        return guide


class SiameseLayer(nn.Module):
    """One layer of the second transformer: self-attention among the condition's tokens, feed-forward."""

    def __init__(self, shape: FusionShape) -> None:
        super().__init__()
        self.width = (shape.width,)
        self.attention = SPATIAL_ATTENTIONS[shape.attention](shape.width, shape.head_width)
        self.feed = GatedFeedForward(shape.width, shape.ffn_ratio, shape.side)

    def forward(self, tokens: Tensor) -> Tensor:
        seen, _ = self.attention(F.layer_norm(tokens, self.width, eps=NORM_EPSILON)[:, None])  # (n, 1, L, D)
        tokens = tokens + seen[:, 0]
        return tokens + self.feed(F.layer_norm(tokens, self.width, eps=NORM_EPSILON))


AUDIO_FUSIONS: dict[str, Callable[[FusionShape], Fusion]] = {
    "direct": DirectFusion,
    "siamese": SiameseFusion,
    "symbiotic": JointSymbioticFusion,
}
# The portrait is the same in every frame and every step, so its symbiotic form can be one-way.
PORTRAIT_FUSIONS: dict[str, Callable[[FusionShape], Fusion]] = AUDIO_FUSIONS | {
    "symbiotic": OneWaySymbioticFusion,
    "symbiotic-joint": JointSymbioticFusion,
}
