"""The reference-guided autoencoder: a picture becomes 8 x 8 x 16 numbers, because a reference shows the person already.

The decoder predicts how the reference moves (`motion.py`), moves its features and pixels, and paints the rest
(`synthesis.py`). Untrained, it returns the reference. All pictures are (..., 3, S, S) in -1..1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from letstalk.errors import InputError, LetsTalkError
from letstalk.models.blocks import initialise
from letstalk.models.encoder import LATENT_SIDE, Encoded, LatentEncoder, References, TextureEncoder, to_canonical
from letstalk.models.geometry import Geometry, GeometryHead
from letstalk.models.guide import LandmarkGuide
from letstalk.models.motion import Motion, MotionBranch
from letstalk.models.synthesis import Moved, SynthesisBranch
from letstalk.types import exact_div

MOTION_SIDE = 64


@dataclass(frozen=True)
class Decoded:
    """A decoded picture and how it came about; lists run over the references."""

    pictures: Tensor  # (N, 3, S, S), not clamped
    warped: Tensor  # (N, 3, S, S), the moved pixels alone
    keep_logits: Tensor  # (N, 1, S, S)
    motions: list[Motion]
    shares: Tensor  # (N, R, 64, 64), how much each reference contributes; sums to 1 over R

    @property
    def keep(self) -> Tensor:
        """(N, 1, S, S) 0..1: share of the moved pixels, the rest is painted."""
        return self.keep_logits.sigmoid()


class ReferenceAutoencoder(ModelMixin, ConfigMixin):
    """One family by configuration; the defaults are the shipped `mini`, but for the landmarks: `landmark_reaches` (one
    for each, in half-widths) lets them lead the motion, their names in `glimpse_landmarks` let the encoder look closely
    at mouth and eyes, and training tells both.

    Widths and depths run from coarse to fine in the decoder's branches and from fine to coarse in the encoders.
    `latents_mean`, `latents_std`, `latent_version` and `latent_hash` are filled by `freeze_latents` when the encoder is
    final: whoever trained on latents stores the hash and refuses another.
    """

    config_name = "config.json"
    _supports_gradient_checkpointing = False
    _no_split_modules = ("ResidualBlock",)

    @register_to_config
    def __init__(  # noqa: PLR0913  the configuration of diffusers' models is this signature
        self,
        latent_channels: int = 16,
        num_landmarks: int = 41,
        reading_names: tuple[str, ...] = (),
        picture_sizes: tuple[int, ...] = (128, 256, 512),
        encoder_widths: tuple[int, ...] = (24, 48, 96, 128),
        encoder_depths: tuple[int, ...] = (1, 1, 1),
        texture_widths: tuple[int, ...] = (16, 32, 64),
        motion_widths: tuple[int, ...] = (128, 96, 48, 24),
        motion_depths: tuple[int, ...] = (2, 2, 2, 2),
        synthesis_widths: tuple[int, ...] = (96, 48, 48, 24),
        synthesis_depths: tuple[int, ...] = (1, 1, 1, 1),
        geometry_width: int = 192,
        landmark_reaches: tuple[float, ...] = (),
        glimpse_landmarks: tuple[str, ...] = (),
        seed: int = 0,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        latent_version: int = 0,
        latent_hash: str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = LatentEncoder(
            latent_channels, num_landmarks, tuple(encoder_widths), tuple(encoder_depths), tuple(glimpse_landmarks)
        )
        self.texture = TextureEncoder(tuple(texture_widths))
        self.geometry = GeometryHead(
            latent_channels * LATENT_SIDE**2, geometry_width, num_landmarks, len(reading_names)
        )
        self.guide = LandmarkGuide(tuple(landmark_reaches)) if landmark_reaches else None
        self.motion = MotionBranch(
            latent_channels, tuple(motion_widths), tuple(motion_depths), tuple(encoder_widths[:3])
        )
        self.synthesis = SynthesisBranch(
            tuple(synthesis_widths),
            tuple(synthesis_depths),
            tuple(motion_widths[1:3]),
            tuple(texture_widths),
            tuple(picture_sizes),
        )
        initialise(self, torch.Generator().manual_seed(seed))
        for part in (self.encoder, self.geometry, self.motion, self.synthesis):
            part.reset_heads()
        if self.guide is not None:
            self.guide.reset()

    @property
    def spatial_factor(self) -> int:
        """Compression at the size the model is made for, 256."""
        return exact_div(256, LATENT_SIDE)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, S, S) of any configured size -> raw latents (N, C, 8, 8)."""
        return self.encode_fully(pictures).latents

    def encode_fully(self, pictures: Tensor) -> Encoded:
        self.check_size(pictures.shape[-1])
        return self.encoder(to_canonical(pictures))

    def encode_references(self, pictures: Tensor, encoded: Encoded | None = None) -> References:
        """(B, R, 3, S, S), R = 1..3 -> what `decode` needs, once for each portrait.

        `encoded` saves the second pass where `encode_fully(pictures.flatten(0, 1))` is known already.
        """
        batch, number = pictures.shape[:2]
        flat = pictures.flatten(0, 1)
        encoded = encoded or self.encode_fully(flat)
        textures = self.texture(to_canonical(flat))
        parts = (
            encoded.latents, encoded.features64, encoded.features32, encoded.features16, *textures,
        )  # fmt: skip
        return References(pictures, *(part.unflatten(0, (batch, number)) for part in parts))

    def decode(self, latents: Tensor, references: References, *, stop_motion_gradient: bool = False) -> Decoded:
        """Latents (N, C, 8, 8) and the references of N people, or of one -> pictures of the references' size.

        With `stop_motion_gradient` a loss on the pictures trains the synthesis branch alone.
        """
        if references.pixels.shape[0] != latents.shape[0]:
            references = references.expand(latents.shape[0])
        motions = [self.predict_motion(latents, references, r) for r in range(references.num_references)]
        shares = torch.stack([motion.confidence for motion in motions], 1).softmax(1)  # (N, R, 1, 64, 64)
        used = [motion.detached() for motion in motions] if stop_motion_gradient else motions
        used_shares = shares.detach() if stop_motion_gradient else shares
        moved = [Moved(motion.flow64, used_shares[:, r], motion.visibility.sigmoid()) for r, motion in enumerate(used)]
        pictures, warped, keep = self.synthesis(
            self._blended_features(used, used_shares),
            tuple([part[:, r] for r in range(references.num_references)] for part in references[5:]),
            [references.pixels[:, r] for r in range(references.num_references)],
            moved,
        )
        return Decoded(pictures, warped, keep, motions, shares[:, :, 0])

    def predict_motion(self, latents: Tensor, references: References, index: int = 0) -> Motion:
        """Motion of N targets against one of their references."""
        features = (references.motion64[:, index], references.motion32[:, index], references.motion16[:, index])
        return self.motion_between(latents, references.latents[:, index], features)

    def motion_between(
        self, latents: Tensor, reference_latents: Tensor, features: tuple[Tensor, Tensor, Tensor]
    ) -> Motion:
        """From latents (N, C, 8, 8) and the reference's features; landmarks that both latents tell lead the way."""
        if self.guide is None:
            return self.motion(latents, reference_latents, features)
        target, reference = (self.geometry(each).landmarks for each in (latents, reference_latents))
        return self.motion(latents, reference_latents, features, self.guide(target, reference, MOTION_SIDE))

    def forward(self, targets: Tensor, references: Tensor) -> Decoded:
        """The whole computation: targets (B, 3, S, S), references (B, R, 3, S, S) -> the targets, rebuilt.

        B = 1 references serve any number of targets.
        """
        latents = self.encode(targets)  # (B, 16, 8, 8)
        guide = self.encode_references(references)  # latents (B, R, 16, 8, 8), features at 16, 32, 64, 128
        return self.decode(latents, guide)  # flow (B, 2, 64, 64) per reference, pictures (B, 3, S, S)

    def read_geometry(self, latents: Tensor) -> Geometry:
        return self.geometry(latents)

    def normalise(self, latents: Tensor) -> Tensor:
        """Raw latents -> zero mean and unit variance per channel, as the transformer sees them."""
        mean, std = self._statistics(latents)
        return (latents - mean) / std

    def denormalise(self, latents: Tensor) -> Tensor:
        mean, std = self._statistics(latents)
        return latents * std + mean

    def freeze_latents(self, mean: Tensor, std: Tensor, version: int) -> None:
        """Declares the encoder final: statistics (C,) and the hash of its weights go into the configuration."""
        self.register_to_config(
            latents_mean=[round(float(value), 6) for value in mean],
            latents_std=[round(float(value), 6) for value in std],
            latent_version=version,
            latent_hash=self.encoder_hash(),
        )

    def encoder_hash(self) -> str:
        """Names the latent space: the encoder's weights in float16, the precision in which they are shipped."""
        digest = hashlib.sha256()
        for name, value in sorted(self.encoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def check_latents(self) -> None:
        """Refuses an encoder that is not the one its configuration speaks of."""
        promised: Any = self.config["latent_hash"]
        if promised and promised != self.encoder_hash():
            raise LetsTalkError(
                f"The autoencoder's weights do not belong to its configuration (latents {promised}).",
                "Restore the folder as it was shipped, or train the transformer again on this encoder.",
            )

    def check_size(self, size: int) -> None:
        sizes: Any = self.config["picture_sizes"]
        if size not in sizes:
            raise InputError(f"The autoencoder has no size {size}.", f"Use one of: {', '.join(map(str, sizes))}.")

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = self.config["latents_mean"], self.config["latents_std"]
        if mean is None or std is None:
            raise LetsTalkError("This autoencoder's latents have no statistics yet.", "Finish its training first.")
        shape = (1, -1, 1, 1)
        return latents.new_tensor(mean).view(shape), latents.new_tensor(std).view(shape)

    @staticmethod
    def _blended_features(motions: list[Motion], shares: Tensor) -> tuple[Tensor, Tensor]:
        """The motion branch's features, averaged by the references' shares: (N, w, 16, 16) and (N, w, 32, 32)."""
        if len(motions) == 1:
            return motions[0].features16, motions[0].features32
        blended = []
        for level, side in (("features16", 16), ("features32", 32)):
            weights = torch.nn.functional.adaptive_avg_pool2d(shares[:, :, 0], side)  # (N, R, side, side)
            stacked = torch.stack([getattr(motion, level) for motion in motions], 1)  # (N, R, w, side, side)
            blended.append((stacked * weights[:, :, None].to(stacked.dtype)).sum(1))
        return blended[0], blended[1]
