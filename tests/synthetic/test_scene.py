"""Whole pictures: nothing broken on any seed, the same bytes from the same seed, framings as asked."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import cv2
import numpy as np
import pytest
from scenery import draw, turning_performance

from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import LANDMARK_INDEX, still_performance
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.pictures import background, lighting
from letstalk.synthetic.pictures.camera import CLOSE_UP, HEAD_AND_SHOULDERS
from letstalk.synthetic.pictures.finish import Developer, Finish, tone_curve
from letstalk.synthetic.pictures.regions import HEAD_REGIONS, REGION_CODE
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.pictures.stylise import Style


@pytest.fixture(scope="module")
def prepared() -> PreparedPerson:
    return PreparedPerson(procedural_person(3))


def picture_of(seed: int) -> np.ndarray:
    person = procedural_person(seed)
    renderer = Renderer(PreparedPerson(person), sample_scene(seed, person), 96)
    return draw(renderer, turning_performance(3), 1).picture


def digest_of(seed: int) -> str:
    return hashlib.sha256(picture_of(seed).tobytes()).hexdigest()


def enclosed_background(regions: np.ndarray) -> int:
    """Background pixels that no path of background joins to the border of the picture."""
    empty = np.pad((regions == 0).astype(np.uint8), 1, constant_values=1)
    _, parts = cv2.connectedComponents(empty, connectivity=4)
    return int(((parts != parts[0, 0]) & (parts > 0)).sum())


@pytest.mark.parametrize("seed", range(24))
def test_any_seed_gives_a_whole_face(seed: int) -> None:
    person = procedural_person(seed)
    scene = sample_scene(seed, person)
    renderer = Renderer(PreparedPerson(person), scene, 96)
    frame = draw(renderer, turning_performance(3), 2)
    regions = renderer.prepared.regions[frame.canvas.label_ids]
    assert np.isfinite(frame.canvas.colour).all() and frame.canvas.cover.max() <= 1 + 1e-5
    head = np.isin(regions, [REGION_CODE[name] for name in HEAD_REGIONS])
    assert head.mean() > 0.04, "the head is missing or tiny"
    assert enclosed_background(regions) <= 10, "there are holes in the person"
    assert frame.picture.std() > 4 and 8 < frame.picture.mean() < 247


@pytest.mark.slow
def test_a_thousand_seeds() -> None:
    for seed in range(1000, 2000):
        test_any_seed_gives_a_whole_face(seed)


def test_same_seed_same_bytes_here_and_in_other_processes() -> None:
    seeds = [1, 2, 5]
    here = [digest_of(seed) for seed in seeds]
    assert here == [digest_of(seed) for seed in seeds]
    assert len(set(here)) == len(seeds)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(digest_of, seeds)) == here


def test_a_frame_does_not_depend_on_the_frames_before(prepared: PreparedPerson) -> None:
    performance = turning_performance(4)
    scene = sample_scene(8, prepared.person)
    renderer = Renderer(prepared, scene, 96)
    first = draw(renderer, performance, 0).picture
    draw(renderer, performance, 3)
    assert (draw(renderer, performance, 0).picture == first).all()
    assert (draw(Renderer(prepared, scene, 96), performance, 0).picture == first).all()


def test_faces_fill_the_share_of_the_frame_that_portraits_have(prepared: PreparedPerson) -> None:
    person = prepared.person
    shares, centres = [], []
    for seed in range(200):
        camera = sample_scene(seed, person).camera
        half = 0.5 * person.face_height * camera.rotation[1]
        crown, chin = camera.project(np.stack([person.face_centre + half, person.face_centre - half]), 1000)
        shares.append((chin[1] - crown[1]) / 1000)
        centres.append((crown[:2] + chin[:2]) / 2000)
    assert min(shares) > HEAD_AND_SHOULDERS - 0.02 and max(shares) < CLOSE_UP + 0.02
    assert np.std(shares) > 0.05 and 0.45 < np.mean(shares) < 0.62
    assert np.abs(np.array(centres) - 0.5).max() < 0.15


def test_the_face_stays_in_the_picture(prepared: PreparedPerson) -> None:
    names = ["eye_left_outer", "eye_right_outer", "chin", "forehead", "nose_tip"]
    rows = prepared.person.landmark_vertices[[LANDMARK_INDEX[name] for name in names]]
    for seed in range(60):
        points = sample_scene(seed, prepared.person).camera.project(prepared.person.mesh.vertices[rows], 256)
        assert (points[:, :2] > 2).all() and (points[:, :2] < 253).all()


@pytest.mark.parametrize("preset", sorted(lighting.PRESETS))
def test_every_light_is_sound(preset: str) -> None:
    for seed in range(20):
        light = lighting.sample_lighting(numpy_generator(seed, "test"), preset)
        lengths = np.linalg.norm(light.lights.direction, axis=1)
        assert np.allclose(lengths, 1, atol=1e-5) and (light.lights.colour >= 0).all()
        assert 0.1 < light.brightness < 3 and (light.lights.extent > 0).all()


def test_a_light_from_the_left_lights_the_left(prepared: PreparedPerson) -> None:
    scene = sample_scene(0, prepared.person, style="photo", lighting="window")
    left = scene.lighting.lights.direction.copy()
    left[0] = lighting.direction(1.2, 0.1)
    lights = scene.lighting.lights._replace(direction=left)
    scene = replace(scene, lighting=replace(scene.lighting, lights=lights), finish=Finish(exposure=0.6))
    renderer = Renderer(prepared, scene, 128)
    frame = draw(renderer, still_performance(1), 0)
    face = renderer.prepared.regions[frame.canvas.label_ids] == REGION_CODE["face"]
    columns = np.flatnonzero(face.any(axis=0))
    nose = frame.screen[prepared.person.landmark_vertices[LANDMARK_INDEX["nose_bridge"]], 0]
    bright = frame.picture.mean(axis=2)
    left_side, right_side = face.copy(), face.copy()
    left_side[:, : int(nose)] = False  # the character's left is on the right of the picture
    right_side[:, int(nose) :] = False
    assert len(columns) > 20 and bright[left_side].mean() > 1.15 * bright[right_side].mean()


@pytest.mark.parametrize("kind", sorted(background.KINDS))
def test_backgrounds_are_the_same_place_at_every_size(kind: str) -> None:
    for seed in range(4):
        large = background.paint_background(numpy_generator(seed, "place"), 256, kind, 0.8)
        small = background.paint_background(numpy_generator(seed, "place"), 64, kind, 0.8)
        assert np.isfinite(large).all() and large.min() >= 0
        shown_large, shown_small = (np.sqrt(np.minimum(light, 1.0)) for light in (large, small))
        shrunk = cv2.resize(shown_large, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(shrunk - shown_small).mean() < 0.05 * (
            2 if kind == "bokeh" else 1
        )  # points lose light when small


def test_noise_changes_with_the_frame_and_repeats_with_the_seed() -> None:
    grey = np.full((64, 64, 3), 0.5, np.float32)
    noisy = Developer(Finish(noise=3.0), 64, seed=1)
    assert (noisy.develop(grey, 0) == Developer(Finish(noise=3.0), 64, seed=1).develop(grey, 0)).all()
    assert (noisy.develop(grey, 0) != noisy.develop(grey, 1)).mean() > 0.5
    assert 1.0 < noisy.develop(grey, 0).std() < 5.0
    clean = Developer(Finish(), 64, seed=1)
    assert (clean.develop(grey, 0) == clean.develop(grey, 1)).all()


@pytest.mark.parametrize(("contrast", "lift"), [(0.0, 0.0), (0.5, 0.05), (1.0, 0.1)])
def test_brighter_light_is_never_darker_in_the_picture(contrast: float, lift: float) -> None:
    curve = tone_curve(contrast, lift)
    assert (np.diff(curve) >= 0).all() and curve[0] >= 0 and curve[-1] <= 255


def test_jpeg_and_sharpening_are_left_to_the_end(prepared: PreparedPerson) -> None:
    developer = Developer(Finish(jpeg_quality=30, sharpen=0.5), 64, seed=0)
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert (developer.store(picture) != picture).any()
    assert (Developer(Finish(), 64, seed=0).store(picture) == picture).all()


def test_most_clips_are_photographs(prepared: PreparedPerson) -> None:
    kinds = [sample_scene(seed, prepared.person).style.kind for seed in range(300)]
    drawn = 1 - kinds.count("photo") / len(kinds)
    assert 0.09 < drawn < 0.21 and len(set(kinds)) >= 7
    assert sample_scene(0, prepared.person, style="photo").style == Style()
