"""What one training step of the autoencoder sees: pairs (or more) of frames of one person, and everything known of
them.

Frame 0 of a row is the target, frames 1..R its references. Rows come in neighbours where a clip has two people: rows
2k and 2k+1 then show the same moments of the same performance, and `partner` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class PairBatch:
    """B rows of F = 1 + R frames. Places are normalised (-1..1, x then y), flows in half-widths (see models/warp.py).

    Collected as bytes (0..255 for the ranges below) and half floats, which travel cheaply; `as_floats` makes float32.
    """

    pictures: Tensor  # (B, F, 3, S, S) -1..1
    person: Tensor  # (B, F, 1, S, S) 0..1: share of the pixel that is person
    flow: Tensor  # (B, R, 2, 64, 64), from the target back to each reference
    visibility: Tensor  # (B, R, 1, 64, 64) 0..1: that reference shows this pixel of the target
    head: Tensor  # (B, F, 1, 64, 64) 0..1: the head, hair and all
    landmarks: Tensor  # (B, F, K, 2)
    readings: Tensor  # (B, F, num_readings), in the order of readings.READING_NAMES
    partner: Tensor  # (B,) int64: row with the same moments of another person; its own number where there is none

    @property
    def num_rows(self) -> int:
        return self.pictures.shape[0]

    @property
    def num_references(self) -> int:
        return self.pictures.shape[1] - 1

    @property
    def size(self) -> int:
        return self.pictures.shape[-1]

    def to(self, device: torch.device) -> PairBatch:
        return replace(self, **{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    def as_floats(self) -> PairBatch:
        if self.pictures.dtype != torch.uint8:
            return self
        masks = {name: getattr(self, name).float() / 255 for name in ("person", "visibility", "head")}
        return replace(self, pictures=self.pictures.float() / 127.5 - 1, flow=self.flow.float(), **masks)
