"""diffusers' schedulers for flow matching, and the only sampling loop of the project.

A white list, because diffusers lets any scheduler be built from any configuration: `EulerDiscreteScheduler` accepts
one of a flow model and then samples something else without a word.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from letstalk.errors import SettingsError
from letstalk.flow import NUM_TIMESTEPS
from letstalk.flow.guidance import Velocity

if TYPE_CHECKING:
    from letstalk.runtime import CancelToken

SCHEDULER_NAMES = ("euler", "heun", "dpm", "unipc")

# (evaluations done, evaluations in all, latents after it (B, F, C, h, w) float32)
StepCallback = Callable[[int, int, Tensor], None]


class Stopped(Exception):
    """`CancelToken.stop` was called while a chunk was being made: that chunk is given up, those before it stay.

    Not an error and never shown; whoever runs the chunks ends there, properly. (`cancel` raises `errors.Cancelled`.)
    """


def make_scheduler(name: str, shift: float = 1.0) -> Any:
    """A scheduler of diffusers in flow mode. `shift` above 1 spends more of the steps near the noise."""
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
    from diffusers.schedulers.scheduling_flow_match_heun_discrete import FlowMatchHeunDiscreteScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    if not shift > 0:
        raise SettingsError(f"A shift of {shift} is not usable.", "Use a number above 0; 1 is no shift, 3 is usual.")
    match name:
        case "euler":
            return FlowMatchEulerDiscreteScheduler(NUM_TIMESTEPS, shift=shift)
        case "heun":
            return FlowMatchHeunDiscreteScheduler(NUM_TIMESTEPS, shift=shift)
        case "dpm":
            return DPMSolverMultistepScheduler(
                NUM_TIMESTEPS, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
            )
        case "unipc":
            return UniPCMultistepScheduler(
                NUM_TIMESTEPS, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
            )
    raise SettingsError(f"There is no scheduler {name!r}.", f"Use one of: {', '.join(SCHEDULER_NAMES)}.")


def shift_of(scheduler: Any) -> float:
    """The shift that a scheduler was made with, to make another kind of scheduler for the same model."""
    for name in ("shift", "flow_shift"):
        if name in scheduler.config:
            return float(scheduler.config[name])
    raise SettingsError(
        f"{type(scheduler).__name__} is no scheduler for flow matching.",
        "Use one of letstalk.flow.schedulers.make_scheduler.",
    )


def started(scheduler: Any, num_steps: int, device: torch.device) -> Any:
    """A fresh copy of `scheduler`, ready for one run of `num_steps`; the one given is a template and never changes.

    Schedulers keep their place, the last network outputs and more in themselves. One copy for each run means that
    nothing goes from chunk to chunk and that two jobs can share a template, in two threads too.
    """
    assert num_steps >= 1, num_steps
    run = copy.deepcopy(scheduler)
    if "sigmas" in inspect.signature(run.set_timesteps).parameters:
        # Evenly from 1 to 1/n before the shift. The default of FlowMatchEuler ends at 1/1000 instead, and of n steps
        # the last one then does nothing.
        run.set_timesteps(device=device, sigmas=np.linspace(1.0, 1.0 / num_steps, num_steps))
    else:
        run.set_timesteps(num_steps, device=device)
    # Without this the first step looks its index up by timestep, and where whole-number timesteps repeat (DPM, UniPC)
    # it takes the second match and skips a step.
    run.set_begin_index(0)
    return run


@torch.no_grad()
def sample(
    velocity: Velocity,
    noise: Tensor,
    scheduler: Any,
    num_steps: int,
    *,
    on_step: StepCallback | None = None,
    cancel: CancelToken | None = None,
) -> Tensor:
    """From `noise` (B, ...) at s = 1 to data of the same shape, float32.

    `scheduler` comes from `make_scheduler` and is left as it is. The latents stay float32 between steps whatever the
    network computes in. The token is looked at before each evaluation: `Cancelled` or `Stopped` is raised within one.
    Heun evaluates the network 2 n - 1 times for n steps, the others n times.
    """
    run = started(scheduler, num_steps, noise.device)
    latents = noise.float()
    for index, place in enumerate(run.timesteps):
        if cancel is not None:
            cancel.check()
            if cancel.stopped:
                raise Stopped
        # From sigma and not from `timesteps`: DPM and UniPC round those to whole numbers, and the network would be
        # told another time than the one its latents are at.
        timestep = (run.sigmas[index] * NUM_TIMESTEPS).to(latents).expand(latents.shape[0])
        direction = velocity(latents, timestep).float()
        latents = run.step(direction, place, latents, return_dict=False)[0]
        if on_step is not None:
            on_step(index + 1, len(run.timesteps), latents)
    return latents
