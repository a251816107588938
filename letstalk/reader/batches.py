"""Batches as a function of (pool, seed, step): resumed or not, in one process or several, the pictures are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from letstalk.reader.network import ReaderConfig, to_network
from letstalk.reader.pool import Pool
from letstalk.reader.samples import SampleMaker
from letstalk.runtime import numpy_generator

PICTURES = ("face", "mouth", "eyes", "canvas")


@dataclass(frozen=True)
class BatchSettings:
    faces: int = 32  # frames in a batch; each gives one face, one mouth and two eyes
    canvases: int = 8  # scenes for the finder
    seed: int = 0
    plain_share: float = 1 / 6  # frames that keep the renderer's look
    parts: tuple[str, ...] = ("finder", "face", "mouth", "eye")  # networks that batches are for


class BatchMaker(Dataset[dict[str, np.ndarray]]):
    """Item `step` is one batch of numpy arrays."""

    def __init__(self, pool: Pool, config: ReaderConfig, mean_face: np.ndarray, settings: BatchSettings) -> None:
        self.pool = pool
        self.settings = settings
        rng = numpy_generator(settings.seed, "stock")
        self.maker = SampleMaker(config, mean_face, np.array(config.mirrored), rng)

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        rng = numpy_generator(self.settings.seed, "batch", step)
        plain = self.settings.plain_share
        records = [self.maker.changed(rng, self.pool.record(index), plain) for index in self._indices(step)]
        parts = self.settings.parts
        samples = [self.maker.make(rng, record, parts) for record in records]
        canvases = []
        for number in range(self.settings.canvases if "finder" in parts else 0):
            cast = [records[(number * 3 + offset) % len(records)] for offset in range(3)]
            canvases.append(self.maker.finder_canvas(rng, cast))
        return {**_stacked(samples), **_stacked(canvases)}

    def _indices(self, step: int) -> np.ndarray:
        """Every frame once in each round through the pool, in an order of its own."""
        size, count = len(self.pool), self.settings.faces
        places = np.arange(step * count, (step + 1) * count)
        orders = {
            turn: numpy_generator(self.settings.seed, "order", int(turn)).permutation(size)
            for turn in np.unique(places // size)
        }
        return np.array([orders[place // size][place % size] for place in places])


def _stacked(samples: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([sample[key] for sample in samples]) for key in (samples[0] if samples else ())}


class _From(Sampler[int]):
    def __init__(self, first_step: int) -> None:
        self.first_step = first_step

    def __iter__(self):  # noqa: ANN204
        step = self.first_step
        while True:
            yield step
            step += 1


def loader(maker: BatchMaker, first_step: int, num_workers: int) -> DataLoader:
    """Endless, in order. Without workers the batches are made in the caller's process."""
    return DataLoader(maker, batch_size=None, sampler=_From(first_step), num_workers=num_workers)


def to_tensors(batch: dict[str, np.ndarray | torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    tensors = {key: torch.as_tensor(value).to(device) for key, value in batch.items()}
    return {key: to_network(value) if key in PICTURES else value for key, value in tensors.items()}
