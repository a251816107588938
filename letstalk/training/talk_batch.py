"""Windows of latent films: what one training step of the talker sees. A batch is a function of seed and step.

Frames of a window run through memory and then one chunk (two for a roll-out). The sound reaches as far beyond both
ends as the audio encoder listens. Chunks are those of a job: most are whole, the first one is shorter and has nothing
before it, the last one is as long as the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from letstalk.errors import InputError
from letstalk.longform.plan import ChunkPlan
from letstalk.models import mel
from letstalk.models.audio_encoder import AudioEncoder
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.runtime import numpy_generator
from letstalk.training.latent_films import LatentFilm
from letstalk.types import SAMPLES_PER_FRAME, num_samples_for_frames

GAIN_DB = (-12.0, 8.0)  # of a window's sound; microphones differ
LEAST_AMOUNT = 1e-3
LARGEST_LOG_AMOUNT = 2.5
FIRST_CHUNK_SHARE, LAST_CHUNK_SHARE = 0.1, 0.05  # of the steps; all others show whole chunks


@dataclass(frozen=True)
class WindowShape:
    """`past_samples` and `future_samples` are the audio encoder's."""

    memory_frames: int
    chunk_frames: int
    past_samples: int
    future_samples: int

    @classmethod
    def of(cls, encoder: AudioEncoder, memory_frames: int, chunk_frames: int) -> WindowShape:
        return cls(memory_frames, chunk_frames, encoder.past_samples, encoder.future_samples)


@dataclass(frozen=True)
class TalkBatch:
    """B windows of L = memory + chunks frames. Frames before the film's first are zeros and not valid."""

    latents: Tensor  # (B, L, C, h, w) raw
    reference: Tensor  # (B, C, h, w) raw
    valid: Tensor  # (B, L) bool
    samples: Tensor  # (B, past + 640 L + future) float32
    loudness: Tensor  # (B,) dB just before the first hop of the samples
    amounts: Tensor  # (B, K) log-ratio to the usual, in the order of LatentFilm.amounts

    def to(self, device: torch.device) -> TalkBatch:
        """On the device and in float32: latents travel as they are stored."""
        moved = {item.name: getattr(self, item.name).to(device) for item in fields(self)}
        return replace(self, **moved | {name: moved[name].float() for name in ("latents", "reference")})


class FilmShelf:
    """Films in memory, and what is known of all of them together."""

    def __init__(self, films: Sequence[LatentFilm], encoder: AudioEncoder) -> None:
        self.films = films
        self.reach = (encoder.past_samples, encoder.future_samples)
        logs = torch.stack([film.amounts.clamp_min(LEAST_AMOUNT).log() for film in films])
        self.log_amounts = (logs - logs.median(dim=0).values).clamp(-LARGEST_LOG_AMOUNT, LARGEST_LOG_AMOUNT)
        self._loudness: dict[int, Tensor] = {}

    def loudness_before(self, number: int, frame: int, gain_db: float = 0.0) -> float:
        """What the encoder's follower of loudness stands at when it comes to `frame` of a film played at `gain_db`."""
        if frame <= 0:
            return mel.LOUDNESS_FLOOR_DB
        loudest = GAIN_DB[1]
        assert gain_db <= loudest, gain_db
        if number not in self._loudness:
            # Followed at the largest gain, where the follower's floor hides least: so every smaller one is exact.
            sound = torch.nn.functional.pad(self.films[number].sound(), self.reach)[None] * 10 ** (loudest / 20)
            self._loudness[number] = mel.features(sound, torch.full((1,), mel.LOUDNESS_FLOOR_DB))[1][0]
        heard = float(self._loudness[number][frame * mel.HOPS_PER_FRAME - 1])
        return max(heard - loudest + gain_db, mel.LOUDNESS_FLOOR_DB)

    def batch(
        self, shape: WindowShape, num_chunks: int, rows: int, seed: tuple[int | str, ...], *, fresh: bool = False
    ) -> TalkBatch:
        """`rows` windows from anywhere in the films; `fresh` ones are a job's beginning, with nothing before it."""
        first, *stream = seed
        random = numpy_generator(int(first), "talk", *stream)
        num_frames = num_chunks * shape.chunk_frames
        usable = [number for number, film in enumerate(self.films) if film.num_frames >= num_frames]
        if not usable:
            raise InputError(f"No film is {num_frames} frames long.", "Render longer films, or take a shorter chunk.")
        drawn = []
        for _ in range(rows):
            number = usable[int(random.integers(len(usable)))]
            film = self.films[number]
            start = int(random.integers(film.num_frames - num_frames + 1)) - shape.memory_frames
            view, reference = int(random.integers(film.num_views)), int(random.integers(film.references.shape[1]))
            gain_db = float(random.uniform(*GAIN_DB))
            row = self.window(shape, number, start, shape.memory_frames + num_frames, view, gain_db)
            if fresh:
                row |= without_past(row, shape)
            drawn.append({**row, "reference": film.references[view, reference]})
        return TalkBatch(**{name: torch.stack([row[name] for row in drawn]) for name in drawn[0]})

    def window(
        self, shape: WindowShape, number: int, start: int, num_frames: int, view: int, gain_db: float = 0.0
    ) -> dict[str, Tensor]:
        """Frames [start, start + num_frames) of one film; what lies before or behind it is nothing and silence."""
        film = self.films[number]
        first = num_samples_for_frames(start) if start >= 0 else -num_samples_for_frames(-start)
        samples = padded_slice(
            film.sound(), first - shape.past_samples, first + num_frames * SAMPLES_PER_FRAME + shape.future_samples
        )
        frames = torch.arange(start, start + num_frames)
        return {
            "latents": padded_slice(film.latents[view], start, start + num_frames),
            "valid": (frames >= 0) & (frames < film.num_frames),
            "samples": samples * 10 ** (gain_db / 20),
            "loudness": torch.tensor(self.loudness_before(number, start, gain_db)),
            "amounts": self.log_amounts[number],
        }


