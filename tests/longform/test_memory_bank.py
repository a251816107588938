from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from letstalk.flow.guidance import repeat_batch
from letstalk.longform.memory_bank import MemoryBank
from letstalk.runtime import torch_generator

LATENT, SOUND = (3, 2, 2), (2, 5)


def empty(batch_size: int = 2, num_frames: int = 4) -> MemoryBank:
    return MemoryBank.empty(batch_size, num_frames, LATENT, SOUND)


def frames(count: int, batch_size: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch_generator(seed)
    return (
        torch.randn(batch_size, count, *LATENT, generator=draw),
        torch.randn(batch_size, count, *SOUND, generator=draw),
    )


def pushed(bank: MemoryBank, latents: torch.Tensor, audio: torch.Tensor, lengths: list[int]) -> MemoryBank:
    first = 0
    for count in lengths:
        bank = bank.push(latents[:, first : first + count], audio[:, first : first + count])
        first += count
    return bank


def same(first: MemoryBank, second: MemoryBank) -> bool:
    a, b = first.to_tensors(), second.to_tensors()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


@pytest.mark.parametrize("num_frames", [0, 1, 4, 30])
def test_the_last_frames_stay_however_they_came(num_frames: int) -> None:
    latents, audio = frames(11)
    kept = min(num_frames, 11)
    for lengths in ([11], [1] * 11, [3, 0, 8], [2, 7, 2]):
        bank = pushed(empty(num_frames=num_frames), latents, audio, lengths)
        assert bank.num_frames == num_frames and bank.batch_size == 2
        assert bank.valid.tolist() == [[False] * (num_frames - kept) + [True] * kept] * 2
        assert torch.equal(bank.latents[:, num_frames - kept :], latents[:, 11 - kept :])
        assert torch.equal(bank.audio[:, num_frames - kept :], audio[:, 11 - kept :])
        assert not bank.latents[:, : num_frames - kept].any()


def test_it_is_a_value() -> None:
    """What was pushed may be overwritten, and an older memory stays what it was."""
    latents, audio = frames(2)
    first = empty().push(latents, audio)
    kept = {key: value.clone() for key, value in first.to_tensors().items()}
    first.push(*frames(3, seed=1))
    latents.zero_()
    assert all(torch.equal(kept[key], value) for key, value in first.to_tensors().items())


@pytest.mark.parametrize("num_frames", [0, 4])
def test_saved_is_loaded(tmp_path: Path, num_frames: int) -> None:
    bank = empty(num_frames=num_frames).push(*frames(3))
    save_file({**bank.to_tensors("job.memory."), "other": torch.zeros(1)}, tmp_path / "job.safetensors")
    loaded = MemoryBank.from_tensors(load_file(tmp_path / "job.safetensors"), "job.memory.")
    assert same(bank, loaded)
    assert same(bank.push(*frames(2, seed=1)), loaded.push(*frames(2, seed=1)))


def test_a_batch_of_jobs_is_its_jobs() -> None:
    """Jobs of different ages in one batch remember what they would alone."""
    young, old = empty(1).push(*frames(1, 1, seed=1)), empty(1).push(*frames(9, 1, seed=2))
    latents, audio = frames(2, seed=3)
    together = MemoryBank.join([young, old]).push(latents, audio).split()
    assert same(together[0], young.push(latents[:1], audio[:1]))
    assert same(together[1], old.push(latents[1:], audio[1:]))
    assert together[0].valid.sum() == 3 and together[1].valid.sum() == 4


def test_rows_are_forgotten_and_chosen() -> None:
    full, other = empty().push(*frames(4)), empty().push(*frames(4, seed=1))
    first_only = torch.tensor([True, False])
    assert same(full.forget(first_only), MemoryBank.join([empty(1), full.split()[1]]))
    assert same(full.where(first_only, other), MemoryBank.join([full.split()[0], other.split()[1]]))


def test_guidance_passes_repeat_it_like_everything_else() -> None:
    bank = empty().push(*frames(4))
    for key, value in bank.repeat(3).to_tensors().items():
        assert torch.equal(value, repeat_batch(bank.to_tensors()[key], 3))


def test_it_moves_and_keeps_its_flags() -> None:
    half = empty().push(*frames(2)).to("cpu", torch.bfloat16)
    assert half.latents.dtype == half.audio.dtype == torch.bfloat16 and half.valid.dtype == torch.bool
    grown = half.push(*frames(1, seed=1))
    assert grown.latents.dtype == torch.bfloat16, "a pushed chunk takes the memory's dtype, not the other way round"
    with pytest.raises(AssertionError):
        MemoryBank(half.latents, half.audio[:, :1], half.valid)
