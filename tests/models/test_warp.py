"""Warping has known answers: copies, shifts and folds."""

from __future__ import annotations

import pytest
import torch

from letstalk.models.warp import identity_grid, jacobian_determinant, resize_flow, sample, warp


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_zero_flow_copies_every_bit(size: int) -> None:
    picture = torch.rand(2, 3, size, size)
    assert torch.equal(warp(picture, torch.zeros(2, 2, 64, 64)), picture)


def test_flow_says_where_content_comes_from() -> None:
    picture = torch.rand(1, 3, 64, 64)
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0] = 3 * 2 / 64  # three pixels to the right
    moved = warp(picture, flow)
    assert torch.allclose(moved[..., :-3], picture[..., 3:], atol=1e-4)


def test_one_flow_fits_every_resolution() -> None:
    flow = torch.full((1, 2, 64, 64), 0.125)
    for size in (64, 128, 256):
        columns = identity_grid(size, size)[:, :1]
        moved = warp(columns, flow)
        inside = columns + 0.125 < 1 - 2 / size
        assert torch.allclose(moved[inside], (columns + 0.125)[inside], atol=1e-5)


def test_coarse_flow_is_the_mean_of_the_fine_one() -> None:
    flow = torch.rand(1, 2, 64, 64)
    assert torch.allclose(resize_flow(flow, 32).mean(), flow.mean(), atol=1e-6)
    assert resize_flow(flow, 64) is flow


def test_half_precision_values_are_read_at_full_precision_places() -> None:
    picture = torch.rand(1, 3, 256, 256)
    places = identity_grid(256, 256) + 0.001
    whole, half = sample(picture, places), sample(picture.bfloat16(), places)
    assert half.dtype == torch.bfloat16
    assert (whole - half.float()).abs().max() < 0.01


def test_folds_and_areas() -> None:
    grid = identity_grid(64, 64)
    assert torch.allclose(jacobian_determinant(torch.zeros(1, 2, 64, 64)), torch.ones(1, 63, 63), atol=1e-4)
    assert torch.allclose(jacobian_determinant(grid * 0.5), torch.full((1, 63, 63), 2.25), atol=1e-3)
    mirrored = torch.cat([-2 * grid[:, :1], torch.zeros_like(grid[:, 1:])], 1)  # x becomes -x: folded everywhere
    assert (jacobian_determinant(mirrored) < 0).all()
