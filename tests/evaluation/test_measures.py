"""Each measure on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.evaluation.flow_quality import endpoint_errors_px, folded_shares, moving_cells
from letstalk.evaluation.following import following
from letstalk.evaluation.picture_quality import MOST_DB, psnr_db, ssim
from letstalk.evaluation.sharpness import relative_sharpness


@pytest.fixture
def texture() -> np.ndarray:
    """(2, 64, 64, 3), away from black and white so that noise is not clipped."""
    import cv2

    random = np.random.default_rng(0)
    rough = random.uniform(60, 200, (2, 64, 64, 3)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in rough]).astype(np.uint8)


@pytest.mark.parametrize("sigma", [2.0, 8.0])
def test_noise_of_known_size_gives_the_known_psnr(texture: np.ndarray, sigma: float) -> None:
    noise = np.random.default_rng(1).normal(0, sigma, texture.shape)
    noisy = np.rint(texture + noise).astype(np.uint8)
    expected = 10 * np.log10(255**2 / (sigma**2 + 1 / 12))  # rounding adds a twelfth
    assert psnr_db(noisy, texture) == pytest.approx([expected] * 2, abs=0.15)


def test_psnr_sees_only_what_is_inside_the_mask(texture: np.ndarray) -> None:
    mask = np.zeros((2, 64, 64), bool)
    mask[:, :32] = True
    changed = texture.copy()
    changed[:, 32:] += 10
    assert psnr_db(changed, texture, mask).tolist() == [MOST_DB, MOST_DB]
    assert psnr_db(changed, texture, ~mask) == pytest.approx([20 * np.log10(25.5)] * 2)
    assert np.isnan(psnr_db(changed, texture, np.zeros_like(mask))).all()


def test_ssim_of_flat_pictures_is_its_luminance_term() -> None:
    one, other = (np.full((1, 32, 32, 3), level, np.uint8) for level in (100, 140))
    c1 = (0.01 * 255) ** 2
    assert ssim(one, other) == pytest.approx([(2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)], abs=1e-5)


def test_ssim_falls_with_noise_and_inside_the_mask_alone(texture: np.ndarray) -> None:
    assert ssim(texture, texture) == pytest.approx([1, 1])
    changed = texture.copy()
    changed[:, :, :20] = np.random.default_rng(2).integers(0, 255, (2, 64, 20, 3))
    mask = np.zeros((2, 64, 64), bool)
    mask[:, :, 32:] = True  # further from the noise than half a window
    assert ssim(changed, texture, mask) == pytest.approx([1, 1])
    assert (ssim(changed, texture) < 0.85).all()


def test_end_point_error_is_the_length_of_the_difference_in_pixels() -> None:
    truth = np.zeros((1, 2, 8, 8), np.float32)
    found = truth.copy()
    found[:, 0], found[:, 1] = 3 / 128, 4 / 128
    assert endpoint_errors_px(found, truth, 256) == pytest.approx(np.full((1, 8, 8), 5.0))


def test_only_visible_head_that_moves_more_than_a_pixel_counts() -> None:
    truth = np.zeros((1, 2, 8, 8), np.float32)
    truth[0, 0, 1] = 0.9 / 32  # a row that moves too little at 64 pixels
    truth[0, 0, 2:] = 2 / 32
    visible = np.ones((1, 8, 8), bool)
    visible[0, :, 0] = False
    head = np.ones((1, 64, 64), bool)
    head[0, 60:] = False  # half of the last row of cells: not most of it
    expected = np.zeros((8, 8), bool)
    expected[2:7, 1:] = True
    assert np.array_equal(moving_cells(truth, visible, head)[0], expected)


def test_a_mirrored_half_is_folded_and_a_shift_is_not() -> None:
    xs = (np.arange(64, dtype=np.float32) * 2 + 1) / 64 - 1
    shift = np.full((1, 2, 64, 64), 0.1, np.float32)
    mirror = np.zeros_like(shift)
    mirror[0, 0] = np.where(xs < 0, 0, -2 * xs)  # place = pixel + flow = -x: the right half runs backwards
    whole = np.ones((1, 256, 256), bool)
    right = whole & (np.arange(256) >= 160)
    assert folded_shares(shift, whole).tolist() == [0]
    assert folded_shares(mirror, whole) == pytest.approx([0.5], abs=0.02)
    assert folded_shares(mirror, right)[0] > 0.97  # the outermost half cell has no slope
    assert folded_shares(mirror, whole & ~right)[0] < 0.25


def test_sharpness_is_the_square_of_contrast_and_falls_with_blur(texture: np.ndarray) -> None:
    import cv2

    mask = np.ones(texture.shape[:3], bool)
    texture = texture // 2 * 2  # halved without rounding, which would be noise
    halved = texture // 2
    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 1.5) for picture in texture])
    assert relative_sharpness(texture, texture, mask) == pytest.approx([1, 1])
    assert relative_sharpness(halved, texture, mask) == pytest.approx([0.25, 0.25])
    assert (relative_sharpness(blurred, texture, mask) < 0.4).all()
    assert np.isnan(relative_sharpness(texture, np.full_like(texture, 90), mask)).all()


def test_sharpness_outside_the_mask_does_not_count(texture: np.ndarray) -> None:
    mask = np.zeros(texture.shape[:3], bool)
    mask[:, :30] = True
    changed = texture.copy()
    changed[:, 32:] = 0
    assert relative_sharpness(changed, texture, mask) == pytest.approx([1, 1])


def test_following_tells_when_from_how_much() -> None:
    driver = np.sin(np.arange(100) / 5)
    weak = following(0.4 * driver + 3, driver)
    assert weak.r == pytest.approx(1) and weak.spread == pytest.approx(0.4)
    assert following(-driver, driver).r == pytest.approx(-1)
    late = following(np.sin((np.arange(100) - 8) / 5), driver)
    assert abs(late.r) < 0.2 and late.spread == pytest.approx(1, abs=0.1)


def test_nobody_follows_by_standing_still() -> None:
    driver = np.sin(np.arange(100) / 5)
    still = following(np.full(100, 0.3), driver)
    assert still.r == 0 and still.spread == 0
    assert following(driver, np.zeros(100)).r == 0 and np.isnan(following(driver, np.zeros(100)).spread)
