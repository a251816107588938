"""The audio encoder that ships: what its tokens must not depend on, on speech-like sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import letstalk
from letstalk.models.audio_encoder import MelAudioEncoder
from letstalk.runtime import torch_generator
from letstalk.synthetic.voice.syllables import spoken_syllables

FOLDER = Path(letstalk.__file__).parent / "weights" / "mini" / "audio_encoder"


@pytest.fixture(scope="module")
def encoder() -> MelAudioEncoder:
    return MelAudioEncoder.from_pretrained(FOLDER).eval()


@pytest.fixture(scope="module")
def voice() -> torch.Tensor:
    return torch.from_numpy(spoken_syllables(100, 4).samples)[None]


def test_files_fit_the_promised_size(encoder: MelAudioEncoder) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000
    assert encoder.dtype == torch.float32 and (encoder.num_tokens, encoder.token_width) == (4, 128)


@torch.no_grad()
def test_pieces_give_the_same_tokens(encoder: MelAudioEncoder, voice: torch.Tensor) -> None:
    whole = encoder(voice)
    for size in (320, 2192):
        state, found = encoder.begin(1), []
        for first in range(0, voice.shape[1], size):
            tokens, state = encoder.push(voice[:, first : first + size], state)
            found.append(tokens)
        found.append(encoder.push(voice[:, :0], state, final=True)[0])
        torch.testing.assert_close(torch.cat(found, 1), whole, atol=1e-4, rtol=0)


@torch.no_grad()
def test_gain_and_offset_hardly_change_tokens(encoder: MelAudioEncoder, voice: torch.Tensor) -> None:
    plain = encoder(voice)[:, 25:]
    for changed in (voice * 0.25, voice * 4, voice + 0.05):
        assert float((encoder(changed)[:, 25:] - plain).abs().mean()) < 0.05  # tokens have a spread of about one


@torch.no_grad()
def test_the_noise_of_converters_is_silence_before_and_after_a_voice(
    encoder: MelAudioEncoder, voice: torch.Tensor
) -> None:
    silence = torch.zeros(1, 32_000)
    noise = torch.randn(1, 32_000, generator=torch_generator(1)) * 10 ** (-96 / 20)
    torch.testing.assert_close(encoder(noise), encoder(silence), atol=0.05, rtol=0)
    after_silence = encoder(torch.cat([voice, silence], 1))[:, -30:]
    torch.testing.assert_close(encoder(torch.cat([voice, noise], 1))[:, -30:], after_silence, atol=0.05, rtol=0)


@torch.no_grad()
def test_mouth_shapes_lie_open_in_the_tokens(encoder: MelAudioEncoder) -> None:
    """A linear map fitted on some nonsense talks reads the opening of the mouth in another: it was never trained on."""
    from letstalk.training.talks import TalkSettings, make_talk

    talks = [make_talk(TalkSettings(num_frames=250, noise_share=0.0), "train", number) for number in range(5)]
    tokens = [encoder(torch.from_numpy(talk.sound())[None])[0].flatten(1).numpy() for talk in talks]
    opening = [talk.motion[:, 0].astype(np.float64) for talk in talks]
    inputs, wanted = np.concatenate(tokens[:4]), np.concatenate(opening[:4])
    mean = inputs.mean(0)
    weights = np.linalg.solve(
        (inputs - mean).T @ (inputs - mean) + 100 * np.eye(inputs.shape[1]),
        (inputs - mean).T @ (wanted - wanted.mean()),
    )
    found = (tokens[4] - mean) @ weights
    assert np.corrcoef(found, opening[4])[0, 1] > 0.6
