"""Schedulers on equations whose solutions are known, and the loop around them."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from letstalk import settings
from letstalk.errors import Cancelled, SettingsError
from letstalk.flow.distributions import shift_time
from letstalk.flow.schedulers import SCHEDULER_NAMES, Stopped, make_scheduler, sample, shift_of, started
from letstalk.runtime import CancelToken, torch_generator

MEAN, STD = 0.7, 0.5
NOISE = torch.randn(2, 3, 4, generator=torch_generator(0))


def column(timestep: Tensor) -> Tensor:
    return (timestep / 1000).view(-1, 1, 1)


def towards_a_point(latents: Tensor, timestep: Tensor) -> Tensor:
    """All data is MEAN: v = eps - x0 = (x - MEAN) / s. A straight line, from any noise."""
    return (latents - MEAN) / column(timestep)


def towards_a_gaussian(latents: Tensor, timestep: Tensor) -> Tensor:
    """Data is N(MEAN, STD^2): x_s is Gaussian, v = E[eps - x0 | x_s], and noise z ends at exactly MEAN + STD z."""
    s = column(timestep)
    variance = (1 - s) ** 2 * STD**2 + s**2
    return -MEAN + (s - (1 - s) * STD**2) / variance * (latents - (1 - s) * MEAN)


def gaussian_error(name: str, shift: float, num_steps: int) -> float:
    found = sample(towards_a_gaussian, NOISE, make_scheduler(name, shift), num_steps)
    return float((found - (MEAN + STD * NOISE)).abs().max())


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("num_steps", [1, 2, 4, 7, 50])
def test_a_straight_line_is_followed_exactly(name: str, shift: float, num_steps: int) -> None:
    """Only if the network is told the very time that its latents are at; whole-number timesteps miss by 6e-4 here."""
    found = sample(towards_a_point, NOISE, make_scheduler(name, shift), num_steps)
    torch.testing.assert_close(found, torch.full_like(NOISE, MEAN), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_error_falls_with_the_steps(name: str, shift: float) -> None:
    few, more, many = (gaussian_error(name, shift, num_steps) for num_steps in (4, 16, 128))
    assert many < more < few
    assert many < 0.03


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_euler_is_of_first_order_and_heun_better(shift: float) -> None:
    assert gaussian_error("euler", shift, 64) / gaussian_error("euler", shift, 128) == pytest.approx(2.0, rel=0.05)
    assert gaussian_error("heun", shift, 16) / gaussian_error("heun", shift, 32) > 3.4
    # For the same number of evaluations.
    assert gaussian_error("heun", shift, 16) < 0.2 * gaussian_error("euler", shift, 31)
    for name in ("dpm", "unipc"):
        assert gaussian_error(name, shift, 16) < 0.5 * gaussian_error("euler", shift, 16)


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
@pytest.mark.parametrize("num_steps", [1, 4, 250])
def test_times_told_are_those_of_the_grid(name: str, num_steps: int) -> None:
    """At 250 steps with a shift, whole-number timesteps repeat; times must still fall, and no step may be skipped."""
    told: list[float] = []

    def velocity(latents: Tensor, timestep: Tensor) -> Tensor:
        assert timestep.shape == (2,) and timestep.dtype == torch.float32
        told.append(float(timestep[0]))
        return towards_a_gaussian(latents, timestep)

    sample(velocity, NOISE, make_scheduler(name, 5.0), num_steps)
    evaluations = 2 * num_steps - 1 if name == "heun" else num_steps
    assert len(told) == evaluations
    assert told[0] == pytest.approx(1000.0, abs=0.5)
    distinct = told[:1] + told[2::2] if name == "heun" else told
    assert all(later < earlier for earlier, later in pairwise(distinct))


def test_the_last_of_few_steps_does_work() -> None:
    """The grid is 1, 1 - 1/n, ..., 1/n before the shift; a default of diffusers ends at 1/1000 and wastes a step."""
    run = started(make_scheduler("euler", 3.0), 4, torch.device("cpu"))
    expected = shift_time(torch.tensor([1.0, 0.75, 0.5, 0.25]), 3.0)
    torch.testing.assert_close(run.sigmas, torch.cat([expected, torch.zeros(1)]))


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_a_template_keeps_nothing_of_a_run(name: str) -> None:
    scheduler = make_scheduler(name, 3.0)
    before = copy.deepcopy(vars(scheduler))
    first = sample(towards_a_gaussian, NOISE, scheduler, 4)
    assert same_values(before, vars(scheduler))
    sample(towards_a_gaussian, NOISE * 2, scheduler, 7)
    assert torch.equal(first, sample(towards_a_gaussian, NOISE, scheduler, 4))


def same_values(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, Tensor) else value == second[key]
        for key, value in first.items()
    )


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_two_runs_may_share_a_scheduler(name: str) -> None:
    """One run inside another's steps: the result of both is that of one after the other."""
    scheduler = make_scheduler(name, 3.0)
    inner: list[Tensor] = []

    def run_another(done: int, total: int, latents: Tensor) -> None:
        if done == 2:
            inner.append(sample(towards_a_gaussian, -NOISE, scheduler, 5))

    outer = sample(towards_a_gaussian, NOISE, scheduler, 4, on_step=run_another)
    assert torch.equal(outer, sample(towards_a_gaussian, NOISE, scheduler, 4))
    assert torch.equal(inner[0], sample(towards_a_gaussian, -NOISE, scheduler, 5))


