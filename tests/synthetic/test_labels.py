"""Labels tell the truth: motion by warping, mouth, lids and head pose against what the performance asked for."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenery import draw, turning_performance

from letstalk.synthetic.controls import LANDMARK_INDEX, LANDMARK_NAMES, UNIT_INDEX, still_performance
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.pictures.camera import Camera, aim
from letstalk.synthetic.pictures.dense_motion import (
    backward_flow,
    cell_centres,
    pack_motion,
    record_motion,
    unpack_motion,
)
from letstalk.synthetic.pictures.labels import FrameLabels, read_labels
from letstalk.synthetic.pictures.regions import REGION_CODE
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import Scene, flat_scene

SIZE = 128


@pytest.fixture(scope="module")
def prepared() -> PreparedPerson:
    return PreparedPerson(procedural_person(1))


def frontal(prepared: PreparedPerson, yaw: float = 0.0, pitch: float = 0.0) -> Scene:
    person = prepared.person
    rotation, position = aim(person, yaw, pitch, 0.0, 2.5, 0.5)
    return replace(flat_scene(1, person), camera=Camera(rotation, position, 2.5, (0.5, 0.5)))


def labelled(renderer: Renderer, performance, index: int, grid: int = 64) -> tuple[np.ndarray, FrameLabels]:
    frame = draw(renderer, performance, index)
    return frame.picture, read_labels(renderer, frame, performance, index, grid)


def warped(reference: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The reference sampled at cell + flow, for a grid as fine as the picture."""
    places = cell_centres(len(flow), len(reference)) + flow * (len(reference) / 2)
    x, y = places.astype(np.float32).transpose(2, 0, 1)
    return cv2.remap(reference, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("seed", range(4))
def test_warping_by_the_flow_gives_the_visible_target(seed: int) -> None:
    person = procedural_person(seed)
    renderer = Renderer(PreparedPerson(person), flat_scene(seed, person), SIZE)
    performance = turning_performance(5, yaw=0.35 if seed % 2 else -0.35)
    pictures, labels = zip(*(labelled(renderer, performance, index, SIZE) for index in range(5)), strict=True)
    for target, reference in ((4, 0), (0, 4), (2, 1)):
        flow, visible = backward_flow(labels[target].motion, labels[reference].motion)
        error = np.abs(warped(pictures[reference], flow).astype(int) - pictures[target]).mean(axis=2)
        standing = np.abs(pictures[reference].astype(int) - pictures[target]).mean(axis=2)
        person_shown = labels[target].regions > 0
        shown = visible & person_shown
        assert shown.sum() > 0.75 * person_shown.sum(), "most of the person is visible in both"
        assert error[visible].mean() < 2.0
        # A rim mixes the person with what is behind, which does not move along: those few pixels make up the mean.
        assert np.percentile(error[shown], 80) < 1.5
        assert error[shown].mean() < 0.7 * standing[shown].mean()


def test_nothing_moved_means_no_flow_and_all_visible(prepared: PreparedPerson) -> None:
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    _, labels = labelled(renderer, turning_performance(3), 1)
    flow, visible = backward_flow(labels.motion, labels.motion)
    assert np.abs(flow).max() < 1e-4
    assert visible.mean() > 0.985


def test_a_shifted_person_flows_by_the_shift(prepared: PreparedPerson) -> None:
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    vertices = prepared.person.mesh.vertices
    shift = np.array([0.12, -0.07, 0.0], np.float32)
    reference = record_motion(renderer, renderer.draw(vertices), 64)
    target = record_motion(renderer, renderer.draw(vertices + shift), 64)
    flow, _ = backward_flow(target, reference)
    on_person = target.ids >= 0
    corners = target.screen[target.triangles[target.ids[on_person]]]
    inverse = corners[..., 2].mean(axis=1)
    pixels = 2.5 * SIZE * inverse[:, None] * np.array([-0.12, -0.07])  # back to where it came from; y points down
    assert np.abs(flow[on_person] * (SIZE / 2) - pixels).max() < 0.15
    assert (flow[~on_person] == 0).all()


def test_what_is_turned_away_or_out_of_frame_is_not_visible(prepared: PreparedPerson) -> None:
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    vertices = prepared.person.mesh.vertices
    here = record_motion(renderer, renderer.draw(vertices), 64)
    centre = prepared.person.face_centre
    turned = record_motion(
        renderer, renderer.draw((vertices - centre) * np.array([-1, 1, -1], np.float32) + centre), 64
    )
    gone = record_motion(renderer, renderer.draw(vertices + np.array([9, 0, 0], np.float32)), 64)
    one_sided = ~prepared.surfaces.two_sided[prepared.surfaces.triangle_material[here.ids]] & (here.ids >= 0)
    assert one_sided.sum() > 200
    assert backward_flow(here, turned)[1][one_sided].mean() < 0.02
    assert not backward_flow(here, gone)[1][here.ids >= 0].any()
    assert backward_flow(here, gone)[1][here.ids < 0].all(), "background stays where it is"


def test_packed_motion_is_small_and_nearly_exact(prepared: PreparedPerson) -> None:
    renderer, performance = Renderer(prepared, frontal(prepared), SIZE), turning_performance(6)
    records = [labelled(renderer, performance, index)[1].motion for index in range(6)]
    packed = pack_motion(records)
    loose = unpack_motion(packed)
    for target, reference in ((5, 0), (0, 5), (3, 2)):
        flow, visible = backward_flow(records[target], records[reference])
        near, near_visible = backward_flow(loose[target], loose[reference])
        both = visible & near_visible
        assert np.abs(flow - near)[both].max() * (SIZE / 2) < 0.1
        assert (visible == near_visible).mean() > 0.98
    assert sum(array.nbytes for array in packed.values()) / 6 < 60_000


def test_mouth_gap_is_zero_when_sealed_and_follows_the_jaw(prepared: PreparedPerson) -> None:
    renderer, performance = Renderer(prepared, frontal(prepared), SIZE), turning_performance(8, yaw=0.0)
    gaps = [labelled(renderer, performance, index)[1].mouth_gap for index in range(8)]
    assert gaps[0] < 0.02
    assert (np.diff(gaps) > 0).all() and gaps[-1] > 0.15


def test_mouth_and_lids_do_not_depend_on_pose_or_camera(prepared: PreparedPerson) -> None:
    still = turning_performance(2, yaw=0.0, pitch=0.0)
    turned = replace(still, head_rotation=np.array([[0.2, 0.5, 0.1]] * 2, np.float32),
                     head_translation=np.full((2, 3), 0.2, np.float32))  # fmt: skip
    _, plain = labelled(Renderer(prepared, frontal(prepared), SIZE), still, 1)
    _, other = labelled(Renderer(prepared, frontal(prepared, yaw=0.3), SIZE), turned, 1)
    assert other.mouth_gap == pytest.approx(plain.mouth_gap, abs=2e-3)
    assert other.mouth_width == pytest.approx(plain.mouth_width, abs=2e-3)
    assert other.lid_opening == pytest.approx(plain.lid_opening, abs=2e-3)


def test_wide_lips_are_wider(prepared: PreparedPerson) -> None:
    still = still_performance(2)
    expression = still.expression.copy()
    expression[1, UNIT_INDEX["mouth-pursing"]] = 0.8
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    performance = replace(still, expression=expression)
    plain, pursed = (labelled(renderer, performance, index)[1].mouth_width for index in range(2))
    assert pursed < 0.97 * plain


def test_closing_lids_close(prepared: PreparedPerson) -> None:
    closure = np.array([[0, 0], [0.5, 0.5], [1, 0]], np.float32)
    performance = replace(still_performance(3), lid_closure=closure)
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    openings = np.array([labelled(renderer, performance, index)[1].lid_opening for index in range(3)])
    assert (openings[1] < 0.8 * openings[0]).all()
    assert openings[2, 0] < 0.15 * openings[0, 0] and openings[2, 1] == pytest.approx(openings[0, 1], rel=0.02)


def test_head_pose_is_the_performance_against_the_camera(prepared: PreparedPerson) -> None:
    asked = np.array([[0.1, 0.3, 0.05], [-0.2, -0.4, 0.0]], np.float32)
    performance = replace(still_performance(2), head_rotation=asked)
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    for index in range(2):
        assert labelled(renderer, performance, index)[1].head.angles == pytest.approx(asked[index], abs=0.01)
    from_the_side = Renderer(prepared, frontal(prepared, yaw=0.25), SIZE)
    _, labels = labelled(from_the_side, still_performance(1), 0)
    assert labels.head.angles == pytest.approx([0, -0.25, 0], abs=0.01)
    camera = from_the_side.scene.camera
    distance = np.linalg.norm(camera.position - prepared.person.face_centre)
    assert labels.head.translation == pytest.approx([0, 0, -distance], abs=0.02)


def test_landmarks_lie_where_the_picture_shows_them(prepared: PreparedPerson) -> None:
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    _, labels = labelled(renderer, still_performance(1), 0)
    points = dict(zip(LANDMARK_NAMES, labels.landmarks, strict=True))
    assert points["eye_left_outer"][0] > points["eye_left_inner"][0] > points["eye_right_inner"][0]
    assert points["forehead"][1] < points["nose_tip"][1] < points["lip_lower_outer"][1] < points["chin"][1]

    def region_at(name: str) -> int:
        x, y = np.round(points[name]).astype(int)
        return labels.regions[y, x]

    assert region_at("nose_tip") == REGION_CODE["face"]
    assert region_at("lip_lower_outer") in (REGION_CODE["lips"], REGION_CODE["face"])
    assert labels.regions[0, 0] == REGION_CODE["background"] and labels.cover[0, 0] == 0
    assert (labels.cover[labels.mask("face")] > 0).all()
    named = sum(labels.mask(name).sum() for name in REGION_CODE)
    assert named == SIZE * SIZE, "every pixel belongs to one region"


def test_far_side_is_hidden_when_the_head_turns(prepared: PreparedPerson) -> None:
    performance = replace(still_performance(2), head_rotation=np.array([[0, 0, 0], [0, 1.2, 0]], np.float32))
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    frontal_view, side_view = (labelled(renderer, performance, index)[1].landmarks_visible for index in range(2))
    far, near = LANDMARK_INDEX["eye_left_outer"], LANDMARK_INDEX["eye_right_outer"]
    assert frontal_view[far] and frontal_view[near]
    assert side_view[near] and not side_view[far]
    assert frontal_view.mean() > 0.85


def test_a_caricature_has_larger_eyes_and_labels_that_follow(prepared: PreparedPerson) -> None:
    plain = frontal(prepared)
    drawn = replace(plain, style=replace(plain.style, eye_scale=1.35, nose_scale=0.7))
    performance = turning_performance(3, yaw=0.3)
    (_, honest), (_, large) = (labelled(Renderer(prepared, scene, SIZE), performance, 0) for scene in (plain, drawn))

    def width(labels: FrameLabels) -> float:
        inner, outer = (labels.landmarks[LANDMARK_INDEX[f"eye_left_{part}"]] for part in ("inner", "outer"))
        return float(np.linalg.norm(inner - outer))

    assert width(large) == pytest.approx(1.35 * width(honest), rel=0.06)
    assert large.mask("eyes").sum() > 1.3 * honest.mask("eyes").sum()
    assert large.mouth_gap == pytest.approx(honest.mouth_gap, abs=0.01)
    renderer = Renderer(prepared, drawn, SIZE)
    (reference, first), (target, last) = (labelled(renderer, performance, index, SIZE) for index in (0, 2))
    flow, visible = backward_flow(last.motion, first.motion)
    error = np.abs(warped(reference, flow).astype(int) - target).mean(axis=2)
    assert error[visible].mean() < 2.0


def test_mouth_box_holds_the_lips(prepared: PreparedPerson) -> None:
    renderer = Renderer(prepared, frontal(prepared), SIZE)
    _, labels = labelled(renderer, turning_performance(3), 2)
    left, top, right, bottom = labels.mouth_box()
    assert 0 <= left < right <= SIZE and 0 <= top < bottom <= SIZE
    rows, columns = np.nonzero(labels.mask("lips"))
    inside = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    assert len(rows) > 10 and inside.mean() > 0.95
