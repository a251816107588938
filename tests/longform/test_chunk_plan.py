from __future__ import annotations

import numpy as np
import pytest

from letstalk.longform.plan import ChunkPlan
from letstalk.runtime import numpy_generator

PLANS = [ChunkPlan(), ChunkPlan(4, 8), ChunkPlan(1, 1), ChunkPlan(16, 1), ChunkPlan(5, 3)]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_frame_is_made_once_and_the_tail_is_kept(plan: ChunkPlan) -> None:
    for num_frames in range(120):
        chunks = list(plan.chunks(num_frames))
        assert [frame for chunk in chunks for frame in chunk] == list(range(num_frames))
        assert all(len(chunk) == plan.chunk_frames for chunk in chunks[1:-1])
        assert all(0 < len(chunk) <= plan.chunk_frames for chunk in chunks)


def test_the_first_chunk_is_shorter() -> None:
    assert [len(chunk) for chunk in ChunkPlan(16, 8).chunks(50)] == [8, 16, 16, 10]
    assert [len(chunk) for chunk in ChunkPlan(4, 8).chunks(10)] == [4, 4, 2], "never longer than the others"


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_boundaries_do_not_know_how_the_sound_came(plan: ChunkPlan) -> None:
    """Any pieces, empty ones too, and its end known at once or one call late: the chunks are those of the whole."""
    random = numpy_generator(3, "arrivals")
    for num_frames in (0, 1, 7, 8, 9, 24, 61):
        for _ in range(4):
            cuts = np.sort(random.integers(0, num_frames + 1, 5)).tolist()
            arrivals = [(available, False) for available in [0, *cuts, num_frames]]
            chunks, first_frame = [], 0
            for available, final in [*arrivals, (num_frames, True)]:
                while (chunk := plan.next_chunk(first_frame, available, final)) is not None:
                    assert chunk.start == first_frame and chunk.stop <= available
                    chunks.append(chunk)
                    first_frame = chunk.stop
            assert chunks == list(plan.chunks(num_frames))


def test_it_waits_for_a_whole_chunk_and_ends_after_the_last() -> None:
    plan = ChunkPlan(16, 8)
    assert plan.next_chunk(0, 7, False) is None
    assert plan.next_chunk(0, 8, False) == range(8)
    assert plan.next_chunk(8, 23, False) is None
    assert plan.next_chunk(8, 23, True) == range(8, 23)
    assert plan.next_chunk(23, 23, True) is None
    assert plan.next_chunk(0, 0, True) is None


def test_hours_cost_nothing() -> None:
    assert ChunkPlan().next_chunk(8 + 16 * 10_000_000, 10**12, False) == range(160_000_008, 160_000_024)
    with pytest.raises(AssertionError):
        ChunkPlan(0, 8)
