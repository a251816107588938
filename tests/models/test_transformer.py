"""Laws of time, memory and controls; precision; learning. Fusion has its own file."""

from __future__ import annotations

import pytest
import torch
from test_fusion import close
from tiny_talker import AUDIO_WIDTH, CHANNELS, SIDE, TOKENS, chunk, rows, tiny_talker
from torch import Tensor

from letstalk.errors import LetsTalkError, SettingsError
from letstalk.models.embeddings import given_or_null, patchify, rotate, time_rotations, timeless, unpatchify
from letstalk.models.transformer import TalkingTransformer


def without_memory(given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in given.items() if not name.startswith("memory")}


def test_invalid_memory_is_no_memory() -> None:
    model, given = tiny_talker(), chunk(memory=3)
    none = torch.zeros(2, 3, dtype=torch.bool)
    expected = model(**without_memory(given))
    assert close(model(**given, memory_valid=none), expected)
    assert (model(**given) - expected).abs().max() > 1e-3


def test_invalid_frames_have_no_influence_and_the_valid_ones_keep_theirs() -> None:
    model, given = tiny_talker(), chunk(memory=4)
    valid = torch.tensor([[False, False, True, True], [False, True, True, True]])
    said = model(**given, memory_valid=valid)
    spoilt = given | {
        name: torch.where(valid.view(2, 4, *[1] * (given[name].dim() - 2)), given[name], float("nan"))
        for name in ("memory", "memory_audio")
    }
    assert torch.equal(model(**spoilt, memory_valid=valid), said)
    # The frames at the front of a memory that is still filling up might as well not be there.
    shorter = rows(given, 0, 1) | {name: given[name][:1, 2:] for name in ("memory", "memory_audio")}
    assert close(model(**shorter), said[:1])


def test_lengths_may_vary_and_only_distances_in_time_count() -> None:
    model = tiny_talker()
    for frames, memory in ((1, 0), (7, 1), (16, 8)):
        assert model(**chunk(frames=frames, memory=memory)).shape == (2, frames, CHANNELS, SIDE, SIDE)
    # One frame of the chunk, seen by the context's layer at other places in time: the same keys up to the turn.
    attention, x = model.stack[0].temporal, torch.randn(1, 5, 4, 16)
    keys = [attention.context(x, time_rotations(torch.arange(5) + shift, 8), None)[0] for shift in (-9, 0, 40)]
    assert close(keys[0], keys[1]) and close(keys[2], keys[1])


def test_the_reference_is_as_near_to_every_frame() -> None:
    head_width, frames = 16, torch.arange(30)
    q, k = torch.randn(1, head_width), torch.randn(1, head_width)
    turned = rotate(q, time_rotations(frames, head_width))
    scores = turned @ rotate(k, timeless(head_width, q.device)).T
    assert close(scores, scores[:1].expand(30, 1))
    assert (turned @ rotate(k, time_rotations(frames[:1], head_width)).T).std() > 1e-2


def test_shuffled_frames_are_a_shuffle_of_nothing() -> None:
    """Alone, a frame's order cannot matter to itself; within a chunk it does, because time has a direction."""
    model, given = tiny_talker(), without_memory(chunk(batch=1, frames=4))
    order = torch.tensor([2, 0, 3, 1])
    shuffled = given | {name: given[name][:, order] for name in ("latents", "audio", "controls")}
    said, other = model(**given), model(**shuffled)
    assert (other - said[:, order]).abs().max() > 1e-3
    backwards = given | {name: given[name].flip(1) for name in ("latents", "audio", "controls")}
    assert (model(**backwards).flip(1) - said).abs().max() > 1e-3
    for block in model.stack:  # with time switched off, frames are a set
        torch.nn.init.zeros_(block.temporal.adapt.weight)
    assert close(model(**shuffled), model(**given)[:, order])


def test_every_frame_hears_its_own_sound() -> None:
    model, given = tiny_talker(), chunk(batch=1, frames=4)
    for block in model.stack:
        torch.nn.init.zeros_(block.temporal.adapt.weight)
    other = given | {"audio": given["audio"].clone()}
    other["audio"][:, 2] += 1.0
    moved = (model(**other) - model(**given)).abs().amax(dim=(0, 2, 3, 4))
    assert moved[2] > 1e-3 and moved[[0, 1, 3]].max() == 0


def test_noise_levels_may_differ_between_frames() -> None:
    model, given = tiny_talker(), chunk(frames=3)
    alike = given | {"timestep": given["timestep"][:, None].expand(-1, 3)}
    assert close(model(**alike), model(**given))
    mixed = given | {"timestep": torch.tensor([[0.0, 500.0, 1000.0]]).expand(2, -1)}
    assert (model(**mixed) - model(**given)).abs().amax(dim=(0, 2, 3, 4)).min() > 1e-3


