"""What a chunk knows of the frames before it: a value that is passed, saved and reset, never hidden in a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class MemoryBank:
    """The last M frames of B jobs, oldest first: slot M - 1 is the frame just before the chunk, slot 0 the M-th before.

    Latents are what the sampler made (clean, of its scale), sound is what each of these frames was made to. Slots that
    no frame has filled yet stand at the left, hold zeros and are not valid. The reference is not in here: it comes with
    the portrait and is never pushed out.
    """

    latents: Tensor  # (B, M, C, h, w)
    audio: Tensor  # (B, M, N, Da)
    valid: Tensor  # (B, M) bool

    def __post_init__(self) -> None:
        assert self.latents.shape[:2] == self.audio.shape[:2] == self.valid.shape, (
            self.latents.shape,
            self.audio.shape,
            self.valid.shape,
        )
        assert self.valid.dtype == torch.bool, self.valid.dtype

    @classmethod
    def empty(
        cls,
        batch_size: int,
        num_frames: int,
        latent_shape: tuple[int, int, int],
        audio_shape: tuple[int, int],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> MemoryBank:
        """`latent_shape` (C, h, w) and `audio_shape` (N, Da) of one frame; `num_frames` M may be 0."""
        return cls(
            torch.zeros(batch_size, num_frames, *latent_shape, device=device, dtype=dtype),
            torch.zeros(batch_size, num_frames, *audio_shape, device=device, dtype=dtype),
            torch.zeros(batch_size, num_frames, device=device, dtype=torch.bool),
        )

    @property
    def batch_size(self) -> int:
        return self.latents.shape[0]

    @property
    def num_frames(self) -> int:
        """M: slots, filled or not."""
        return self.latents.shape[1]

    def push(self, latents: Tensor, audio: Tensor) -> MemoryBank:
        """With `latents` (B, k, C, h, w) and their `audio` (B, k, N, Da) at the end; the last M frames stay."""
        assert latents.shape[:2] == audio.shape[:2], (latents.shape, audio.shape)
        fresh = torch.ones(latents.shape[:2], dtype=torch.bool, device=self.valid.device)
        return MemoryBank(
            _last(torch.cat([self.latents, latents.to(self.latents)], 1), self.num_frames),
            _last(torch.cat([self.audio, audio.to(self.audio)], 1), self.num_frames),
            _last(torch.cat([self.valid, fresh], 1), self.num_frames),
        )

    def forget(self, rows: Tensor) -> MemoryBank:
        """Jobs with `rows` (B,) bool true remember nothing, as before their first chunk."""
        return self.where(~rows, self._blank())

    def where(self, rows: Tensor, other: MemoryBank) -> MemoryBank:
        """This bank in jobs with `rows` (B,) bool true, `other` in the rest."""
        rows = rows.to(self.valid.device)
        return MemoryBank(
            torch.where(rows[:, None, None, None, None], self.latents, other.latents),
            torch.where(rows[:, None, None, None], self.audio, other.audio),
            torch.where(rows[:, None], self.valid, other.valid),
        )

    def repeat(self, times: int) -> MemoryBank:
        """The batch `times` times after itself: the layout of guidance passes."""
        return MemoryBank(
            self.latents.repeat(times, 1, 1, 1, 1), self.audio.repeat(times, 1, 1, 1), self.valid.repeat(times, 1)
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MemoryBank:
        """`dtype` is that of latents and sound; flags stay flags."""
        return MemoryBank(
            self.latents.to(device=device, dtype=dtype),
            self.audio.to(device=device, dtype=dtype),
            self.valid.to(device=device),
        )

    def to_tensors(self, prefix: str = "memory.") -> dict[str, Tensor]:
        """By name, for safetensors; `from_tensors` is the way back."""
        return {
            f"{prefix}latents": self.latents.contiguous(),
            f"{prefix}audio": self.audio.contiguous(),
            f"{prefix}valid": self.valid.contiguous(),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], prefix: str = "memory.") -> MemoryBank:
        """Other names are left alone: a saved job holds more than its memory."""
        return cls(*(tensors[f"{prefix}{name}"] for name in ("latents", "audio", "valid")))

    @classmethod
    def join(cls, banks: Sequence[MemoryBank]) -> MemoryBank:
        """Several jobs as one batch; all must have the same M and frame shapes."""
        return cls(
            torch.cat([bank.latents for bank in banks]),
            torch.cat([bank.audio for bank in banks]),
            torch.cat([bank.valid for bank in banks]),
        )

    def split(self) -> list[MemoryBank]:
        """One bank of batch size 1 for each job: the way back from `join`."""
        return [MemoryBank(*parts) for parts in zip(*(t.split(1) for t in self._parts()), strict=True)]

    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.latents, self.audio, self.valid

    def _blank(self) -> MemoryBank:
        return replace(
            self,
            latents=torch.zeros_like(self.latents),
            audio=torch.zeros_like(self.audio),
            valid=torch.zeros_like(self.valid),
        )


def _last(tensor: Tensor, count: int) -> Tensor:
    """The last `count` along dimension 1. Not `[:, -count:]`: with a count of 0 that is everything."""
    return tensor[:, tensor.shape[1] - count :]
