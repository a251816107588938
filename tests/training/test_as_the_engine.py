"""What training shows the transformer is what the engine shows it: one film, traced through both.

The film's frames are the engine's own, so that the engine's memory is the film's past.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from letstalk.engine.chunks import ChunkMaker, Hooks, LatentChunk
from letstalk.engine.networks import Networks
from letstalk.engine.sitter import Sitter
from letstalk.engine.sound import as_source
from letstalk.flow.schedulers import make_scheduler
from letstalk.longform.noise import MemoryNoise
from letstalk.longform.plan import ChunkPlan
from letstalk.media.framing import Framing
from letstalk.models import mel
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.models.transformer import MemoryCache, PortraitCache, TalkingTransformer
from letstalk.runtime import numpy_generator, torch_generator
from letstalk.settings import GenerationSettings
from letstalk.training import talk_sampling
from letstalk.training.latent_films import LatentFilm
from letstalk.training.readings import READING_NAMES
from letstalk.training.talk_batch import (
    FIRST_CHUNK_SHARE,
    GAIN_DB,
    LAST_CHUNK_SHARE,
    FilmShelf,
    TalkBatch,
    TalkFeed,
    WindowShape,
)
from letstalk.training.talk_losses import LatentReader
from letstalk.training.talk_sampling import SamplingSettings
from letstalk.training.talker_task import TalkerTask, TaskSettings
from letstalk.types import Portrait, num_samples_for_frames
from tests.training.conftest import small_codec

NUM_FRAMES, MEMORY = 27, 4
PLAN = ChunkPlan(chunk_frames=6, first_chunk_frames=3)  # chunks of 3, 6, 6, 6, 6
SETTINGS = GenerationSettings(
    steps=2, seed=5, chunk_frames=6, first_chunk_frames=3, memory_frames=MEMORY, guidance_audio=1.0
)


def assert_same(mine: Tensor, other: Tensor) -> None:
    """Whole sounds, batches and caches add the same numbers up in another order."""
    torch.testing.assert_close(mine, other, atol=2e-4, rtol=1e-3)


def small_encoder() -> MelAudioEncoder:
    return MelAudioEncoder(
        num_tokens=2, token_width=32, hop_width=16, frame_width=32, ratio=1, hop_past=(2, 1), hop_future=(1, 0),
        frame_past=(2, 1), frame_future=(1, 0),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def networks() -> Networks:
    """Real ones at small size; stirred, so that memory, sound and portrait all count."""
    codec = small_codec().eval()
    codec.freeze_latents(torch.linspace(-0.2, 0.2, 8), torch.full((8,), 0.5), 1)
    transformer = TalkingTransformer(
        latent_channels=8, width=32, depth=2, audio_tokens=2, audio_width=32, max_memory=MEMORY,
        delta_scale=[1.5, 2.0, 2.5, 3.0] * 2, latent_hash=codec.config["latent_hash"],
    ).eval()  # fmt: skip
    generator = torch_generator(7)
    with torch.no_grad():
        for parameter in transformer.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator)
    return Networks(transformer, codec, small_encoder(), make_scheduler("euler", 3.0))


@pytest.fixture(scope="module")
def sitter(networks: Networks) -> Sitter:
    picture = numpy_generator(1, "picture").integers(0, 256, (256, 256, 3), dtype=np.uint8)
    portrait = Portrait(picture, picture, Framing(np.eye(2, 3), 256, 256, 256), "hand")
    return Sitter.encode((portrait,), networks.autoencoder)


@pytest.fixture(scope="module")
def sound() -> Tensor:
    """(n,) int16: quiet, then a voice."""
    noise = numpy_generator(2, "sound").standard_normal(num_samples_for_frames(NUM_FRAMES)) * 0.15
    envelope = np.clip(np.sin(np.arange(len(noise)) / 1700), 0, 1) * (np.arange(len(noise)) > 4 * 640)
    return torch.from_numpy((noise * envelope * 20_000).astype(np.int16))


def chunks_of_the_engine(networks: Networks, sitter: Sitter, sound: Tensor, **changes: Any) -> list[LatentChunk]:
    maker = ChunkMaker(networks, sitter, SETTINGS.changed(**changes))
    return list(maker.chunks(as_source((sound.float() / 32767).numpy()), maker.begin({}), Hooks()))


@pytest.fixture(scope="module")
def chunks(networks: Networks, sitter: Sitter, sound: Tensor) -> list[LatentChunk]:
    return chunks_of_the_engine(networks, sitter, sound)


@pytest.fixture(scope="module")
def film(networks: Networks, sitter: Sitter, sound: Tensor, chunks: list[LatentChunk]) -> LatentFilm:
    """What the engine made, as if it had been rendered and encoded."""
    deltas = torch.cat([chunk.latents for chunk in chunks]).clone()
    normalised = networks.transformer.undo_deltas(deltas[None], sitter.latents)[0]
    raw = networks.autoencoder.denormalise(normalised)
    return LatentFilm(
        latents=raw[None], references=sitter.references.latents[:, :1].clone(),
        portrait=torch.zeros(3, 128, 128, dtype=torch.uint8), samples=sound,
        readings=torch.zeros(NUM_FRAMES, len(READING_NAMES)), speaking=torch.ones(NUM_FRAMES, dtype=torch.bool),
        viseme=torch.zeros(NUM_FRAMES, dtype=torch.int16), amounts=torch.ones(2),
    )  # fmt: skip


def test_training_speaks_as_the_engine_does(networks: Networks, sitter: Sitter, sound: Tensor) -> None:
    """The examiner's and the roll-outs' loop, with guidance."""
    with torch.no_grad():
        tokens = networks.audio_encoder(sound.float()[None] / 32767)
    maker = talk_sampling.ChunkMaker(
        networks.transformer, sitter.latents.clone(), tokens, talk_sampling.seeded_noise([5], networks.latent_shape),
        SamplingSettings(steps=2, shift=3.0, audio_weight=2.0), torch.zeros(1, NUM_FRAMES, 2),
    )  # fmt: skip
    spoken = talk_sampling.speak(maker, NUM_FRAMES, MEMORY, PLAN)[0]
    made = torch.cat([chunk.latents for chunk in chunks_of_the_engine(networks, sitter, sound, guidance_audio=2.0)])
    assert_same(spoken, made)
    assert float(made.std()) > 0.1


def window(film: LatentFilm, encoder: MelAudioEncoder, frames: range) -> TalkBatch:
    """A batch of one window whose chunk is `frames`."""
    shelf, shape = FilmShelf([film], encoder), WindowShape.of(encoder, MEMORY, len(frames))
    row = shelf.window(shape, 0, frames.start - MEMORY, MEMORY + len(frames), view=0)
    row |= {"reference": film.references[0, 0]}
    return TalkBatch(**{name: value[None] for name, value in row.items()})


@pytest.mark.parametrize("number", [0, 1, 3, 4], ids=["first", "memory-half-filled", "middle", "last"])
def test_a_step_of_training_shows_what_the_engine_showed(
    networks: Networks, sitter: Sitter, film: LatentFilm, chunks: list[LatentChunk], number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Portrait, memory with its order and gaps, sound, controls and the wanted differences of the same chunk."""
    transformer, frames = networks.transformer, chunks[number].frames
    untouched = MemoryNoise(noise_share=0.0, patch_drop_share=0.0, forget_share=0.0)
    settings = TaskSettings(
        memory_frames=MEMORY, memory_noise=untouched, drop_portrait=0.0, drop_audio=0.0, drop_both=0.0, drop_control=0.0
    )
    task = TalkerTask(transformer, networks.audio_encoder, LatentReader(networks.autoencoder, torch.device("cpu")),
                      settings)  # fmt: skip

    heard: list[dict[str, Tensor]] = []  # what the transformer was given: in training, then at work
    wanted: list[Tensor] = []

    def overhear(latents: Tensor, timestep: Tensor, **given: Any) -> Tensor:
        heard.append(given)
        return torch.zeros_like(latents)

    def keep_chunk(velocity: Tensor, chunk: Tensor, *_: Any) -> None:
        wanted.append(chunk)

    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(transformer, "forward", overhear)
        patch.setattr(task, "losses", keep_chunk)
        task(window(film, small_encoder(), frames), torch_generator(3))
        maker = ChunkMaker(networks, sitter, SETTINGS)
        state = chunks[number - 1].state if number else maker.begin({})
        next(maker.chunks(as_source(film.sound().numpy(), state.num_heard), state, Hooks()))
    trained, worked = heard[0], heard[1]

    with torch.no_grad():
        portrait: PortraitCache = transformer.prepare_portrait(trained["portrait"], trained["portrait_given"])
        memory: MemoryCache = transformer.prepare_memory(
            portrait, trained["memory"], trained["memory_audio"], trained["memory_valid"], trained["memory_noise"],
            trained["audio_given"],
        )  # fmt: skip
    for mine, other in zip(portrait, worked["portrait_cache"], strict=True):
        assert_same(mine, other)
    seen = trained["memory_valid"][0]
    assert seen.sum() == min(MEMORY, frames.start)
    seen = torch.cat([torch.ones(1, dtype=torch.bool), seen])  # the reference
    for mine, other in zip(memory[:2], worked["memory_cache"][:2], strict=True):
        assert_same(mine[:, :, seen], other[:, :, seen])
    assert_same(trained["audio"], worked["audio"])
    assert torch.equal(trained["controls"], worked["controls"]) and trained["controls_given"].all()
    assert_same(wanted[0], chunks[number].latents[None])


