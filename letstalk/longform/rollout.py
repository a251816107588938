"""Roll-outs: the network's own chunks become its memory, as at run time, and training goes on from there.

The strongest cure of drift at this size; a light form of self-forcing (Huang et al. 2025, arXiv 2506.08009).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from letstalk.longform.memory_bank import MemoryBank

# (memory, frames of the roll-out to make now) -> clean latents (B, len(frames), C, h, w)
ChunkSampler = Callable[[MemoryBank, range], Tensor]


@torch.no_grad()
def roll_out(sampler: ChunkSampler, bank: MemoryBank, audio: Tensor, chunk_frames: Sequence[int]) -> MemoryBank:
    """The memory after the network has made `chunk_frames` frames, chunk after chunk, each on what it made before.

    `audio` (B, F, N, Da) covers all chunks: F is their sum. No gradient flows back into the chunks. The chunk to train
    on comes next; its truth is that of the real video, so the network learns to come back to it.
    """
    assert audio.shape[1] == sum(chunk_frames), (audio.shape, chunk_frames)
    first = 0
    for count in chunk_frames:
        frames = range(first, first + count)
        bank = bank.push(sampler(bank, frames), audio[:, frames.start : frames.stop])
        first = frames.stop
    return bank
