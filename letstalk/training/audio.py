"""Pre-trains the mel audio encoder on talks: sound and the motion of a mouth, no pictures. `letstalk train audio` and
`python -m letstalk.training.audio` both end here.

    letstalk train talks --out TALKS --talks 900; letstalk train talks --out HELD --talks 24 --split validation
    python -m letstalk.training.audio --talks TALKS --validation HELD --minutes 20 --out DIR

What is wanted is `ema`, the averaged encoder; `heads` reads mouths from its tokens and serves to measure them.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.runtime import CancelToken, torch_generator
from letstalk.training import checkpoints
from letstalk.training.appearance import Draw
from letstalk.training.audio_batches import HearingSettings, WindowShape, draw_batch
from letstalk.training.audio_examiner import examine_recording, examine_talks, motion_statistics, read_recordings
from letstalk.training.audio_settings import AudioTraining, read_arguments
from letstalk.training.audio_task import LOSS_WEIGHTS, AudioTask, HearingHeads
from letstalk.training.ema import WeightAverage
from letstalk.training.launch import Launch
from letstalk.training.run import RunClock, SafeUpdate, run_command
from letstalk.training.run_log import Means, RunLog, Stopwatch
from letstalk.training.talks import Talk, load_talks
from letstalk.types import FPS

log = logging.getLogger(__name__)
LARGEST_GRADIENT = 1.0


class AudioTrainer:
    """One run, from its settings to its folder of weights. All that a resumed run needs is in `save_state`."""

    def __init__(self, settings: AudioTraining, encoder: MelAudioEncoder | None = None) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.talks: list[Talk] = [talk for folder in settings.talks for talk in load_talks(Path(folder))]
        self.held_out = load_talks(settings.validation) if settings.validation else []
        self.recordings = read_recordings(settings.recordings) if settings.recordings else {}
        self.launch = Launch(settings.device, settings.precision)
        encoder = encoder or MelAudioEncoder(seed=settings.seed)
        if settings.init:
            checkpoints.load_weights(encoder, settings.init)
        self.shape = WindowShape(settings.window_frames, encoder.past_samples, encoder.future_samples)
        heads = HearingHeads(encoder.num_tokens * encoder.token_width, *motion_statistics(self.talks))
        self.task = AudioTask(encoder, heads).to(self.launch.device)
        self.average = WeightAverage(self.task, settings.average_decay)
        self.optimizer = torch.optim.AdamW(self.task.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01)
        self.update = SafeUpdate(self.optimizer, LARGEST_GRADIENT)
        self.clock = RunClock(settings.minutes, settings.steps, settings.slice_minutes)
        self.log = RunLog(settings.out / "log.jsonl")
        self.means, self.watch = Means(), Stopwatch()
        self._saved_at = self._logged_at = time.monotonic()
        if settings.resume:
            self._restore()

    def run(self, cancel: CancelToken | None = None) -> dict[str, float]:
        """Trains to the end, or until `cancel.stop()`; either way weights and state are on disk afterwards."""
        self.log.write("begin", step=self.clock.step, **self._about())
        while self.clock.goes_on and not (cancel and cancel.stopped):
            self.train_step()
            self._report()
        figures = self.examine()
        self.log.write("end", step=self.clock.step, seconds=self.clock.seconds, **figures)
        self.save()
        return figures

    def train_step(self) -> None:
        with self.watch.part("data"):
            batch = draw_batch(
                self.talks, self.shape, self.settings.rows, HearingSettings(), self.settings.seed, self.clock.step
            )
        self._set_rate()
        generator = torch_generator((self.settings.seed << 32) + self.clock.step)
        with self.watch.part("forward"), self.launch.autocast():
            losses = self.task(batch.to(self.launch.device), Draw(generator, self.launch.device))
            total = torch.stack([weight * losses[name] for name, weight in LOSS_WEIGHTS.items()]).sum()
        with self.watch.part("backward"):
            self.launch.backward(total)
        with self.watch.part("update"):
            fine, norm = self.update(total.detach(), self.task.parameters())
            if fine:
                self.average.update(self.task)
        self.clock.step += 1
        for name, value in {**losses, "total": total, "gradient": norm}.items():
            self.means.add(name, float(value.detach()))

    def _set_rate(self) -> None:
        """Warm-up, then half a cosine down to `last_rate` of the rate."""
        chosen, progress = self.settings, min(self.clock.progress, 1.0)
        falling = chosen.last_rate + (1 - chosen.last_rate) * 0.5 * (1 + math.cos(math.pi * progress))
        rate = chosen.learning_rate * falling * min(1.0, (self.clock.step + 1) / chosen.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    # Reports

    def _report(self) -> None:
        if self.clock.step % self.settings.log_every == 0:
            now = time.monotonic()
            shares = {f"share_{name}": spent / (now - self._logged_at) for name, spent in self.watch.take().items()}
            means, rate = self.means.take(), self.optimizer.param_groups[0]["lr"]
            self.log.write("step", step=self.clock.step, seconds=self.clock.seconds, lr=rate, **means, **shares)
            log.info("step %d %.0f%% motion %.4f viseme %.3f speaking %.3f", self.clock.step, 100 * self.clock.progress,
                     *(means[name] for name in ("motion", "viseme", "speaking")))  # fmt: skip
            self._logged_at = now
        if self.clock.step % self.settings.validate_every == 0:
            with self.watch.part("examine"):
                self.log.write("examine", step=self.clock.step, **self.examine())
        if time.monotonic() - self._saved_at > 60 * self.settings.weights_every_minutes:
            self.save()

    def examine(self) -> dict[str, float]:
        """Figures of the averaged weights, on held-out voices and on real recordings where there are some."""
        task, device = self.average.model, self.launch.device
        figures = examine_talks(task, self.held_out, device) if self.held_out else {}
        means = Means()
        for name, samples in self.recordings.items():
            found = examine_recording(task, samples, device)
            self.log.write("recording", step=self.clock.step, name=name, **found)
            for key, value in found.items():
                if not math.isnan(value):
                    means.add(key, value)
        figures |= means.take()
        log.info("examine %d: %s", self.clock.step, ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
        return figures

    def _about(self) -> dict[str, Any]:
        return {
            "parameters": sum(value.numel() for value in self.task.encoder.parameters()),
            "hours": sum(talk.num_frames for talk in self.talks) / FPS / 3600, "num_talks": len(self.talks),
            "device": str(self.launch.device), "dtype": str(self.launch.dtype), "torch": torch.__version__,
            "settings": {name: str(value) for name, value in vars(self.settings).items()},
        }  # fmt: skip

    # What stays on disk

    def save(self) -> None:
        checkpoints.save_weights(self.average.model.encoder, self.settings.out / "ema")
        save_file(self.average.model.heads.state_dict(), self.settings.out / "heads.safetensors")
        self.save_state()
        self._saved_at = time.monotonic()

    def save_state(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in (("task", self.task), ("average", self.average.model)):
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        tensors |= checkpoints.optimizer_tensors("optimizer", self.optimizer)
        numbers = {"step": self.clock.step, "seconds": self.clock.seconds, "updates": self.average.num_updates}
        checkpoints.save_state(self.settings.out / "state", tensors, numbers)

    def _restore(self) -> None:
        tensors, numbers = checkpoints.load_state(self.settings.out / "state")
        for name, module in (("task", self.task), ("average", self.average.model)):
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        checkpoints.restore_optimizer("optimizer", self.optimizer, tensors)
        self.clock.step, self.clock.earlier_seconds = numbers["step"], numbers["seconds"]
        self.average.num_updates = numbers["updates"]


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda: AudioTrainer(read_arguments(sys.argv[1:] if arguments is None else arguments)))


if __name__ == "__main__":
    sys.exit(main())
