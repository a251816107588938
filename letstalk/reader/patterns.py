"""Pictures without a face, made from random numbers: backdrops, textures and things in front of a face.

They teach the reader what a face is not, and to see past what covers one.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

SKIN_TONES = np.array([[236, 188, 160], [224, 172, 140], [198, 134, 98], [141, 92, 62], [92, 58, 42], [250, 214, 190]])

LIPSTICKS = np.array([[200, 30, 50], [120, 10, 40], [230, 120, 120], [90, 40, 60]])


def random_colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """Soft colour fields with detail at several scales, from sky to foliage."""
    falloff = rng.uniform(0.3, 0.9)
    picture = np.zeros((size, size, 3), np.float32)
    for octave in range(int(rng.integers(2, 7))):
        cells = min(2 ** (octave + 1), size)
        grid = rng.standard_normal((cells, cells, 3), dtype=np.float32)
        if rng.random() < 0.5:
            grid = np.repeat(grid[..., :1], 3, -1)
        picture += falloff**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    mean, spread = rng.uniform(30, 225, 3), rng.uniform(10, 70)
    return np.clip(mean + spread * picture, 0, 255).astype(np.uint8)


def stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Gratings and checks: blinds, tiles, cloth, windows."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, size / 2)
    waves = np.sin(2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / period)
    if rng.random() < 0.5:
        other = rng.uniform(4, size / 2)
        waves = waves * np.sin(2 * np.pi * (columns * np.sin(angle) - rows * np.cos(angle)) / other)
    mix = 1 / (1 + np.exp(-waves * rng.uniform(1, 20)))[..., None]
    return (mix * rng.uniform(0, 255, 3) + (1 - mix) * rng.uniform(0, 255, 3)).astype(np.uint8)


def shapes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ellipses, polygons and strokes on a ground: things, signs, furniture, faceless cartoons."""
    picture = clouds(rng, size) if rng.random() < 0.5 else np.full((size, size, 3), random_colour(rng), np.uint8)
    for _ in range(int(rng.integers(3, 30))):
        scatter_shape(rng, picture, rng.uniform(0.02, 0.5) * size)
    return picture


def scatter_shape(rng: np.random.Generator, picture: np.ndarray, radius: float) -> None:
    """Draws one shape of about `radius` pixels anywhere into the picture."""
    height, width = picture.shape[:2]
    centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
    colour, kind = random_colour(rng), int(rng.integers(0, 4))
    thickness = -1 if rng.random() < 0.7 else int(rng.integers(1, 5))
    if kind == 0:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 1))))
        cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, colour, thickness, cv2.LINE_AA)
    elif kind == 1:
        corners = (np.array(centre) + rng.normal(0, radius, (int(rng.integers(3, 7)), 2))).astype(np.int32)
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
    elif kind == 2:
        end = (int(centre[0] + rng.normal(0, 2 * radius)), int(centre[1] + rng.normal(0, 2 * radius)))
        cv2.line(picture, centre, end, colour, int(rng.integers(1, 9)), cv2.LINE_AA)
    else:
        text = "".join(chr(int(code)) for code in rng.integers(33, 126, 6))
        cv2.putText(picture, text, centre, int(rng.integers(0, 8)), radius / 30 + 0.3, colour, 1, cv2.LINE_AA)


def medallions(rng: np.random.Generator, size: int) -> np.ndarray:
    """Round and square things with dark spots and strokes inside: cups, clocks, coins, wheels, sockets, windows.

    What a careless reader takes for faces.
    """
    picture = clouds(rng, size)
    for _ in range(int(rng.integers(1, 7))):
        centre, radius = rng.uniform(0, size, 2), size * rng.uniform(0.05, 0.4)
        axes = (max(2, int(radius)), max(2, int(radius * rng.uniform(0.6, 1))))
        cv2.ellipse(picture, _pixel(centre), axes, 0, 0, 360, random_colour(rng), -1, cv2.LINE_AA)
        cv2.ellipse(picture, _pixel(centre), axes, 0, 0, 360, random_colour(rng), 1 + int(radius / 12), cv2.LINE_AA)
        for _ in range(int(rng.integers(1, 9))):
            place = centre + rng.normal(0, 0.45, 2) * radius
            spot = tuple(int(value) for value in np.maximum(1, radius * rng.uniform(0.03, 0.35, 2)))
            colour, angle = random_colour(rng), rng.uniform(0, 180)
            if rng.random() < 0.6:
                cv2.ellipse(picture, _pixel(place), spot, angle, 0, 360, colour, -1, cv2.LINE_AA)
            else:
                end = place + rng.normal(0, 0.5, 2) * radius
                cv2.line(picture, _pixel(place), _pixel(end), colour, 1 + int(radius / 15), cv2.LINE_AA)
    return picture


def backdrop(rng: np.random.Generator, size: int) -> np.ndarray:
    """Any of the above, sometimes out of focus; (size, size, 3) uint8."""
    makers: tuple[Callable[[np.random.Generator, int], np.ndarray], ...] = (clouds, stripes, shapes, shapes, medallions)
    picture = makers[int(rng.integers(len(makers)))](rng, size)
    if rng.random() < 0.7:  # most of the world is not garish
        muted = rng.uniform(0.5, 1.0)
        grey = picture.mean(-1, keepdims=True) * rng.uniform(0.85, 1.1, 3)
        picture = np.clip((1 - muted) * picture + muted * grey, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 8))
    return picture


