"""Pairs with exactly known motion, made without a renderer: a smooth texture seen through a known map."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.warp import identity_grid, sample
from letstalk.synthetic.controls import NUM_LANDMARKS
from letstalk.training.batch import PairBatch
from letstalk.training.films import FilmJob, FilmSettings, render_films
from letstalk.training.geometric import PlaneMap
from letstalk.training.latent_films import LatentJob, LatentSettings, encode_films
from letstalk.training.readings import READING_NAMES


def plane_map(number: int, seed: int, strength: float = 1.0) -> PlaneMap:
    """Mild random maps."""
    draw = torch.Generator().manual_seed(seed)
    angle = (torch.rand(number, generator=draw) - 0.5) * 0.5 * strength
    scale = 1 + (torch.rand(number, generator=draw) - 0.5) * 0.3 * strength
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    return PlaneMap(
        matrix,
        (torch.rand(number, 2, generator=draw) - 0.5) * 0.2 * strength,
        (torch.rand(number, 3, 2, generator=draw) - 0.5) * 0.05 * strength,
        torch.randn(number, 3, 3, generator=draw) * 2,
    )


def known_pairs(rows: int = 4, references: int = 1, size: int = 128, seed: int = 0) -> PairBatch:
    """The first frame of a row is its texture as it is, each reference the same through a map of its own."""
    draw = torch.Generator().manual_seed(seed)
    frames = 1 + references
    texture = torch.nn.functional.interpolate(
        torch.rand(rows, 4, 12, 12, generator=draw), size=(size, size), mode="bicubic"
    ).clamp(0, 1)
    maps = plane_map(rows * references, seed + 1)  # old places of a reference's pixels: the target's
    target_points = (torch.rand(rows, NUM_LANDMARKS, 2, generator=draw) - 0.5) * 1.2
    pictures, persons, points, flows = [texture[:, :3]], [texture[:, 3:]], [target_points], []
    for r in range(references):
        own = maps.rows(torch.arange(rows) * references + r)
        drawn = sample(texture, own(identity_grid(size, size).expand(rows, -1, -1, -1)))
        pictures.append(drawn[:, :3])
        persons.append(drawn[:, 3:])
        points.append(own.inverse(target_points.transpose(1, 2)).transpose(1, 2))
        grid = identity_grid(64, 64).expand(rows, -1, -1, -1)
        flows.append(own.inverse(grid) - grid)
    flow = torch.stack(flows, 1)
    inside = ((flow + identity_grid(64, 64)).abs() < 1).all(2, keepdim=True).float()
    return PairBatch(
        pictures=torch.stack(pictures, 1) * 2 - 1,
        person=(torch.stack(persons, 1) > 0.5).float(),
        flow=flow,
        visibility=inside,
        head=torch.ones(rows, frames, 1, 64, 64),
        landmarks=torch.stack(points, 1),
        readings=torch.randn(rows, frames, len(READING_NAMES), generator=draw) * 0.2,
        partner=torch.arange(rows) ^ 1,
    )


def small_codec(seed: int = 0) -> ReferenceAutoencoder:
    """The real class, narrow."""
    return ReferenceAutoencoder(
        latent_channels=8, num_landmarks=NUM_LANDMARKS, reading_names=READING_NAMES, encoder_widths=(8, 16, 16, 32),
        encoder_depths=(1, 1, 1), texture_widths=(8, 8, 8), motion_widths=(32, 32, 16, 8), motion_depths=(1, 1, 1, 1),
        synthesis_widths=(16, 16, 8, 8), synthesis_depths=(1, 1, 1, 1), geometry_width=32, seed=seed,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def all_on_one_thread(one_thread: None) -> None:
    """Every test of this folder."""


@pytest.fixture
def pairs() -> PairBatch:
    return known_pairs()


@pytest.fixture
def codec() -> ReferenceAutoencoder:
    return small_codec()


FILM_SETTINGS = FilmSettings(num_frames=50, num_stills=2, procedural=True, idle_share=0.0, stylised_share=0.0)


class Stores(NamedTuple):
    """Folders that tests read and do not change."""

    codec: Path  # a narrow autoencoder that is declared final
    films: Path  # two of them
    latents: Path


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Stores:
    root = tmp_path_factory.mktemp("stores")
    found = Stores(root / "codec", root / "films", root / "latents")
    codec = small_codec()
    codec.freeze_latents(torch.zeros(8), torch.full((8,), 0.5), 1)
    codec.save_pretrained(found.codec)
    assert list(render_films(FilmJob(found.films, FILM_SETTINGS, "train", 2))) == [0, 1]
    assert list(
        encode_films(LatentJob(found.films, found.codec, found.latents, LatentSettings(num_frame_references=3)))
    ) == [0, 1]
    return found
