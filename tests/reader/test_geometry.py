"""Placements, patches and rotations obey the laws that everything else rests on."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.reader import geometry
from letstalk.reader.geometry import EYE, FACE, PatchShape
from letstalk.runtime import numpy_generator
from letstalk.synthetic.people.posing import rotation_matrix

STABLE = list(range(12))


def random_similarities(count: int) -> np.ndarray:
    rng = numpy_generator(3, "similarities")
    scale, angle = rng.uniform(0.3, 40, count), rng.uniform(-3, 3, count)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    shift = rng.normal(0, 50, (count, 2))
    return np.stack([np.stack([cos, -sin, shift[:, 0]], -1), np.stack([sin, cos, shift[:, 1]], -1)], -2)


def test_similarity_finds_the_transform_that_made_the_points():
    transforms = random_similarities(6)
    points = numpy_generator(4).normal(size=(9, 2))
    found = geometry.similarity(points, geometry.apply(transforms, np.broadcast_to(points, (6, 9, 2))))
    np.testing.assert_allclose(found, transforms, atol=1e-9)


def test_compose_and_invert_undo_each_other():
    transforms = random_similarities(5)
    unity = geometry.compose(transforms, geometry.invert(transforms))
    np.testing.assert_allclose(unity, np.tile(np.eye(2, 3), (5, 1, 1)), atol=1e-9)


def test_mean_shape_does_not_depend_on_where_faces_lie():
    shape = numpy_generator(5).normal(size=(12, 2))
    faces = geometry.apply(random_similarities(20), np.broadcast_to(shape, (20, 12, 2)))
    mean = geometry.mean_shape(faces, STABLE, (0, 1))
    assert np.hypot(*(mean[1] - mean[0])) == pytest.approx(1)
    assert mean[1, 1] == pytest.approx(mean[0, 1], abs=1e-6)
    np.testing.assert_allclose(mean.min(0) + mean.max(0), 0, atol=1e-6)
    fitted = geometry.apply(geometry.similarity(shape, mean[None]), shape[None])
    np.testing.assert_allclose(fitted[0], mean, atol=1e-6)


@pytest.mark.parametrize("scale", [4.0, 30.0, 200.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_patch_shows_what_its_map_says(scale: float, mirrored: bool):
    """A picture whose colours are its coordinates: each patch pixel must hold the coordinates that its map gives."""
    rows, columns = np.mgrid[:900, :900]
    picture = np.stack([columns / 4, rows / 4, np.zeros_like(rows)], -1).astype(np.uint8)
    place = geometry.upright(np.array([[451.0, 440.0]]), np.array([scale]))
    to_picture = geometry.patch_to_picture(place, EYE, np.array([[0.1, -0.2]]), mirrored)
    patch = geometry.cut_patch(picture, to_picture[0], EYE).astype(float)
    grid = np.stack(np.meshgrid(np.arange(EYE.width), np.arange(EYE.height)), -1).reshape(1, -1, 2).astype(float)
    wanted = geometry.apply(to_picture, grid)[0].reshape(EYE.height, EYE.width, 2) / 4
    inner = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(patch[..., :2][inner], wanted[inner], atol=1.3)


def test_coarse_patches_are_averaged_not_sampled():
    checks = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checks[..., None], 3, -1)
    place = geometry.upright(np.array([[255.5, 255.5]]), np.array([120.0]))
    patch = geometry.cut_patch(picture, geometry.patch_to_picture(place, PatchShape(32, 32, 3.0))[0], FACE)
    assert patch[:16, :16].std() < 20


def test_angles_are_those_that_made_the_rotation():
    wanted = numpy_generator(6).uniform(-0.8, 0.8, (20, 3))
    rotations = np.stack([rotation_matrix(*angles) for angles in wanted])
    np.testing.assert_allclose(geometry.rotation_angles(rotations), wanted, atol=1e-5)


def test_turning_the_picture_of_a_frontal_head_rolls_it():
    """Clockwise on the screen is a negative roll: y points up in space and down in pictures."""
    turned = geometry.turned_in_plane(np.eye(3)[None], np.array([0.3]))
    np.testing.assert_allclose(geometry.rotation_angles(turned), [[0, 0, -0.3]], atol=1e-9)


def test_a_mirror_changes_yaw_and_roll_alone():
    rotation = rotation_matrix(0.2, 0.4, -0.1)[None].astype(float)
    np.testing.assert_allclose(
        geometry.rotation_angles(geometry.mirrored_rotations(rotation)), [[0.2, -0.4, 0.1]], atol=1e-6
    )
