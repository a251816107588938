from __future__ import annotations

import pytest
import torch
from torch import Tensor

from letstalk.longform.losses import FrameBefore, frame_errors, motion_errors, seam_jump
from letstalk.runtime import torch_generator

KNOWN, UNKNOWN = torch.tensor([True, True]), torch.tensor([True, False])


def video(frames: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(2, frames, 3, 4, 4, generator=torch_generator(seed))


def test_a_constant_offset_moves_rightly_but_not_into_the_chunk() -> None:
    truth, previous = video(), video(1, seed=1)[:, 0]
    shifted = truth + 2.0
    torch.testing.assert_close(motion_errors(shifted, truth), torch.zeros(2), rtol=0, atol=1e-10)
    before = FrameBefore(previous, previous, KNOWN)
    torch.testing.assert_close(motion_errors(shifted, truth, before), torch.full((2,), 2.0**2 / 5))
    # A roll-out that has drifted by the same offset: the viewer sees no jump, and the motion is right.
    drifted = FrameBefore(previous + 2.0, previous, KNOWN)
    torch.testing.assert_close(motion_errors(shifted, truth, drifted), torch.zeros(2), rtol=0, atol=1e-10)


def test_a_jump_costs_the_same_at_the_seam_and_inside() -> None:
    truth, previous = video(6), video(1, seed=1)[:, 0]
    whole = torch.cat([previous[:, None], truth], 1)
    jumps = []
    for place in range(1, 7):
        jumped = whole.clone()
        jumped[:, place:] += 1.0
        jumps.append(motion_errors(jumped[:, 1:], truth, FrameBefore(previous, previous, KNOWN)))
    torch.testing.assert_close(torch.stack(jumps), jumps[0].expand(6, 2))
    assert float(jumps[0][0]) == pytest.approx(1 / 6)


def test_it_is_the_plain_error_of_the_differences() -> None:
    predicted, truth = video(), video(seed=2)
    expected = (predicted.diff(dim=1) - truth.diff(dim=1)).square().mean((1, 2, 3, 4))
    torch.testing.assert_close(motion_errors(predicted, truth), expected)


def test_a_first_chunk_has_nothing_before_it() -> None:
    predicted, truth, previous = video(), video(seed=2), video(1, seed=3)[:, 0]
    found = motion_errors(predicted, truth, FrameBefore(previous, previous, UNKNOWN))
    assert float(found[1]) == pytest.approx(float(motion_errors(predicted, truth)[1]))
    assert float(found[0]) != pytest.approx(float(motion_errors(predicted, truth)[0]))
    single = motion_errors(predicted[:, :1], truth[:, :1], FrameBefore(previous, previous, UNKNOWN))
    assert float(single[1]) == 0.0 and float(single[0]) > 0


def test_favoured_cells_count_more_and_even_ones_as_none() -> None:
    predicted, truth = video(), video(seed=2)
    even = torch.full((4, 4), 7.0)
    torch.testing.assert_close(frame_errors(predicted, truth, even), frame_errors(predicted, truth))
    one_cell = torch.zeros(4, 4)
    one_cell[2, 1] = 3.0
    expected = (predicted - truth)[..., 2, 1].square().mean(2)
    torch.testing.assert_close(frame_errors(predicted, truth, one_cell), expected)
    moved = (predicted.diff(dim=1) - truth.diff(dim=1))[..., 2, 1].square().mean((1, 2))
    torch.testing.assert_close(motion_errors(predicted, truth, cell_weight=one_cell), moved)


def test_every_frame_gets_a_gradient_and_bfloat16_is_summed_in_float32() -> None:
    predicted, truth, previous = video().bfloat16().requires_grad_(), video(seed=2), video(1, seed=3)[:, 0]
    loss = motion_errors(predicted, truth, FrameBefore(previous, previous, KNOWN))
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert predicted.grad is not None and bool((predicted.grad.flatten(2).abs().sum(2) > 0).all())


def test_a_seam_that_cannot_be_seen_is_one() -> None:
    steady = torch.arange(7.0).view(1, 7, 1, 1, 1) * torch.ones(2, 7, 3, 4, 4)
    torch.testing.assert_close(seam_jump(steady[:, 1:], steady[:, 0]), torch.ones(2))
    torch.testing.assert_close(seam_jump(steady[:, 1:] + 4.0, steady[:, 0]), torch.full((2,), 5.0))
