"""People made from the asset pack: who they are, how they repeat, what may be asked for. Skipped without a pack."""

from dataclasses import replace

import numpy as np
import pytest

from letstalk.errors import SettingsError
from letstalk.synthetic.controls import LANDMARK_INDEX
from letstalk.synthetic.people.assets import default_pack_path, load_assets
from letstalk.synthetic.people.eyewear import SHAPES
from letstalk.synthetic.people.headwear import HATS
from letstalk.synthetic.people.identity import make_person
from letstalk.synthetic.people.shape import OLDEST, YOUNGEST, person_shape, sample_traits
from letstalk.synthetic.people.skin import paint_skin, sample_tone, tone_colour

needs_pack = pytest.mark.skipif(not default_pack_path().is_file(), reason="no asset pack in the cache folder")


@pytest.fixture(scope="module")
def pack():
    return load_assets()


def test_traits_cover_people_and_stay_in_range():
    traits = [sample_traits(seed, {}) for seed in range(600)]
    ages = np.array([t.age for t in traits])
    assert ages.min() >= YOUNGEST
    assert ages.max() <= OLDEST
    assert (ages > 60).mean() > 0.08
    assert (ages < 30).mean() > 0.2
    assert 0.42 < np.mean([t.is_male for t in traits]) < 0.58
    shares = np.array([t.ancestry for t in traits])
    np.testing.assert_allclose(shares.sum(1), 1)
    assert (shares.max(1) > 0.9).mean() > 0.15
    assert (shares.max(1) < 0.7).mean() > 0.15, "mixtures too"


def test_traits_can_be_asked_for_one_by_one():
    free, asked = sample_traits(5, {}), sample_traits(5, {"age": 70})
    assert asked == replace(free, age=70.0, ancestry=asked.ancestry)
    np.testing.assert_array_equal(asked.ancestry, free.ancestry)
    assert sample_traits(5, {"ancestry": "asian"}).ancestry.tolist() == [0, 0, 1]
    with pytest.raises(SettingsError, match="martian"):
        sample_traits(5, {"ancestry": "martian"})


def test_tones_run_from_light_to_very_dark():
    light = [tone_colour(place, 0).mean() for place in np.linspace(0, 1, 9)]
    assert np.all(np.diff(light) < 0)
    assert light[0] > 0.75
    assert light[-1] < 0.2
    african = np.mean([sample_tone(seed, np.array([0, 1, 0]))[0] for seed in range(100)])
    assert african > np.mean([sample_tone(seed, np.array([1, 0, 0]))[0] for seed in range(100)]) + 0.3


@needs_pack
def test_same_seed_same_person(pack):
    first, again = make_person(pack, 11), make_person(load_assets(), 11)
    np.testing.assert_array_equal(first.mesh.vertices, again.mesh.vertices)
    np.testing.assert_array_equal(first.texels, again.texels)
    np.testing.assert_array_equal(first.rig.basis, again.rig.basis)
    np.testing.assert_array_equal(first.ambient_occlusion, again.ambient_occlusion)
    assert first.labels == again.labels


@needs_pack
def test_another_hairdo_does_not_change_the_face(pack):
    places = []
    for hair in ("bald", pack.names("hair")[0]):
        person = make_person(pack, 12, {"hair": hair})
        assert person.labels["hair"] == hair
        places.append(person.mesh.vertices[person.landmark_vertices])
    np.testing.assert_array_equal(*places)


@needs_pack
def test_every_hat_and_spectacles_can_be_worn(pack):
    for seed, hat in enumerate(HATS):
        person = make_person(pack, 20 + seed, {"hat": hat, "glasses": "some", "earrings": "some"})
        kinds = {material.kind for material in person.materials}
        assert {"hat", "glasses", "lens"} <= kinds
    assert len(SHAPES) >= 4


