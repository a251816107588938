"""Films as latents: what a talker trains on. Small enough for memory, and free of pictures.

Each film is encoded in several views. View 0 is the film as it was rendered; the others are mirrored, moved, bent and
relit (all frames of a view alike), because users' portraits are none of ours. The index names the encoder by its hash,
and whoever opens the folder with another one is refused: its latents would mean something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from letstalk.errors import InputError, SettingsError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.loading import load_autoencoder
from letstalk.models.warp import identity_grid, sample
from letstalk.runtime import CancelToken, numpy_generator, torch_generator
from letstalk.synthetic.data.workers import in_workers
from letstalk.training.appearance import AppearanceSettings, Draw, change_look, degrade
from letstalk.training.films import (
    INDEX_NAME,
    Film,
    film_numbers,
    film_path,
    load_arrays,
    load_film,
    read_index,
    save_arrays,
    write_index,
)
from letstalk.training.geometric import GeometricSettings, draw_row_maps
from letstalk.training.readings import READING_NAMES

LATENT_INDEX_NAME = "latents.json"
LATENT_FORMAT = 1
PICTURES_AT_A_TIME = 32
_HEAD_ANGLES = tuple(READING_NAMES.index(name) for name in ("pitch", "yaw", "roll"))
_PCM_SCALE = 32767.0


@dataclass(frozen=True)
class LatentSettings:
    """`num_frame_references` frames of each film may be its reference, beside its stills."""

    seed: int = 0
    num_views: int = 2
    num_frame_references: int = 10

    def __post_init__(self) -> None:
        if self.num_views < 1:
            raise SettingsError("A film is encoded at least once.", "Give at least one view.")


@dataclass(frozen=True)
class LatentFilm:
    """V views of T frames, R pictures that may be the reference: first the stills, of which number 0 is calm."""

    latents: Tensor  # (V, T, C, h, w) float16, raw
    references: Tensor  # (V, R, C, h, w) float16, raw
    portrait: Tensor  # (3, S, S) uint8: the picture of reference 0 in view 0
    samples: Tensor  # (640 T,) int16
    readings: Tensor  # (T, num_readings) float32, true, of view 0
    speaking: Tensor  # (T,) bool
    viseme: Tensor  # (T,) int16
    amounts: Tensor  # (2,) float32: how much the head moves (radians) and the face (weights), standard deviations

    @property
    def num_frames(self) -> int:
        return self.latents.shape[1]

    @property
    def num_views(self) -> int:
        return self.latents.shape[0]

    def sound(self) -> Tensor:
        """(640 T,) float32 in -1..1"""
        return self.samples.float() / _PCM_SCALE


def motion_amounts(film: Film) -> np.ndarray:
    """(2,) float32: spread of the head's angles, and of brows, lids and smile, over the film."""
    angles = film.readings[: film.num_frames, _HEAD_ANGLES]
    face = film.face.astype(np.float32)
    return np.array([np.sqrt(part.var(axis=0).mean()) for part in (angles, face)], np.float32)


@torch.inference_mode()
def encode_film(codec: ReferenceAutoencoder, film: Film, settings: LatentSettings, number: int) -> LatentFilm:
    """All views of one film; a function of its arguments."""
    chosen = reference_frames(film.num_frames, settings, number)
    pictures = np.concatenate([film.pictures, film.stills, film.pictures[chosen]])
    plain = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1  # (T + R, 3, S, S)
    encoded = []
    for view in range(settings.num_views):
        generator = torch_generator((settings.seed << 32) + number * 64 + view)
        shown = plain if view == 0 else another_view(plain, film.num_frames, generator)
        encoded.append(_encode(codec, shown.to(codec.device)))
    latents = torch.stack(encoded)  # (V, T + R, C, h, w)
    return LatentFilm(
        latents=latents[:, : film.num_frames],
        references=latents[:, film.num_frames :],
        portrait=torch.from_numpy(film.stills[0]).permute(2, 0, 1),
        samples=torch.from_numpy(film.samples),
        readings=torch.from_numpy(film.readings[: film.num_frames]),
        speaking=torch.from_numpy(film.speaking),
        viseme=torch.from_numpy(film.viseme),
        amounts=torch.from_numpy(motion_amounts(film)),
    )


