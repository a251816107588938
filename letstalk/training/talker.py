"""Trains the talking transformer and its audio encoder on latents. `letstalk train transformer` and
`python -m letstalk.training.talker` both end here.

    python -m letstalk.training.talker --latents DIR --validation DIR --codec DIR --minutes 60 --out DIR --device auto

Needs torch, diffusers, numba, OpenCV, safetensors and Pillow; nothing of the app, no sound or video libraries.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from letstalk.flow.schedulers import make_scheduler
from letstalk.models.audio_encoder import AudioEncoder, MelAudioEncoder
from letstalk.models.sizes import TRANSFORMERS
from letstalk.models.transformer import TalkingTransformer
from letstalk.runtime import CancelToken, numpy_generator, torch_generator
from letstalk.training import checkpoints
from letstalk.training.ema import WeightAverage
from letstalk.training.latent_films import LatentFilm, finished_codec, open_latents
from letstalk.training.launch import Launch
from letstalk.training.run import RunClock, SafeUpdate, run_command
from letstalk.training.run_log import Means, RunLog, Stopwatch
from letstalk.training.sheets import save_sheet
from letstalk.training.talk_batch import FilmShelf, TalkBatch, TalkFeed, WindowShape, delta_scale
from letstalk.training.talk_losses import LatentReader, mouth_cells
from letstalk.training.talk_sampling import SamplingSettings
from letstalk.training.talker_examiner import TalkerExaminer
from letstalk.training.talker_settings import TalkerTraining, read_arguments
from letstalk.training.talker_task import LOSS_WEIGHTS, TalkerTask, TalkOutput, TaskSettings, weighted_total

log = logging.getLogger(__name__)
LARGEST_GRADIENT = 1.0
GUIDED = SamplingSettings(audio_weight=2.0)  # as videos are made by default
PROBED_FILMS = 8  # people on whom the cells of the mouth are found
FIRST_STEPS = 5  # whose gradients are logged module by module


def new_transformer(
    settings: TalkerTraining, scale: Tensor, latent_hash: str, audio: AudioEncoder
) -> TalkingTransformer:
    """Untrained, for the latents of one autoencoder."""
    shape: dict[str, Any] = {
        **TRANSFORMERS[settings.size],
        "portrait_fusion": settings.portrait_fusion, "audio_fusion": settings.audio_fusion,
        "audio_tokens": audio.num_tokens, "audio_width": audio.token_width, "max_memory": settings.memory_frames,
        "latent_channels": len(scale), "delta_scale": [round(float(value), 6) for value in scale],
        "latent_hash": latent_hash, "seed": settings.seed,
    }  # fmt: skip
    return TalkingTransformer(**shape)


def new_audio_encoder(settings: TalkerTraining) -> AudioEncoder:
    """The pre-trained one that the settings name, or an untrained one."""
    for folder in (settings.audio_init, settings.init and settings.init / "audio_encoder"):
        if folder is not None:
            return MelAudioEncoder.from_pretrained(folder, torch_dtype=torch.float32)
    return MelAudioEncoder(seed=settings.seed)


class TalkerTrainer:
    """One run, from its settings to its folder of weights. All that a resumed run needs is in `save_state`."""

    def __init__(
        self, settings: TalkerTraining, transformer: TalkingTransformer | None = None,
        audio_encoder: AudioEncoder | None = None,
    ) -> None:  # fmt: skip
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.clock = RunClock(settings.minutes, settings.steps, settings.slice_minutes)
        self.launch = Launch(settings.device, settings.precision)
        codec = finished_codec(settings.codec)
        films = open_latents(settings.latents, codec.config["latent_hash"], settings.films)
        audio_encoder = audio_encoder or new_audio_encoder(settings)
        if transformer is None and settings.init:  # whose scale of differences stays, whatever these films have
            transformer = TalkingTransformer.from_pretrained(settings.init / "transformer", torch_dtype=torch.float32)
        transformer = transformer or new_transformer(
            settings, delta_scale(films, codec), codec.config["latent_hash"], audio_encoder
        )
        transformer.check_codec(codec.config["latent_hash"])
        self.reader = LatentReader(codec, self.launch.device)
        task_settings = TaskSettings(memory_frames=settings.memory_frames)
        audio_encoder.requires_grad_(not settings.freeze_audio)
        self.model = TalkerTask(transformer, audio_encoder, self.reader, task_settings, self._mouth(films))
        self.task = self.launch.prepare(self.model)
        self.average = WeightAverage(self.model, settings.average_decay)
        self.optimizer = torch.optim.AdamW(
            [{"params": transformer.parameters(), "base": settings.learning_rate},
             {"params": audio_encoder.parameters(), "base": settings.audio_learning_rate}],
            lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01,
        )  # fmt: skip
        self.update = SafeUpdate(self.optimizer, LARGEST_GRADIENT)
        self.log = RunLog(settings.out / "log.jsonl")
        self.means, self.watch, self.buckets = Means(), Stopwatch(), None
        self.rows_seen = 0
        if settings.resume:
            self._restore()
        self.examiner = self._open_examiner()
        self._saved_at = self._logged_at = self._examined_at = time.monotonic()
        shelf = FilmShelf(films, audio_encoder)
        shape = WindowShape.of(audio_encoder, settings.memory_frames, settings.chunk_frames)
        self.feed = TalkFeed(shelf, shape, settings.rows, (settings.seed, self.launch.process))

    def _mouth(self, films: list[LatentFilm]) -> Tensor:
        """Which latent cells move the mouth, (h, w)."""
        chosen = films[:PROBED_FILMS]
        latents = torch.stack([film.references[0, 0] for film in chosen]).float().to(self.launch.device)
        portraits = torch.stack([film.portrait for film in chosen]).float().to(self.launch.device) / 127.5 - 1
        return mouth_cells(self.reader.codec, latents, portraits)

    def _open_examiner(self) -> TalkerExaminer | None:
        if self.settings.validation is None or not self.launch.is_main:
            return None
        films = open_latents(
            self.settings.validation, self.reader.codec.config["latent_hash"], self.settings.validation_films
        )
        return TalkerExaminer(films, self.reader, self.launch.device)

    # The run

    def run(self, cancel: CancelToken | None = None) -> dict[str, float]:
        """Trains to the end, or until `cancel.stop()`; either way weights and state are on disk afterwards. Returns the
        last figures.
        """
        self.log.write("begin", step=self.clock.step, **self._about())
        try:
            while self.clock.goes_on and not (cancel and cancel.stopped):
                self.train_step()
                self._report()
        finally:
            self.feed.close()
        figures: dict[str, float] = {}
        if self.launch.is_main:
            figures = self.examine(whole=True)
            self.log.write("end", step=self.clock.step, seconds=self.clock.seconds, **figures)
            self.save()
        return figures

    def num_chunks(self, step: int) -> int:
        """Two in a roll-out. By the step alone, so that the feed can look ahead; all processes agree."""
        if self.clock.progress < self.settings.rollouts_from:
            return 1
        return 1 + int(numpy_generator(self.settings.seed, "roll-out", step).random() < self.settings.rollout_share)

    def train_step(self) -> None:
        step, number = self.clock.step, self.num_chunks(self.clock.step)
        with self.watch.part("data"):
            batch = self.feed.batch(step, number, self.num_chunks(step + 1)).to(self.launch.device)
        self._set_rates()
        generator = torch_generator((self.settings.seed << 32) + step * 64 + self.launch.process)
        with self.watch.part("forward"), self.launch.autocast(), self.launch.attention():
            output: TalkOutput = self.task(batch, generator, number)
            total = weighted_total(output.losses)
        with self.watch.part("backward"):
            self.launch.backward(total)
        if step < FIRST_STEPS:
            self.log.write("gradients", step=step, **gradient_norms(self.model))
        with self.watch.part("update"):
            taken, norm = self.update(total, self.model.parameters())
            if taken:
                self.average.update(self.model)
        self._count(output, total, norm, batch)

    def _set_rates(self) -> None:
        """Warm-up, then down along half a cosine."""
        settings, progress = self.settings, min(self.clock.progress, 1.0)
        fall = settings.last_rate + (1 - settings.last_rate) * 0.5 * (1 + cos(pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * fall * min(1.0, (self.clock.step + 1) / settings.warmup_steps)

    def _count(self, output: TalkOutput, total: Tensor, norm: Tensor, batch: TalkBatch) -> None:
        self.clock.step += 1
        self.rows_seen += len(batch.reference)
        # Reading a number waits for the device: every step on a CPU, now and then elsewhere.
        if self.launch.device.type == "cpu" or self.clock.step % 10 == 0:
            for name, value in {**output.losses, "total": total, "gradient": norm}.items():
                self.means.add(name, float(value.detach()))
            self.buckets = output.buckets if self.buckets is None else self.buckets + output.buckets

    def _report(self) -> None:
        if not self.launch.is_main:
            return
        if self.clock.step % self.settings.log_every == 0:
            self._log_step()
        if time.monotonic() - self._examined_at > 60 * self.settings.validate_every_minutes:
            self.examine()
        if time.monotonic() - self._saved_at > 60 * self.settings.weights_every_minutes:
            self.save()

    def _log_step(self) -> None:
        now = time.monotonic()
        spent, elapsed = self.watch.take(), max(now - self._logged_at, 1e-9)
        means, buckets = self.means.take(), self.buckets
        self.log.write(
            "step", step=self.clock.step, seconds=self.clock.seconds, progress=self.clock.progress,
            lr=self.optimizer.param_groups[0]["lr"], rows_per_second=self.rows_seen / elapsed, **means,
            **(buckets.means() if buckets else {}),
            **{f"share_{name}": seconds / elapsed for name, seconds in spent.items()},
        )  # fmt: skip
        losses = ", ".join(f"{name} {means[name]:.4f}" for name in LOSS_WEIGHTS if name in means)
        log.info("step %d %s, %.1f windows/s", self.clock.step, losses, self.rows_seen / elapsed)
        self._logged_at, self.rows_seen, self.buckets = now, 0, None

    def examine(self, *, whole: bool = False) -> dict[str, float]:
        """Figures of the averaged weights into the log, and a sheet: guided, as videos are made, and, where `whole`,
        without guidance too.
        """
        self._examined_at = time.monotonic()
        if self.examiner is None:
            return {}
        model, chunk = self.average.model, self.settings.chunk_frames
        heard = self._held_out_batch()  # before autocast, which cannot stack half-precision latents
        ways = {"": GUIDED, "unguided_": SamplingSettings()} if whole else {"": GUIDED}
        found, spoken = {}, {}
        with self.watch.part("examine"), self.launch.autocast(), self.launch.attention():
            for name, sampling in ways.items():
                spoken[name] = self.examiner.speak(
                    model.transformer, model.audio_encoder, self.settings.memory_frames, chunk, sampling
                )
                figures = self.examiner.figures(spoken[name], chunk)
                found |= {name + key: value for key, value in figures.items()}
            found |= self._audio_gap(heard)
        sheet = self.examiner.strip(spoken[""], first=30, every=4, count=9)
        save_sheet(sheet, self.settings.out / "sheets" / f"{self.clock.step:07d}.png")
        self.log.write("examine", step=self.clock.step, seconds=self.clock.seconds, **found)
        log.info("examine %d: mouth r %.3f (shuffled %.3f, bound %.3f), spread %.2f, seam %.2f, audio gap %.4f",
                 self.clock.step, *(found[name] for name in (
                     "mouth_r", "mouth_r_shuffled", "mouth_bound_r", "mouth_spread", "seam", "audio_gap")))  # fmt: skip
        self._examined_at = time.monotonic()
        return found

    def _held_out_batch(self) -> TalkBatch:
        assert self.examiner is not None
        shelf = FilmShelf(self.examiner.films, self.model.audio_encoder)
        batch = shelf.batch(self.feed.shape, 1, 2 * len(shelf.films), (self.settings.seed, "audio gap"))
        return batch.to(self.launch.device)

    @torch.no_grad()
    def _audio_gap(self, batch: TalkBatch) -> dict[str, float]:
        """What the flow loss gains from hearing the right sound; about 0 says that the sound is not listened to."""
        found: dict[str, float] = {}
        for name, heard in (("own", batch), ("shuffled", with_shuffled_sound(batch))):
            losses = self.average.model(heard, torch_generator(0)).losses
            found |= {f"{name}_sound_{key}": float(losses[key]) for key in ("flow", "expression")}
        return found | {"audio_gap": found["shuffled_sound_flow"] - found["own_sound_flow"]}

    def _about(self) -> dict[str, Any]:
        parts = {"transformer": self.model.transformer, "audio_encoder": self.model.audio_encoder}
        return {
            "parameters": {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()},
            "films": len(self.feed.shelf.films), "device": str(self.launch.device), "dtype": str(self.launch.dtype),
            "torch": torch.__version__, "settings": {name: str(value) for name, value in vars(self.settings).items()},
        }  # fmt: skip

    # What stays on disk

    def save(self) -> None:
        """Weights as a pipeline finds them, each in its folder, and the state to go on from."""
        folder, model = self.settings.out / "ema", self.average.model
        checkpoints.save_weights(model.transformer, folder / "transformer")
        if not self.settings.freeze_audio:
            checkpoints.save_weights(model.audio_encoder, folder / "audio_encoder")
        make_scheduler("euler", model.settings.times.shift).save_pretrained(folder / "scheduler")
        self.save_state()
        self._saved_at = time.monotonic()

    def save_state(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, module in (("model", self.model), ("average", self.average.model)):
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        tensors |= checkpoints.optimizer_tensors("optimizer", self.optimizer)
        numbers = {
            "step": self.clock.step, "seconds": self.clock.seconds, "updates": self.average.num_updates,
            "delta_scale": self.model.transformer.config["delta_scale"],
        }  # fmt: skip
        checkpoints.save_state(self.settings.out / "state", tensors, numbers)

    def _restore(self) -> None:
        tensors, numbers = checkpoints.load_state(self.settings.out / "state")
        for name, module in (("model", self.model), ("average", self.average.model)):
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
            module.transformer.register_to_config(delta_scale=numbers["delta_scale"])  # films may have been added
        checkpoints.restore_optimizer("optimizer", self.optimizer, tensors)
        self.clock.step, self.clock.earlier_seconds = numbers["step"], numbers["seconds"]
        self.average.num_updates = numbers["updates"]


def gradient_norms(model: TalkerTask) -> dict[str, float]:
    """By sub-module: a part that gets nothing does not learn, and nothing else would say so."""
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        part = ".".join(name.split(".")[:2])
        gradient = 0.0 if parameter.grad is None else float(parameter.grad.detach().float().square().sum())
        squares[part] = squares.get(part, 0.0) + gradient
    return {name: value**0.5 for name, value in squares.items()}


def with_shuffled_sound(batch: TalkBatch) -> TalkBatch:
    """Every row hears its neighbour."""
    return replace(batch, samples=batch.samples.roll(1, 0), loudness=batch.loudness.roll(1, 0))


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda: TalkerTrainer(read_arguments(sys.argv[1:] if arguments is None else arguments)))


if __name__ == "__main__":
    sys.exit(main())