def without_past(row: dict[str, Tensor], shape: WindowShape) -> dict[str, Tensor]:
    """What changes in a window when the recording, and the video, begin with its chunk."""
    num_frames, num_samples = shape.memory_frames, shape.past_samples + num_samples_for_frames(shape.memory_frames)
    return {
        "latents": padded_slice(row["latents"][num_frames:], -num_frames, len(row["latents"]) - num_frames),
        "valid": row["valid"] & (torch.arange(len(row["valid"])) >= num_frames),
        "samples": padded_slice(row["samples"][num_samples:], -num_samples, len(row["samples"]) - num_samples),
        "loudness": torch.tensor(mel.LOUDNESS_FLOOR_DB),
    }


def padded_slice(values: Tensor, first: int, end: int) -> Tensor:
    """values[first:end] along the first axis, with zeros for what lies outside."""
    inside = values[max(first, 0) : max(end, 0)]
    before, after = min(max(-first, 0), end - first), max(end - max(len(values), first, 0), 0)
    return torch.cat([values.new_zeros(before, *values.shape[1:]), inside, values.new_zeros(after, *values.shape[1:])])


class TalkFeed:
    """Batches by step, the next one collected while the current one is computed."""

    def __init__(self, shelf: FilmShelf, shape: WindowShape, rows: int, seed: tuple[int | str, ...]) -> None:
        self.shelf, self.shape, self.rows, self.seed = shelf, shape, rows, seed
        self._collector = ThreadPoolExecutor(1, thread_name_prefix="talk")
        self._next: tuple[tuple[int, int], Future[TalkBatch]] | None = None

    def batch(self, step: int, num_chunks: int, next_chunks: int) -> TalkBatch:
        """The batch of `step`; `next_chunks` is how many chunks the one after it will have."""
        wanted = (step, num_chunks)
        future = self._next[1] if self._next and self._next[0] == wanted else self._submit(wanted)
        batch = future.result()
        self._next = ((step + 1, next_chunks), self._submit((step + 1, next_chunks)))
        return batch

    def close(self) -> None:
        self._collector.shutdown(wait=True, cancel_futures=True)

    def chunk_of(self, step: int) -> tuple[WindowShape, bool]:
        """How long the chunk of a step is, and whether it is a job's first one."""
        first, *stream = self.seed
        random = numpy_generator(int(first), "chunk", *stream, step)
        kind, whole = random.random(), self.shape.chunk_frames
        if kind < FIRST_CHUNK_SHARE:
            return replace(self.shape, chunk_frames=min(ChunkPlan.first_chunk_frames, whole)), True
        if kind < FIRST_CHUNK_SHARE + LAST_CHUNK_SHARE:
            return replace(self.shape, chunk_frames=int(random.integers(1, whole + 1))), False
        return self.shape, False

    def _submit(self, key: tuple[int, int]) -> Future[TalkBatch]:
        return self._collector.submit(self._collect, *key)

    def _collect(self, step: int, num_chunks: int) -> TalkBatch:
        shape, fresh = self.chunk_of(step) if num_chunks == 1 else (self.shape, False)
        return self.shelf.batch(shape, num_chunks, self.rows, (*self.seed, step), fresh=fresh)


@torch.no_grad()
def delta_scale(films: Sequence[LatentFilm], codec: ReferenceAutoencoder, most_films: int = 200) -> Tensor:
    """(C,) factors that give differences from a reference unit variance in each channel."""
    squares = []
    for film in films[:most_films]:
        frames = codec.normalise(film.latents[:, ::5].flatten(0, 1).float()).unflatten(0, (film.num_views, -1))
        references = codec.normalise(film.references.flatten(0, 1).float()).unflatten(0, (film.num_views, -1))
        apart = frames[:, :, None] - references[:, None]  # (V, T', R, C, h, w)
        squares.append(apart.square().mean((0, 1, 2, 4, 5)))
    return torch.stack(squares).mean(0).clamp_min(1e-6).rsqrt()
