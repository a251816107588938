"""Geometric augmentation whose effect on flow, landmarks and pose is exact.

A picture is redrawn through a map T from its new pixels to its old ones: new(u) = old(T(u)), T(u) = A (u + D(u)) + t.
If the target is drawn through T and the reference through S, a flow f becomes S^-1(T(u) + f(T(u))) - u, and a landmark
p becomes T^-1(p). D is a sum of few sines, so it is known everywhere and the inverse is a short fixed-point iteration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from letstalk.models.warp import identity_grid, sample
from letstalk.training.batch import PairBatch
from letstalk.training.readings import mirrored_readings, turned_readings

INVERSE_STEPS = 8  # the bend shortens errors by at least 0.35 a step: 1e-4 of a half-width is left at most


@dataclass(frozen=True)
class GeometricSettings:
    """Shares are probabilities, the rest half-ranges of uniform draws. `shared` moves all frames of a row alike."""

    mirror_share: float = 0.5
    scale: float = 0.16
    shift: float = 0.10
    turn_radians: float = 0.20
    bend_share: float = 0.5
    bend: float = 0.045  # largest displacement of one wave, half-widths
    apart_share: float = 0.35  # rows whose references are moved a little on their own
    apart_scale: float = 0.05
    apart_shift: float = 0.04
    apart_turn_radians: float = 0.04


NUM_WAVES = 3


@dataclass(frozen=True)
class PlaneMap:
    """T for N frames: `matrix` (N, 2, 2), `shift` (N, 2); D has NUM_WAVES sines: `amplitude` (N, K, 2), `wave` (N, K,
    3).
    """

    matrix: Tensor
    shift: Tensor
    amplitude: Tensor
    wave: Tensor  # angular frequency in x and y, phase

    def __call__(self, places: Tensor) -> Tensor:
        """(N, 2, ...) new places -> old places."""
        flat = places.flatten(2)  # (N, 2, P)
        return (self.matrix @ (flat + self._bend(flat)) + self.shift[:, :, None]).view_as(places)

    def inverse(self, places: Tensor) -> Tensor:
        """(N, 2, ...) old places -> new places."""
        flat = places.flatten(2)
        straight = torch.linalg.solve(self.matrix, flat - self.shift[:, :, None])
        found = straight
        for _ in range(INVERSE_STEPS):
            found = straight - self._bend(found)
        return found.view_as(places)

    def rows(self, index: Tensor) -> PlaneMap:
        return PlaneMap(self.matrix[index], self.shift[index], self.amplitude[index], self.wave[index])

    @property
    def mirrors(self) -> Tensor:
        """(N,) bool"""
        return torch.linalg.det(self.matrix) < 0

    @property
    def turn_radians(self) -> Tensor:
        """(N,) by how much a picture that is first mirrored (where it is) is then turned clockwise, as seen."""
        angle = torch.atan2(self.matrix[:, 0, 1], self.matrix[:, 1, 1])
        return torch.where(self.mirrors, -angle, angle)

    def _bend(self, flat: Tensor) -> Tensor:
        angle = self.wave[:, :, :2] @ flat + self.wave[:, :, 2:]  # (N, K, P)
        return self.amplitude.transpose(1, 2) @ angle.sin()  # (N, 2, P)


def draw_maps(settings: GeometricSettings, batch: PairBatch, generator: torch.Generator) -> PlaneMap:
    """One map for every frame of a batch, (B F) rows; see `draw_row_maps`."""
    return draw_row_maps(settings, batch.partner, batch.pictures.shape[1], generator)


def draw_row_maps(settings: GeometricSettings, partner: Tensor, frames: int, generator: torch.Generator) -> PlaneMap:
    """Maps for B rows of F frames each, (B F) rows. Partners (B,) share the mirror and the bend, so that differences of
    latents compare.
    """
    rows, device = len(partner), partner.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device) * 2 - 1

    leader = torch.minimum(partner, torch.arange(rows, device=device))
    chance = (uniform(rows, 3) * 0.5 + 0.5)[leader]
    sign = torch.where(chance[:, 0] < settings.mirror_share, -1.0, 1.0)
    amplitude = uniform(rows, NUM_WAVES, 2)[leader] * settings.bend / NUM_WAVES**0.5
    amplitude = amplitude * (chance[:, 1] < settings.bend_share)[:, None, None]
    wave = torch.cat([uniform(rows, NUM_WAVES, 2) * 3.0, uniform(rows, NUM_WAVES, 1) * torch.pi], dim=2)[leader]

    apart = (chance[:, 2] < settings.apart_share).float()[:, None]
    apart = apart * (torch.arange(frames, device=device) > 0)  # (B, F): references alone
    both = uniform(rows, 1, 4) + 0.25 * uniform(rows, 1, 4)
    both = 0.8 * both[leader] + 0.2 * both  # a driver and another person are never framed quite alike
    own = uniform(rows, frames, 4) * apart[:, :, None]
    scale = torch.exp(both[..., 0] * settings.scale + own[..., 0] * settings.apart_scale)
    turn = both[..., 1] * settings.turn_radians + own[..., 1] * settings.apart_turn_radians
    shift = both[..., 2:] * settings.shift + own[..., 2:] * settings.apart_shift  # (B, F, 2)
    matrix = _similarity(scale, turn, sign[:, None].expand(rows, frames))

    def repeated(values: Tensor) -> Tensor:
        return values.repeat_interleave(frames, dim=0)

    return PlaneMap(matrix.flatten(0, 1), shift.flatten(0, 1), repeated(amplitude), repeated(wave))


def _similarity(scale: Tensor, turn: Tensor, sign: Tensor) -> Tensor:
    """(..., 2, 2) from new to old places: the mirror (where `sign` is -1), then the turn."""
    cos, sin = scale * turn.cos(), scale * turn.sin()
    return torch.stack([torch.stack([cos * sign, sin], -1), torch.stack([-sin * sign, cos], -1)], -2)


def move_batch(batch: PairBatch, maps: PlaneMap, mirrored_landmarks: Tensor) -> PairBatch:
    """The batch (floats) with every frame redrawn through its map, and its labels with it."""
    rows, frames = batch.pictures.shape[:2]
    size, side = batch.size, batch.flow.shape[-1]
    device = batch.pictures.device
    places = maps(identity_grid(size, size, device).expand(rows * frames, -1, -1, -1))
    drawn = torch.cat([batch.pictures, batch.person], dim=2).flatten(0, 1)  # (B F, 4, S, S)
    drawn = sample(drawn, places).unflatten(0, (rows, frames))
    coarse = maps(identity_grid(side, side, device).expand(rows * frames, -1, -1, -1))  # (B F, 2, 64, 64)
    head = sample(batch.head.flatten(0, 1), coarse).unflatten(0, (rows, frames))
    flow, visibility = _move_flow(batch, maps, coarse.unflatten(0, (rows, frames)))

    landmarks = maps.inverse(batch.landmarks.flatten(0, 1).transpose(1, 2)).transpose(1, 2)  # (B F, K, 2)
    mirrors = maps.mirrors
    landmarks = torch.where(mirrors[:, None, None], landmarks[:, mirrored_landmarks], landmarks)
    readings = batch.readings.flatten(0, 1)
    readings = torch.where(mirrors[:, None], mirrored_readings(readings), readings)
    readings = turned_readings(readings, maps.turn_radians)
    return replace(
        batch, pictures=drawn[:, :, :3], person=drawn[:, :, 3:], head=head, flow=flow, visibility=visibility,
        landmarks=landmarks.unflatten(0, (rows, frames)), readings=readings.unflatten(0, (rows, frames)),
    )  # fmt: skip


def _move_flow(batch: PairBatch, maps: PlaneMap, coarse: Tensor) -> tuple[Tensor, Tensor]:
    """`coarse` (B, F, 2, 64, 64): old places of the new grid."""
    rows, references = batch.flow.shape[:2]
    frames, side = references + 1, batch.flow.shape[-1]
    device = batch.flow.device
    old_target = coarse[:, :1].expand(-1, references, -1, -1, -1).flatten(0, 1)  # (B R, 2, 64, 64)
    labels = torch.cat([batch.flow, batch.visibility], dim=2).flatten(0, 1)
    moved = sample(labels, old_target)
    of_references = (
        torch.arange(rows, device=device)[:, None] * frames + torch.arange(1, frames, device=device)
    ).flatten()
    source = maps.rows(of_references).inverse(old_target + moved[:, :2])  # where the reference now shows it
    # What has left the picture, on either side, cannot be seen, and nothing is known of what a border repeats.
    inside = (source.abs() < 1).all(1, keepdim=True) & (old_target.abs() < 1).all(1, keepdim=True)
    flow = source - identity_grid(side, side, device)
    visibility = moved[:, 2:] * inside
    return flow.unflatten(0, (rows, references)), visibility.unflatten(0, (rows, references))
