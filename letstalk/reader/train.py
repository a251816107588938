"""Training of the reader: a schedule by wall clock, resumable, averaged weights written every few minutes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from letstalk.errors import SettingsError
from letstalk.reader.batches import BatchMaker, BatchSettings, loader, to_tensors
from letstalk.reader.geometry import mean_shape
from letstalk.reader.losses import all_terms, total
from letstalk.reader.network import ReaderConfig, ReaderNetwork
from letstalk.reader.pool import Pool

STATE_FILE, PROGRESS_FILE = "state.safetensors", "progress.json"


@dataclass(frozen=True)
class TrainSettings:
    minutes: float = 35.0  # of training in all, over every run that resumed
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup_steps: int = 150
    clip_norm: float = 1.0  # for each of the four networks
    average_steps: int = 500  # memory of the averaged weights, in steps
    save_every_seconds: float = 180.0
    log_every_steps: int = 50
    max_steps: int | None = None
    batches: BatchSettings = field(default_factory=BatchSettings)


@dataclass
class Progress:
    step: int = 0
    seconds: float = 0.0


class Trainer:
    """Owns weights, their average and the optimiser's state; all three live in one folder."""

    def __init__(self, folder: Path, network: ReaderNetwork, settings: TrainSettings, device: torch.device) -> None:
        self.folder, self.settings, self.device = folder, settings, device
        moved = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = moved.train()
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}
        trained = [value for part in settings.batches.parts for value in getattr(network, part).parameters()]
        self.optimiser = torch.optim.AdamW(trained, lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay)
        self.progress = Progress()

    def rate(self) -> float:
        """Warm-up by steps, then a cosine over the wall clock that ends at zero."""
        limit = self.settings.max_steps
        done = self.progress.seconds / (60 * self.settings.minutes)
        if limit is not None:
            done = max(done, self.progress.step / limit)
        warm = min(1.0, (self.progress.step + 1) / self.settings.warmup_steps)
        return self.settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    @property
    def finished(self) -> bool:
        limit = self.settings.max_steps
        return self.progress.seconds >= 60 * self.settings.minutes or (
            limit is not None and self.progress.step >= limit
        )

    def step(self, batch: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            terms = all_terms(self.network, batch, self.settings.batches.parts)
        loss = total(terms)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for part in self.settings.batches.parts:
            nn.utils.clip_grad_norm_(getattr(self.network, part).parameters(), self.settings.clip_norm)
        self.optimiser.step()
        self._update_average()
        self.progress.step += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    @torch.no_grad()
    def _update_average(self) -> None:
        # Young averages forget faster, or they would drag the random start along.
        keep = min(1 - 1 / self.settings.average_steps, (1 + self.progress.step) / (10 + self.progress.step))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    def averaged(self) -> ReaderNetwork:
        network = ReaderNetwork(self.network.config)
        network.load_state_dict(self.average)
        return network.eval()

    def save(self) -> None:
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}.{key}"] = value
        part = self.folder / (STATE_FILE + ".part")
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, part)
        part.replace(self.folder / STATE_FILE)
        (self.folder / PROGRESS_FILE).write_text(json.dumps(asdict(self.progress)), encoding="utf-8")
        self.averaged().save(self.folder / "weights")

    def resume(self) -> bool:
        """Goes on where `save` stopped; False where there is nothing to go on from."""
        from safetensors.torch import load_file

        if not (self.folder / STATE_FILE).exists():
            return False
        tensors = load_file(self.folder / STATE_FILE, device=str(self.device))
        chosen = lambda prefix: {  # noqa: E731
            key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
        }
        network = chosen("network.")
        if network.keys() != self.network.state_dict().keys():
            raise SettingsError(f"{self.folder} holds another network.", "Choose another folder.")
        self.network.load_state_dict(network)
        self.average = chosen("average.")
        for name, parameter in self.network.named_parameters():
            self.optimiser.state[parameter] = chosen(f"optimiser.{name}.")
        self.progress = Progress(**json.loads((self.folder / PROGRESS_FILE).read_text(encoding="utf-8")))
        return True


def new_network(pool: Pool, landmark_names: tuple[str, ...], seed: int = 0) -> ReaderNetwork:
    """Random weights, the same for the same seed, and the mean face of the pool."""
    config = ReaderConfig(landmark_names)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = ReaderNetwork(config)
    landmarks = pool.column("landmarks").astype(np.float64)
    shape = mean_shape(landmarks[:: max(1, len(landmarks) // 4000)], config.stable, config.eye_centres)
    network.mean_face.copy_(torch.from_numpy(shape))
    return network


def train(
    trainer: Trainer,
    pool: Pool,
    dtype: torch.dtype,
    num_workers: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Runs until the settings' minutes are used up. Stopped in between it loses at most `save_every_seconds`."""
    settings = trainer.settings
    shape = trainer.network.mean_face.cpu().double().numpy()
    maker = BatchMaker(pool, trainer.network.config, shape, settings.batches)
    sums: dict[str, float] = {}
    seconds_for_data, saved = 0.0, time.monotonic()
    last = time.monotonic()
    for arrays in loader(maker, trainer.progress.step, num_workers):
        if trainer.finished:
            break
        batch = to_tensors(arrays, trainer.device)
        seconds_for_data += time.monotonic() - last
        values = trainer.step(batch, dtype)
        now = time.monotonic()
        trainer.progress.seconds += now - last
        last = now
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value / settings.log_every_steps
        if trainer.progress.step % settings.log_every_steps == 0:
            report(_line(trainer, sums, seconds_for_data))
            if not np.isfinite(list(sums.values())).all():
                raise FloatingPointError(f"training diverged at step {trainer.progress.step}")
            sums, seconds_for_data = {}, 0.0
        if now - saved > settings.save_every_seconds:
            trainer.save()
            saved = last = time.monotonic()
    trainer.save()


def _line(trainer: Trainer, means: dict[str, float], seconds_for_data: float) -> str:
    progress = trainer.progress
    values = " ".join(f"{name}={value:.4f}" for name, value in means.items())
    return (
        f"step {progress.step} {progress.seconds / 60:.1f} min rate {trainer.rate():.5f} "
        f"data {seconds_for_data / trainer.settings.log_every_steps:.3f} s/step {values}"
    )
