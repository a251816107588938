"""The laws of streaming, for both encoders at small size; look-ahead and memory are what they say they are."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from letstalk.errors import MissingAssetError
from letstalk.models.audio_encoder import AudioEncoder, AudioState, MelAudioEncoder
from letstalk.models.wav2vec import Wav2VecAudioEncoder
from letstalk.runtime import torch_generator

FRAME = 640


@lru_cache(maxsize=1)
def mel_encoder() -> MelAudioEncoder:
    return MelAudioEncoder(hop_width=16, frame_width=24, token_width=16, seed=1).eval()


def save_tiny_wav2vec(folder: Path) -> None:
    """The real class, narrow."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=12, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )  # fmt: skip
    torch.manual_seed(5)
    Wav2Vec2Model(config).save_pretrained(folder)


@lru_cache(maxsize=1)
def wav2vec_encoder() -> Wav2VecAudioEncoder:
    with tempfile.TemporaryDirectory() as folder:
        save_tiny_wav2vec(Path(folder))
        return Wav2VecAudioEncoder.from_wav2vec(
            folder, num_tokens=3, token_width=16, hidden_width=24, past_frames=10, block_frames=4, future_frames=4
        ).eval()


ENCODERS = pytest.mark.parametrize("make", [mel_encoder, wav2vec_encoder], ids=["mel", "wav2vec"])


def sound(num_samples: int, rows: int = 2, seed: int = 0) -> torch.Tensor:
    """Bursts of noise with pauses between them, other ones in each row."""
    noise = torch.randn(rows, num_samples, generator=torch_generator(seed)) * 0.1
    beat = torch.sin(torch.arange(num_samples) / 1900 + torch.arange(rows)[:, None])
    return noise * beat.clamp_min(0)


