from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.noise import (
    MEMORY_NOISE,
    PUBLISHED_MEMORY_NOISE,
    MemoryNoise,
    PixelNoise,
    add_noise,
    add_pixel_noise,
    draw_kept_cells,
    draw_stds,
    linear_beta_stds,
    perturb_memory,
)
from letstalk.runtime import torch_generator

OFF = MemoryNoise(noise_share=0, patch_drop_share=0, forget_share=0)


def full_bank(batch_size: int = 400, num_frames: int = 2) -> MemoryBank:
    draw = torch_generator(9)
    bank = MemoryBank.empty(batch_size, num_frames, (2, 4, 4), (1, 3))
    latents = torch.randn(batch_size, num_frames, 2, 4, 4, generator=draw)
    return bank.push(latents, torch.randn(batch_size, num_frames, 1, 3, generator=draw))


def test_published_levels() -> None:
    """sqrt(1 - alpha-bar_t) of DDPM's linear betas: a signal of 0.985 is left at the strongest."""
    stds = linear_beta_stds(50)
    torch.testing.assert_close(stds[[0, 10, 25, 49]], torch.tensor([0.010, 0.047, 0.095, 0.170]), rtol=0, atol=6e-4)
    assert float((1 - stds[-1] ** 2).sqrt()) == pytest.approx(0.985, abs=1e-3)
    drawn = draw_stds(PUBLISHED_MEMORY_NOISE, 4000, torch_generator(0))
    assert set(drawn.tolist()) == set(stds.tolist())


def test_our_levels_are_uniform_and_a_fifth_is_clean() -> None:
    drawn = draw_stds(MEMORY_NOISE, 20_000, torch_generator(0))
    assert float((drawn == 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    noisy = drawn[drawn > 0]
    assert float(noisy.min()) >= 0.01 and float(noisy.max()) <= 0.17
    wanted = torch.tensor([0.05, 0.09, 0.13])
    torch.testing.assert_close(noisy.quantile(torch.tensor([0.25, 0.5, 0.75])), wanted, rtol=0, atol=2e-3)


def test_noise_keeps_the_variance_and_is_what_is_reported() -> None:
    bank = full_bank()
    for std in (0.05, 0.17, 0.7):
        noisy = add_noise(bank.latents, torch.full((400,), std), torch_generator(1))
        assert float(noisy.std()) == pytest.approx(float(bank.latents.std()), rel=0.02)
    seen, reported = perturb_memory(bank, replace(OFF, noise_share=0.8), torch_generator(2))
    added = seen.latents - (1 - reported.square()).sqrt().view(-1, 1, 1, 1, 1) * bank.latents
    measured = added.flatten(1).std(1)
    assert torch.equal(measured == 0, reported == 0)
    ratio = (measured / reported)[reported > 0]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=0.4)
    assert torch.equal(seen.audio, bank.audio) and torch.equal(seen.valid, bank.valid)


def test_cells_are_dropped_in_all_frames_of_a_row_and_in_each_row_for_itself() -> None:
    bank = full_bank()
    seen, _ = perturb_memory(bank, replace(OFF, patch_drop_share=0.5), torch_generator(3))
    dropped = (seen.latents == 0) & (bank.latents != 0)
    cells = dropped[:, 0, 0]
    assert torch.equal(dropped, cells[:, None, None].expand_as(dropped))
    assert torch.equal(seen.latents[~dropped], bank.latents[~dropped])
    touched = cells.flatten(1).any(1)
    assert float(touched.float().mean()) == pytest.approx(0.5, abs=0.08)
    assert float(cells[touched].float().mean()) == pytest.approx(0.25, abs=0.02)
    assert len({tuple(row.flatten().tolist()) for row in cells[touched]}) > 150


def test_the_published_mask_is_one_for_the_batch() -> None:
    kept = draw_kept_cells(PUBLISHED_MEMORY_NOISE, 8, 32, 32, torch_generator(4))
    assert kept.shape == (8, 32, 32) and torch.equal(kept, kept[:1].expand_as(kept))
    assert float((~kept[0]).float().mean()) == pytest.approx(0.25, abs=0.05)


def test_forgotten_rows_are_as_in_a_first_chunk() -> None:
    bank = full_bank()
    seen, reported = perturb_memory(bank, MEMORY_NOISE, torch_generator(5))
    forgotten = ~seen.valid.any(1)
    assert float(forgotten.float().mean()) == pytest.approx(0.1, abs=0.05)
    assert not seen.latents[forgotten].any() and not seen.audio[forgotten].any() and not reported[forgotten].any()
    assert bool(seen.valid[~forgotten].all())


def test_empty_slots_stay_empty() -> None:
    """Or training would show noise where a young job has nothing."""
    bank = MemoryBank.empty(64, 5, (2, 4, 4), (1, 3)).push(torch.ones(64, 2, 2, 4, 4), torch.ones(64, 2, 1, 3))
    seen, _ = perturb_memory(bank, MEMORY_NOISE, torch_generator(6))
    assert not seen.latents[:, :3].any() and not seen.valid[:, :3].any()


def test_off_changes_nothing_and_a_seed_repeats() -> None:
    bank = full_bank(8)
    seen, reported = perturb_memory(bank, OFF, torch_generator(7))
    assert torch.equal(seen.latents, bank.latents) and torch.equal(seen.valid, bank.valid) and not reported.any()
    once, again = (perturb_memory(bank, MEMORY_NOISE, torch_generator(8))[0].latents for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, perturb_memory(bank, MEMORY_NOISE, torch_generator(9))[0].latents)
    assert (
        perturb_memory(MemoryBank.empty(2, 0, (2, 4, 4), (1, 3)), MEMORY_NOISE, torch_generator(7))[0].num_frames == 0
    )


def test_pixel_noise_is_log_normal() -> None:
    pictures = torch.zeros(1500, 3, 16, 16)
    stds = add_pixel_noise(pictures, PixelNoise(), torch_generator(10)).flatten(1).std(1)
    assert float(stds.median()) == pytest.approx(0.0498, rel=0.05)
    assert float(stds.log().std()) == pytest.approx(0.5, rel=0.08)
    half = add_pixel_noise(pictures, PixelNoise(share=0.5), torch_generator(11)).flatten(1).any(1)
    assert float(half.float().mean()) == pytest.approx(0.5, abs=0.05)
