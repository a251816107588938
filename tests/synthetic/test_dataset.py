"""Rendering on the fly: the order and the bytes do not depend on the number of workers."""

from __future__ import annotations

from itertools import islice

import numpy as np

from letstalk.synthetic.data.clip_renderer import Clip, render_clip
from letstalk.synthetic.data.dataset import SyntheticClips, Workers, stream_clips
from letstalk.synthetic.data.plan import ClipSettings, clip_spec

SETTINGS = ClipSettings(size=64, num_frames=2, procedural=True, people_per_clip=(1, 2), clips_per_cast=2)


def same(first: Clip, second: Clip) -> bool:
    return first.spec == second.spec and np.array_equal(first.frames, second.frames)


def test_the_order_is_that_of_the_plan() -> None:
    clips = list(stream_clips(SyntheticClips(SETTINGS, "train", num_casts=2), Workers(0)))
    assert [clip.spec for clip in clips] == [clip_spec(SETTINGS, "train", index) for index in range(4)]
    assert same(clips[3], render_clip(clips[3].spec))


def test_it_goes_on_where_it_is_told() -> None:
    clips = list(stream_clips(SyntheticClips(SETTINGS, "validation", first_cast=7, num_casts=1), Workers(0)))
    assert [clip.spec.index for clip in clips] == [14, 15]
    assert {clip.spec.split for clip in clips} == {"validation"}


def test_workers_do_not_change_order_or_bytes() -> None:
    alone = list(stream_clips(SyntheticClips(SETTINGS, "train", num_casts=3), Workers(0)))
    together = list(stream_clips(SyntheticClips(SETTINGS, "train", num_casts=3), Workers(2)))
    assert len(together) == 6 and all(same(*pair) for pair in zip(alone, together, strict=True))
    flow, visible = together[1].flow(0, 1, 0)
    assert flow.shape == (64, 64, 2) and visible.dtype == bool


def test_without_an_end_it_is_endless_and_can_be_left() -> None:
    clips = stream_clips(SyntheticClips(SETTINGS, "train"), Workers(1))
    assert [clip.spec.index for clip in islice(clips, 5)] == list(range(5))
    clips.close()  # type: ignore[attr-defined]
