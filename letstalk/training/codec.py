"""Trains the reference-guided autoencoder. `letstalk train codec` and `python -m letstalk.training.codec` both end
here.

    python -m letstalk.training.codec --minutes 25 --out DIR --device auto --workers 14 --rows 64 --fewer-rows 32

Needs torch, diffusers, numba, OpenCV, safetensors and Pillow; nothing of the app, no sound or video libraries.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from letstalk.errors import LetsTalkError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.runtime import CancelToken, torch_generator
from letstalk.synthetic.controls import LANDMARK_NAMES, NUM_LANDMARKS
from letstalk.synthetic.data.clip_renderer import cached_renderer
from letstalk.training import checkpoints, latents
from letstalk.training.augment import AugmentSettings, augment
from letstalk.training.batch import PairBatch
from letstalk.training.codec_examiner import CodecExaminer, Examination
from letstalk.training.codec_settings import CodecTraining, read_arguments
from letstalk.training.codec_stages import Stage, StagePlan, learning_rate
from letstalk.training.codec_task import CodecTask, StepInput, StepOutput, weighted_total
from letstalk.training.ema import WeightAverage
from letstalk.training.focus import LANDMARK_REACHES
from letstalk.training.judge import PatchJudge, hinge_loss
from letstalk.training.launch import Launch
from letstalk.training.pair_feed import PairFeed
from letstalk.training.readings import READING_NAMES
from letstalk.training.run import run_command
from letstalk.training.run_log import Means, RunLog, Stopwatch
from letstalk.training.sheets import codec_columns, save_sheet
from letstalk.training.strangers import load_reader

log = logging.getLogger(__name__)
LARGEST_GRADIENT = 1.0
BAD_STEPS_ALLOWED = 20  # in a row, before a run gives up


def new_codec(seed: int = 0) -> ReferenceAutoencoder:
    """An untrained `mini` autoencoder, but for the close look at mouth and eyes, which the face reader gives."""
    codec = ReferenceAutoencoder(
        num_landmarks=NUM_LANDMARKS, reading_names=READING_NAMES, landmark_reaches=LANDMARK_REACHES,
        glimpse_landmarks=LANDMARK_NAMES, seed=seed,
    )  # fmt: skip
    assert codec.encoder.glimpses is not None
    codec.encoder.glimpses.take_over(load_reader().network)
    return codec


class CodecTrainer:
    """One run, from its settings to its folder of weights. All that a resumed run needs is in `save_state`."""

    def __init__(self, settings: CodecTraining, model: ReferenceAutoencoder | None = None) -> None:
        torch.set_num_threads(settings.threads)
        self.settings = settings
        cached_renderer(settings.assets, settings.procedural)  # a missing pack is told now, not by a worker
        self.launch = Launch(settings.device, settings.precision)
        self.plan = StagePlan.named(settings.plan, settings.stage, settings.since)
        self.model = model or new_codec(settings.seed)
        if settings.init:
            checkpoints.load_weights(self.model, settings.init)
            latents.take_entries(self.model, latents.entries_beside(settings.init))
        for stage in self.plan.stages:
            if stage.head_only:
                self.model.synthesis.begin_head(stage.size)
        self.reader = load_reader()
        self.task = self.launch.prepare(CodecTask(self.model, self.reader))
        self.average = WeightAverage(self.model)
        self.judge = PatchJudge()
        self.judge.to(self.launch.device)
        painting = [*self.model.texture.parameters(), *self.model.synthesis.parameters()]
        painters = {id(value) for value in painting}
        moving = [value for value in self.model.parameters() if id(value) not in painters]
        self.optimizer = torch.optim.AdamW(
            [{"params": moving}, {"params": painting}], lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.judge_optimizer = torch.optim.AdamW(
            self.judge.parameters(), lr=settings.judge_learning_rate, betas=(0.5, 0.99)
        )
        self.augmentation = AugmentSettings()
        self.examiner = CodecExaminer(settings, self.launch.device, self.reader)
        self.log = RunLog(settings.out / "log.jsonl")
        self.means, self.watch = Means(), Stopwatch()
        self.step, self.earlier_seconds, self.bad_steps, self.pairs = 0, 0.0, 0, 0
        self._begin = self._saved_at = self._logged_at = time.monotonic()
        feed_state = self._restore() if settings.resume else None
        self.feed = PairFeed(settings, self._prepare, self.launch.process, feed_state)
        if settings.compile:
            for part in (self.model.encoder, self.model.texture, self.model.motion, self.model.synthesis):
                part.compile()  # in place: names of weights stay, the averaged copy stays as it is

    # The run

    @property
    def seconds(self) -> float:
        return self.earlier_seconds + time.monotonic() - self._begin

    @property
    def progress(self) -> float:
        if self.settings.steps is not None:
            return self.step / self.settings.steps
        return self.seconds / (60 * (self.settings.minutes or 1))

    @property
    def _slice_is_over(self) -> bool:
        limit = self.settings.slice_minutes
        return limit is not None and time.monotonic() - self._begin > 60 * limit

    def run(self, cancel: CancelToken | None = None) -> None:
        """Trains to the end, or until `cancel.stop()`; either way weights and state are on disk afterwards."""
        self.log.write("begin", step=self.step, **self._about())
        try:
            while self.progress < 1 and not self._slice_is_over and not (cancel and cancel.stopped):
                stage, within = self.plan.at(self.progress)
                self.train_step(stage, within)
                self._report(stage)
        finally:
            self.feed.close()
        self.finish(self.plan.at(min(self.progress, 1.0))[0])

    def train_step(self, stage: Stage, within: float) -> None:
        with self.watch.part("data"):  # only what was waited for: it is prepared beside the step before
            given: StepInput = self.feed.given(self.step, stage)
        self._set_up(stage, within)
        judging = stage.paints and within >= stage.judge_from
        with self.watch.part("forward"), self.launch.autocast():
            self.judge.requires_grad_(False)
            given = replace(given, judging=judging)
            output: StepOutput = self.task(given, stage, self.judge if judging else None)
            total = weighted_total(output.losses, stage)
        with self.watch.part("backward"):
            self.launch.backward(total)
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        with self.watch.part("update"):
            self._update(total, norm)
        if judging and output.decoded is not None:
            with self.watch.part("judge"):
                self._train_judge(given.batch.pictures[:, 0], output.decoded.pictures.detach())
        self._count(output, total, norm, given)

    def _prepare(self, batch: PairBatch, step: int, stage: Stage) -> StepInput:
        generator = torch_generator((self.settings.seed << 32) + step * 64 + self.launch.process)
        return augment(batch.to(self.launch.device), self.augmentation, stage, self._latent_shape, generator)

    def _set_up(self, stage: Stage, within: float) -> None:
        learns = next(self.model.encoder.parameters()).requires_grad
        if stage.freeze_encoder and learns and not latents.is_frozen(self.average.model):
            self._freeze_encoder(stage)
        self.model.requires_grad_(not stage.head_only)
        for part in (self.model.encoder, self.model.geometry):
            part.requires_grad_(not stage.freeze_encoder)
        self.model.synthesis.heads[str(stage.size)].requires_grad_(True)
        if self.model.encoder.glimpses is not None:
            self.model.encoder.glimpses.requires_grad_(False)  # the reader has learnt to look, on more than this
        rate = learning_rate(stage, within, self.step)
        for group, share in zip(self.optimizer.param_groups, (stage.motion_rate, 1.0), strict=True):
            group["lr"] = share * rate

    def _freeze_encoder(self, stage: Stage) -> None:
        found = self.examiner.examine(self.average.model, stage.size)
        latents.freeze(self.model, self.average.model, found.latents)
        self.log.write("freeze", step=self.step, **latents.entries(self.average.model))
        self.save()

    def _update(self, total: Tensor, norm: Tensor) -> None:
        """A step that is not finite is left out; many in a row mean that the run is lost."""
        if bool(torch.isfinite(total)) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.average.update(self.model)
            self.bad_steps = 0
        else:
            self.bad_steps += 1
            if self.bad_steps > BAD_STEPS_ALLOWED:
                raise LetsTalkError(
                    f"Training lost its footing at step {self.step}.", "Go on from earlier weights at a lower rate."
                )
        self.optimizer.zero_grad(set_to_none=True)

    def _train_judge(self, truth: Tensor, made: Tensor) -> None:
        self.judge.requires_grad_(True)
        with self.launch.autocast():
            _, true_scores = self.judge(truth)
            _, made_scores = self.judge(made)
            loss = hinge_loss(true_scores, made_scores)
        loss.backward()
        self.judge_optimizer.step()
        self.judge_optimizer.zero_grad(set_to_none=True)
        self.means.add("judge", float(loss.detach()))

    def _count(self, output: StepOutput, total: Tensor, norm: Tensor, given: StepInput) -> None:
        self.step += 1
        self.pairs += given.batch.num_rows * given.batch.num_references
        # Reading a number waits for the device: every step on a CPU, now and then elsewhere.
        if self.launch.device.type == "cpu" or self.step % 10 == 0:
            for name, value in {**output.losses, "total": total, "gradient": norm}.items():
                self.means.add(name, float(value.detach()))

    # Reports

    def _report(self, stage: Stage) -> None:
        if not self.launch.is_main:
            return
        if self.step % self.settings.log_every == 0:
            self._log_step(stage)
        if self.step % self.settings.validate_every == 0:
            self.examine(stage)
        if time.monotonic() - self._saved_at > 60 * self.settings.weights_every_minutes:
            self.save()

    def _log_step(self, stage: Stage) -> None:
        now = time.monotonic()
        spent, elapsed = self.watch.take(), max(now - self._logged_at, 1e-9)
        shares = {f"share_{name}": seconds / elapsed for name, seconds in spent.items()}
        rate = self.optimizer.param_groups[-1]["lr"]
        means = self.means.take()
        self.log.write(
            "step", step=self.step, seconds=self.seconds, stage=stage.name, size=stage.size, lr=rate,
            pairs_per_second=self.pairs / elapsed, **means, **shares,
        )  # fmt: skip
        log.info(
            "step %d %s flow %.4f landmarks %.4f total %.4f, %.1f pairs/s",
            self.step,
            stage.name,
            means.get("flow", 0.0),
            means.get("landmarks", 0.0),
            means.get("total", 0.0),
            self.pairs / elapsed,
        )
        self._logged_at, self.pairs = now, 0

    def examine(self, stage: Stage) -> dict[str, float]:
        """Figures of the averaged weights into the log, and a sheet."""
        with self.watch.part("examine"):
            found = self.examiner.examine(self.average.model, stage.size)
            self._save_sheets(found, stage.size, f"{self.step:07d}")
        self.log.write("examine", step=self.step, size=stage.size, **found.figures)
        log.info("examine %d: flow %.2f px of %.2f, warp head %.1f dB, output head %.1f dB, static %.1f dB",
                 self.step, *(found.figures[name] for name in (
                     "flow_pixels", "flow_pixels_zero", "warp_head", "psnr_head", "static_head")))  # fmt: skip
        return found.figures

    def _save_sheets(self, found: Examination, size: int, name: str) -> None:
        folder = self.settings.out / "sheets"
        save_sheet(codec_columns(found.batch, found.own, found.transfer), folder / f"{name}.png")
        driven = self.examiner.driven_portraits(self.average.model, size)
        if driven:
            save_sheet(driven, folder / f"{name}-portraits.png")

    def _about(self) -> dict[str, Any]:
        return {
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "device": str(self.launch.device), "dtype": str(self.launch.dtype), "torch": torch.__version__,
            "settings": {name: str(value) for name, value in vars(self.settings).items()},
        }  # fmt: skip

    # What stays on disk

    def save(self) -> None:
        latents.drop_stale_entries(self.average.model)
        checkpoints.save_weights(self.average.model, self.settings.out / "ema")
        self.save_state()
        self._saved_at = time.monotonic()

    def finish(self, stage: Stage) -> None:
        """Last figures, and weights whose configuration knows the statistics and the hash of the latents."""
        if not self.launch.is_main:
            return
        found = self.examiner.examine(self.average.model, stage.size)
        if not stage.freeze_encoder:
            latents.freeze(self.model, self.average.model, found.latents)
        self._save_sheets(found, stage.size, "last")
        self.log.write("end", step=self.step, seconds=self.seconds, size=stage.size, **found.figures)
        self.save()

    def save_state(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in (("model", self.model), ("average", self.average.model), ("judge", self.judge)):
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        tensors |= checkpoints.optimizer_tensors("optimizer", self.optimizer)
        tensors |= checkpoints.optimizer_tensors("judge_optimizer", self.judge_optimizer)
        numbers = {
            "step": self.step, "seconds": self.seconds, "updates": self.average.num_updates, "feed": self.feed.state,
            "latents": latents.entries(self.average.model),
        }  # fmt: skip
        checkpoints.save_state(self.settings.state_folder, tensors, numbers)

    def _restore(self) -> dict[str, Any]:
        tensors, numbers = checkpoints.load_state(self.settings.state_folder)
        for name, module in (("model", self.model), ("average", self.average.model), ("judge", self.judge)):
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        checkpoints.restore_optimizer("optimizer", self.optimizer, tensors)
        checkpoints.restore_optimizer("judge_optimizer", self.judge_optimizer, tensors)
        self.step, self.earlier_seconds = numbers["step"], numbers["seconds"]
        self.average.num_updates = numbers["updates"]
        latents.take_entries(self.average.model, numbers.get("latents", {}))
        return numbers["feed"]

    @property
    def _latent_shape(self) -> tuple[int, ...]:
        return (self.model.config["latent_channels"], 8, 8)


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda: CodecTrainer(read_arguments(sys.argv[1:] if arguments is None else arguments)))


if __name__ == "__main__":
    sys.exit(main())
