"""Films of people who talk, and their latents: functions of settings and number, resumable, bound to their encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from letstalk.errors import InputError, OutputError, SettingsError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.runtime import CancelToken, torch_generator
from letstalk.synthetic.controls import EXPRESSION_UNITS
from letstalk.synthetic.split import split_of_person
from letstalk.synthetic.voice.syllables import spoken_syllables
from letstalk.training.films import FilmJob, film_numbers, film_path, load_film, render_films, still_poses
from letstalk.training.latent_films import (
    LatentJob,
    LatentSettings,
    another_view,
    encode_film,
    encode_films,
    finished_codec,
    latent_path,
    load_latents,
    open_latents,
)
from letstalk.training.readings import READING_NAMES
from tests.training.conftest import FILM_SETTINGS, Stores, small_codec

GAP = READING_NAMES.index("mouth_gap")


def test_a_film_shows_one_person_who_moves_and_speaks(stores: Stores) -> None:
    film = load_film(film_path(stores.films, 0))
    frames = FILM_SETTINGS.num_frames
    assert film.pictures.shape == (frames, 128, 128, 3) and film.stills.shape == (2, 128, 128, 3)
    assert film.samples.shape == (640 * frames,) and np.abs(film.samples).max() > 3000
    assert film.readings.shape == (frames + 2, len(READING_NAMES)) and np.isfinite(film.readings).all()
    assert film.phones[-1].end_seconds == pytest.approx(frames / 25)
    assert film.speaking.any() and film.readings[:frames, GAP].max() > 0.1, "the mouth opens"
    assert np.abs(np.diff(film.pictures.astype(int), axis=0)).mean() > 0.1
    assert film.about["person"] != load_film(film_path(stores.films, 1)).about["person"]
    assert split_of_person(film.about["person"]) == "train"


def test_an_interrupted_folder_is_continued_to_the_same_bytes(stores: Stores, tmp_path: Path) -> None:
    job = FilmJob(tmp_path, FILM_SETTINGS, "train", 1)
    assert list(render_films(job)) == [0]
    (tmp_path / ".film-000001.safetensors.partial").write_bytes(b"half a film")
    assert list(render_films(replace(job, num_films=2))) == [1], "what is there is kept, more may be asked for"
    assert film_numbers(tmp_path) == [0, 1]
    for number in (0, 1):
        assert film_path(tmp_path, number).read_bytes() == film_path(stores.films, number).read_bytes()


def test_a_folder_of_other_films_is_refused(stores: Stores) -> None:
    with pytest.raises(OutputError, match="settings"):
        list(render_films(FilmJob(stores.films, replace(FILM_SETTINGS, seed=5), "train", 1)))
    with pytest.raises(OutputError, match="split"):
        list(render_films(FilmJob(stores.films, FILM_SETTINGS, "test", 1)))


def test_damage_and_wrong_folders_are_told(stores: Stores, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"films\.json"):
        film_numbers(tmp_path)
    broken = tmp_path / "film-000000.safetensors"
    broken.write_bytes(film_path(stores.films, 0).read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        load_film(broken)
    with pytest.raises(SettingsError, match="stills"):
        replace(FILM_SETTINGS, num_stills=1)


def test_stills_are_calm_and_wild_in_turn() -> None:
    jaw = EXPRESSION_UNITS.index("mouth-open")
    many = [still_poses(5, seed) for seed in range(12)]
    assert all(poses.num_frames == 5 for poses in many)
    opened = np.stack([poses.expression[:, jaw] for poses in many])
    turned = np.stack([np.abs(poses.head_rotation).sum(1) for poses in many])
    assert opened[:, 0::2].max() < 0.1 < opened[:, 1::2].max(), "some of the wild ones open the mouth wide"
    assert turned[:, 1::2].mean() > 1.3 * turned[:, 0::2].mean()
    assert np.array_equal(still_poses(5, seed=3).expression, many[3].expression)


def test_syllables_sound_where_their_phones_stand() -> None:
    speech = spoken_syllables(100, seed=1)
    assert len(speech.samples) == 64000 and np.array_equal(speech.samples, spoken_syllables(100, seed=1).samples)
    level = {True: [], False: []}
    for phone in speech.phones:
        piece = speech.samples[int(16000 * phone.start_seconds) : int(16000 * phone.end_seconds)]
        level[phone.symbol in "aɛiɔuə" and phone.symbol != ""].append(float(np.sqrt(np.mean(piece**2))))
        if phone.symbol == "":
            assert level[False].pop() == 0.0
    assert min(level[True]) > 0.01


# Latents


def test_latents_are_those_of_the_pictures(stores: Stores) -> None:
    codec = ReferenceAutoencoder.from_pretrained(stores.codec)
    film, latents = load_film(film_path(stores.films, 0)), load_latents(latent_path(stores.latents, 0))
    assert latents.latents.shape == (2, FILM_SETTINGS.num_frames, 8, 8, 8) and latents.latents.dtype == torch.float16
    assert latents.references.shape == (2, 2 + 3, 8, 8, 8)
    picture = torch.from_numpy(film.pictures[7]).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        assert torch.allclose(codec.encode(picture)[0], latents.latents[0, 7].float(), atol=2e-3)
        still = torch.from_numpy(film.stills[0]).permute(2, 0, 1)
        assert torch.equal(latents.portrait, still)
        assert torch.allclose(
            codec.encode(still[None].float() / 127.5 - 1)[0], latents.references[0, 0].float(), atol=2e-3
        )
    assert (latents.latents[1].float() - latents.latents[0].float()).abs().mean() > 0.01, "another view"
    assert np.array_equal(latents.samples.numpy(), film.samples)
    assert torch.allclose(latents.readings, torch.from_numpy(film.readings[: FILM_SETTINGS.num_frames]))


def test_encoding_resumes_to_the_same_bytes(stores: Stores, tmp_path: Path) -> None:
    job = LatentJob(stores.films, stores.codec, tmp_path, LatentSettings(num_frame_references=3))
    cancel = CancelToken()
    for _ in encode_films(job, cancel):
        break
    assert len(list(tmp_path.glob("latents-*"))) == 1
    assert list(encode_films(job)) == [1]
    for number in (0, 1):
        assert latent_path(tmp_path, number).read_bytes() == latent_path(stores.latents, number).read_bytes()


def test_a_view_is_one_look_and_frame_for_all_pictures() -> None:
    still = torch.rand(1, 3, 128, 128).expand(5, -1, -1, -1) * 2 - 1
    view = another_view(still, 3, torch_generator(4))
    assert torch.equal(view[0], view[1]) and torch.equal(view[0], view[2])
    assert (view[0] - still[0]).abs().mean() > 0.05
    assert torch.equal(another_view(still, 3, torch_generator(4)), view)


def test_another_encoder_is_refused(stores: Stores, tmp_path: Path) -> None:
    other = small_codec(seed=9)
    other.freeze_latents(torch.zeros(8), torch.ones(8), 1)
    with pytest.raises(InputError, match="another autoencoder"):
        open_latents(stores.latents, other.encoder_hash())
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(OutputError, match="latent_hash"):
        list(encode_films(LatentJob(stores.films, tmp_path / "other", stores.latents, LatentSettings())))


def test_an_unfinished_encoder_is_refused(tmp_path: Path) -> None:
    small_codec().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="not finished"):
        finished_codec(tmp_path)


def test_encoding_does_not_depend_on_what_was_encoded_before(stores: Stores) -> None:
    film, settings = load_film(film_path(stores.films, 1)), LatentSettings(num_frame_references=3)
    again = encode_film(finished_codec(stores.codec), film, settings, 1)
    assert torch.equal(again.latents, load_latents(latent_path(stores.latents, 1)).latents)
