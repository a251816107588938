from __future__ import annotations

import pytest
import torch

from letstalk.models.blocks import (
    ChannelNorm,
    ResidualBlock,
    ResidualDown,
    ResidualUp,
    initialise,
    soft_argmax,
    start_at_zero,
    with_coordinates,
)
from letstalk.models.warp import identity_grid


def test_shortcuts_alone_lose_nothing_on_the_way_up_and_keep_means_on_the_way_down() -> None:
    down, up = ResidualDown(8, 16), ResidualUp(16, 8)
    start_at_zero(down.conv)
    start_at_zero(up.conv)
    flat = torch.rand(1, 8, 1, 1).expand(1, 8, 16, 16)
    assert torch.allclose(down(flat).repeat_interleave(1, 1).mean(), flat.mean(), atol=1e-6)
    small = torch.rand(1, 16, 4, 4)
    grown = up(small)
    assert grown.shape == (1, 8, 8, 8)
    folded = torch.nn.functional.pixel_unshuffle(grown, 2).unflatten(1, (16, 2))
    assert torch.equal(folded[:, :, 0], small) and torch.equal(folded[:, :, 1], small)


@pytest.mark.parametrize("block", [ResidualDown, ResidualUp])
def test_channels_that_do_not_divide_are_refused(block: type) -> None:
    with pytest.raises(AssertionError, match="multiple"):
        block(96, 64) if block is ResidualUp else block(96, 100)


def test_norm_sets_the_size_of_every_pixel() -> None:
    x = torch.randn(2, 12, 5, 5) * torch.rand(2, 1, 5, 5) * 40 + 0.1
    size = ChannelNorm(12, 0.5)(x).square().mean(1).sqrt()
    assert torch.allclose(size, torch.full_like(size, 0.5), atol=1e-3)


def test_key_points_follow_their_peak() -> None:
    maps = torch.zeros(1, 2, 16, 16)
    maps[0, 0, 3, 12] = maps[0, 1, 10, 0] = 50
    places = identity_grid(16, 16)[0]
    found = soft_argmax(maps)
    assert torch.allclose(found[0, 0], places[:, 3, 12], atol=1e-4)
    assert torch.allclose(found[0, 1], places[:, 10, 0], atol=1e-4)


def test_coordinates_come_last() -> None:
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(with_coordinates(x)[:, 3:], identity_grid(8, 8).expand(2, -1, -1, -1))


def test_one_seed_one_network() -> None:
    first, second = ResidualBlock(8), ResidualBlock(8)
    initialise(first, torch.Generator().manual_seed(5))
    torch.rand(100)  # whatever else draws from the global generator
    initialise(second, torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
