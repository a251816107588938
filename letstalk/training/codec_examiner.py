"""Examines the autoencoder during a run: figures and a sheet, always on the same people and pairs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from letstalk.models.autoencoder import Decoded, ReferenceAutoencoder
from letstalk.runtime import numpy_generator
from letstalk.training.augment import plain_input
from letstalk.training.batch import PairBatch
from letstalk.training.codec_following import FollowingExam
from letstalk.training.codec_settings import CodecTraining
from letstalk.training.codec_task import transferred
from letstalk.training.codec_validation import averages, decoded_figures, picture_figures, reading_figures
from letstalk.training.pair_clips import PairClip
from letstalk.training.pair_feed import clips_of
from letstalk.training.pair_pool import draw_batch
from letstalk.training.readings import READING_NAMES
from letstalk.training.sheets import load_portraits
from letstalk.training.strangers import Reader

ROWS_PER_CLIP = 4
SHEET_ROWS = 6
DRIVEN_FRAMES = 6


@dataclass(frozen=True)
class Examination:
    figures: dict[str, float]
    batch: PairBatch  # the rows of the sheet
    own: Decoded
    transfer: Decoded
    latents: Tensor  # (N, C, 8, 8) of every picture seen


class CodecExaminer:
    """Held-out people, rendered once for each picture size."""

    def __init__(self, settings: CodecTraining, device: torch.device, reader: Reader) -> None:
        self.settings, self.device, self.reader = settings, device, reader
        self._clips: dict[int, list[PairClip]] = {}

    def clips(self, size: int) -> list[PairClip]:
        if size not in self._clips:
            casts = clips_of(self.settings, size, "validation", clips_per_cast=1)
            self._clips[size] = [clip for cast in islice(casts, self.settings.validation_clips) for clip in cast]
        return self._clips[size]

    def batches(self, size: int) -> list[PairBatch]:
        random = numpy_generator(self.settings.seed, "examination")
        return [
            draw_batch(deque([clip]), ROWS_PER_CLIP, 1, random).to(self.device).as_floats() for clip in self.clips(size)
        ]

    def sheet_batch(self, size: int) -> PairBatch:
        random = numpy_generator(self.settings.seed, "sheet")
        return draw_batch(deque(self.clips(size)), SHEET_ROWS, 1, random).to(self.device).as_floats()

    def driven_portraits(self, model: ReferenceAutoencoder, size: int) -> list[Tensor] | None:
        """Columns of a sheet: the portraits of the settings' folder, driven by a held-out person in the first row."""
        if self.settings.portraits is None:
            return None
        portraits = load_portraits(self.settings.portraits, size).to(self.device)
        driver = calm_first(self.clips(size)[0], 0, DRIVEN_FRAMES).to(self.device)
        frames = drive(model, portraits, driver)  # (N, T, 3, S, S)
        rows = torch.cat([driver[None], frames])
        still = torch.cat([driver[:1], portraits])
        return [still, *rows.unbind(1)]

    @torch.no_grad()
    def examine(self, model: ReferenceAutoencoder, size: int) -> Examination:
        rows: list[dict[str, Tensor]] = []
        latents, landmarks, readings, truths = [], [], [], []
        following = FollowingExam(self.reader)
        for batch in self.batches(size):
            own, transfer, found = decode_both(model, batch)
            following.add(model, batch, transfer, found)
            figures = picture_figures(batch.pictures[:, 1], batch, "static") | decoded_figures(own, batch)
            rows.append(figures | decoded_figures(transfer, batch, "transfer_"))
            geometry = model.read_geometry(found.flatten(0, 1))
            landmarks.append((geometry.landmarks - batch.landmarks.flatten(0, 1)).abs().mean((1, 2)))
            readings.append(geometry.readings)
            truths.append(batch.readings.flatten(0, 1))
            latents.append(found.flatten(0, 1))
        figures = averages(rows) | {"landmarks": float(torch.cat(landmarks).mean())}
        figures |= reading_figures(torch.cat(readings), torch.cat(truths)) | following.figures()
        sheet = self.sheet_batch(size)
        return Examination(figures, sheet, *decode_both(model, sheet)[:2], torch.cat(latents))


@torch.no_grad()
def drive(model: ReferenceAutoencoder, portraits: Tensor, driver: Tensor) -> Tensor:
    """Portraits (N, 3, S, S) and frames (T, 3, S, S) of anybody -> (N, T, 3, S, S): each portrait plus the driver's
    change of latents since its first frame.
    """
    latents = model.encode(driver)
    change = latents - latents[:1]  # (T, C, 8, 8)
    frames = []
    for portrait in portraits:
        guide = model.encode_references(portrait[None, None])
        frames.append(model.decode(guide.latents[:, 0] + change, guide).pictures)
    return torch.stack(frames)


def calm_first(clip: PairClip, person: int, count: int) -> Tensor:
    """Frames (count, 3, S, S) in -1..1 of one person, the calmest first: a driver's change is counted from it."""
    restless = abs(clip.readings[person]) @ np.array(
        [float(name in ("pitch", "yaw", "roll", "mouth_gap")) for name in READING_NAMES], np.float32
    )
    first = int(restless.argmin())
    others = [frame for frame in range(clip.num_frames) if frame != first]
    chosen = [first, *others[: count - 1]]
    return torch.from_numpy(clip.pictures[person, chosen]).float() / 127.5 - 1


def decode_both(model: ReferenceAutoencoder, batch: PairBatch) -> tuple[Decoded, Decoded, Tensor]:
    """Every row from its own latents and from its partner's change; and the latents (B, F, C, 8, 8)."""
    given = plain_input(batch, (1, 1, 1), transfer=True)
    rows, frames = given.views.shape[:2]
    encoded = model.encode_fully(given.views.flatten(0, 1))
    latents = encoded.latents.unflatten(0, (rows, frames))
    references = model.encode_references(batch.pictures[:, 1:])
    own = model.decode(latents[:, 0], references)
    transfer = model.decode(transferred(latents, batch.partner, given.transfer), references)
    return own, transfer, latents
