"""From a collected batch to what a step trains on: moved, relit, degraded; a function of the step's generator alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from letstalk.synthetic.controls import MIRRORED_LANDMARKS
from letstalk.training.appearance import AppearanceSettings, Draw, change_look, degrade, swap_backgrounds
from letstalk.training.batch import PairBatch
from letstalk.training.codec_stages import Stage
from letstalk.training.codec_task import StepInput
from letstalk.training.geometric import GeometricSettings, draw_maps, move_batch
from letstalk.training.strangers import Strangers


@dataclass(frozen=True)
class AugmentSettings:
    geometric: GeometricSettings = field(default_factory=GeometricSettings)
    appearance: AppearanceSettings = field(default_factory=AppearanceSettings)


@torch.no_grad()
def augment(
    batch: PairBatch, settings: AugmentSettings, stage: Stage, latent_shape: tuple[int, ...], generator: torch.Generator
) -> StepInput:
    """`batch` lies on the device, as bytes or floats. Some rows keep the renderer's own look."""
    batch = batch.as_floats()
    device = batch.pictures.device
    draw = Draw(generator, device)
    mirrored = torch.as_tensor(MIRRORED_LANDMARKS, device=device)
    batch = swap_backgrounds(batch, settings.appearance, draw)
    batch = move_batch(batch, draw_maps(settings.geometric, batch, generator), mirrored)
    dressed = change_look(batch.pictures, settings.appearance, draw)
    clean = draw.chance(batch.num_rows, stage.clean_share)[:, None, None, None, None]
    batch = replace(batch, pictures=torch.where(clean, batch.pictures, dressed))
    worn = degrade(batch.pictures.flatten(0, 1), settings.appearance, draw).unflatten(0, batch.pictures.shape[:2])
    strength = draw.uniform(batch.num_rows, 1, 1, 1, high=stage.latent_noise)
    given = StepInput(
        batch=batch,
        views=torch.where(clean, batch.pictures, worn),
        transfer=draw.chance(batch.num_rows, stage.transfer_share),
        latent_noise=strength * draw.normal(batch.num_rows, *latent_shape),
    )
    if not stage.asks_reader:
        return given
    jitter = draw.normal(batch.num_rows, 4).clamp(-2, 2)
    return replace(given, strangers=Strangers.pair(batch.num_rows, stage.stranger_share, jitter))


def plain_input(
    batch: PairBatch, latent_shape: tuple[int, ...], transfer: bool = False, stranger_share: float = 0.0
) -> StepInput:
    """The batch as it is, for validation: no augmentation and no noise."""
    batch = batch.as_floats()
    device = batch.pictures.device
    return StepInput(
        batch=batch,
        views=batch.pictures,
        transfer=torch.full((batch.num_rows,), transfer, device=device),
        latent_noise=torch.zeros(batch.num_rows, *latent_shape, device=device),
        strangers=Strangers.pair(batch.num_rows, stranger_share, torch.zeros(batch.num_rows, 4, device=device)),
    )
