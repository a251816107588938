import numpy as np
import pytest

from letstalk.types import (
    SAMPLES_PER_FRAME,
    Audio,
    Framing,
    LatentShape,
    PixelShape,
    VideoChunk,
    exact_div,
    num_frames_for_samples,
    num_samples_for_frames,
)


def test_rates_divide() -> None:
    assert SAMPLES_PER_FRAME == 640
    with pytest.raises(AssertionError):
        exact_div(16_000, 24)


@pytest.mark.parametrize("num_samples", [0, 1, 639, 640, 641, 16_000, 57_600_000, 57_600_001])
def test_every_sample_has_a_frame_and_no_frame_is_empty(num_samples: int) -> None:
    frames = num_frames_for_samples(num_samples)
    assert num_samples_for_frames(frames) >= num_samples
    assert frames == 0 or num_samples_for_frames(frames - 1) < num_samples


def test_frames_and_samples_round_trip() -> None:
    for num_frames in (0, 1, 2, 25, 90_000):
        assert num_frames_for_samples(num_samples_for_frames(num_frames)) == num_frames


def test_audio_knows_its_length_in_frames() -> None:
    audio = Audio(np.zeros(641, np.float32))
    assert (audio.num_frames, audio.duration_seconds) == (2, 641 / 16_000)
    with pytest.raises(AssertionError):
        Audio(np.zeros((2, 641), np.float32))


def test_a_chunk_holds_just_the_sound_of_its_frames() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    VideoChunk(0, frames, np.zeros(1280, np.float32))
    VideoChunk(0, frames, np.zeros(700, np.float32))  # the partial last frame of a job
    with pytest.raises(AssertionError):
        VideoChunk(0, frames, np.zeros(640, np.float32))


def test_latent_shapes() -> None:
    assert PixelShape(16, 256, 256).latent(32, 16) == LatentShape(16, 16, 8, 8)
    assert PixelShape(17, 512, 512).latent(64, 64, temporal_factor=4) == LatentShape(5, 64, 8, 8)
    assert LatentShape(1, 16, 8, 8).tokens_per_frame == 64
    with pytest.raises(AssertionError):
        PixelShape(16, 512, 512).latent(64, 64, temporal_factor=4)  # frame 0 stands apart: 1 + 4k frames


def test_framing_inverse_is_exact() -> None:
    angle = 0.3
    linear = 2.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    framing = Framing(np.concatenate([linear, [[40.0], [-7.5]]], axis=1), 256, 900, 700)
    points = np.array([[0.0, 0.0, 1.0], [255.0, 10.0, 1.0], [128.0, 200.0, 1.0]])
    full = points @ framing.crop_to_full.T
    back = np.concatenate([full, np.ones((3, 1))], axis=1) @ framing.full_to_crop.T
    np.testing.assert_allclose(back, points[:, :2], atol=1e-9)
    assert framing.scale == pytest.approx(2.5)
