"""Pairs from rendered clips: labels that agree with one another, and draws that depend on the step alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, islice, pairwise

import numpy as np
import pytest
import torch

from letstalk.errors import SettingsError
from letstalk.models.warp import sample
from letstalk.synthetic.data.plan import ClipSettings
from letstalk.training.pair_clips import (
    PairClip,
    PairClips,
    PairSettings,
    choose_references,
    normalise_places,
    spread_frames,
)
from letstalk.training.pair_pool import ClipPool, PoolSettings, batch_at, draw_batch
from letstalk.training.readings import READING_NAMES

CLIPS = ClipSettings(size=128, procedural=True, people_per_clip=(2, 2), clips_per_cast=1, stylised_share=0)


@pytest.fixture(scope="module")
def clip() -> PairClip:
    """Two procedural people, four moments."""
    return next(iter(PairClips(CLIPS, PairSettings(4, 4), "train")))[0]


def numbered_clip(number: int, people: int = 2) -> PairClip:
    """The real class filled with its number: what was drawn can be told from the values."""
    n, g = 4, 3
    return PairClip(
        pictures=np.full((people, n, 3, 64, 64), number % 256, np.uint8)
        + np.arange(people, dtype=np.uint8)[:, None, None, None, None] * 100,
        person=np.zeros((people, n, 1, 64, 64), np.uint8),
        head=np.zeros((people, n, 1, 64, 64), np.uint8),
        landmarks=np.broadcast_to(np.arange(n, dtype=np.float32)[None, :, None, None], (people, n, 41, 2)).copy(),
        readings=np.zeros((people, n, len(READING_NAMES)), np.float32),
        references=(np.arange(n)[:, None] + np.arange(g)) .astype(np.int16) % n,
        flow=np.zeros((people, n, g, 2, 64, 64), np.float16),
        visible=np.ones((people, n, g, 1, 64, 64), np.uint8),
    )  # fmt: skip


def numbered_stream(first: int) -> Iterator[PairClip]:
    return (numbered_clip(number) for number in count(first))


def test_flow_carries_the_targets_landmarks_to_the_references(clip: PairClip) -> None:
    errors, moves = [], []
    for person in range(clip.num_people):
        for target, row in enumerate(clip.references):
            for place, reference in enumerate(row):
                points = torch.from_numpy(clip.landmarks[person, target]).T[None, :, None]
                flow = torch.from_numpy(clip.flow[person, target, place].astype(np.float32))[None]
                seen = torch.from_numpy(clip.visible[person, target, place].astype(np.float32))[None]
                moved = (points + sample(flow, points))[0, :, 0].T.numpy()
                distance = np.linalg.norm(moved - clip.landmarks[person, reference], axis=1)
                errors.append(distance[(sample(seen, points)[0, 0, 0] > 0.99).numpy()])
                moves.append(np.linalg.norm(clip.landmarks[person, target] - clip.landmarks[person, reference], axis=1))
    assert np.median(np.concatenate(errors)) < 0.01 and np.concatenate(moves).max() > 0.03


def test_a_frame_is_its_own_still_reference(clip: PairClip) -> None:
    own = [(t, g) for t, row in enumerate(clip.references) for g, r in enumerate(row) if r == t]
    for target, place in own:
        person = clip.person[0, target, 0].reshape(64, 2, 64, 2).min((1, 3)) == 255
        assert np.abs(clip.flow[0, target, place].astype(np.float32)[:, person]).max() < 1e-3


def test_people_of_a_clip_differ_and_play_the_same(clip: PairClip) -> None:
    assert clip.num_people == 2 and not np.array_equal(clip.pictures[0], clip.pictures[1])
    gap = READING_NAMES.index("mouth_gap")
    assert np.corrcoef(clip.readings[0, :, gap], clip.readings[1, :, gap])[0, 1] > 0.8


def test_clips_are_a_function_of_their_number() -> None:
    source = PairClips(CLIPS, PairSettings(2, 1), "train", first_cast=3)
    again = next(islice(PairClips(CLIPS, PairSettings(2, 1), "train", first_cast=2), 1, None))
    assert np.array_equal(next(iter(source))[0].pictures, again[0].pictures)


def test_places_run_from_edge_to_edge() -> None:
    assert np.allclose(normalise_places(np.array([-0.5, 63.5, 127.5]), 128), [-1, 0, 1])


def test_frames_are_spread_and_rise() -> None:
    frames = spread_frames(125, 16, np.random.default_rng(0))
    assert len(frames) == 16 and (np.diff(frames) > 0).all() and frames[0] < 8 and frames[-1] >= 117


def test_gaps_of_all_kinds_occur() -> None:
    chosen = choose_references(16, 40, np.random.default_rng(0))
    gap = np.abs(chosen - np.arange(16)[:, None])
    assert 0.04 < (gap == 0).mean() < 0.25 and (gap <= 2).mean() > 0.3 and (gap >= 6).mean() > 0.2


def test_impossible_pairs_are_refused() -> None:
    with pytest.raises(SettingsError):
        PairSettings(4, 5)
    with pytest.raises(SettingsError, match="64"):
        PairClips(ClipSettings(size=96), PairSettings(), "train")


def test_the_window_moves_and_never_holds_more_than_it_may() -> None:
    settings = PoolSettings(first_clips=4, capacity=10, clips_per_step=0.5)
    windows = [settings.window(step) for step in range(100)]
    assert windows[0] == (0, 4)
    assert all(0 < end - first <= 10 for first, end in windows)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(windows))
    assert windows[-1][0] > 0


@pytest.mark.parametrize("stop", [1, 17, 40])
def test_a_pool_opened_late_is_the_pool_that_was_always_open(stop: int) -> None:
    settings = PoolSettings(first_clips=3, capacity=6, clips_per_step=0.4)
    always = ClipPool(numbered_stream, settings)
    for step in range(stop + 1):
        kept = [int(clip.pictures[0, 0, 0, 0, 0]) for clip in always.at(step)]
    late = ClipPool(numbered_stream, settings, step=stop)
    assert [int(clip.pictures[0, 0, 0, 0, 0]) for clip in late.at(stop)] == kept
    one, other = batch_at(always, 5, stop, (8, 2)), batch_at(late, 5, stop, (8, 2))
    assert torch.equal(one.pictures, other.pictures) and torch.equal(one.landmarks, other.landmarks)


def test_partners_show_the_same_moments_of_two_people() -> None:
    clips = ClipPool(numbered_stream, PoolSettings(first_clips=5, capacity=5, clips_per_step=0)).at(0)
    batch = draw_batch(clips, 8, 2, np.random.default_rng(0))
    assert batch.partner.tolist() == [1, 0, 3, 2, 5, 4, 7, 6] and batch.num_references == 2
    assert torch.equal(batch.landmarks, batch.landmarks[batch.partner])
    assert (batch.pictures != batch.pictures[batch.partner]).all()


def test_people_alone_are_their_own_partners() -> None:
    from collections import deque

    batch = draw_batch(deque([numbered_clip(1, people=1)]), 4, 1, np.random.default_rng(0))
    assert batch.partner.tolist() == [0, 1, 2, 3]
