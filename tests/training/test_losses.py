from __future__ import annotations

import torch

from letstalk.models.motion import Motion
from letstalk.models.warp import identity_grid, resize_flow
from letstalk.training import losses
from letstalk.training.batch import PairBatch
from letstalk.training.focus import eyes_area, focus_weights, mouth_area
from letstalk.training.judge import PatchJudge, hinge_loss


def motion_of(flow: torch.Tensor) -> Motion:
    levels = [resize_flow(flow, side) for side in (16, 32, 64)]
    empty = torch.zeros(len(flow), 1, 64, 64)
    return Motion(*levels, empty, empty, empty, empty)


def test_the_truth_costs_nothing(pairs: PairBatch) -> None:
    flow, ones = pairs.flow[:, 0], torch.ones(4, 1, 64, 64)
    assert losses.flow_loss(motion_of(flow), flow, ones, ones) < 1e-6
    picture, weights = pairs.pictures[:, 0], torch.ones(4, 1, 128, 128)
    assert losses.pixel_loss(picture, picture, weights) == 0 and losses.gradient_loss(picture, picture, weights) == 0
    assert losses.visibility_loss(torch.full((4, 1, 64, 64), 20.0), ones) < 1e-6


def test_hidden_places_are_free(pairs: PairBatch) -> None:
    flow, ones = pairs.flow[:, 0], torch.ones(4, 1, 64, 64)
    wrong = flow.clone()
    wrong[..., :32] += 0.5
    half = ones.clone()
    half[..., :32] = 0
    fine_only = motion_of(flow)._replace(flow64=wrong)
    assert losses.flow_loss(fine_only, flow, half, ones) < 1e-6
    assert losses.flow_loss(fine_only, flow, ones, ones) > 0.1


def test_heavy_places_add_and_take_from_nobody(pairs: PairBatch) -> None:
    flow, ones = pairs.flow[:, 0], torch.ones(4, 1, 64, 64)
    wrong = motion_of(flow + 0.01)
    heavy = ones.clone()
    heavy[..., 20:30, 20:30] = 18
    light = losses.flow_loss(wrong, flow, ones, ones)
    assert losses.flow_loss(wrong, flow, ones, heavy) > light
    assert torch.allclose(light, torch.tensor(0.02), atol=1e-4)  # |x| + |y|


def test_points_see_shapes_and_no_shift() -> None:
    """A flow that is linear in place is read exactly between cells."""
    target = torch.rand(2, 10, 2) * 1.2 - 0.6
    groups = ((0, 1, 2, 3), (4, 5, 6, 7))
    stretched = target * torch.tensor([1.1, 0.8])
    flow = identity_grid(64, 64) * torch.tensor([0.1, -0.2])[None, :, None, None]
    flow = flow.expand(2, -1, -1, -1)
    assert losses.point_loss(flow, target, stretched, groups) < 1e-6
    assert losses.point_loss(flow + 0.3, target, stretched, groups) < 1e-6
    assert losses.point_loss(torch.zeros_like(flow), target, target + 0.3, groups) < 1e-6
    assert losses.point_loss(torch.zeros_like(flow), target, stretched, groups) > 0.005


def test_a_turn_is_smooth_and_a_tear_is_not() -> None:
    grid = identity_grid(64, 64)
    turn = torch.stack([grid[:, 1], -grid[:, 0]], 1) * 0.3
    tear = torch.where(grid[:, :1] > 0, 0.2, -0.2).expand(-1, 2, -1, -1)
    assert losses.smoothness_loss(turn) < 1e-6 < 1e-3 < losses.smoothness_loss(tear)


def test_blur_costs_gradients(pairs: PairBatch) -> None:
    truth, weights = pairs.pictures[:, 0], torch.ones(4, 1, 128, 128)
    soft = torch.nn.functional.avg_pool2d(truth, 9, 1, 4)
    assert losses.gradient_loss(soft, truth, weights) > 0.01


def test_what_is_seen_is_to_be_kept_and_what_is_hidden_painted() -> None:
    seen, hidden = torch.ones(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    costs = {
        kept: [float(losses.painting_loss(torch.full((1, 1, 128, 128), kept).logit(), area)) for area in (seen, hidden)]
        for kept in (0.01, 0.5, losses.KEPT_AT_MOST, 0.9999)
    }
    assert min(costs, key=lambda kept: costs[kept][0]) == losses.KEPT_AT_MOST
    assert min(costs, key=lambda kept: costs[kept][1]) == 0.01


def test_who_keeps_everything_is_still_pulled_to_paint() -> None:
    """A share that has run into 1 has no slope of its own any more; the loss must not lose its own there."""
    lost = torch.full((1, 1, 128, 128), 40.0, requires_grad=True)
    losses.painting_loss(lost, torch.zeros(1, 1, 64, 64)).backward()
    assert lost.grad is not None and (lost.grad > 0).all()


def test_mouth_and_eyes_lie_where_their_landmarks_are(pairs: PairBatch) -> None:
    from letstalk.training.focus import EYE_POINTS, MOUTH_POINTS

    generator = torch.Generator().manual_seed(0)

    def scattered(x: float, y: float, count: int) -> torch.Tensor:
        return torch.tensor([x, y]) + 0.04 * (torch.rand(count, 2, generator=generator) - 0.5)

    points = torch.zeros(1, 41, 2)
    points[:, MOUTH_POINTS] = scattered(0.0, 0.4, len(MOUTH_POINTS))
    for side, x in (("left", 0.3), ("right", -0.3)):
        points[:, EYE_POINTS[side]] = scattered(x, -0.3, len(EYE_POINTS[side]))
    mouth, eyes = mouth_area(points, 64), eyes_area(points, 64)
    ys, xs = identity_grid(64, 64)[0, 1], identity_grid(64, 64)[0, 0]
    assert abs(float((mouth[0, 0] * ys).sum() / mouth.sum()) - 0.4) < 0.05
    assert abs(float((eyes[0, 0] * ys).sum() / eyes.sum()) + 0.3) < 0.05
    assert abs(float((eyes[0, 0] * xs).sum() / eyes.sum())) < 0.05
    weights = focus_weights(points, 64, mouth=18, eyes=8)
    assert 17 < weights.max() <= 18 and weights.min() >= 1


def test_the_judge_learns_to_tell_noise_from_pictures(pairs: PairBatch) -> None:
    judge, truth = PatchJudge(width=8), pairs.pictures[:, 0]
    optimizer = torch.optim.Adam(judge.parameters(), 3e-3)
    noise = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    first = None
    for _ in range(25):
        loss = hinge_loss(judge(truth)[1], judge(noise)[1])
        first = first if first is not None else float(loss.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.7 * first