@pytest.mark.parametrize("name", SCHEDULER_NAMES)
def test_a_row_does_not_know_its_neighbours(name: str) -> None:
    scheduler = make_scheduler(name, 3.0)
    together = sample(towards_a_gaussian, NOISE, scheduler, 4)
    alone = torch.cat([sample(towards_a_gaussian, row, scheduler, 4) for row in NOISE.split(1)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize(("action", "raised"), [("cancel", Cancelled), ("stop", Stopped)])
def test_a_token_ends_the_loop_within_one_evaluation(action: str, raised: type[Exception]) -> None:
    token, calls = CancelToken(), []

    def velocity(latents: Tensor, timestep: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) == 3:
            getattr(token, action)()
        return towards_a_gaussian(latents, timestep)

    with pytest.raises(raised):
        sample(velocity, NOISE, make_scheduler("euler"), 10, cancel=token)
    assert len(calls) == 3


def test_each_evaluation_is_reported_and_latents_stay_float32() -> None:
    reports: list[tuple[int, int]] = []

    def in_bfloat16(latents: Tensor, timestep: Tensor) -> Tensor:
        assert latents.dtype == torch.float32
        return towards_a_gaussian(latents, timestep).bfloat16()

    def report(done: int, total: int, latents: Tensor) -> None:
        assert latents.shape == NOISE.shape and latents.dtype == torch.float32
        reports.append((done, total))

    found = sample(in_bfloat16, NOISE, make_scheduler("heun"), 3, on_step=report)
    assert reports == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert found.dtype == torch.float32


def test_no_gradient_is_kept() -> None:
    weight = torch.ones((), requires_grad=True)
    found = sample(lambda x, t: towards_a_gaussian(x, t) * weight, NOISE, make_scheduler("euler"), 2)
    assert not found.requires_grad


def test_the_white_list_is_the_settings_list() -> None:
    assert get_args(settings.Scheduler) == SCHEDULER_NAMES
    for name in SCHEDULER_NAMES:
        assert shift_of(make_scheduler(name, 2.5)) == 2.5
    for name in ("ddim", "EulerDiscreteScheduler", "", "Euler"):
        with pytest.raises(SettingsError, match="euler, heun, dpm, unipc"):
            make_scheduler(name)
    for shift in (0.0, -1.0, float("nan")):
        with pytest.raises(SettingsError, match="shift"):
            make_scheduler("euler", shift)
