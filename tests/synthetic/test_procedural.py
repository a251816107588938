"""The head made by code alone."""

import time

import numpy as np
import pytest

from letstalk.synthetic.controls import UNIT_INDEX, still_performance
from letstalk.synthetic.people.posing import pose_vertices, rotation_matrix
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.person import KINDS


def test_same_seed_same_bytes_and_other_seeds_differ():
    first, again, other = procedural_person(3), procedural_person(3), procedural_person(4)
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    np.testing.assert_array_equal(first.texels, again.texels)
    np.testing.assert_array_equal(first.ambient_occlusion, again.ambient_occlusion)
    assert first.face_height != other.face_height


def test_it_has_the_surfaces_that_masks_are_made_of():
    kinds = {material.kind for material in procedural_person(0).materials}
    assert {"skin", "eyes", "teeth", "tongue", "clothes", "brow", "hair"} <= kinds <= set(KINDS)


@pytest.mark.parametrize("seed", range(5))
def test_units_move_only_finite_distances(seed):
    person = procedural_person(seed)
    neutral = pose_vertices(person, still_performance(), 0)
    for unit in UNIT_INDEX.values():
        performance = still_performance()
        performance.lip_seal[:] = 0
        performance.expression[:, unit] = 1
        moved = np.linalg.norm(pose_vertices(person, performance, 0) - neutral, axis=1)
        assert np.isfinite(moved).all()
        assert moved.max() < 0.5


def test_skin_is_closed_round_the_slits():
    """Every edge belongs to two triangles, except at the neck, the crown and where mouth and eyes are slit."""
    person = procedural_person(0)
    skin = person.mesh.triangles[person.mesh.triangle_material == 0]
    edges = np.sort(np.concatenate([skin[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 2
    open_ends = np.unique(unique[count == 1])
    height = person.mesh.vertices[open_ends, 1]
    span = person.mesh.vertices[np.unique(skin), 1]
    inner = open_ends[(height > span.min() + 0.05) & (height < span.max() - 0.05)]
    rig = person.rig
    edge = np.concatenate(
        [c.upper.ravel() for c in (rig.lips, *rig.lids)] + [c.lower.ravel() for c in (rig.lips, *rig.lids)]
    )
    assert set(inner) == set(np.unique(edge))


def test_rotation_turns_the_way_that_controls_promise():
    ahead = np.array([0, 0, 1.0])
    assert (rotation_matrix(0.3, 0, 0) @ ahead)[1] < 0, "+ pitch looks down"
    assert (rotation_matrix(0, 0.3, 0) @ ahead)[0] > 0, "+ yaw looks to the character's left"
    matrix = rotation_matrix(0.3, -0.5, 0.2)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)


def test_posing_is_quick():
    person = procedural_person(0)
    performance = still_performance()
    performance.expression[:] = 0.1
    out = pose_vertices(person, performance, 0)

    def seconds():
        start = time.perf_counter()
        pose_vertices(person, performance, 0, out)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(30)) < 5e-3, "about 0.2 ms on one core"
