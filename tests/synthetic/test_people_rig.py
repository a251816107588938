"""Laws that every person's rig must keep: the procedural head always, people of the pack where there is one."""

import numpy as np
import pytest

from letstalk.synthetic.controls import LANDMARK_INDEX, MIRRORED_LANDMARKS, UNIT_INDEX, still_performance
from letstalk.synthetic.people.assets import default_pack_path, load_assets
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.people.procedural import procedural_person

NUM_PACK_PEOPLE = 4


def people():
    yield from (f"procedural-{seed}" for seed in range(3))
    yield from (f"pack-{seed}" for seed in range(NUM_PACK_PEOPLE))


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture(params=list(people()))
def person(request, made):
    kind, seed = request.param.split("-")
    if kind == "pack" and not default_pack_path().is_file():
        pytest.skip("no asset pack in the cache folder")
    if request.param not in made:
        if kind == "procedural":
            made[request.param] = procedural_person(int(seed))
        else:
            from letstalk.synthetic.people.identity import make_person

            made.setdefault("pack", None)
            made["pack"] = made["pack"] or load_assets()
            made[request.param] = make_person(made["pack"], int(seed))
    return made[request.param]


def track(seal=0.0, lids=0.0, gaze=(0, 0), to_teeth=0.0, tongue=(0, 0), head=(0, 0, 0), breath=0.0, **units):
    performance = still_performance()
    performance.lip_seal[:] = seal
    performance.lid_closure[:] = lids
    performance.gaze[:] = gaze
    performance.lip_to_teeth[:] = to_teeth
    performance.tongue[:] = tongue
    performance.head_rotation[:] = head
    performance.breath[:] = breath
    for name, weight in units.items():
        performance.expression[:, UNIT_INDEX[name.replace("_", "-")]] = weight
    return performance


def place(person, vertices, name):
    return vertices[person.landmark_vertices[LANDMARK_INDEX[name]]]


def mouth_gap(person, performance):
    """Of the eye distance."""
    posed = pose_vertices(person, performance, 0)
    gap = place(person, posed, "lip_upper_inner") - place(person, posed, "lip_lower_inner")
    return float(np.linalg.norm(gap)) / person.eye_distance


def lip_line(person, posed):
    lips = person.rig.lips
    upper = (posed[lips.upper] * lips.upper_mix[..., None]).sum(1)
    return upper, (posed[lips.lower] * lips.lower_mix[..., None]).sum(1)


@pytest.mark.parametrize("jaw", [0.0, 0.08, 0.15])
def test_a_seal_closes_the_lips_even_with_the_jaw_a_little_open(person, jaw):
    performance = track(seal=1, mouth_open=jaw)
    assert mouth_gap(person, performance) < 0.01
    upper, lower = lip_line(person, pose_vertices(person, performance, 0))
    assert np.abs(upper - lower).max() / person.eye_distance < 0.025, "the whole line meets, not its middle alone"
    assert (lower - upper)[:, 1].max() / person.eye_distance < 0.01, "and does not cross"


def test_neutral_lips_touch_without_a_seal(person):
    assert mouth_gap(person, track()) < 0.01


def test_the_mouth_opens_with_the_jaw_and_half_a_seal_halves_it(person):
    narrow, wide = (mouth_gap(person, track(mouth_open=jaw)) for jaw in (0.2, 0.6))
    assert 0.03 < narrow < 0.6 * wide
    assert mouth_gap(person, track(seal=0.5, mouth_open=0.2)) == pytest.approx(narrow / 2, rel=0.2)


def test_lips_never_cross_whatever_the_units_say(person):
    for performance in (
        track(mouth_parling=-1),
        track(mouth_compression=1),
        track(mouth_elevation=-1, mouth_open=0.02),
    ):
        upper, lower = lip_line(person, pose_vertices(person, performance, 0))
        assert (lower - upper)[:, 1].max() / person.eye_distance < 0.015, "pressed lips overlap by half a hundredth"


def test_lower_lip_reaches_the_upper_teeth(person):
    posed = pose_vertices(person, track(to_teeth=1, mouth_open=0.05), 0)
    middle = len(person.rig.teeth_edge) // 2
    _, lower = lip_line(person, posed)
    distance = np.linalg.norm(lower[middle] - person.rig.teeth_edge[middle])
    assert distance / person.eye_distance < 0.03


@pytest.mark.parametrize("side", ["left", "right"])
def test_lids_shut_and_the_ball_stays_behind_them(person, side):
    index = ("left", "right").index(side)
    rig = person.rig

    def opening(closure):
        posed = pose_vertices(person, track(seal=1, lids=closure), 0)
        gap = place(person, posed, f"eye_{side}_upper") - place(person, posed, f"eye_{side}_lower")
        return float(np.linalg.norm(gap)) / person.eye_distance, posed

    whole, _ = opening(0.0)
    half, _ = opening(0.5)
    shut, posed = opening(1.0)
    assert whole > 0.08
    assert 0.25 * whole < half < 0.75 * whole
    assert shut < 0.05
    lids = posed[rig.lid_vertices[index]]
    distance = np.linalg.norm(lids - rig.eye_centre[index], axis=1)
    assert distance.min() > 0.999 * rig.eye_radius[index]
    ball = np.linalg.norm(posed[rig.eye_weight[index] > 0] - rig.eye_centre[index], axis=1)
    assert ball.max() < rig.eye_radius[index]