@needs_pack
@pytest.mark.parametrize("seed", range(30, 36))
def test_spectacles_keep_off_the_eyes_and_the_skin(pack, seed):
    person = make_person(pack, seed, {"glasses": "some", "hat": "none"})
    kinds = np.array([material.kind for material in person.materials])

    def of(kind):
        own = np.isin(person.mesh.triangle_material, np.flatnonzero(kinds == kind))
        return np.unique(person.mesh.triangles[own])

    lens = person.mesh.vertices[of("lens")]
    eyes = person.mesh.vertices[of("eyes")]
    assert lens[:, 2].min() > eyes[:, 2].max(), "in front of both eyes"
    skin = person.mesh.vertices[of("skin")]
    nose_top = person.mesh.vertices[person.landmark_vertices[LANDMARK_INDEX["nose_bridge"]]]
    assert abs(lens[:, 1].mean() - nose_top[1]) < 0.3 * person.eye_distance
    for point in lens[::7]:
        near = skin[(np.abs(skin[:, :2] - point[:2]).max(1) < 0.02) & (skin[:, 2] > eyes[:, 2].max() - 0.2)]
        assert not len(near) or near[:, 2].max() < point[2] + 0.02


@needs_pack
def test_no_hair_hangs_over_the_eyes(pack):
    for seed, hair in enumerate(pack.names("hair")):
        person = make_person(pack, 40 + seed, {"hair": hair, "hat": "none"})
        kinds = np.array([material.kind for material in person.materials])
        is_hair = np.isin(person.mesh.triangle_material, np.flatnonzero(kinds == "hair"))
        points = person.mesh.vertices[np.unique(person.mesh.triangles[is_hair])]
        for side in ("left", "right"):
            eye = person.mesh.vertices[person.landmark_vertices[LANDMARK_INDEX[f"eye_{side}_centre"]]]
            before = (points[:, 2] > eye[2]) & (np.abs(points[:, :2] - eye[:2]).max(1) < 0.08)
            assert not before.any(), f"{hair} covers the {side} eye"


@needs_pack
def test_make_up_and_beards_are_painted_where_they_belong(pack):
    seed = 3
    plain = make_person(pack, seed, {"gender": 0.0})
    assert plain.labels["beard"] == "none"
    from letstalk.synthetic.people.look import sample_skin_look

    traits = sample_traits(seed, {"gender": 1.0, "age": 30})
    look = sample_skin_look(seed, traits, "bald", np.full(3, 0.02), np.full(3, 0.02))
    maps = pack.skins.maps
    shaved, bearded = (
        paint_skin(pack.skins, seed, traits, replace(look, beard_style=style, beard_density=0.9, lipstick=0.0))[
            0
        ].astype(float)
        for style in ("none", "full")
    )
    change = np.abs(bearded - shaved).mean(2)
    assert change[maps.beard > 0.9].mean() > 25
    assert change[(maps.beard < 0.01) & (maps.moustache < 0.01)].mean() < 0.5
    assert change[maps.lips > 0.9].mean() < 5


@needs_pack
@pytest.mark.slow
def test_hundred_seeds_give_whole_people(pack):
    for seed in range(1000, 1100):
        person = make_person(pack, seed)
        assert np.isfinite(person.mesh.vertices).all()
        assert np.isfinite(person.rig.basis).all()
        assert 1.2 < person.face_height < 4
        assert 0.35 < person.eye_distance < 0.9


@needs_pack
def test_shape_morphs_have_streams_of_their_own(pack):
    """A morph more in the pack changes the face only by itself."""
    traits = sample_traits(9, {})
    with_all = person_shape(pack, 9, traits)
    name = "nose/nose-hump-incr"
    index, _ = pack.targets[name]
    saved = pack.targets.pop(name), pack.targets.pop("nose/nose-hump-decr")
    try:
        without = person_shape(pack, 9, traits)
    finally:
        pack.targets[name], pack.targets["nose/nose-hump-decr"] = saved
    changed = np.abs(with_all - without).max(1) > 1e-4
    assert set(np.flatnonzero(changed)) <= set(index) | set(saved[1][0])
