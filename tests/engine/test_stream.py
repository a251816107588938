"""Laws of the stream: its frames depend on pictures, sound and settings, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_engine import frames_of, in_pieces, sound_of

from letstalk.engine.job_state import JobState
from letstalk.engine.session import MadeChunk
from letstalk.errors import InputError, LetsTalkError, SettingsError
from letstalk.pipeline import LetsTalkPipeline
from letstalk.settings import GenerationSettings
from letstalk.types import SAMPLES_PER_FRAME, Audio, Portrait

SOUND_SAMPLES = 11 * SAMPLES_PER_FRAME + 123  # chunks of 3, 5 and 4 frames, the last one partial


@pytest.fixture(scope="module")
def whole(pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings) -> list[MadeChunk]:
    """The chunks that everything else is compared with."""
    return list(pipe.stream(portrait, sound_of(SOUND_SAMPLES), settings))


def test_chunks_follow_the_plan_and_carry_their_sound(whole: list[MadeChunk]) -> None:
    assert [(chunk.first_frame, len(chunk.frames)) for chunk in whole] == [(0, 3), (3, 5), (8, 4)]
    assert np.array_equal(np.concatenate([chunk.samples for chunk in whole]), sound_of(SOUND_SAMPLES))
    assert all(chunk.frames.shape[1:] == (256, 256, 3) for chunk in whole)


def test_the_call_is_the_collected_stream(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    video = pipe(portrait, Audio(sound_of(SOUND_SAMPLES), notes=("A note.",)), settings)
    assert np.array_equal(video.frames, frames_of(whole))
    assert video.notes == ("A note.",) and video.duration_seconds == 12 / 25


@pytest.mark.parametrize("length", [1, 640 * 3, 640 * 3 + 1, 640 * 8, 640 * 8 - 1, 1600])
def test_video_and_sound_end_together(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, length: int
) -> None:
    chunks = list(pipe.stream(portrait, sound_of(length), settings, steps=1))
    assert sum(len(chunk.frames) for chunk in chunks) == -(-length // SAMPLES_PER_FRAME)
    assert sum(len(chunk.samples) for chunk in chunks) == length


@pytest.mark.parametrize("piece", [320, 2192, 7, SOUND_SAMPLES])
def test_pieces_of_sound_do_not_matter(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk], piece: int
) -> None:
    """20 ms, 137 ms, hardly anything, and all at once."""
    chunks = list(pipe.stream(portrait, in_pieces(sound_of(SOUND_SAMPLES), piece), settings))
    assert [len(chunk.frames) for chunk in chunks] == [3, 5, 4]
    assert np.array_equal(frames_of(chunks), frames_of(whole))


def test_a_chunk_comes_as_soon_as_its_sound_has(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    spoken = 0

    def microphone() -> Iterator[np.ndarray]:
        nonlocal spoken
        for block in in_pieces(sound_of(SOUND_SAMPLES), 320):
            spoken += len(block)
            yield block

    heard = []
    for chunk in pipe.stream(portrait, microphone(), settings, steps=1):
        heard.append((chunk.first_frame + len(chunk.frames), spoken))
    lookahead = pipe.audio_encoder.lookahead_samples
    assert heard[0][1] - (3 * SAMPLES_PER_FRAME + lookahead) in range(320)
    assert heard[1][1] == min(SOUND_SAMPLES, -(-(8 * SAMPLES_PER_FRAME + lookahead) // 320) * 320)


def test_interleaved_jobs_are_as_if_alone(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    other_sound = sound_of(SOUND_SAMPLES)[::-1].copy()
    alone = list(pipe.stream(portrait, other_sound, settings, seed=3))
    session = pipe.session(portrait, settings)
    jobs = [
        session.stream(sound_of(SOUND_SAMPLES)),
        pipe.stream(portrait, other_sound, settings, seed=3),
        session.stream(sound_of(SOUND_SAMPLES), overlap=True),
    ]
    taken: list[list[MadeChunk]] = [[], [], []]
    for _ in range(3):
        for job, chunks in zip(jobs, taken, strict=True):
            chunks.append(next(job))
    assert np.array_equal(frames_of(taken[0]), frames_of(whole))
    assert np.array_equal(frames_of(taken[1]), frames_of(alone))
    assert np.array_equal(frames_of(taken[2]), frames_of(whole))
    assert not np.array_equal(frames_of(alone), frames_of(whole))


@pytest.mark.parametrize("live", [False, True])
def test_a_saved_job_goes_on_as_if_never_stopped(
    pipe: LetsTalkPipeline,
    portrait: Portrait,
    settings: GenerationSettings,
    whole: list[MadeChunk],
    tmp_path: Path,
    live: bool,
) -> None:
    """Saved and loaded at every boundary, by a pipeline that has forgotten everything in between."""
    sound, made, state = sound_of(SOUND_SAMPLES), [], None
    for _ in range(3):
        given = in_pieces(sound[state.num_heard if state else 0 :], 500) if live else sound
        stream = pipe.stream(portrait, given, settings, state=state)
        made.append(next(stream))
        stream.close()
        made[-1].state.save(tmp_path / "state.safetensors")
        state = JobState.load(tmp_path / "state.safetensors")
    assert np.array_equal(frames_of(made), frames_of(whole))
    assert np.array_equal(np.concatenate([chunk.samples for chunk in made]), sound)
    assert list(pipe.stream(portrait, sound[len(sound) :] if live else sound, settings, state=state)) == []


def test_the_second_half_is_not_saved_with_the_sound_of_the_first(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    recording = Audio(sound_of(SOUND_SAMPLES), source=Path("speech.wav"))
    rest = pipe(portrait, recording, settings, state=whole[0].state)
    assert np.array_equal(rest.frames, frames_of(whole[1:])) and rest.source is None
    assert len(rest.samples) == SOUND_SAMPLES - 3 * SAMPLES_PER_FRAME
    assert pipe(portrait, recording, settings, steps=1).source == recording.source


def test_a_state_belongs_to_its_job(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    state = whole[0].state
    with pytest.raises(SettingsError, match="begun with other seed and steps"):
        pipe.stream(portrait, sound_of(SOUND_SAMPLES), settings, state=state, steps=3, seed=0)
    darker = replace(portrait, crop=portrait.crop // 2)
    with pytest.raises(SettingsError, match="begun with other pictures"):
        pipe.stream(darker, sound_of(SOUND_SAMPLES), settings, state=state)


def test_threads_change_nothing(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    chunks = list(pipe.stream(portrait, sound_of(SOUND_SAMPLES), settings, overlap=True))
    assert np.array_equal(frames_of(chunks), frames_of(whole))


def test_a_chunk_decodes_again_to_the_same_frames(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    session = pipe.session(portrait, settings)
    assert all(np.array_equal(session.frames(chunk.latents), chunk.frames) for chunk in whole)


def test_a_long_chunk_is_decoded_in_parts(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("letstalk.engine.session.DECODED_AT_ONCE", 2)
    parts = pipe.session(portrait, settings).frames(whole[1].latents)
    assert parts.shape == whole[1].frames.shape
    assert np.abs(parts.astype(int) - whole[1].frames).max() <= 1  # other batches may round otherwise


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 12}, {"steps": 3}, {"scheduler": "heun"}, {"guidance_audio": 1.0}, {"guidance_portrait": 2.0},
        {"memory_frames": 0}, {"chunk_frames": 4}, {"motion_strength": 1.5},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_setting_changes_the_video(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk], change: dict
) -> None:
    chunks = list(pipe.stream(portrait, sound_of(SOUND_SAMPLES), settings, **change))
    assert not np.array_equal(frames_of(chunks), frames_of(whole))


def test_an_idle_face_can_be_still(pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings) -> None:
    """Only in pauses: while somebody speaks the setting changes nothing."""
    sound = np.concatenate([sound_of(8 * SAMPLES_PER_FRAME), np.zeros(12 * SAMPLES_PER_FRAME, np.float32)])
    alive, still = (list(pipe.stream(portrait, sound, settings, idle=idle)) for idle in ("alive", "still"))
    same = [np.array_equal(a.frames, b.frames) for a, b in zip(alive, still, strict=True)]
    assert same[:2] == [True, True] and not same[-1]


def test_several_pictures_change_the_video(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    mirrored = replace(portrait, crop=portrait.crop[:, ::-1].copy())
    several = list(pipe.stream([portrait, mirrored, portrait], sound_of(1600), settings))
    assert not np.array_equal(several[0].frames, whole[0].frames)


def test_half_precision_obeys_the_same_laws(
    model_folder: Path, portrait: Portrait, settings: GenerationSettings, whole: list[MadeChunk]
) -> None:
    half = LetsTalkPipeline.from_pretrained(model_folder, dtype=torch.bfloat16)
    chunks = list(half.stream(portrait, sound_of(SOUND_SAMPLES), settings))
    pieces = list(half.stream(portrait, in_pieces(sound_of(SOUND_SAMPLES), 2192), settings, overlap=True))
    assert np.array_equal(frames_of(pieces), frames_of(chunks))
    assert np.abs(frames_of(chunks).astype(int) - frames_of(whole)).mean() < 2


def test_grad_mode_does_not_leak_to_the_consumer(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    for overlap in (False, True):
        for _ in pipe.stream(portrait, sound_of(1600), settings, overlap=overlap):
            assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


class TestUntrained:
    """A network that knows nothing leaves the portrait as it is."""

    def test_every_frame_is_the_portrait(
        self, untrained: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
    ) -> None:
        video = untrained(portrait, sound_of(2000), settings)
        assert (video.frames == portrait.crop).all()

    def test_512_is_taken_from_the_full_picture(
        self, untrained: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
    ) -> None:
        video = untrained(portrait, sound_of(600), settings, size=512)
        assert video.frames.shape == (1, 512, 512, 3)
        small = video.frames[0].reshape(256, 2, 256, 2, 3).mean((1, 3))
        assert np.abs(small - portrait.crop).mean() < 1

    def test_full_frame_is_the_whole_picture(
        self, untrained: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
    ) -> None:
        video = untrained(portrait, sound_of(2000), settings, full_frame=True)
        assert (video.frames == portrait.full).all()

    def test_a_whole_picture_becomes_no_larger_than_a_screen(
        self, untrained: LetsTalkPipeline, picture: np.ndarray, settings: GenerationSettings
    ) -> None:
        photograph = np.tile(picture, (7, 7, 1))  # 2520 x 2100
        whole, crop = (untrained.session(photograph, settings, full_frame=full) for full in (True, False))
        assert whole.frame_shape == (1920, 1600) and any("reduced" in note for note in whole.notes)
        assert crop.portraits[0].full.shape == photograph.shape

    def test_a_picture_is_searched_for_its_face(
        self, untrained: LetsTalkPipeline, picture: np.ndarray, settings: GenerationSettings
    ) -> None:
        found = untrained.session(picture, settings).portraits[0]
        assert found.framing.crop_size == 256 and np.array_equal(found.full, picture)
        assert np.array_equal(untrained(picture, sound_of(600), settings).frames[0], found.crop)
        empty = untrained(np.full((300, 300, 3), 128, np.uint8), sound_of(600), settings)
        assert any("No face was found" in note for note in empty.notes)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(0, np.float32), "no sound"),
        ([], "no sound"),
        (np.zeros((4, 2), np.float32), "no mono float sound"),
        ([np.zeros(100, np.int16)], "no mono float sound"),
        (5, "cannot be taken from int"),
        ("absent.wav", "does not exist"),
    ],
)
def test_sound_that_is_none_is_refused(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, sound: object, message: str
) -> None:
    for overlap in (False, True):
        with pytest.raises(InputError, match=message):
            next(pipe.stream(portrait, sound, settings, overlap=overlap))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, 4])
def test_one_to_three_pictures(pipe: LetsTalkPipeline, portrait: Portrait, number: int) -> None:
    with pytest.raises(InputError, match=f"{number} pictures were given"):
        pipe.stream([portrait] * number, sound_of(600))


def test_a_misspelt_setting_is_refused(pipe: LetsTalkPipeline, portrait: Portrait) -> None:
    with pytest.raises(SettingsError, match="did you mean 'steps'"):
        pipe.stream(portrait, sound_of(600), stepz=3)


def test_what_is_not_finite_is_silence(
    untrained: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    broken = np.array([np.nan, np.inf, 7.0, -7.0, 0.5], np.float32)
    chunk = next(untrained.stream(portrait, [broken], settings))
    assert chunk.samples.tolist() == [0.0, 0.0, 1.0, -1.0, 0.5]


def test_networks_of_different_latents_are_refused(pipe: LetsTalkPipeline, untrained: LetsTalkPipeline) -> None:
    from letstalk.models.transformer import TalkingTransformer

    other = TalkingTransformer(**{**pipe.transformer.config, "latent_hash": "0123"})
    with pytest.raises(LetsTalkError, match="0123"):
        LetsTalkPipeline(other, untrained.autoencoder, untrained.audio_encoder, untrained.scheduler)
