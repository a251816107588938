"""The stages of the autoencoder's training, as data. An ablation is another table.

Geometry first, pictures after: from the start they fight, and the flow is lost. While `joint` is false no loss on
pictures reaches the motion branch or the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from letstalk.errors import SettingsError

LATENT_WEIGHTS = {
    "landmarks": 2.0,  # from latents; motion begins with them
    "keypoints": 1.0,  # from heat maps
    "readings": 0.05,
    "latent_size": 1e-4,
}
MOTION_WEIGHTS = {"flow": 3.0, "visibility": 0.05, "smoothness": 0.2}
# Lips and lids against their own middle, in the flow and in the latents: the motion of a head drowns them.
POINT_WEIGHTS = {"points": 8.0, "shapes": 8.0}
GEOMETRY_WEIGHTS = {**LATENT_WEIGHTS, **MOTION_WEIGHTS}
PICTURE_WEIGHTS = {"pixels": 1.0, "gradients": 1.0, "painting": 0.02}
JUDGE_WEIGHTS = {"adversary": 0.02, "matching": 0.5}
STAGE_WARMUP = 0.05  # share of a stage
READER_WEIGHTS = {"reader": 0.02}  # at 0.05 its slope on the motion branch is five times that of the pixels


@dataclass(frozen=True)
class Stage:
    """One stretch of training. `share` is its part of the whole run, `size` the side of its pictures in pixels."""

    name: str
    share: float
    size: int
    weights: Mapping[str, float]
    learning_rate: float
    motion_rate: float = 1.0  # share of the rate for encoder and motion: while painting begins, they must stay calm
    paints: bool = False  # the synthesis branch runs
    joint: bool = False  # pictures push on motion and encoder too
    freeze_encoder: bool = False  # latents are final
    head_only: bool = False  # so is all of the decoder but the last layer of this size
    max_references: int = 1
    mouth_weight: float = 5.0  # of the flow
    eyes_weight: float = 2.0
    picture_mouth_weight: float = 4.0
    picture_eyes_weight: float = 2.0
    transfer_share: float = 0.25  # rows decoded from another person's change of latents
    stranger_share: float = 0.25  # where the reader judges: so many rows more, decoded from a stranger's change
    latent_noise: float = 0.05  # largest, in standard deviations of the latents
    judge_from: float = 1.0  # share of the stage after which the judge joins; 1 never
    clean_share: float = 0.25  # rows without appearance augmentation

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", MappingProxyType(dict(self.weights)))

    @property
    def asks_reader(self) -> bool:
        return "reader" in self.weights


def standard_stages() -> tuple[Stage, ...]:
    """The whole way from nothing to a shipped encoder and its 256 decoder.

    Heads move by many pixels and are found in small pictures; an opening mouth is three pixels high there, so lips are
    learnt in larger ones, at a rate that does not shake such small motion away. The encoder is final before the end:
    then every step goes to the decoder, and whoever trains on latents may begin.
    """
    geometry = Stage("geometry", 0.22, 128, GEOMETRY_WEIGHTS, 1e-3)
    lips = replace(
        geometry, name="lips", share=0.33, size=256, weights={**GEOMETRY_WEIGHTS, **POINT_WEIGHTS},
        learning_rate=3e-4, mouth_weight=18.0, eyes_weight=8.0, clean_share=0.4,
    )  # fmt: skip
    pictures = replace(
        lips, name="pictures", share=0.08, weights={**lips.weights, **PICTURE_WEIGHTS}, paints=True,
        learning_rate=6e-4, motion_rate=0.2,
    )  # fmt: skip
    together = {**pictures.weights, **READER_WEIGHTS, "warp": 0.5, "flow": 1.0}
    joint = replace(
        pictures, name="joint", share=0.15, weights=together, joint=True, max_references=2, learning_rate=4e-4,
        motion_rate=0.4,
    )  # fmt: skip
    of_latents = {*LATENT_WEIGHTS, "shapes"}
    decoding = {name: weight for name, weight in together.items() if name not in of_latents}
    fine = replace(
        joint, name="fine", share=0.22, weights={**decoding, **JUDGE_WEIGHTS}, freeze_encoder=True, max_references=3,
        judge_from=0.5,
    )  # fmt: skip
    return (geometry, lips, pictures, joint, fine)


def large_picture_stages() -> tuple[Stage, ...]:
    """The 512 head, after everything else.

    Latents, motion and trunk are the 256 picture's: trained on large pictures alone they would paint small ones worse,
    and on both in turn a step would cost five times as much. So 256 stays as it is to the last bit, and what a 512
    picture has beyond it comes from the reference's own pixels and from this one layer.
    """
    weights = {**PICTURE_WEIGHTS, **JUDGE_WEIGHTS}
    return (
        Stage(
            "large", 1.0, 512, weights, 5e-4, paints=True, freeze_encoder=True, head_only=True, max_references=2,
            judge_from=0.5, latent_noise=0.02,
        ),
    )  # fmt: skip


def decoder_stages() -> tuple[Stage, ...]:
    """More care for the decoder of a frozen encoder."""
    return (replace(standard_stages()[-1], name="decoder", share=1.0),)


def stages_without_flow_labels() -> tuple[Stage, ...]:
    """An ablation: the same small pictures, motion learnt from them alone, as real video without labels would have
    it."""
    weights = {**LATENT_WEIGHTS, **PICTURE_WEIGHTS, "warp": 0.5, "smoothness": 0.2}
    return (Stage("unlabelled", 1.0, 128, weights, 1e-3, paints=True, joint=True),)


STAGE_TABLES = {
    "standard": standard_stages,
    "large": large_picture_stages,
    "decoder": decoder_stages,
    "unlabelled": stages_without_flow_labels,
}


@dataclass(frozen=True)
class StagePlan:
    """Which stage a run is in, from its progress 0..1, and how far in it."""

    stages: tuple[Stage, ...]

    @classmethod
    def named(cls, name: str, only: str | None = None, since: str | None = None) -> StagePlan:
        """A table by name; `only` takes one stage of it for the whole run, `since` that one and those after it."""
        if name not in STAGE_TABLES:
            raise SettingsError(f"There is no stage table {name!r}.", f"Use one of: {', '.join(STAGE_TABLES)}.")
        stages = STAGE_TABLES[name]()
        names = [stage.name for stage in stages]
        for wanted in (only, since):
            if wanted is not None and wanted not in names:
                raise SettingsError(f"The table {name!r} has no stage {wanted!r}.", f"Its stages: {', '.join(names)}.")
        if since is not None:
            stages = stages[names.index(since) :]
        if only is not None:
            stages = (replace(stages[[stage.name for stage in stages].index(only)], share=1.0),)
        return cls(stages)

    def at(self, progress: float) -> tuple[Stage, float]:
        """The stage at `progress`, and the share of it that is done."""
        total, begin = sum(stage.share for stage in self.stages), 0.0
        for stage in self.stages:
            end = begin + stage.share / total
            if progress < end:
                return stage, (progress - begin) / (end - begin)
            begin = end
        return self.stages[-1], 1.0


def learning_rate(stage: Stage, within: float, step: int, warmup_steps: int = 50) -> float:
    """Warm-up at the start of a run and of each stage, then a fall to a third of the stage's rate along half a cosine.

    Layers that start at zero with a stage would leap at the full rate: the first steps of Adam are all of one size.
    """
    from math import cos, pi

    fall = 1 / 3 + 2 / 3 * 0.5 * (1 + cos(pi * min(within, 1.0)))
    return stage.learning_rate * fall * min(1.0, (step + 1) / warmup_steps) * min(1.0, 0.05 + within / STAGE_WARMUP)
