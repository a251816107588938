"""Where chunks begin and end: a function of the frame's number alone, never of how the sound arrives.

Frames of one chunk see each other, so a boundary that moved with the pieces of a microphone would make another video
of the same sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ChunkPlan:
    """Boundaries at 0, a, a + c, a + 2 c, ... with a the first chunk's length: a short one shows a picture sooner."""

    chunk_frames: int = 16
    first_chunk_frames: int = 8  # never more than chunk_frames

    def __post_init__(self) -> None:
        assert self.chunk_frames >= 1 and self.first_chunk_frames >= 1, self

    def boundary_after(self, frame: int) -> int:
        """The first boundary behind `frame`."""
        assert frame >= 0, frame
        first = min(self.first_chunk_frames, self.chunk_frames)
        if frame < first:
            return first
        return first + ((frame - first) // self.chunk_frames + 1) * self.chunk_frames

    def next_chunk(self, first_frame: int, frames_available: int, final: bool) -> range | None:
        """Frames of the chunk that begins at `first_frame`, or None while it must wait for more sound.

        `frames_available` counts from the job's beginning. With `final` there will be no more, and what is left is a
        chunk, however short: the tail is kept. None after that means that the job is done.
        """
        end = self.boundary_after(first_frame)
        if frames_available >= end:
            return range(first_frame, end)
        if final and frames_available > first_frame:
            return range(first_frame, frames_available)
        return None

    def chunks(self, num_frames: int) -> Iterator[range]:
        """All chunks of a job whose length is known."""
        first_frame = 0
        while (chunk := self.next_chunk(first_frame, num_frames, final=True)) is not None:
            yield chunk
            first_frame = chunk.stop
