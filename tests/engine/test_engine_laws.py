"""The engine against the book: real transformer, audio encoder, memory and sampler at tiny size, in float32.

`by_the_book` is the same mathematics with nothing clever about it: the whole sound at once, several jobs in a batch, no
caches and no state. Laws of the stream itself (pieces, saving, threads) are in test_stream.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_engine import sound_of, tiny_pipeline
from torch import Tensor

from letstalk.engine.chunks import ChunkMaker, Hooks
from letstalk.engine.sitter import Sitter
from letstalk.engine.sound import as_source
from letstalk.flow.frame_noise import frame_noise
from letstalk.flow.guidance import guided, repeat_batch
from letstalk.flow.schedulers import make_scheduler, sample, shift_of
from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.plan import ChunkPlan
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait

SOUND = sound_of(640 * 21 + 100)  # 22 frames in chunks of 3, 5, 5, 5 and 4; the last frame is a partial one
LENGTHS = [3, 5, 5, 5, 4]
TOLERANCE = 2e-4  # caches, batches and whole sounds add the same numbers up in another order


def streamed(
    pipe: LetsTalkPipeline, portrait: Portrait, sound: np.ndarray, settings: GenerationSettings
) -> tuple[Tensor, ...]:
    """Latents (F, C, h, w) of each chunk, as the engine makes them."""
    maker = ChunkMaker(pipe.networks, Sitter.encode((portrait,), pipe.autoencoder), settings)
    return tuple(chunk.latents for chunk in maker.chunks(as_source(sound), maker.begin({}), Hooks()))


@torch.no_grad()
def by_the_book(
    pipe: LetsTalkPipeline, crops: list[np.ndarray], sounds: list[np.ndarray], settings: GenerationSettings
) -> Tensor:
    """Latents (B, F, C, h, w) of B jobs whose sounds have one length."""
    pictures = torch.from_numpy(np.stack(crops)).float().permute(0, 3, 1, 2) / 127.5 - 1
    portrait = pipe.autoencoder.normalise(pipe.autoencoder.encode(pictures))  # (B, C, h, w)
    tokens = pipe.audio_encoder(torch.from_numpy(np.stack(sounds)))  # (B, F, N, Da)
    scheduler = make_scheduler(settings.scheduler, shift_of(pipe.scheduler))
    frame_shape = tuple(portrait.shape[1:])
    memory = MemoryBank.empty(len(crops), settings.memory_frames, frame_shape, tuple(tokens.shape[2:]))
    made = []
    for frames in ChunkPlan(settings.chunk_frames, settings.first_chunk_frames).chunks(tokens.shape[1]):
        heard = tokens[:, frames.start : frames.stop]
        noise = frame_noise(settings.seed, frames.start, len(frames), frame_shape).expand(len(crops), -1, -1, -1, -1)

        def velocity(
            x: Tensor, t: Tensor, portrait_given: Tensor, audio_given: Tensor,
            heard: Tensor = heard, memory: MemoryBank = memory,
        ) -> Tensor:  # fmt: skip
            times = len(x) // len(crops)
            bank = memory.repeat(times)
            return pipe.transformer(
                x, t, portrait=repeat_batch(portrait, times), audio=repeat_batch(heard, times),
                portrait_given=portrait_given, audio_given=audio_given, memory=bank.latents, memory_audio=bank.audio,
                memory_valid=bank.valid, controls=torch.zeros(len(x), heard.shape[1], 2),
            )  # fmt: skip

        direction = guided(velocity, settings.guidance_portrait, settings.guidance_audio)
        made.append(sample(direction, noise, scheduler, settings.steps))
        memory = memory.push(made[-1], heard)
    return torch.cat(made, 1)


def assert_same(found: Tensor, expected: Tensor) -> None:
    assert float(expected.std()) > 0.1, "or there is nothing to be equal about"
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.fixture(scope="module")
def whole(pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings) -> tuple[Tensor, ...]:
    return streamed(pipe, portrait, SOUND, settings)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance_portrait": 1.5, "guidance_audio": 3.0},
        {"guidance_audio": 1.0, "scheduler": "heun"},
        {"memory_frames": 0, "scheduler": "unipc", "steps": 3},
        {"memory_frames": 9, "scheduler": "dpm", "chunk_frames": 16, "first_chunk_frames": 8},
    ],
    ids=str,
)
def test_the_stream_computes_what_the_book_says(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, changes: dict
) -> None:
    settings = settings.changed(**changes)
    found = torch.cat(streamed(pipe, portrait, SOUND, settings))
    assert_same(found, by_the_book(pipe, [portrait.crop], [SOUND], settings)[0])


@pytest.mark.parametrize("portrait_fusion", ["direct", "siamese", "symbiotic", "symbiotic-joint"])
@pytest.mark.parametrize("audio_fusion", ["direct", "siamese", "symbiotic"])
def test_every_fusion_streams_by_the_book(
    portrait: Portrait, settings: GenerationSettings, portrait_fusion: str, audio_fusion: str
) -> None:
    """What the engine prepares once, for a portrait or a chunk, is right for each way of joining them in."""
    pipe = tiny_pipeline(stirred=True, portrait_fusion=portrait_fusion, audio_fusion=audio_fusion)
    pipe = pipe.place("cpu", torch.float32)
    settings, sound = settings.changed(guidance_portrait=1.5), SOUND[: 640 * 10]
    found = torch.cat(streamed(pipe, portrait, sound, settings))
    assert_same(found, by_the_book(pipe, [portrait.crop], [sound], settings)[0])


def test_a_job_in_a_batch_is_the_job_alone(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    settings = settings.changed(guidance_portrait=1.5)
    crops = [portrait.crop, portrait.crop[:, ::-1].copy(), portrait.crop[::-1].copy()]
    sounds = [SOUND, SOUND[::-1].copy(), np.zeros_like(SOUND)]
    together = by_the_book(pipe, crops, sounds, settings)
    for row, (crop, sound) in enumerate(zip(crops, sounds, strict=True)):
        assert_same(together[row], torch.cat(streamed(pipe, replace(portrait, crop=crop), sound, settings)))
        assert float((together[row] - together[row - 1]).abs().max()) > 0.05


def test_the_past_does_not_know_the_future(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: tuple[Tensor, ...]
) -> None:
    """Other sound leaves alone, bit for bit, the chunks whose sound and look-ahead came before it."""
    changed_from = 640 * 13 + pipe.audio_encoder.lookahead_samples
    assert changed_from < len(SOUND), "or the test shows nothing"
    changed = SOUND.copy()
    changed[changed_from:] = 0.1 * np.random.default_rng(0).standard_normal(len(SOUND) - changed_from)
    chunks = streamed(pipe, portrait, changed, settings)
    assert [len(chunk) for chunk in chunks] == [len(chunk) for chunk in whole] == LENGTHS
    same = [torch.equal(chunk, before) for chunk, before in zip(chunks, whole, strict=True)]
    assert same == [True, True, True, False, False]


def test_sound_portrait_and_memory_all_reach_the_latents(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: tuple[Tensor, ...]
) -> None:
    """What laws of equality cannot see."""

    def differences(chunks: tuple[Tensor, ...]) -> list[float]:
        return [float((chunk - before).abs().mean()) for chunk, before in zip(chunks, whole, strict=True)]

    assert min(differences(streamed(pipe, portrait, np.zeros_like(SOUND), settings))) > 0.01
    mirrored = replace(portrait, crop=portrait.crop[:, ::-1].copy())
    assert min(differences(streamed(pipe, mirrored, SOUND, settings))) > 0.01
    forgetful = differences(streamed(pipe, portrait, SOUND, settings.changed(memory_frames=0)))
    assert forgetful[0] < TOLERANCE, "the first chunk has nothing to remember"
    assert min(forgetful[1:]) > 0.001