class Backdrops:
    """A stock of backdrops: painting one anew for each picture would take longer than training on it."""

    def __init__(self, rng: np.random.Generator, count: int = 160, size: int = 256) -> None:
        self._stock = [backdrop(rng, size) for _ in range(count)]

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """A part of one of them, turned, mirrored and in other colours; (size, size, 3) uint8."""
        picture = self._stock[int(rng.integers(len(self._stock)))]
        side = int(picture.shape[0] * rng.uniform(0.4, 1.0))
        top, left = (int(value) for value in rng.integers(0, picture.shape[0] - side + 1, 2))
        part = picture[top : top + side, left : left + side, rng.permutation(3)]
        part = np.rot90(part, int(rng.integers(4)))[:, :: int(rng.choice([-1, 1]))]
        return cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=cv2.INTER_LINEAR)


def scrambled(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The parts of a picture in another order: everything a face is made of, and no face."""
    tile = int(rng.choice([16, 32, 64]))
    height, width = (side // tile * tile for side in picture.shape[:2])
    if min(height, width) < 2 * tile:
        return np.ascontiguousarray(picture[::-1])
    tiles = picture[:height, :width].reshape(height // tile, tile, width // tile, tile, 3).swapaxes(1, 2)
    mixed = rng.permutation(tiles.reshape(-1, tile, tile, 3)).reshape(height // tile, width // tile, tile, tile, 3)
    return np.ascontiguousarray(mixed.swapaxes(1, 2).reshape(height, width, 3))


def occlude(
    rng: np.random.Generator, picture: np.ndarray, centre: np.ndarray, unit: float, cover: np.ndarray
) -> np.ndarray:
    """A copy with something before the face: fingers, a microphone, a box, a scarf.

    `centre` and `unit` (pixels an eye distance) say where the face is, `cover` is what it may be covered with.
    """
    mask = np.zeros(picture.shape[:2], np.uint8)
    place = centre + rng.normal(0, 0.9, 2) * unit
    kind = int(rng.integers(0, 4))
    if kind == 0:
        _draw_fingers(rng, mask, place, unit)
    elif kind == 1:
        axes = tuple(int(value) for value in np.maximum(1, unit * rng.uniform(0.15, 0.7, 2)))
        cv2.ellipse(mask, _pixel(place), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 2:
        box = cv2.boxPoints((place.tolist(), (unit * rng.uniform(0.2, 1.4, 2)).tolist(), rng.uniform(0, 180)))
        cv2.fillConvexPoly(mask, box.astype(np.int32), 255, cv2.LINE_AA)
    else:
        direction = rng.normal(0, 1, 2)
        direction *= 6 * unit / max(float(np.hypot(*direction)), 1e-3)
        width = max(1, int(unit * rng.uniform(0.05, 0.5)))
        cv2.line(mask, _pixel(place - direction), _pixel(place + direction), 255, width, cv2.LINE_AA)
    if kind == 0 or rng.random() < 0.2:
        tone = SKIN_TONES[int(rng.integers(len(SKIN_TONES)))] * rng.uniform(0.7, 1.1)
        cover = np.clip(tone + rng.normal(0, 6, (64, 64, 1)), 0, 255).astype(np.uint8)
    elif rng.random() < 0.5:
        cover = np.full((64, 64, 3), random_colour(rng), np.uint8)
    cover = cv2.resize(cover, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return blend(picture, cover, mask, rng.uniform(0.4, 1.5))


def _draw_fingers(rng: np.random.Generator, mask: np.ndarray, place: np.ndarray, unit: float) -> None:
    angle, width = rng.uniform(0, 2 * np.pi), unit * rng.uniform(0.15, 0.3)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    for finger in range(int(rng.integers(1, 5))):
        tip = place + across * width * 1.1 * finger + along * rng.normal(0, 0.15) * unit
        cv2.line(mask, _pixel(tip), _pixel(tip + along * 4 * unit), 255, max(1, int(width)), cv2.LINE_AA)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def paint_lips(rng: np.random.Generator, picture: np.ndarray, outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """A copy with lips in another colour, often dark or red, or none; `outer` and `inner` (k, 2) are their contours.

    Without it a dark lip between light ones is taken for an open mouth.
    """
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outer * 8).astype(np.int32)], 255, cv2.LINE_AA, shift=3)
    cv2.fillPoly(mask, [np.round(inner * 8).astype(np.int32)], 0, cv2.LINE_AA, shift=3)
    extent = float(np.ptp(outer[:, 0]))
    tint = LIPSTICKS[int(rng.integers(len(LIPSTICKS)))] if rng.random() < 0.7 else rng.integers(0, 256, 3)
    strength = rng.uniform(0.2, 0.9)
    grey = picture.mean(-1, keepdims=True) / max(float(picture[mask > 127].mean()) if (mask > 127).any() else 128, 20)
    paint = (1 - strength) * picture + strength * grey * tint
    paint = np.clip(paint * rng.uniform(0.7, 1.2), 0, 255).astype(np.uint8)
    return blend(picture, paint, mask, max(0.4, 0.02 * extent))


def blend(picture: np.ndarray, cover: np.ndarray, mask: np.ndarray, softness: float) -> np.ndarray:
    """`cover` over `picture` where `mask` (h, w) uint8 is 255, with a soft edge."""
    soft = cv2.GaussianBlur(mask, (0, 0), softness).astype(np.float32) / 255
    return cv2.blendLinear(picture, cover, 1 - soft, soft)
