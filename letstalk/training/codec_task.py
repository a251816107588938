"""One training step's computation: from an augmented batch to named losses.

Everything is inside one `forward`, so that the module can be wrapped for many devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from letstalk.models.autoencoder import Decoded, ReferenceAutoencoder
from letstalk.models.encoder import Encoded, References
from letstalk.models.motion import Motion
from letstalk.training import losses
from letstalk.training.batch import PairBatch
from letstalk.training.codec_stages import Stage
from letstalk.training.focus import EYE_POINTS, MOUTH_POINTS, focus_weights
from letstalk.training.judge import PatchJudge
from letstalk.training.strangers import Reader, Strangers, ask, read_transfer, reader_loss

POINT_GROUPS = (MOUTH_POINTS, MOUTH_POINTS, *EYE_POINTS.values())  # a mouth counts as much as both eyes


@dataclass(frozen=True)
class StepInput:
    """`batch` holds the truth, `views` (B, F, 3, S, S) what networks get to see of it; draws are made beforehand."""

    batch: PairBatch
    views: Tensor
    transfer: Tensor  # (B,) bool: decode from the partner's change of latents
    latent_noise: Tensor  # (B, C, 8, 8), in standard deviations of the latents
    judging: bool = False
    strangers: Strangers | None = None  # where the stage asks the reader


class StepOutput(NamedTuple):
    losses: dict[str, Tensor]
    decoded: Decoded | None  # None where the stage does not paint
    motions: list[Motion]  # of each reference


def transferred(latents: Tensor, partner: Tensor, transfer: Tensor) -> Tensor:
    """Latents to decode, from those of all frames (B, F, C, h, w): the target's own, or, where `transfer`, what the
    partner's change from its first reference to its target does to one's own reference."""
    target, reference = latents[:, 0], latents[:, 1]
    change = target[partner] - reference[partner]
    return torch.where(transfer[:, None, None, None], reference + change, target)


class CodecTask(nn.Module):
    """The autoencoder and its losses. The judge is not part of it: it has its own optimiser. The reader is frozen."""

    def __init__(self, model: ReferenceAutoencoder, reader: Reader | None = None) -> None:
        super().__init__()
        self.model, self.reader = model, reader

    def forward(self, given: StepInput, stage: Stage, judge: PatchJudge | None = None) -> StepOutput:
        batch, model = given.batch, self.model
        rows, frames = given.views.shape[:2]
        encoded = self.encode(given.views, frozen=stage.freeze_encoder)  # fields (B F, ...)
        latents = encoded.latents.unflatten(0, (rows, frames))  # (B, F, 16, 8, 8)
        of_references = Encoded(*(part.unflatten(0, (rows, frames))[:, 1:] for part in encoded))  # fields (B, R, ...)
        wanted = transferred(latents, batch.partner, given.transfer)  # (B, 16, 8, 8)
        spread = latents.detach().float().std(dim=(0, 1, 3, 4))[None, :, None, None]
        wanted = wanted + (given.latent_noise * spread).to(wanted.dtype)

        decoded = None
        if stage.paints:
            flat = Encoded(*(part.flatten(0, 1) for part in of_references))
            references = model.encode_references(given.views[:, 1:], flat)
            decoded = model.decode(wanted, references, stop_motion_gradient=not stage.joint)
            motions = decoded.motions
        else:
            motions = [
                model.motion_between(wanted, at.latents, (at.features64, at.features32, at.features16))
                for at in (Encoded(*(part[:, r] for part in of_references)) for r in range(frames - 1))
            ]

        found = self._motion_losses(batch, motions, stage)
        if not stage.freeze_encoder:
            found |= self._latent_losses(batch, encoded)
        if decoded is not None:
            found |= self._picture_losses(batch, decoded, stage)
            if judge is not None and given.judging:
                found |= _judge_losses(judge, decoded.pictures, batch.pictures[:, 0])
            if stage.asks_reader:
                found["reader"] = self._reader_loss(given, latents, references, stage)
        return StepOutput(found, decoded, motions)

    def encode(self, views: Tensor, frozen: bool) -> Encoded:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            return self.model.encode_fully(views.flatten(0, 1))

    def _latent_losses(self, batch: PairBatch, encoded: Encoded) -> dict[str, Tensor]:
        landmarks, readings = batch.landmarks.flatten(0, 1), batch.readings.flatten(0, 1)
        geometry = self.model.read_geometry(encoded.latents)
        return {
            "landmarks": losses.landmark_loss(geometry.landmarks, landmarks),
            "shapes": losses.shape_loss(geometry.landmarks, landmarks, POINT_GROUPS),
            "keypoints": losses.landmark_loss(encoded.keypoints, landmarks),
            "readings": losses.reading_loss(geometry, readings),
            "latent_size": losses.latent_size_loss(encoded.latents),
        }

    def _reader_loss(self, given: StepInput, latents: Tensor, references: References, stage: Stage) -> Tensor:
        """`latents` (B, F, C, 8, 8) of all frames, `references` of all rows."""
        reader, who = self.reader, given.strangers
        assert reader is not None and who is not None, f"stage {stage.name} asks a reader"
        guide = References(*(part[who.rows, :1] for part in references))
        decoded = self.model.decode(who.latents(latents), guide, stop_motion_gradient=not stage.joint)
        found, confidence = read_transfer(reader, decoded, given.batch, who, who.jitter)
        return reader_loss(found, confidence, ask(reader, given.batch, who))

    @staticmethod
    def _motion_losses(batch: PairBatch, motions: list[Motion], stage: Stage) -> dict[str, Tensor]:
        side = batch.flow.shape[-1]
        weights = focus_weights(batch.landmarks[:, 0], side, stage.mouth_weight, stage.eyes_weight)
        person = nn.functional.adaptive_avg_pool2d(batch.person[:, 0], side)
        still = losses.BACKGROUND_FLOW_WEIGHT
        weights = weights * (still + (1 - still) * person)
        found: dict[str, list[Tensor]] = {"flow": [], "points": [], "visibility": [], "smoothness": []}
        for r, motion in enumerate(motions):
            found["flow"].append(losses.flow_loss(motion, batch.flow[:, r], batch.visibility[:, r], weights))
            target, reference = batch.landmarks[:, 0], batch.landmarks[:, 1 + r]
            found["points"].append(losses.point_loss(motion.flow64, target, reference, POINT_GROUPS))
            found["visibility"].append(losses.visibility_loss(motion.visibility, batch.visibility[:, r]))
            found["smoothness"].append(losses.smoothness_loss(motion.flow64))
        return {name: torch.stack(values).mean() for name, values in found.items()}

    @staticmethod
    def _picture_losses(batch: PairBatch, decoded: Decoded, stage: Stage) -> dict[str, Tensor]:
        truth = batch.pictures[:, 0]
        weights = focus_weights(
            batch.landmarks[:, 0], batch.size, stage.picture_mouth_weight, stage.picture_eyes_weight
        )
        seen = (batch.visibility[:, :, 0] * decoded.shares.detach()).sum(1, keepdim=True)  # (B, 1, 64, 64)
        return {
            "pixels": losses.pixel_loss(decoded.pictures, truth, weights),
            "gradients": losses.gradient_loss(decoded.pictures, truth, weights),
            "warp": losses.visible_warp_loss(decoded.warped, truth, seen, weights),
            "painting": losses.painting_loss(decoded.keep_logits, seen),
        }


def _judge_losses(judge: PatchJudge, made: Tensor, truth: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        true_features, _ = judge(truth)
    made_features, made_scores = judge(made)
    return {"adversary": -made_scores.mean(), "matching": losses.disagreement(made_features, true_features)}


def weighted_total(found: dict[str, Tensor], stage: Stage) -> Tensor:
    """The one number that is minimised. A stage's weight without its loss must be a judge who has not joined yet."""
    missing = set(stage.weights) - set(found) - {"adversary", "matching"}
    assert not missing, f"stage {stage.name} weighs losses that were not computed: {sorted(missing)}"
    return torch.stack([weight * found[name] for name, weight in stage.weights.items() if name in found]).sum()
