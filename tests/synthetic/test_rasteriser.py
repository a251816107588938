"""What is in front, what is in shadow, and how much sky is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenery import grid_mesh, mesh_of, plain_material, sphere_mesh

from letstalk.synthetic.person import Mesh
from letstalk.synthetic.pictures.camera import Camera
from letstalk.synthetic.pictures.rasteriser import (
    NOTHING,
    RasterRules,
    bake_ambient_occlusion,
    look_along,
    project_parallel,
    project_perspective,
    rasterise,
    soft_shadow,
    vertex_normals,
)
from letstalk.synthetic.pictures.surfaces import level_zero_surfaces

RULES = RasterRules(for_shadow=False, solid_alpha=0.5, log2_px_per_decimetre=5.0, empty_depth=0.0)


def seen_from_front(mesh: Mesh, size: int, depth_of: np.ndarray, **material: object) -> tuple[np.ndarray, np.ndarray]:
    """Depth and ids of a mesh whose x and y (0..1) fill a picture of `size` samples."""
    materials, texels = plain_material(**material)
    surfaces = level_zero_surfaces(mesh, materials, texels)
    x, y = mesh.vertices[:, 0] * size - 0.5, (1 - mesh.vertices[:, 1]) * size - 0.5
    points = np.stack([x, y, depth_of], axis=1).astype(np.float32)
    depth, ids = np.empty((size, size), np.float32), np.empty((size, size), np.int32)
    rasterise(points, surfaces, RULES, depth, ids)
    return depth, ids


@pytest.mark.parametrize("seed", range(4))
def test_triangles_that_share_edges_leave_no_hole(seed: int) -> None:
    mesh = grid_mesh(37, jitter=0.35, seed=seed)
    depth, ids = seen_from_front(mesh, 128, np.ones(len(mesh.vertices)))
    assert (ids != NOTHING).all()
    assert np.allclose(depth, 1.0, atol=1e-5)


def test_depth_is_linear_on_the_screen_and_the_nearest_wins() -> None:
    slope = grid_mesh(3)
    depth, _ = seen_from_front(slope, 64, 1 + slope.vertices[:, 0])
    expected = 1 + (np.arange(64) + 0.5) / 64
    assert np.allclose(depth, expected[None, :], atol=1e-5)
    both = mesh_of(
        np.concatenate([slope.vertices, slope.vertices]), np.concatenate([slope.triangles, slope.triangles + 16])
    )
    _, ids = seen_from_front(both, 64, np.concatenate([1 + slope.vertices[:, 0], np.full(16, 1.5)]))
    nearer_is_slope = ids < len(slope.triangles)
    assert (nearer_is_slope == (expected > 1.5)[None, :]).all()


def test_back_faces_show_only_on_two_sided_surfaces() -> None:
    mesh = grid_mesh(2)
    turned = mesh_of(mesh.vertices, mesh.triangles[:, ::-1])
    depths = np.ones(len(mesh.vertices))
    assert (seen_from_front(turned, 16, depths)[1] == NOTHING).all()
    assert (seen_from_front(turned, 16, depths, two_sided=True)[1] != NOTHING).all()


def test_thin_texture_of_a_transparent_surface_lets_through() -> None:
    opaque = grid_mesh(1)
    mesh = replace(opaque, num_opaque=0)
    materials, texels = plain_material(transparent=True)
    texels = texels.reshape(4, 4, 4).copy()
    texels[:, :2, 3] = 40  # the left half is thin
    surfaces = level_zero_surfaces(mesh, materials, texels.ravel())
    points = np.stack([mesh.vertices[:, 0] * 32 - 0.5, (1 - mesh.vertices[:, 1]) * 32 - 0.5, np.ones(4)], 1)
    depth, ids = np.empty((32, 32), np.float32), np.empty((32, 32), np.int32)
    rasterise(points.astype(np.float32), surfaces, RULES, depth, ids)
    assert (ids[:, :16] == NOTHING).all() and (ids[:, 16:] != NOTHING).all()


def test_normals_of_a_sphere_are_its_radii() -> None:
    mesh = sphere_mesh()
    normals = np.empty_like(mesh.vertices)
    vertex_normals(mesh.vertices, mesh.triangles, normals)
    inner = np.abs(mesh.vertices[:, 1]) < 0.95  # vertices at the poles and the seam have fewer triangles
    assert ((normals * mesh.vertices).sum(1)[inner] > 0.995).all()


def test_kernel_and_camera_project_alike() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (50, 3)).astype(np.float32)
    camera = Camera(look_along(np.array([0.2, 0.1, 1.0])), np.array([2.0, 1.0, 10.0]), 1.8, (0.45, 0.55))
    found = np.empty_like(points)
    project_perspective(points, camera.rotation, camera.position, camera.lens(256), found)
    assert np.allclose(found, camera.project(points, 256), atol=1e-3)


def test_a_point_on_the_axis_lands_where_the_axis_meets_the_picture() -> None:
    camera = Camera(np.eye(3), np.array([0.0, 0.0, 10.0]), 2.0, (0.5, 0.25))
    x, y, inverse = camera.project(np.zeros(3), 100)
    assert (x, y) == pytest.approx((49.5, 24.5)) and inverse == pytest.approx(0.1)
    right_and_up = camera.project(np.array([1.0, 1.0, 0.0]), 100)
    assert right_and_up[0] - x == pytest.approx(20) and right_and_up[1] - y == pytest.approx(-20)


def test_open_convex_surface_sees_all_the_sky_and_a_lid_takes_it() -> None:
    ball = sphere_mesh()
    materials, texels = plain_material(two_sided=True)
    alone = bake_ambient_occlusion(ball.vertices, ball, materials, texels)
    assert alone.min() > 0.93 and alone.mean() > 0.99
    plate = grid_mesh(6)
    above = (plate.vertices - (0.5, 0.5, 0.0)) @ np.array([[6, 0, 0], [0, 0, -6], [0, 1, 0.0]]) + (0, 1.3, 0)
    both = mesh_of(
        np.concatenate([ball.vertices, above]), np.concatenate([ball.triangles, plate.triangles + len(ball.vertices)])
    )
    covered = bake_ambient_occlusion(both.vertices, both, materials, texels)[: len(ball.vertices)]
    top, bottom = ball.vertices[:, 1] > 0.9, ball.vertices[:, 1] < -0.9
    assert covered[top].mean() < 0.4 and covered[bottom].mean() > 0.97


def test_shadow_falls_behind_what_blocks_the_light() -> None:
    near, far = grid_mesh(4), grid_mesh(20)
    vertices = np.concatenate([near.vertices * (0.4, 0.4, 1) + (0.3, 0.3, 0.5), far.vertices]).astype(np.float32)
    mesh = mesh_of(vertices, np.concatenate([near.triangles, far.triangles + len(near.vertices)]))
    surfaces = level_zero_surfaces(mesh, *plain_material())
    points = np.empty_like(vertices)
    project_parallel(vertices, look_along(np.array([0.0, 0.0, 1.0])), np.array([0.5, 0.5, 0.0]), 60.0, 64, points)
    depth, ids = np.empty((64, 64), np.float32), np.empty((64, 64), np.int32)
    rasterise(points, surfaces, RULES._replace(empty_depth=-1e9), depth, ids)
    lit = np.empty(len(vertices), np.float32)
    soft_shadow(points, np.ones(len(vertices), np.float32), depth, 1.0, 0.05, lit)
    behind = lit[len(near.vertices) :]
    middle = np.abs(far.vertices[:, :2] - 0.5).max(1)
    assert (behind[middle < 0.14] == 0).all() and (behind[middle > 0.26] == 1).all()
    assert (lit[: len(near.vertices)] == 1).all()