@torch.no_grad()
def in_pieces(encoder: AudioEncoder, samples: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    """Pushed piece by piece, the state saved to tensors and restored after each."""
    state = encoder.begin(samples.shape[0])
    found = []
    for first, end in pairwise([0, *torch.tensor(sizes).cumsum(0).tolist()]):
        tokens, state = encoder.push(samples[:, first:end], state)
        state = AudioState.from_tensors(state.to_tensors())
        found.append(tokens)
    tokens, _ = encoder.push(samples[:, sum(sizes) :], state, final=True)
    return torch.cat([*found, tokens], 1)


@ENCODERS
@pytest.mark.parametrize("size", [320, 2192, 10_000])  # 20 ms, 137 ms, more than one block
@torch.no_grad()
def test_pieces_give_the_same_tokens_as_the_whole(make, size: int) -> None:
    encoder, samples = make(), sound(12_000 + 77)
    whole = encoder(samples)
    assert whole.shape == (2, 19, encoder.num_tokens, encoder.token_width)
    found = in_pieces(encoder, samples, [size] * (samples.shape[1] // size))
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    assert float(whole.std(1).mean()) > 1e-3, "tokens that do not move say nothing"


@ENCODERS
@torch.no_grad()
def test_odd_pieces_empty_pieces_and_none_at_all(make) -> None:
    encoder, samples = make(), sound(9_001)
    whole = encoder(samples)
    found = in_pieces(encoder, samples, [0, 1, 0, 639, 5000, 0, 3361])
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=0)
    assert encoder(samples[:, :0]).shape == (2, 0, encoder.num_tokens, encoder.token_width)
    assert encoder(samples[:, :1]).shape[1] == 1


@ENCODERS
@torch.no_grad()
def test_a_frame_is_complete_after_its_look_ahead_and_no_sooner(make) -> None:
    encoder = make()
    samples = sound(3 * encoder.lookahead_samples)
    for frame in range(encoder.block_frames, encoder.block_frames + 3):
        enough = (frame + 1) * FRAME + encoder.lookahead_samples
        tokens, _ = encoder.push(samples[:, :enough], encoder.begin(2))
        assert tokens.shape[1] > frame
    worst = encoder.lookahead_samples + FRAME * (encoder.block_frames + 1)
    assert encoder.push(samples[:, : worst - 1], encoder.begin(2))[0].shape[1] == encoder.block_frames


@ENCODERS
@torch.no_grad()
def test_sound_past_the_look_ahead_changes_nothing_and_within_it_does(make) -> None:
    encoder, samples = make(), sound(40 * FRAME)
    whole, frame = encoder(samples), 15  # the last of a block of four, as its look-ahead is the shortest
    end = (frame + 1) * FRAME + encoder.future_samples
    for first, changes in ((end, False), (end - 300, True)):
        changed = samples.clone()
        changed[:, first:] = torch.randn(2, 40 * FRAME - first, generator=torch_generator(8))
        different = (encoder(changed)[:, : frame + 1] - whole[:, : frame + 1]).abs().amax()
        assert bool(different > 1e-6) == changes, float(different)


@torch.no_grad()
def test_sound_before_the_window_is_forgotten() -> None:
    """Loudness apart, which outlives the window: the same first seconds at the same loudest moment."""
    encoder = mel_encoder()
    past_frames = -(-encoder.past_samples // FRAME)
    samples = sound((past_frames + 20) * FRAME)
    samples[:, : 5 * FRAME] *= 0.01
    changed = samples.clone()
    changed[:, : 4 * FRAME] = 0
    plain, other = encoder(samples), encoder(changed)
    assert not torch.allclose(plain[:, 4:10], other[:, 4:10], atol=1e-5)
    torch.testing.assert_close(other[:, past_frames + 5 :], plain[:, past_frames + 5 :], atol=1e-5, rtol=0)


@ENCODERS
@torch.no_grad()
def test_rows_do_not_see_each_other_and_recordings_do_not_mix(make) -> None:
    encoder, samples = make(), sound(12_000)
    whole = encoder(samples)
    for row in range(2):
        torch.testing.assert_close(encoder(samples[row : row + 1]), whole[row : row + 1], atol=1e-5, rtol=0)
    states = [encoder.begin(1), encoder.begin(1)]
    found: list[list[torch.Tensor]] = [[], []]
    for first in range(0, 12_000, 3000):  # two recordings in turn
        for row in range(2):
            tokens, states[row] = encoder.push(samples[row : row + 1, first : first + 3000], states[row], first == 9000)
            found[row].append(tokens)
    for row in range(2):
        torch.testing.assert_close(torch.cat(found[row], 1), whole[row : row + 1], atol=1e-5, rtol=0)
        fresh, _ = encoder.push(samples[row : row + 1], states[row], final=True)
        torch.testing.assert_close(fresh, whole[row : row + 1], atol=1e-5, rtol=0)


@ENCODERS
@torch.no_grad()
def test_a_state_stays_small_and_keeps_no_recording_alive(make) -> None:
    encoder = make()
    state = encoder.begin(1)
    for seed in range(5):
        _, state = encoder.push(sound(16_000, 1, seed), state)
        longest = encoder.past_samples + encoder.lookahead_samples + FRAME
        assert state.samples.shape[1] <= longest
        assert state.samples.untyped_storage().nbytes() == 4 * state.samples.numel()


@torch.no_grad()
def test_gain_and_offset_hardly_change_mel_tokens() -> None:
    encoder, samples = mel_encoder(), sound(3 * 16_000, 1)
    plain = encoder(samples)[:, 25:]
    for changed in (samples * 0.25, samples * 4, samples + 0.05):
        difference = (encoder(changed)[:, 25:] - plain).abs()
        assert float(difference.mean()) < 0.02 and float(difference.max()) < 0.3  # tokens have unit variance


@ENCODERS
def test_saved_is_loaded(make, tmp_path: Path) -> None:
    encoder, samples = make(), sound(6000)
    encoder.save_pretrained(tmp_path)
    loaded = type(encoder).from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(samples), encoder(samples), atol=1e-6, rtol=0)
    assert (loaded.num_tokens, loaded.lookahead_samples) == (encoder.num_tokens, encoder.lookahead_samples)


def test_every_part_learns_but_wav2vec_itself() -> None:
    for encoder in (mel_encoder(), wav2vec_encoder()):
        encoder.zero_grad()
        encoder(sound(12_000)).square().mul(torch.linspace(0, 1, encoder.token_width)).mean().backward()
        for name, value in encoder.named_parameters():
            if name.startswith("wav2vec."):
                assert not value.requires_grad
            else:
                assert value.grad is not None and float(value.grad.abs().max()) > 0, name
        encoder.zero_grad()


def test_mini_is_of_the_promised_size() -> None:
    encoder = MelAudioEncoder()
    assert 1e6 < sum(value.numel() for value in encoder.parameters()) < 2e6
    assert 160 <= encoder.lookahead_samples / 16 <= 200
    assert (encoder.num_tokens, encoder.token_width) == (4, 128)
    same = MelAudioEncoder().state_dict()
    assert all(torch.equal(value, same[name]) for name, value in encoder.state_dict().items())


def test_the_published_projection_has_its_published_size() -> None:
    from transformers import Wav2Vec2Config

    with torch.device("meta"):
        encoder = Wav2VecAudioEncoder(Wav2Vec2Config().to_dict())
    assert sum(value.numel() for value in encoder.projection.parameters()) == 36_465_152
    assert encoder.train().projection.training and not encoder.wav2vec.training


def test_wav2vec_brings_the_weights_of_its_folder(tmp_path: Path) -> None:
    from transformers import Wav2Vec2Model

    save_tiny_wav2vec(tmp_path)
    source = Wav2Vec2Model.from_pretrained(tmp_path).eval()
    encoder = Wav2VecAudioEncoder.from_wav2vec(tmp_path, num_tokens=2, token_width=8, hidden_width=8).eval()
    windows = sound(20 * FRAME)
    levelled = (windows - windows.mean(1, keepdim=True)) / windows.std(1, keepdim=True)
    with torch.no_grad():
        hidden = source(levelled, output_hidden_states=True).hidden_states
        heard = encoder.hear(windows)
    assert heard.shape == (2, 19, 12, 16)
    between = 0.625 * hidden[12][:, 6] + 0.375 * hidden[12][:, 7]  # the middle of frame 3 at 50 Hz
    torch.testing.assert_close(heard[:, 3, 11], between, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_quiet_room_is_not_levelled_up_for_wav2vec() -> None:
    encoder = wav2vec_encoder()
    silence = encoder(torch.zeros(1, 20 * FRAME))
    room = encoder(sound(20 * FRAME, 1) * 1e-5)
    torch.testing.assert_close(room, silence, atol=1e-5, rtol=0)
    assert float((encoder(sound(20 * FRAME, 1)) - silence).abs().max()) > 0.1


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match="safetensors"):
        Wav2VecAudioEncoder.from_wav2vec(tmp_path / "nowhere")
