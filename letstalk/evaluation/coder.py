"""The autoencoder as the suites use it: uint8 pictures in, uint8 pictures out, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.encoder import References

BATCH = 8


@dataclass(frozen=True)
class Rebuilt:
    """Pictures (n, S, S, 3) uint8 and the flow (n, 2, 64, 64) float32 that moved their first reference."""

    pictures: np.ndarray
    flow: np.ndarray


class Coder:
    """Holds a loaded autoencoder; coding changes nothing in it."""

    def __init__(self, model: ReferenceAutoencoder) -> None:
        self.model = model

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def tensor(self, pictures: np.ndarray) -> Tensor:
        """(..., S, S, 3) uint8 -> (..., 3, S, S) in -1..1, where the model lies."""
        values = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).movedim(-1, -3)
        return (values.float() / 127.5 - 1).to(self.dtype)

    @torch.inference_mode()
    def encode(self, pictures: np.ndarray) -> Tensor:
        """(n, S, S, 3) -> raw latents (n, C, 8, 8)."""
        return torch.cat([self.model.encode(self.tensor(pictures[part])) for part in parts_of(len(pictures))])

    @torch.inference_mode()
    def guide(self, references: np.ndarray) -> References:
        """(R, S, S, 3) of one person -> what `decode` needs."""
        return self.model.encode_references(self.tensor(references)[None])

    @torch.inference_mode()
    def decode(self, latents: Tensor, guide: References) -> np.ndarray:
        """Latents (n, C, 8, 8) with one person's references -> (n, S, S, 3) uint8."""
        decoded = [self.model.decode(latents[part], guide).pictures for part in parts_of(len(latents))]
        return as_uint8(torch.cat(decoded))

    def drive(self, guide: References, frames: np.ndarray, calm: np.ndarray) -> np.ndarray:
        """One person's references moved by anybody's frames (n, S, S, 3): z_ref + change of z since `calm` (1, ...)."""
        return self.decode(guide.latents[:, 0] + self.encode(frames) - self.encode(calm), guide)

    @torch.inference_mode()
    def rebuild(self, targets: np.ndarray, references: np.ndarray) -> Rebuilt:
        """Each target (n, S, S, 3) with a reference of its own (n, S, S, 3)."""
        pictures, flows = [], []
        for part in parts_of(len(targets)):
            guide = self.model.encode_references(self.tensor(references[part])[:, None])
            decoded = self.model.decode(self.model.encode(self.tensor(targets[part])), guide)
            pictures.append(as_uint8(decoded.pictures))
            flows.append(decoded.motions[0].flow64.float().cpu().numpy())
        return Rebuilt(np.concatenate(pictures), np.concatenate(flows))


def parts_of(count: int, most: int = BATCH) -> Iterator[slice]:
    return (slice(first, first + most) for first in range(0, count, most))


def as_uint8(pictures: Tensor) -> np.ndarray:
    """(n, 3, S, S) in -1..1, clamped -> (n, S, S, 3) uint8."""
    levels = ((pictures.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()
