from __future__ import annotations

import pytest
import torch

from letstalk.longform.drift import DriftGuards, clamp_latents, pull_statistics
from letstalk.runtime import torch_generator

REFERENCE = torch.randn(2, 4, 8, 8, generator=torch_generator(0)) * 1.5 + 0.3


def chunk(seed: int = 1) -> torch.Tensor:
    return torch.randn(2, 6, 4, 8, 8, generator=torch_generator(seed)) * 3.0 - 1.0


def test_off_unless_asked() -> None:
    assert torch.equal(DriftGuards().apply(chunk(), REFERENCE), chunk())
    assert torch.equal(pull_statistics(chunk(), REFERENCE, 0.0), chunk())


def test_the_full_pull_has_the_reference_s_statistics_and_a_weak_one_goes_part_of_the_way() -> None:
    wanted_std, wanted_mean = torch.std_mean(REFERENCE, (2, 3), correction=0)
    for strength in (0.25, 1.0):
        std, mean = torch.std_mean(pull_statistics(chunk(), REFERENCE, strength), (1, 3, 4), correction=0)
        old_std, old_mean = torch.std_mean(chunk(), (1, 3, 4), correction=0)
        torch.testing.assert_close(mean, old_mean + strength * (wanted_mean - old_mean))
        torch.testing.assert_close(std, old_std + strength * (wanted_std - old_std))


def test_motion_inside_a_chunk_keeps_its_shape() -> None:
    """The pull is one gain and one offset for each channel: differences between frames only change in scale."""
    before, after = chunk().diff(dim=1), pull_statistics(chunk(), REFERENCE, 0.5).diff(dim=1)
    gain = (after * before).sum((1, 3, 4), keepdim=True) / before.square().sum((1, 3, 4), keepdim=True)
    torch.testing.assert_close(after, gain * before, rtol=1e-4, atol=1e-4)


def test_a_pull_stops_a_drift_that_would_run_away() -> None:
    def run(guards: DriftGuards) -> float:
        latents = REFERENCE[:, None].clone()
        for _ in range(200):
            latents = guards.apply(latents * 1.02 + 0.05, REFERENCE)
        return float((latents - REFERENCE[:, None]).abs().max())

    assert run(DriftGuards()) > 50
    assert run(DriftGuards(pull=0.2)) < 1.5
    assert run(DriftGuards(limit_std=3.5)) < 9


def test_the_clamp_cuts_and_touches_nothing_else() -> None:
    cut = clamp_latents(chunk(), 3.5)
    inside = chunk().abs() <= 3.5
    assert torch.equal(cut[inside], chunk()[inside]) and float(cut.abs().max()) == 3.5
    both = DriftGuards(limit_std=0.5, pull=1.0).apply(chunk(), REFERENCE)
    assert float(both.abs().max()) == pytest.approx(0.5)


def test_a_flat_channel_stays_a_number() -> None:
    flat = pull_statistics(torch.zeros(1, 2, 4, 8, 8), REFERENCE[:1], 1.0)
    assert flat.isfinite().all()
    assert pull_statistics(chunk().bfloat16(), REFERENCE, 0.5).dtype == torch.bfloat16
