from __future__ import annotations

import torch
from torch import Tensor

from letstalk.flow.schedulers import make_scheduler, sample
from letstalk.longform.memory_bank import MemoryBank
from letstalk.longform.rollout import roll_out
from letstalk.runtime import torch_generator


def empty(num_frames: int = 3) -> MemoryBank:
    return MemoryBank.empty(2, num_frames, (1, 2, 2), (1, 1))


def test_each_chunk_is_made_on_what_was_made_before() -> None:
    """A sampler that counts on from the last frame of its memory: only its own chunks can give 1, 2, 3, ..."""
    audio = torch.arange(10.0).view(1, 10, 1, 1).expand(2, 10, 1, 1)
    asked: list[range] = []

    def counting(bank: MemoryBank, frames: range) -> Tensor:
        asked.append(frames)
        numbers = bank.latents[:, -1:] + torch.arange(1, len(frames) + 1).view(1, -1, 1, 1, 1)
        return numbers

    bank = roll_out(counting, empty(), audio, [2, 5, 3])
    assert asked == [range(2), range(2, 7), range(7, 10)]
    assert bank.latents[0, :, 0, 0, 0].tolist() == [8.0, 9.0, 10.0]
    assert bank.audio[0, :, 0, 0].tolist() == [7.0, 8.0, 9.0], "each frame keeps its own sound"
    assert bool(bank.valid.all())


def test_no_gradient_flows_back_and_the_memory_can_be_trained_on() -> None:
    weight = torch.full((), 0.5, requires_grad=True)
    scheduler = make_scheduler("euler")

    def network(bank: MemoryBank, frames: range) -> Tensor:
        noise = torch.randn(2, len(frames), 1, 2, 2, generator=torch_generator(frames.start))
        target = bank.latents.mean(1, keepdim=True) + weight
        return sample(lambda x, t: (x - target) / (t / 1000).view(-1, 1, 1, 1, 1), noise, scheduler, 2)

    bank = roll_out(network, empty(), torch.zeros(2, 8, 1, 1), [4, 4])
    assert not bank.latents.requires_grad
    torch.testing.assert_close(bank.latents, torch.full_like(bank.latents, 1.0))
    loss = (bank.latents * weight).sum()
    loss.backward()
    assert weight.grad is not None and float(weight.grad) == float(bank.latents.sum())
