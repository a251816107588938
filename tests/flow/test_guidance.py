"""Guidance on a velocity that is known: linear in what it sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from letstalk.flow.guidance import guided, needed_passes, repeat_batch

BATCH, SHAPE = 3, (4, 2, 2, 2)  # (F, C, h, w)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BASE, PORTRAIT, AUDIO = draw(BATCH, *SHAPE, seed=1), draw(BATCH, *SHAPE, seed=2), draw(BATCH, *SHAPE, seed=3)
LATENTS, TIMESTEP = draw(BATCH, *SHAPE, seed=4), torch.tensor([900.0, 500.0, 100.0])


def column(values: Tensor) -> Tensor:
    return values.float().view(-1, 1, 1, 1, 1)


class KnownVelocity:
    """v_0 = x t + base; the portrait adds its own, and the sound adds its own on top. Notes how it was called."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, latents: Tensor, timestep: Tensor, portrait_given: Tensor, audio_given: Tensor) -> Tensor:
        times = latents.shape[0] // BATCH
        self.batches.append(times)
        velocity = latents * column(timestep / 1000) + repeat_batch(BASE, times)
        velocity = velocity + column(portrait_given) * repeat_batch(PORTRAIT, times)
        return velocity + column(audio_given) * repeat_batch(AUDIO, times)


@pytest.mark.parametrize("portrait_weight", [0.0, 0.5, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("audio_weight", [0.0, 0.5, 1.0, 1.7, 3.0])
def test_the_formula_is_computed_in_one_forward(portrait_weight: float, audio_weight: float) -> None:
    velocity = KnownVelocity()
    found = guided(velocity, portrait_weight, audio_weight)(LATENTS, TIMESTEP)
    nothing = LATENTS * column(TIMESTEP / 1000) + BASE
    expected = nothing + portrait_weight * PORTRAIT + audio_weight * AUDIO
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert velocity.batches == [len(needed_passes(portrait_weight, audio_weight))]


@pytest.mark.parametrize(
    ("portrait_weight", "audio_weight", "passes"),
    [
        (1.0, 1.0, [(True, True)]),
        (1.0, 2.0, [(True, False), (True, True)]),
        (1.0, 0.0, [(True, False)]),
        (0.0, 0.0, [(False, False)]),
        (2.0, 2.0, [(False, False), (True, True)]),
        (1.5, 2.0, [(False, False), (True, False), (True, True)]),
    ],
)
def test_only_passes_that_count_are_made(
    portrait_weight: float, audio_weight: float, passes: list[tuple[bool, bool]]
) -> None:
    needed = needed_passes(portrait_weight, audio_weight)
    assert [(item.portrait_given, item.audio_given) for item in needed] == passes
    assert sum(item.factor for item in needed) == pytest.approx(1.0)


def test_the_sound_never_speaks_without_the_portrait() -> None:
    """Training drops the sound alone, the portrait with it, or both; the fourth case is not one that guidance asks."""
    for portrait_weight in (0.0, 0.3, 1.0, 4.0):
        for audio_weight in (0.0, 0.3, 1.0, 4.0):
            needed = needed_passes(portrait_weight, audio_weight)
            assert not any(item.audio_given and not item.portrait_given for item in needed)


def test_a_weight_of_one_is_the_network_itself() -> None:
    """Bit for bit: no rounding comes in where no guidance is asked for."""
    velocity = KnownVelocity()
    given = torch.ones(BATCH, dtype=torch.bool)
    plain = velocity(LATENTS, TIMESTEP, given, given)
    assert torch.equal(guided(velocity, 1.0, 1.0)(LATENTS, TIMESTEP), plain)


def test_the_sum_is_taken_in_float32() -> None:
    """Weights of 3 and differences of nearly equal velocities: in bfloat16 the sum would lose what guidance adds."""
    velocity = KnownVelocity()

    def half(*arguments: Tensor) -> Tensor:
        return velocity(*arguments).bfloat16()

    found = guided(half, 3.0, 2.0)(LATENTS, TIMESTEP)
    assert found.dtype == torch.float32
    parts = [
        half(LATENTS, TIMESTEP, torch.full((BATCH,), portrait), torch.full((BATCH,), audio)).double()
        for portrait, audio in ((False, False), (True, False), (True, True))
    ]
    expected = parts[0] + 3.0 * (parts[1] - parts[0]) + 2.0 * (parts[2] - parts[1])
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_rows_of_a_condition_lie_as_guidance_lays_them() -> None:
    rows = torch.arange(6).view(3, 2)
    assert torch.equal(repeat_batch(rows, 2), torch.tensor([[0, 1], [2, 3], [4, 5], [0, 1], [2, 3], [4, 5]]))
    assert repeat_batch(rows, 1) is rows