def test_eyes_look_where_the_gaze_says(person):
    centre = person.rig.eye_centre[0]
    for gaze, axis in (((0.3, 0), 0), ((0, 0.25), 1)):
        pupil = place(person, pose_vertices(person, track(seal=1, gaze=gaze), 0), "eye_left_centre") - centre
        ahead = place(person, pose_vertices(person, track(seal=1), 0), "eye_left_centre") - centre
        assert (pupil - ahead)[axis] > 0.2 * np.linalg.norm(ahead) * max(gaze)
        angle = np.arccos(np.clip(pupil @ ahead / np.linalg.norm(pupil) / np.linalg.norm(ahead), -1, 1))
        assert angle == pytest.approx(max(gaze), abs=0.02)


def test_lids_follow_a_gaze_downwards(person):
    def upper_lid(pitch):
        posed = pose_vertices(person, track(seal=1, gaze=(0, pitch)), 0)
        return place(person, posed, "eye_left_upper")[1]

    assert upper_lid(-0.35) < upper_lid(0) - 0.005
    assert upper_lid(0.3) > upper_lid(0)


def test_head_turns_as_one_piece_and_the_body_stays(person):
    still = pose_vertices(person, track(seal=1), 0)
    turned = pose_vertices(person, track(seal=1, head=(0.1, 0.4, 0.05)), 0)
    weight = person.rig.head_weight
    on_head, on_body = weight > 0.999, weight <= 0
    assert on_head.sum() > 1000
    pivot = person.rig.head_pivot
    before = np.linalg.norm(still[on_head] - pivot, axis=1)
    np.testing.assert_allclose(np.linalg.norm(turned[on_head] - pivot, axis=1), before, atol=2e-3)
    np.testing.assert_array_equal(still[on_body], turned[on_body])
    nose = place(person, turned, "nose_tip")
    assert nose[0] > 0.1, "+ yaw turns to the character's left, which is +x"
    nodded = place(person, pose_vertices(person, track(seal=1, head=(0.3, 0, 0)), 0), "nose_tip")
    assert nodded[1] < place(person, still, "nose_tip")[1], "+ pitch is a nod"


def test_breath_lifts_the_chest_alone(person):
    still, full = (pose_vertices(person, track(seal=1, breath=breath), 0) for breath in (0, 1))
    moved = np.linalg.norm(full - still, axis=1)
    assert 0.005 < moved.max() < 0.1
    assert moved[person.rig.head_weight > 0.999].max() < 1e-6


def test_tongue_rises_and_comes_forward(person):
    tongue = person.rig.tongue_weight > 0.8
    rest, up, out = (
        pose_vertices(person, track(mouth_open=0.4, tongue=t), 0)[tongue].mean(0) for t in ((0, 0), (1, 0), (0, 1))
    )
    assert up[1] > rest[1] + 0.05
    assert out[2] > rest[2] + 0.05


def test_landmarks_lie_where_their_names_say(person):
    point = {name: person.mesh.vertices[v] for name, v in zip(LANDMARK_INDEX, person.landmark_vertices, strict=True)}
    assert point["forehead"][1] > point["nose_bridge"][1] > point["nose_tip"][1] > point["nose_base"][1]
    assert point["nose_base"][1] > point["lip_upper_outer"][1] > point["lip_upper_inner"][1]
    assert point["lip_lower_inner"][1] > point["lip_lower_outer"][1] > point["chin"][1]
    assert point["eye_left_inner"][0] < point["eye_left_centre"][0] < point["eye_left_outer"][0]
    assert point["eye_left_upper"][1] > point["eye_left_centre"][1] > point["eye_left_lower"][1]
    places = person.mesh.vertices[person.landmark_vertices]
    mirrored = places[MIRRORED_LANDMARKS] * [-1, 1, 1]
    assert np.linalg.norm(places - mirrored, axis=1).max() < 0.12 * person.face_height, "both sides, nearly alike"
    distance = np.linalg.norm(point["eye_left_centre"] - point["eye_right_centre"])
    assert distance == pytest.approx(person.eye_distance, rel=0.05)


def test_mesh_is_whole(person):
    mesh = person.mesh
    assert np.isfinite(mesh.vertices).all()
    assert mesh.triangles.max() < len(mesh.vertices)
    assert mesh.uv_triangles.max() < len(mesh.uv)
    assert len(mesh.triangles) == len(mesh.uv_triangles) == len(mesh.triangle_material)
    transparent = np.array([material.transparent for material in person.materials])[mesh.triangle_material]
    assert not transparent[: mesh.num_opaque].any()
    assert transparent[mesh.num_opaque :].all()
    ends = [m.texture_offset + m.texture_width * m.texture_height * 4 for m in person.materials]
    assert max(ends) == len(person.texels)
    assert person.ambient_occlusion.shape == (len(mesh.vertices),)
    assert 0 <= person.ambient_occlusion.min() < person.ambient_occlusion.max() <= 1


def test_posing_fills_the_given_buffer_and_is_repeatable(person):
    performance = track(seal=0.3, lids=0.4, gaze=(0.2, -0.1), head=(0.1, 0.2, 0), mouth_open=0.3)
    out = np.full_like(person.mesh.vertices, np.nan)
    first = pose_vertices(person, performance, 0, out)
    assert first is out
    np.testing.assert_array_equal(first, pose_vertices(person, performance, 0))
