from __future__ import annotations

import math

import pytest
import torch

from letstalk.flow.distributions import (
    TimeBuckets,
    TimeDistribution,
    data_from_velocity,
    noise_from_velocity,
    noisy,
    shift_time,
    velocity_target,
)
from letstalk.runtime import torch_generator


def data_and_noise() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.randn(2, 4, 3, 2, 2, 2, generator=torch_generator(0), dtype=torch.float64)
    return drawn[0], drawn[1]


@pytest.mark.parametrize("s", [torch.tensor([0.1, 0.4, 0.7, 0.95]), torch.rand(4, 3, generator=torch_generator(1))])
def test_path_velocity_and_back(s: torch.Tensor) -> None:
    """One time for a row, or one for each frame of it."""
    data, noise = data_and_noise()
    latents, velocity = noisy(data, noise, s), velocity_target(data, noise)
    torch.testing.assert_close(data_from_velocity(latents, velocity, s), data)
    torch.testing.assert_close(noise_from_velocity(latents, velocity, s), noise)
    step = 1e-3
    slope = (noisy(data, noise, s + step) - noisy(data, noise, s - step)) / (2 * step)
    torch.testing.assert_close(slope, velocity, rtol=0, atol=1e-3)  # s is float32


def test_one_is_noise_and_zero_is_data() -> None:
    data, noise = data_and_noise()
    assert torch.equal(noisy(data, noise, torch.zeros(4)), data)
    assert torch.equal(noisy(data, noise, torch.ones(4)), noise)


def test_a_shift_keeps_the_ends_and_the_order() -> None:
    s = torch.linspace(0, 1, 101)
    for shift in (0.5, 1.0, 3.0, 5.0):
        moved = shift_time(s, shift)
        assert moved[0] == 0 and moved[-1] == 1 and bool((moved.diff() > 0).all())
        torch.testing.assert_close(shift_time(moved, 1 / shift), s)
    assert torch.equal(shift_time(s, 1.0), s)


def test_a_shifted_logit_normal_is_one_of_another_mean() -> None:
    drawn = TimeDistribution(shift=3.0).draw(500, torch_generator(3))
    same = TimeDistribution(mean=math.log(3.0)).draw(500, torch_generator(3))
    torch.testing.assert_close(drawn, same)
    other = TimeDistribution(std=0.5).draw(20_000, torch_generator(4)).logit()
    assert float(other.mean()) == pytest.approx(0.0, abs=0.02) and float(other.std()) == pytest.approx(0.5, rel=0.02)


def test_uniform_times_have_the_quantiles_of_the_shift() -> None:
    drawn = TimeDistribution("uniform", shift=3.0).draw(20_000, torch_generator(5))
    wanted = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(drawn.quantile(wanted), shift_time(wanted, 3.0), rtol=0, atol=0.02)


def test_buckets_of_parts_add_up_to_those_of_the_whole() -> None:
    s, losses = torch.rand(64, generator=torch_generator(6)), torch.rand(64, generator=torch_generator(7))
    whole = TimeBuckets.of(losses, s, 4)
    parts = TimeBuckets.of(losses[:10], s[:10], 4) + TimeBuckets.of(losses[10:], s[10:], 4)
    assert torch.equal(whole.counts, parts.counts)
    torch.testing.assert_close(whole.sums, parts.sums)
    means = whole.means()
    for k, name in enumerate(["s 0-0.25", "s 0.25-0.5", "s 0.5-0.75", "s 0.75-1"]):
        inside = (s >= k / 4) & (s < (k + 1) / 4)
        assert means[name] == pytest.approx(float(losses[inside].mean()))


def test_the_ends_of_time_have_a_bucket_and_an_empty_one_no_number() -> None:
    buckets = TimeBuckets.of(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]]), 3)
    assert buckets.counts.tolist() == [1, 0, 1]
    assert math.isnan(buckets.means()["s 0.33-0.67"])


def test_a_share_of_times_is_pure_noise() -> None:
    drawn = TimeDistribution(shift=3.0, noise_share=0.1).draw(20_000, torch_generator(6))
    assert abs(float((drawn == 1.0).float().mean()) - 0.1) < 0.01
    assert not bool((TimeDistribution(shift=3.0).draw(20_000, torch_generator(6)) == 1.0).any())