def reference_frames(num_frames: int, settings: LatentSettings, number: int) -> np.ndarray:
    random = numpy_generator(settings.seed, "reference frames", number)
    return np.sort(random.choice(num_frames, min(settings.num_frame_references, num_frames), replace=False))


def another_view(pictures: Tensor, num_frames: int, generator: torch.Generator) -> Tensor:
    """(N, 3, S, S) in another framing and look, one for all; references, from `num_frames` on, as a worn file too."""
    maps = draw_row_maps(replace(GeometricSettings(), apart_share=0.0), torch.zeros(1, dtype=torch.long), 1, generator)
    size = pictures.shape[-1]
    moved = sample(pictures.flatten(0, 1)[None], maps(identity_grid(size, size)[:1])).unflatten(1, (-1, 3))
    draw = Draw(generator, pictures.device)
    relit = change_look(moved, AppearanceSettings(), draw)[0]
    return torch.cat([relit[:num_frames], degrade(relit[num_frames:], AppearanceSettings(), draw)])


def _encode(codec: ReferenceAutoencoder, pictures: Tensor) -> Tensor:
    """(N, 3, S, S) -> (N, C, h, w) float16 on the CPU. Computed in float32: half precision jitters by a tenth of what
    a frame moves.
    """
    parts = [codec.encode(part) for part in pictures.split(PICTURES_AT_A_TIME)]
    return torch.cat(parts).to("cpu", torch.float16)


# Files


@dataclass(frozen=True)
class LatentJob:
    films: Path  # of films.FilmJob
    codec: Path | None  # folder of a finished autoencoder; None for the shipped one
    out: Path
    settings: LatentSettings
    num_workers: int = 1

    def header(self) -> dict[str, Any]:
        codec = finished_codec(self.codec)
        return {
            "format": LATENT_FORMAT, "latent_hash": codec.config["latent_hash"], "settings": vars(self.settings),
            "split": read_index(self.films, INDEX_NAME)["split"],
        }  # fmt: skip


@lru_cache(maxsize=1)
def finished_codec(folder: Path | None) -> ReferenceAutoencoder:
    """None is the shipped one. Refused while its latents are not final: what is encoded now would soon be worthless."""
    codec = load_autoencoder(folder)
    if not codec.config["latent_hash"]:
        raise InputError(f"The autoencoder in {folder} is not finished.", "Let its training freeze the latents first.")
    return codec


def latent_path(folder: Path, number: int) -> Path:
    return folder / f"latents-{number:06d}.safetensors"


def encode_films(job: LatentJob, cancel: CancelToken | None = None) -> Iterator[int]:
    """Encodes the films that are there and have no latents yet; yields the number of each when its file is there."""
    write_index(job.out, LATENT_INDEX_NAME, job.header())
    missing = [number for number in film_numbers(job.films) if not latent_path(job.out, number).is_file()]
    cancel = cancel or CancelToken()
    for number in in_workers(partial(_encode_number, job), missing, job.num_workers):
        yield number
        cancel.check()


def _encode_number(job: LatentJob, number: int) -> int:
    if job.num_workers > 1:
        torch.set_num_threads(1)  # each worker has a core
    film = encode_film(finished_codec(job.codec), load_film(film_path(job.films, number)), job.settings, number)
    save_latents(latent_path(job.out, number), film)
    return number


def save_latents(path: Path, film: LatentFilm) -> None:
    save_arrays(path, {name: value.contiguous().numpy() for name, value in vars(film).items()}, {})


def load_latents(path: Path) -> LatentFilm:
    arrays, _ = load_arrays(path)
    return LatentFilm(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def open_latents(folder: Path, latent_hash: str, most: int | None = None) -> list[LatentFilm]:
    """All films of a folder (or the first `most`), in memory; `latent_hash` is that of the autoencoder in use."""
    found = read_index(folder, LATENT_INDEX_NAME)["latent_hash"]
    if found != latent_hash:
        raise InputError(
            f"The latents in {folder} come from another autoencoder ({found}, not {latent_hash}).",
            "Encode the films again with this one: letstalk train latents.",
        )
    paths = sorted(folder.glob("latents-*.safetensors"))[:most]
    if not paths:
        raise InputError(f"{folder} holds no latents yet.", "Encode films into it: letstalk train latents.")
    return [load_latents(path) for path in paths]