@pytest.mark.parametrize("gain_db", [GAIN_DB[0], -3.0, 0.0, GAIN_DB[1]])
@pytest.mark.parametrize("start", [-4, 2, 9, 20])
def test_a_louder_window_is_a_window_of_the_louder_film(film: LatentFilm, start: int, gain_db: float) -> None:
    """Before the first word too, where loudness stands at its floor whatever the gain."""
    encoder = small_encoder()
    shelf = FilmShelf([film], encoder)
    row = shelf.window(WindowShape.of(encoder, MEMORY, 3), 0, start, 7, view=0, gain_db=gain_db)
    with torch.no_grad():
        tokens, _ = encoder.encode_window(row["samples"][None], row["loudness"][None])
        whole = encoder(film.sound()[None] * 10 ** (gain_db / 20))
    inside = slice(max(0, -start), 7)
    torch.testing.assert_close(tokens[0, inside], whole[0, start + inside.start : start + 7], atol=1e-4, rtol=0)


def test_a_fresh_window_is_the_beginning_of_a_job(film: LatentFilm) -> None:
    """No frame, no sound and no loudness from before its chunk: the tokens are those of a recording cut there."""
    encoder = small_encoder()
    shape = WindowShape.of(encoder, MEMORY, 5)
    batch = FilmShelf([film], encoder).batch(shape, 1, 6, (0, 1), fresh=True)
    usual = FilmShelf([film], encoder).batch(shape, 1, 6, (0, 1))
    assert not batch.valid[:, :MEMORY].any() and not batch.latents[:, :MEMORY].any()
    assert torch.equal(batch.latents[:, MEMORY:], usual.latents[:, MEMORY:]) and batch.valid[:, MEMORY:].all()
    assert torch.equal(batch.loudness, torch.full((6,), mel.LOUDNESS_FLOOR_DB))
    first = shape.past_samples + num_samples_for_frames(MEMORY)
    assert not batch.samples[:, :first].any() and torch.equal(batch.samples[:, first:], usual.samples[:, first:])
    with torch.no_grad():
        tokens, _ = encoder.encode_window(batch.samples, batch.loudness)
        cut, _ = encoder.push(batch.samples[:, first:], encoder.begin(6))
    torch.testing.assert_close(tokens[:, MEMORY:], cut, atol=1e-5, rtol=0)


def test_all_chunks_of_a_job_are_learnt(film: LatentFilm) -> None:
    """Whole ones mostly; the first as long as jobs have it and without a past; tails of any length."""
    encoder = small_encoder()
    shape = WindowShape.of(encoder, MEMORY, 12)
    feed = TalkFeed(FilmShelf([film], encoder), shape, 2, (0, 0))
    drawn = [feed.chunk_of(step) for step in range(2000)]
    fresh = [chosen.chunk_frames for chosen, first in drawn if first]
    assert set(fresh) == {ChunkPlan.first_chunk_frames} == {8}
    assert abs(len(fresh) / 2000 - FIRST_CHUNK_SHARE) < 0.03
    others = [chosen.chunk_frames for chosen, first in drawn if not first]
    assert set(others) == set(range(1, 13)) and abs(np.mean([n < 12 for n in others]) - LAST_CHUNK_SHARE) < 0.03
    step = next(step for step, (_, first) in enumerate(drawn) if first)
    batch = feed.batch(step, 1, 1)
    assert batch.latents.shape[1] == MEMORY + 8 and not batch.valid[:, :MEMORY].any()
    assert feed.batch(step, 2, 1).latents.shape[1] == MEMORY + 24, "a roll-out has whole chunks"
    feed.close()
