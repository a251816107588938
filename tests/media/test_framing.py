"""Laws of the framing and of pasting back: exact geometry, honest resampling, no seam."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from letstalk.media.framing import (
    Adjustment,
    FaceCandidate,
    FramingRules,
    adjust_framing,
    frame_eyes,
    frame_face,
    outside_share,
    resize_framing,
    take_crop,
)
from letstalk.media.paste import PasteBack, paste_back
from letstalk.types import Framing, Portrait

HEIGHT, WIDTH = 700, 900


def smooth_picture(height=HEIGHT, width=WIDTH):
    """Slow waves in three colours: any shift of half a pixel is seen, and no resampling can hide behind noise."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = [np.sin(x / 37) * np.cos(y / 53), np.cos(x / 61 + y / 47), np.sin(x / 71 - y / 43)]
    return np.rint(127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def noisy_picture(seed=3):
    rng = np.random.default_rng(seed)
    return np.clip(smooth_picture() + rng.normal(0, 25, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def face_at(x, y, eye_distance, roll_degrees=0.0):
    """A face with the proportions of an adult around the point (x, y) between its eyes."""
    roll = math.radians(roll_degrees)
    dx, dy = eye_distance / 2 * math.cos(roll), eye_distance / 2 * math.sin(roll)
    head = eye_distance / 0.28
    box = (x - 0.34 * head, y - 0.33 * head, x + 0.34 * head, y + 0.5 * head)
    return FaceCandidate(box, 1.0, "drawn", ((x - dx, y - dy), (x + dx, y + dy)))


def turned(scale, roll_degrees, x=300.0, y=200.0, size=256):
    roll = math.radians(roll_degrees)
    linear = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    return Framing(np.concatenate([linear, [[x], [y]]], axis=1), size, HEIGHT, WIDTH)


def in_crop(framing, point):
    return framing.full_to_crop @ np.array([*point, 1.0])


@pytest.mark.parametrize("size", [256, 512])
@pytest.mark.parametrize("roll", [-25.0, 0.0, 12.0])
def test_eyes_and_head_land_where_the_rules_say(size, roll):
    face, rules = face_at(450, 330, 50, roll), FramingRules()
    framing = frame_face(face, (HEIGHT, WIDTH, 3), size, rules)
    assert face.eyes is not None
    left, right = (in_crop(framing, eye) for eye in face.eyes)
    assert left[1] == pytest.approx(right[1], abs=1e-6), "the eyes are level"
    assert (left[1] + 0.5) / size == pytest.approx(rules.eye_line, abs=1e-6)
    assert (left[0] + right[0]) / 2 == pytest.approx((size - 1) / 2, abs=1e-6)
    assert (right[0] - left[0]) / size / 0.28 == pytest.approx(rules.head_height, rel=0.01)


def test_without_eyes_the_box_decides():
    face = face_at(450, 330, 50)
    blind = FaceCandidate(face.box, 1.0, "drawn")
    with_eyes, without = (frame_face(item, (HEIGHT, WIDTH), 256) for item in (face, blind))
    assert without.scale == pytest.approx(with_eyes.scale, rel=0.03)
    assert np.abs(without.crop_to_full[:, 2] - with_eyes.crop_to_full[:, 2]).max() < 5


def test_roll_is_corrected_up_to_its_limit():
    for roll, corrected in ((29.0, 29.0), (50.0, 30.0), (-80.0, -30.0)):
        framing = frame_face(face_at(450, 350, 40, roll), (HEIGHT, WIDTH), 256)
        assert math.degrees(math.atan2(framing.crop_to_full[1, 0], framing.crop_to_full[0, 0])) == pytest.approx(
            corrected
        )
    clicked = frame_eyes((450, 300), (450, 340), (HEIGHT, WIDTH), 256)
    assert abs(math.degrees(math.atan2(clicked.crop_to_full[1, 0], clicked.crop_to_full[0, 0]))) == pytest.approx(90)


def test_the_crop_closes_in_only_where_the_picture_is_tight():
    rules = FramingRules()
    for eye_distance, shape, tight in ((50, (HEIGHT, WIDTH), False), (120, (450, 450), True)):
        face = face_at(shape[1] / 2, shape[0] * 0.45, eye_distance)
        framing = frame_face(face, shape, 256, rules)
        head_share = eye_distance / 0.28 / (framing.scale * 256)
        assert head_share == pytest.approx(rules.tight_head_height if tight else rules.head_height, rel=0.02)
        assert (outside_share(framing) > 0.01) == tight


@pytest.mark.parametrize("shape", [(300, 900), (900, 300), (400, 400), (64, 64)])
def test_without_a_face_the_centre_crop_lies_inside(shape):
    framing = frame_face(None, shape, 256)
    assert framing.scale * 256 == pytest.approx(min(shape))
    assert outside_share(framing) == 0


def test_two_clicks_give_the_same_framing_in_either_order():
    first = frame_eyes((420, 310), (480, 320), (HEIGHT, WIDTH), 256)
    second = frame_eyes((480, 320), (420, 310), (HEIGHT, WIDTH), 256)
    assert np.array_equal(first.crop_to_full, second.crop_to_full)
    assert np.isfinite(frame_eyes((420, 310), (420, 310), (HEIGHT, WIDTH), 256).crop_to_full).all()


def test_adjusting_moves_the_face_as_it_says():
    framing = turned(1.3, 10)
    point = framing.crop_to_full @ np.array([150.0, 90.0, 1.0])
    moved = adjust_framing(framing, Adjustment(right=0.1, down=-0.05))
    assert in_crop(moved, point) == pytest.approx([150 + 25.6, 90 - 12.8])
    zoomed = adjust_framing(framing, Adjustment(zoom=2.0))
    assert in_crop(zoomed, point) == pytest.approx([127.5 + 2 * 22.5, 127.5 - 2 * 37.5])
    # Clockwise: what was right of the middle is below it.
    rotated = adjust_framing(framing, Adjustment(rotate_degrees=90))
    assert in_crop(rotated, point) == pytest.approx([127.5 + 37.5, 127.5 + 22.5])
    assert np.allclose(adjust_framing(framing, Adjustment()).crop_to_full, framing.crop_to_full)


def test_adjusting_never_loses_the_picture():
    framing = turned(1.3, 10)
    for change in (
        Adjustment(right=50.0),
        Adjustment(down=-50.0),
        Adjustment(zoom=1e9),
        Adjustment(zoom=0.0),
        Adjustment(zoom=1e-9),
    ):
        adjusted = framing
        for _ in range(3):
            adjusted = adjust_framing(adjusted, change)
        x, y = adjusted.crop_to_full @ (127.5, 127.5, 1.0)
        assert -1e-6 <= x <= WIDTH - 1 + 1e-6 and -1e-6 <= y <= HEIGHT - 1 + 1e-6
        assert adjusted.scale * 256 * (1 + 1e-9) >= 16 and adjusted.scale * 256 <= 4 * WIDTH * (1 + 1e-9)
        assert take_crop(smooth_picture(), adjusted).shape == (256, 256, 3)


def test_both_sizes_show_the_same_part():
    small = turned(1.6, 7)
    large = resize_framing(small, 512)
    for corner in ((-0.5, -0.5), (255.5, 255.5)):
        full = small.crop_to_full @ np.array([*corner, 1.0])
        assert in_crop(large, full) == pytest.approx([2 * corner[0] + 0.5, 2 * corner[1] + 0.5])


def expected_crop(framing, height=HEIGHT, width=WIDTH):
    """The smooth picture's formula at the places that the crop's pixels see."""
    grid = np.stack(np.meshgrid(np.arange(framing.crop_size), np.arange(framing.crop_size)), axis=-1)
    places = grid @ framing.crop_to_full[:, :2].T + framing.crop_to_full[:, 2]
    x, y = places[..., 0], places[..., 1]
    waves = [np.sin(x / 37) * np.cos(y / 53), np.cos(x / 61 + y / 47), np.sin(x / 71 - y / 43)]
    return 127.5 + 100 * np.stack(waves, axis=2)


@pytest.mark.parametrize("roll", [0.0, 3.0, -21.0])
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_crop_pixels_are_the_places_that_the_framing_names(scale, roll):
    framing = turned(scale, roll, x=250.3, y=201.8)
    assert outside_share(framing) == 0
    error = take_crop(smooth_picture(), framing) - expected_crop(framing)
    assert np.abs(error).max() < 2.5 and error.std() < 0.6 and np.abs(error.mean()) < 0.05


def test_shrinking_does_not_alias():
    """A pattern of single pixels must come out grey; a warp that takes single pixels gives bold bands instead."""
    board = (np.indices((1400, 1400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    board = np.repeat(board[:, :, None], 3, axis=2)
    for roll in (0.0, 9.0):
        framing = Framing(turned(4.3, roll, x=250, y=90, size=200).crop_to_full, 200, 1400, 1400)
        assert take_crop(board, framing)[4:-4, 4:-4].std() < 6


def test_beyond_the_edge_the_crop_is_filled_and_the_inside_untouched():
    framing = turned(1.5, 5, x=-120.0, y=-90.0)
    assert 0.3 < outside_share(framing) < 0.7
    crop = take_crop(smooth_picture(), framing)
    grid = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1)
    places = grid @ framing.crop_to_full[:, :2].T + framing.crop_to_full[:, 2]
    inside = (places > 8).all(axis=2)
    assert np.abs(crop - expected_crop(framing))[inside].max() < 3
    steps = np.abs(np.diff(crop.astype(int), axis=1))
    assert steps.max() < 25, "no border is seen between picture and padding"


@pytest.mark.parametrize("framing", [turned(1.0, 0, x=1900, y=80), turned(2.0, 30, x=-500, y=-1400)])
def test_a_crop_beside_the_picture_still_gives_pixels(framing):
    picture = smooth_picture()
    crop = take_crop(picture, framing)
    assert crop.shape == (256, 256, 3)
    assert np.array_equal(paste_back(Portrait(crop, picture, framing, "drawn"), 255 - crop), picture)


def portrait_of(picture, framing):
    return Portrait(take_crop(picture, framing), picture, framing, "drawn")


FRAMINGS = [
    turned(1.0, 0),
    turned(1.6, 11),
    turned(0.45, -8),
    turned(2.1, 0, x=-90, y=-60),
    turned(1.9, 20, x=500, y=150),
]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_unchanged_crop_changes_nothing(framing):
    picture = noisy_picture()
    portrait = portrait_of(picture, framing)
    assert np.array_equal(paste_back(portrait, portrait.crop), picture)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_nothing_outside_the_crop_is_touched_and_the_inside_is_the_result(framing):
    picture = noisy_picture()
    portrait = portrait_of(picture, framing)
    before = picture.copy()
    pasted = paste_back(portrait, np.full_like(portrait.crop, 200))
    assert np.array_equal(picture, before), "the full picture itself is not drawn on"
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ framing.full_to_crop.T
    outside = ((places < -0.5) | (places > framing.crop_size - 0.5)).any(axis=2)
    assert np.array_equal(pasted[outside], picture[outside])
    deep = ((places > 0.15 * framing.crop_size) & (places < 0.85 * framing.crop_size)).all(axis=2)
    assert deep.sum() > 1000 and np.abs(pasted[deep].astype(int) - 200).max() <= 1


@pytest.mark.parametrize("framing", FRAMINGS[:3])
def test_geometry_of_the_way_back_is_exact(framing):
    """A changed smooth crop comes back at its place: the picture's own formula plus the change."""
    picture = smooth_picture()
    portrait = portrait_of(picture, framing)
    brighter = np.clip(portrait.crop.astype(int) + 25, 0, 255).astype(np.uint8)
    pasted = paste_back(portrait, brighter).astype(int)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ framing.full_to_crop.T
    deep = ((places > 0.15 * framing.crop_size) & (places < 0.85 * framing.crop_size)).all(axis=2)
    error = np.abs(pasted[deep] - picture[deep] - 25.0)
    assert error.max() <= 3 and error.mean() < 1


def test_the_seam_is_softer_than_the_picture():
    """The step between neighbours that a strong change adds is spread over the feather."""
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pasted = paste_back(portrait_of(picture, turned(1.5, 6)), np.full((256, 256, 3), 190, np.uint8)).astype(int)
    for axis in (0, 1):
        assert np.abs(np.diff(pasted, axis=axis)).max() <= 100 / (0.1 * 256 * 1.5) * 1.5 + 1.5


def test_no_fading_where_the_crop_ends_with_the_picture():
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    flush = turned(HEIGHT / 256, 0, x=100.0, y=(HEIGHT / 256 - 1) / 2)  # from the top edge to the bottom edge
    pasted = paste_back(portrait_of(picture, flush), np.full((256, 256, 3), 190, np.uint8))
    middle = 100 + HEIGHT // 2
    assert pasted[0, middle, 0] == pasted[-1, middle, 0] == 190
    assert pasted[HEIGHT // 2, 101, 0] < 95


def test_detail_stays_where_nothing_moved_and_goes_where_something_did():
    picture = noisy_picture()
    portrait = portrait_of(picture, turned(2.0, 0, x=150, y=80))
    result = portrait.crop.copy()
    result[160:210, 90:170] = 60  # an open mouth, say
    pasted = paste_back(portrait, result)
    still = np.s_[150:250, 300:500]
    assert np.array_equal(pasted[still], picture[still])
    mouth = np.s_[80 + 2 * 172 : 80 + 2 * 198, 150 + 2 * 102 : 150 + 2 * 158]
    assert np.abs(pasted[mouth].astype(int) - 60).max() <= 2


def test_frames_do_not_depend_on_one_another():
    portrait = portrait_of(noisy_picture(), turned(1.4, 4))
    paste = PasteBack(portrait)
    rng = np.random.default_rng(0)
    frames = [
        np.asarray(Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((256, 256)))
        for _ in range(3)
    ]
    first = [paste.frame(frame) for frame in frames]
    assert all(np.array_equal(paste.frame(frames[k]), first[k]) for k in (2, 0, 1))
