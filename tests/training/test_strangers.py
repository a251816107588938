"""Transfer between unrelated people: who drives whom, what is asked, and that the reader's word teaches the codec."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor

from letstalk.models.warp import carried
from letstalk.runtime import numpy_generator
from letstalk.training.augment import AugmentSettings, augment, plain_input
from letstalk.training.batch import PairBatch
from letstalk.training.codec_following import FollowingExam
from letstalk.training.codec_settings import CodecTraining
from letstalk.training.codec_stages import standard_stages
from letstalk.training.codec_task import CodecTask, weighted_total
from letstalk.training.pair_feed import clips_of
from letstalk.training.pair_pool import draw_batch
from letstalk.training.readings import READING_NAMES
from letstalk.training.strangers import READ, Reader, Strangers, asked_of, load_reader, reader_loss
from tests.training.conftest import known_pairs, small_codec

GAP = READ.index("mouth_gap")
LATENT = (8, 8, 8)
JOINT = next(stage for stage in standard_stages() if stage.name == "joint")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader()


@pytest.fixture(scope="module")
def faces() -> PairBatch:
    """Eight rows of four clips of people from code alone, at 128."""
    settings = CodecTraining(out=Path(), steps=1, procedural=True, workers=0, frames_per_clip=3)
    clips = [clip for cast in islice(clips_of(settings, 128, "train", clips_per_cast=1), 4) for clip in cast]
    draws = [draw_batch(deque([clip]), 2, 1, numpy_generator(3, number)) for number, clip in enumerate(clips)]
    rows = {
        name: torch.cat([getattr(one, name) for one in draws])
        for name in draws[0].__dataclass_fields__ if name != "partner"
    }  # fmt: skip
    return PairBatch(**rows, partner=torch.arange(8) ^ 1).as_floats()


def some(batch: PairBatch, rows: slice) -> PairBatch:
    kept = PairBatch(**{name: getattr(batch, name)[rows] for name in batch.__dataclass_fields__})
    return replace(kept, partner=torch.arange(kept.num_rows) ^ 1)


def labels(**values: float) -> Tensor:
    """(1, num_readings), usual where not given."""
    usual = {"mouth_width": 0.7, "lid_left": 0.3, "lid_right": 0.3}
    return torch.tensor([[{**usual, **values}.get(name, 0.0) for name in READING_NAMES]])


def read_as(label: Tensor, **errors: float) -> Tensor:
    """What a reader with these errors reads from a picture with this label."""
    places = [READING_NAMES.index(name) for name in READ]
    return label[:, places] + torch.tensor([[errors.get(name, 0.0) for name in READ]])


def test_drivers_come_from_other_clips() -> None:
    who = Strangers.pair(8, 0.5, torch.zeros(8, 4))
    assert len(who.rows) == len(who.jitter) == 4
    assert all(int(row) // 2 != int(driver) // 2 for row, driver in zip(who.rows, who.drivers, strict=True))
    assert len(Strangers.pair(8, 0.0, torch.zeros(8, 4)).rows) == 0
    assert len(Strangers.pair(2, 0.01, torch.zeros(2, 4)).rows) == 1


def test_own_reference_plus_the_strangers_change() -> None:
    latents = torch.randn(4, 2, 3, 8, 8)
    found = Strangers.pair(4, 0.5, torch.zeros(4, 4)).latents(latents)
    assert torch.allclose(found[1], latents[1, 1] + latents[3, 0] - latents[3, 1])


def test_the_change_is_asked_and_the_readers_own_error_is_not() -> None:
    own, target, reference = labels(mouth_gap=0.1), labels(mouth_gap=0.35), labels(mouth_gap=0.05)
    for error in (-0.03, 0.0, 0.05):
        asked = asked_of(own, read_as(own, mouth_gap=error), target, reference)
        assert asked.trusted.all()
        assert asked.readings[0, GAP] == pytest.approx(0.1 + 0.3 + error) and asked.change[0, GAP] == pytest.approx(0.3)


def test_what_is_closed_cannot_close_further() -> None:
    own = labels(mouth_gap=0.02, lid_left=0.05)
    asked = asked_of(own, read_as(own), labels(lid_left=0.0), labels(mouth_gap=0.4, lid_left=0.3))
    assert asked.readings[0, GAP] == pytest.approx(0.0) and asked.change[0, GAP] == pytest.approx(-0.02)
    assert asked.readings[0, READ.index("lid_left")] == pytest.approx(0.0)
    assert asked.readings[0, READ.index("lid_right")] == pytest.approx(0.3)


def test_nobody_is_asked_to_leave_limits_that_the_reference_exceeds() -> None:
    own = labels(mouth_gap=0.9)
    asked = asked_of(own, read_as(own), labels(mouth_gap=0.3), labels(mouth_gap=0.1))
    assert asked.change[0, GAP] == 0


def test_a_mouth_that_cannot_be_read_does_not_count() -> None:
    own = labels(mouth_gap=0.1)
    asked = asked_of(own, read_as(own, mouth_gap=0.3), labels(mouth_gap=0.4), labels())
    assert not asked.trusted[0, GAP] and asked.trusted[0, READ.index("lid_left")]
    found = asked.readings.clone()
    found[0, GAP] += 1
    assert reader_loss(found, torch.ones(1), asked) == 0
    found[0, READ.index("lid_left")] += 0.2
    assert reader_loss(found, torch.ones(1), asked) > 0
    assert reader_loss(found, torch.zeros(1), asked) == 0  # no face where the face should be


def test_landmarks_are_carried_to_where_the_flow_shows_them() -> None:
    """Exactly known maps: the reference's landmarks arrive at the target's."""
    pairs = known_pairs(rows=4)
    inside = (pairs.landmarks[:, 1].abs() < 0.9).all(-1)
    error = (carried(pairs.landmarks[:, 1], pairs.flow[:, 0]) - pairs.landmarks[:, 0]).norm(dim=-1)
    assert error[inside].max() < 5e-3
    assert (pairs.landmarks[:, 1] - pairs.landmarks[:, 0]).norm(dim=-1)[inside].mean() > 0.03


def test_only_stages_that_ask_get_strangers(faces: PairBatch) -> None:
    draw = torch.Generator().manual_seed(1)
    given = augment(faces, AugmentSettings(), replace(JOINT, stranger_share=0.25), LATENT, draw)
    assert given.strangers is not None and len(given.strangers.rows) == 2 and given.strangers.jitter.abs().max() <= 2
    assert augment(faces, AugmentSettings(), standard_stages()[0], LATENT, draw).strangers is None


def test_the_readers_word_reaches_all_that_makes_the_picture(faces: PairBatch, reader: Reader) -> None:
    """A small step along its gradient, and the reader is less displeased; it has not changed its own mind."""
    codec = small_codec()
    with torch.no_grad():  # heads at zero would keep the gradient from all that lies before them
        for head in (codec.motion.flow64, codec.synthesis.heads["128"]):
            torch.nn.init.normal_(head.get_parameter("weight"), 0, 2e-3)
    stage = replace(JOINT, size=128, weights={"reader": 1.0})
    task, given = CodecTask(codec, reader), plain_input(faces, LATENT, stranger_share=0.5)
    before = weighted_total(task(given, stage).losses, stage)
    before.backward()
    slopes = {name: value.grad for name, value in codec.named_parameters() if value.grad is not None}
    moving = {name.split(".")[0] for name, slope in slopes.items() if bool(slope.any())}
    assert moving == {"encoder", "motion", "texture", "synthesis"}
    assert all(value.grad is None for value in reader.parameters())
    size = torch.stack([slope.norm() for slope in slopes.values()]).norm()
    with torch.no_grad():
        for name, value in codec.named_parameters():
            if name in slopes:
                value -= 1e-4 * slopes[name] / size
        after = weighted_total(task(given, stage).losses, stage)
    assert before > 0.1 and after < before - 0.5e-4 * size


def test_a_codec_that_ignores_drivers_follows_nobody(faces: PairBatch, reader: Reader) -> None:
    """Untrained it copies the reference: no change is made, whatever is asked. True pictures are read well."""
    codec, exam = small_codec().eval(), FollowingExam(reader)
    with torch.no_grad():
        for first in (0, 4):
            batch = some(faces, slice(first, first + 4))
            latents = codec.encode(batch.pictures.flatten(0, 1)).unflatten(0, (4, 2))
            guide = codec.encode_references(batch.pictures[:, 1:])
            exam.add(codec, batch, codec.decode(latents[:, 0], guide), latents)
    figures = exam.figures()
    assert figures["true_gap_r"] > 0.8 and 0.5 < figures["true_gap_spread"] < 1.5
    assert figures["stranger_gap_spread"] < 0.1 < figures["true_gap_spread"]
    assert figures["true_gap_readable"] > 0.8