def test_controls_that_are_not_given_are_null() -> None:
    model, given = tiny_talker(), chunk()
    amounts = given.pop("controls")
    nothing = torch.zeros_like(amounts, dtype=torch.bool)
    said = model(**given)
    assert close(model(**given, controls=amounts * float("nan"), controls_given=nothing), said)
    usual = model(**given, controls=torch.zeros_like(amounts))
    assert (usual - said).abs().max() > 1e-3, "0 says: as usual; null says nothing"
    one = nothing.clone()
    one[..., 1] = True
    assert (model(**given, controls=amounts, controls_given=one) - said).abs().max() > 1e-3
    with_none = tiny_talker(control_names=())
    assert with_none.controls is None and with_none(**given).shape == said.shape


def test_learned_variance_doubles_the_channels() -> None:
    model = tiny_talker(learn_variance=True)
    assert model(**chunk()).shape == (2, 3, 2 * CHANNELS, SIDE, SIDE)


@pytest.mark.parametrize("spatial_attention", ["linear", "softmax"])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_survives_large_inputs(spatial_attention: str, autocast: bool) -> None:
    model, given = tiny_talker(spatial_attention=spatial_attention), chunk(frames=4)
    large = given | {name: 1e4 * given[name] for name in ("latents", "portrait", "audio", "memory", "memory_audio")}
    expected, calm = model(**large), model(**given)
    if not autocast:
        model = model.to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        said = model(**large)
        assert said.isfinite().all() and said.dtype == torch.float32
        assert (said - expected).norm() < 0.1 * expected.norm()
        assert (model(**given) - calm).norm() < 0.05 * calm.norm()


def test_one_batch_overfits() -> None:
    torch.manual_seed(0)
    model = tiny_talker(stirred=False, width=32, head_width=16, depth=1).train()
    given = chunk(batch=2, frames=3)
    wanted = torch.randn_like(given["latents"])
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-2, weight_decay=0.0)
    losses = []
    for _ in range(40):
        loss = (model(**given) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.5 and losses[-1] < 0.02, losses[-1]


def test_checkpointing_changes_no_gradient() -> None:
    plain, saving = tiny_talker().train(), tiny_talker().train()
    saving.enable_gradient_checkpointing()
    everything = {"portrait_given": torch.tensor([True, False]), "audio_given": torch.tensor([False, True])}
    for model in (plain, saving):
        model(**chunk(), **everything).square().mean().backward()
    for mine, other in zip(plain.parameters(), saving.parameters(), strict=True):
        assert mine.grad is not None and other.grad is not None and torch.equal(mine.grad, other.grad)


def test_one_seed_one_network() -> None:
    first = tiny_talker(stirred=False)
    torch.rand(10)
    second, third = tiny_talker(stirred=False), tiny_talker(stirred=False, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.patch_in.weight, third.patch_in.weight)


def test_differences_from_the_portrait_and_back() -> None:
    model = tiny_talker(delta_scale=[0.5, 1.0, 2.0])
    portrait, latents = torch.randn(2, CHANNELS, SIDE, SIDE), torch.randn(2, 5, CHANNELS, SIDE, SIDE)
    deltas = model.deltas(latents, portrait)
    assert torch.allclose(deltas[:, :, 2], 2 * (latents - portrait[:, None])[:, :, 2])
    assert close(model.undo_deltas(deltas, portrait), latents)
    assert not model.deltas(portrait[:, None], portrait).any(), "zero is the portrait itself"


def test_another_autoencoder_is_refused() -> None:
    model = tiny_talker(latent_hash="abc")
    model.check_codec("abc")
    with pytest.raises(LetsTalkError, match=r"abc.*def.*trained together"):
        model.check_codec("def")
    tiny_talker().check_codec("def")  # not bound to one yet


@pytest.mark.parametrize("setting", ["portrait_fusion", "audio_fusion", "spatial_attention", "symbiotic_mode"])
def test_unknown_schemes_are_refused_by_name(setting: str) -> None:
    with pytest.raises(SettingsError, match=f"{setting} cannot be 'psychic'"):
        TalkingTransformer(**{setting: "psychic"})


def test_patches_there_and_back() -> None:
    latents = torch.randn(2, 3, CHANNELS, SIDE, SIDE)
    assert torch.equal(unpatchify(patchify(latents, 2), 2, SIDE), latents)


def test_a_null_is_learned_where_it_is_used() -> None:
    null = torch.zeros(TOKENS, AUDIO_WIDTH, requires_grad=True)
    given_or_null(torch.randn(3, 2, TOKENS, AUDIO_WIDTH), torch.tensor([True, False, True]), null).sum().backward()
    assert null.grad is not None and torch.equal(null.grad, torch.full((TOKENS, AUDIO_WIDTH), 2.0))
