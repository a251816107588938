"""Levels relative to a voice: against librosa, against known sounds, and what must not count as a voice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from letstalk.models import mel
from letstalk.runtime import numpy_generator, torch_generator


def noise(seconds: float, level_db: float, seed: int = 0) -> torch.Tensor:
    """(1, n) white, root mean square in dB below full scale."""
    return torch.randn(1, int(16_000 * seconds), generator=torch_generator(seed)) * 10 ** (level_db / 20)


def loudness_of(samples: torch.Tensor) -> torch.Tensor:
    return mel.features(samples, torch.full((1,), mel.LOUDNESS_FLOOR_DB))[1][0]


def test_power_equals_librosas() -> None:
    import librosa

    samples = numpy_generator(3, "mel").standard_normal(8000).astype(np.float32) * 0.1
    ours = mel.mel_power(torch.from_numpy(samples)[None])[0].numpy()
    theirs = librosa.feature.melspectrogram(
        y=np.pad(np.diff(samples), (mel.FFT_SIZE - mel.WINDOW_SAMPLES) // 2),  # librosa's window sits amid its FFT
        sr=16_000, n_fft=mel.FFT_SIZE, win_length=mel.WINDOW_SAMPLES, hop_length=mel.HOP_SAMPLES, center=False,
        n_mels=mel.NUM_BANDS, fmin=mel.LOWEST_HZ, fmax=mel.HIGHEST_HZ, htk=True, norm=1,
    ).T  # fmt: skip
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_hops_lie_where_their_sound_is() -> None:
    """A click in the middle of hop t is loudest in hop t, and nothing further away than the window hears it."""
    samples = torch.zeros(1, mel.REACH_BACK + 40 * 160 + mel.REACH_AHEAD)
    samples[0, mel.REACH_BACK + 20 * 160 + 80] = 1.0
    power = mel.mel_power(samples)[0].sum(-1)
    assert len(power) == 40 and int(power.argmax()) == 20
    assert power[18] == 0 and power[22] == 0


@pytest.mark.parametrize("hz", [250.0, 500.0, 2000.0])
def test_loudness_is_the_level_of_the_voice_band(hz: float) -> None:
    samples = 0.1 * torch.sin(2 * torch.pi * hz * torch.arange(16_000) / 16_000)[None]
    assert abs(float(loudness_of(samples)[20]) - 10 * np.log10(0.005)) < 1.0


def test_loudness_rises_at_once_and_sinks_slowly() -> None:
    loudness = loudness_of(torch.cat([noise(1, -25), torch.zeros(1, 64_000)], 1))
    assert loudness[98] - loudness[15] < 4 and loudness[12] > -33
    assert abs(float(loudness[450] - loudness[150]) + 3 * 1.5) < 0.01


def test_a_leaky_maximum_is_its_recurrence() -> None:
    levels = torch.randn(2, 300, generator=torch_generator(1)) * 10 - 35
    expected, value = [], torch.full((2,), -40.0)
    for level in levels.unbind(1):
        value = torch.maximum(torch.maximum(level, value - mel.SINKING_DB_PER_HOP), torch.tensor(mel.LOUDNESS_FLOOR_DB))
        expected.append(value)
    found = mel.leaky_maximum(levels, torch.full((2,), -40.0))
    torch.testing.assert_close(found, torch.stack(expected, 1), atol=1e-4, rtol=0)
    late = mel.leaky_maximum(levels[:, 100:], found[:, 99])
    torch.testing.assert_close(late, found[:, 100:], atol=1e-5, rtol=0)


def test_silence_and_the_noise_of_converters_stay_at_the_bottom() -> None:
    voice = noise(1, -20)
    for quiet in (torch.zeros(1, 32_000), noise(2, -96), torch.full((1, 32_000), 0.3)):
        before = mel.features(quiet, torch.full((1,), mel.LOUDNESS_FLOOR_DB))[0]
        assert float(before[:, 5:].max()) < 0.02
        after = mel.features(torch.cat([voice, quiet], 1), torch.full((1,), mel.LOUDNESS_FLOOR_DB))[0]
        assert float(after[:, 110:, : mel.NUM_BANDS].max()) < 0.02


def test_gain_and_offset_change_nothing_once_somebody_speaks() -> None:
    voice = noise(2, -24) * (1 + torch.sin(torch.arange(32_000) / 900))
    plain = mel.features(voice, torch.full((1,), mel.LOUDNESS_FLOOR_DB))[0][:, 30:]
    for changed in (voice * 0.25, voice * 4, voice + 0.1):
        found = mel.features(changed, torch.full((1,), mel.LOUDNESS_FLOOR_DB))[0][:, 30:]
        difference = (found - plain).abs()  # only bands near the bottom see the floor
        assert float(difference.mean()) < 1e-3 and float((difference > 0.02).float().mean()) < 0.01


def test_a_click_does_not_count_as_a_voice() -> None:
    samples = noise(1, -25)
    clicked = samples.clone()
    clicked[:, 4000:4008] = 0.7
    assert float((loudness_of(clicked) - loudness_of(samples)).max()) < 6.0


def test_autocast_does_not_round_what_is_heard() -> None:
    """A network in half precision must be trained on the features that it is given at work."""
    before = torch.full((1,), mel.LOUDNESS_FLOOR_DB)
    plain = mel.features(noise(1, -25), before)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = mel.features(noise(1, -25), before)
    assert all(torch.equal(a, b) for a, b in zip(plain, rounded, strict=True))
