"""After any augmentation the labels must still be exact: flow, landmarks, pose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from letstalk.models.warp import sample, warp
from letstalk.synthetic.controls import MIRRORED_LANDMARKS
from letstalk.synthetic.people.posing import rotation_matrix
from letstalk.training.batch import PairBatch
from letstalk.training.geometric import GeometricSettings, PlaneMap, draw_maps, move_batch
from letstalk.training.readings import READING_NAMES, mirrored_readings, turned_readings
from tests.training.conftest import known_pairs, plane_map

MIRRORED = torch.as_tensor(MIRRORED_LANDMARKS)
WILD = GeometricSettings(mirror_share=0.5, bend_share=1.0, apart_share=1.0)


def landmark_errors(batch: PairBatch) -> torch.Tensor:
    """Where the flow sends each visible landmark of the target, against where the reference has it; half-widths."""
    errors = []
    for r in range(batch.num_references):
        places = batch.landmarks[:, 0].transpose(1, 2)[:, :, None]
        moved = places + sample(batch.flow[:, r], places)
        error = (moved[:, :, 0].transpose(1, 2) - batch.landmarks[:, 1 + r]).norm(dim=-1)
        inside = (places[:, :, 0].abs() < 0.95).all(1) & (sample(batch.visibility[:, r], places)[:, 0, 0] > 0.99)
        errors.append(error[inside])
    return torch.cat(errors)


@pytest.mark.parametrize("seed", range(3))
def test_a_map_and_its_inverse_cancel(seed: int) -> None:
    maps, places = plane_map(5, seed), torch.rand(5, 2, 40) * 2 - 1
    assert (maps.inverse(maps(places)) - places).abs().max() < 1e-4
    assert (maps(maps.inverse(places)) - places).abs().max() < 1e-4


@pytest.mark.parametrize("seed", range(4))
def test_flow_and_landmarks_still_agree_after_moving(seed: int) -> None:
    batch = known_pairs(rows=6, references=2, seed=seed)
    assert landmark_errors(batch).max() < 4e-3
    maps = draw_maps(WILD, batch, torch.Generator().manual_seed(seed))
    moved = move_batch(batch, maps, MIRRORED)
    errors = landmark_errors(moved)
    # A landmark has the name of its other side where the row was mirrored, in target and reference alike.
    assert len(errors) > 100 and errors.mean() < 1.5e-3 and errors.max() < 0.02


def test_the_moved_reference_still_explains_the_moved_target() -> None:
    batch = known_pairs(rows=6, seed=3)
    moved = move_batch(batch, draw_maps(WILD, batch, torch.Generator().manual_seed(5)), MIRRORED)

    def unexplained(flow: torch.Tensor) -> float:
        seen = torch.nn.functional.interpolate(moved.visibility[:, 0], size=(128, 128))
        error = (warp(moved.pictures[:, 1], flow) - moved.pictures[:, 0]).abs()
        return float((error * seen).sum() / seen.sum() / 3)

    assert unexplained(moved.flow[:, 0]) < 0.15 * unexplained(torch.zeros_like(moved.flow[:, 0]))


def test_no_map_changes_nothing(pairs: PairBatch) -> None:
    count = pairs.num_rows * 2
    still = PlaneMap(
        torch.eye(2).expand(count, 2, 2), torch.zeros(count, 2), torch.zeros(count, 3, 2), torch.zeros(count, 3, 3)
    )
    moved = move_batch(pairs, still, MIRRORED)
    assert torch.equal(moved.pictures, pairs.pictures) and torch.equal(moved.landmarks, pairs.landmarks)
    assert (moved.flow - pairs.flow).abs().max() < 1e-6
    assert torch.allclose(moved.readings, pairs.readings, atol=1e-6)


def test_mirrored_twice_is_the_original(pairs: PairBatch) -> None:
    count = pairs.num_rows * 2
    flip = PlaneMap(
        torch.diag(torch.tensor([-1.0, 1.0])).expand(count, 2, 2),
        torch.zeros(count, 2),
        torch.zeros(count, 3, 2),
        torch.zeros(count, 3, 3),
    )
    once = move_batch(pairs, flip, MIRRORED)
    left, right = MIRRORED_LANDMARKS[0], 0
    assert torch.allclose(once.landmarks[:, :, left, 0], -pairs.landmarks[:, :, right, 0])
    assert torch.allclose(once.pictures, pairs.pictures.flip(-1), atol=1e-5)
    twice = move_batch(once, flip, MIRRORED)
    assert torch.allclose(twice.landmarks, pairs.landmarks) and torch.allclose(twice.flow, pairs.flow, atol=1e-4)
    assert torch.allclose(twice.readings, pairs.readings, atol=1e-5)


def test_partners_are_mirrored_together(pairs: PairBatch) -> None:
    for seed in range(8):
        mirrors = draw_maps(GeometricSettings(), pairs, torch.Generator().manual_seed(seed)).mirrors
        assert mirrors.unflatten(0, (-1, 4)).float().std(1).max() == 0  # two rows of two frames


def test_a_turn_of_the_picture_turns_the_pose_exactly() -> None:
    angles, turn = (0.3, -0.7, 0.2), 0.4
    readings = torch.zeros(1, len(READING_NAMES))
    readings[0, :3] = torch.tensor(angles)
    found = turned_readings(readings, torch.tensor([turn]))[0, :3].tolist()
    # Clockwise as seen from the front is a negative angle about the axis that points at the viewer.
    expected = rotation_matrix(0, 0, -turn) @ rotation_matrix(*angles)
    assert np.allclose(rotation_matrix(*found), expected, atol=1e-5)


def test_a_mirror_swaps_the_eyes_and_turns_the_other_way() -> None:
    readings = torch.arange(1.0, 1 + len(READING_NAMES))[None]
    found = dict(zip(READING_NAMES, mirrored_readings(readings)[0].tolist(), strict=True))
    before = dict(zip(READING_NAMES, readings[0].tolist(), strict=True))
    assert found["lid_left"] == before["lid_right"] and found["lid_right"] == before["lid_left"]
    assert found["yaw"] == -before["yaw"] and found["pitch"] == before["pitch"]
    assert found["mouth_gap"] == before["mouth_gap"]


def test_turn_of_a_map_is_what_its_picture_shows() -> None:
    """A horizontal line of landmarks leans by the angle that the map reports."""
    pairs = known_pairs(rows=2)
    line = torch.stack([torch.linspace(-0.3, 0.3, 41), torch.zeros(41)], -1).expand_as(pairs.landmarks)
    pairs = PairBatch(**{**vars(pairs), "landmarks": line})
    settings = GeometricSettings(mirror_share=0.0, bend_share=0.0)
    maps = draw_maps(settings, pairs, torch.Generator().manual_seed(2))
    moved = move_batch(pairs, maps, torch.arange(41)).landmarks.flatten(0, 1)
    lean = torch.atan2(moved[:, -1, 1] - moved[:, 0, 1], moved[:, -1, 0] - moved[:, 0, 0])  # y down: + is clockwise
    assert torch.allclose(lean, maps.turn_radians, atol=1e-4)
