"""What happens to pictures between a camera or a brush and the reader: light, colour, style, blur, noise, compression.

Every function takes and returns (h, w, 3) uint8 and moves no pixel: labels stay true.
"""

from __future__ import annotations

import cv2
import numpy as np

BLEND_COLOURS = np.array([0.299, 0.587, 0.114], np.float32)


class Noise:
    """Ready-made noise: drawing it anew for each picture would cost more than all the rest."""

    def __init__(self, rng: np.random.Generator, size: int = 512) -> None:
        self._bank = rng.standard_normal((size, size, 3), dtype=np.float32)

    def add(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        top, left = (int(rng.integers(0, side)) for side in np.array(self._bank.shape[:2]) - (height, width) + 1)
        grain = self._bank[top : top + height, left : left + width]
        if rng.random() < 0.5:
            grain = grain[..., :1]
        if rng.random() < 0.3:
            half = np.ascontiguousarray(grain[: height // 2, : width // 2])
            grain = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
        strength = rng.exponential(7.0)
        return np.clip(picture + grain * strength, 0, 255).astype(np.uint8)


def tone(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Exposure, gamma, contrast curve, clipping and colour cast, one look-up table for each channel."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    curve = levels ** np.exp(rng.normal(0, 0.35) + rng.normal(0, 0.06, 3))
    contrast, pivot = np.exp(rng.normal(0, 0.3)), rng.uniform(0.3, 0.7)
    curve = (curve - pivot) * contrast + pivot + rng.normal(0, 0.08) + rng.normal(0, 0.04, 3)
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(picture, np.ascontiguousarray(table).reshape(256, 1, 3))


def colour(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Saturation from grey to garish, a turn of the hues, now and then mixed channels."""
    grey = np.tile(BLEND_COLOURS, (3, 1))
    saturation = 0.0 if rng.random() < 0.15 else rng.uniform(0.3, 1.8)
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * grey
    if rng.random() < 0.3:
        matrix = matrix @ (np.eye(3) + rng.normal(0, 0.15, (3, 3)))
    if rng.random() < 0.05:
        matrix = matrix[:, rng.permutation(3)]
    return cv2.transform(picture, matrix.astype(np.float32))


def light(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Uneven light: soft lamps, a hard shadow edge, or veiling glare."""
    height, width = picture.shape[:2]
    kind = rng.random()
    if kind < 0.5:
        cells = int(rng.integers(2, 5))
        coarse = np.exp(rng.normal(0, 0.45, (cells, cells, 3 if rng.random() < 0.4 else 1))).astype(np.float32)
        gain = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
    elif kind < 0.8:
        angle, softness = rng.uniform(0, 2 * np.pi), rng.uniform(1, 20)
        rows, columns = np.ogrid[:height, :width]
        side = (columns - width * rng.uniform(0.3, 0.7)) * np.cos(angle)
        side = side + (rows - height * rng.uniform(0.3, 0.7)) * np.sin(angle)
        gain = (1 - rng.uniform(0.2, 0.75) / (1 + np.exp(-np.clip(side / softness, -30, 30))))[..., None]
    else:
        veil = rng.uniform(0.1, 0.5)
        return np.clip(picture * (1 - veil) + veil * rng.uniform(80, 255, 3), 0, 255).astype(np.uint8)
    return np.clip(picture * gain, 0, 255).astype(np.uint8)


def style(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The look of drawings: flat colour, brush, outlines, pencil, halftone."""
    kind = int(rng.integers(0, 6))
    if kind == 0:
        picture = cv2.medianBlur(picture, int(rng.choice([3, 5, 7])))
    elif kind == 1:
        levels = int(rng.integers(4, 12))
        table = (np.round(np.arange(256) / 255 * levels) / levels * 255).astype(np.uint8)
        return cv2.LUT(cv2.medianBlur(picture, 5), table)
    elif kind == 2:
        for _ in range(2):
            picture = cv2.bilateralFilter(picture, 5, 60, 4)
    elif kind == 3:
        return _pencil(rng, picture)
    elif kind == 4:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 3))
        amount = rng.uniform(1, 4)
        return cv2.addWeighted(picture, 1 + amount, blurred, -amount, 0)
    if rng.random() < 0.6:
        return _outlined(rng, picture)
    return picture


def _outlined(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    block = int(rng.integers(2, 6)) * 2 + 1
    offset = rng.uniform(2, 8)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, offset)
    soft = cv2.GaussianBlur(lines, (0, 0), rng.uniform(0.4, 0.9))[..., None].astype(np.uint16)
    depth = int(rng.uniform(100, 255))
    return (picture * (255 - depth + soft * depth // 255) // 255).astype(np.uint8)


def _pencil(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(3, 12))
    drawn = cv2.divide(grey, np.maximum(soft, 1), scale=float(rng.uniform(200, 256)))
    mix = rng.uniform(0, 0.5)
    return cv2.addWeighted(cv2.cvtColor(drawn, cv2.COLOR_GRAY2RGB), 1 - mix, picture, mix, 0)


INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_NEAREST)


def fewer_pixels(rng: np.random.Generator, picture: np.ndarray, smallest: float = 0.2) -> np.ndarray:
    """Down to a share of the pixels and up again, as a small video on a large screen."""
    height, width = picture.shape[:2]
    share = np.exp(rng.uniform(np.log(smallest), np.log(0.9)))
    small_size = (max(8, int(width * share)), max(8, int(height * share)))
    down = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
    up = INTERPOLATIONS[int(rng.choice(4, p=[0.45, 0.4, 0.1, 0.05]))]
    return cv2.resize(cv2.resize(picture, small_size, interpolation=down), (width, height), interpolation=up)


def blur(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Out of focus or moved: up to about a twentieth of the face, as the softest generated video."""
    if rng.random() < 0.7:
        return cv2.GaussianBlur(picture, (0, 0), max(0.3, rng.exponential(1.3)))
    length = int(rng.integers(2, 10))
    kernel = np.zeros((length, length), np.float32)
    ends = ((0, int(rng.integers(0, length))), (length - 1, int(rng.integers(0, length))))
    ends = ends if rng.random() < 0.5 else tuple((y, x) for x, y in ends)
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())


def compress(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    quality = int(np.clip(rng.normal(45, 22), 8, 95))
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def appearance(rng: np.random.Generator, picture: np.ndarray, noise: Noise) -> np.ndarray:
    """A random chain of the above, in the order in which life does them."""
    chain = (
        (0.12, style), (0.3, light), (0.6, colour), (0.75, tone),
        (0.3, blur), (0.35, fewer_pixels), (0.3, noise.add), (0.4, compress),
    )  # fmt: skip
    for chance, change in chain:
        if rng.random() < chance:
            picture = change(rng, picture)
    return picture
