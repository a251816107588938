"""Where the square crop of a portrait lies, and how its pixels are taken.

Every portrait is put where training had it: `FramingRules` holds eye line, size of the head and roll. All coordinates
are pixel centres of the upright picture, (0, 0) is the centre of its first pixel, as in `types.Framing`.

Resampling is Pillow's alone: it filters properly when it shrinks (cv2.warpAffine takes single pixels and aliases), and
it works where OpenCV cannot load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from letstalk.types import Framing

# Proportions of an adult head (crown to chin = 1), as drawing schools and anthropometry agree on them.
EYES_BELOW_CROWN = 0.5
EYE_DISTANCE_OF_HEAD = 0.28  # between the pupils
BOX_OF_HEAD = 0.83  # a face box reaches from the hair line to the chin
EYES_IN_BOX = 0.40  # eye line below the top of the box, in box heights

BLUR_SHARES = (0.01, 0.03, 0.08)  # blur radii of the padding, near to far, as shares of the crop's side
PRESHRINK = 1.5  # full-picture pixels for one crop pixel that the fine filter gets at least
MIN_CROP_SIDE = 16  # full-picture pixels that a user may zoom into
ALLOWED_OUTSIDE = 0.01  # share of the crop that may lie beyond the picture before the crop closes in


@dataclass(frozen=True)
class FaceCandidate:
    """A face that a detector saw. Left and right are as seen in the picture."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1: hair line to chin, cheek to cheek
    score: float  # 0..1; below 0.4 it is a guess
    detector: str
    eyes: tuple[tuple[float, float], tuple[float, float]] | None = None  # centres (x, y) of the left and the right eye

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]

    @property
    def centre(self) -> tuple[float, float]:
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True)
class FramingRules:
    """Lengths are shares of the crop's side. The rendered training portraits are framed by the same numbers."""

    head_height: float = 0.55  # crown to chin
    tight_head_height: float = 0.66  # up to this the crop closes in where the picture has no room around the head
    eye_line: float = 0.42  # from the top
    max_roll_degrees: float = 30.0  # a stronger roll is corrected by this much only


@dataclass(frozen=True)
class Adjustment:
    """What the user moved by hand, in shares of the crop's side as shown on the screen."""

    right: float = 0.0  # the face moves this far to the right in the crop
    down: float = 0.0
    zoom: float = 1.0  # 2 shows the face twice as large
    rotate_degrees: float = 0.0  # the face turns clockwise in the crop


def _crop_affine(centre: tuple[float, float], anchor: tuple[float, float], scale: float, roll: float) -> np.ndarray:
    """(2, 3) map of crop to full: `anchor` (crop) falls on `centre` (full), crop axes turned by `roll` radians."""
    cos, sin = scale * math.cos(roll), scale * math.sin(roll)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.concatenate([linear, (np.array(centre) - linear @ np.array(anchor))[:, None]], axis=1)


def frame_face(
    face: FaceCandidate | None, picture_shape: tuple[int, ...], crop_size: int, rules: FramingRules | None = None
) -> Framing:
    """The framing of a face in a picture of (height, width, ...); without a face, of the picture's upper middle."""
    rules = rules or FramingRules()
    height, width = picture_shape[:2]
    if face is None:
        return _centre_framing(height, width, crop_size)
    eye_point, head_height, roll = _head_geometry(face, math.radians(rules.max_roll_degrees))
    return _frame_head(eye_point, head_height, roll, rules, Canvas(crop_size, height, width))


@dataclass(frozen=True)
class Canvas:
    """Sizes in pixels of the crop and of the picture it is taken from."""

    crop_size: int
    full_height: int
    full_width: int


def _frame_head(
    eye_point: tuple[float, float], head_height: float, roll: float, rules: FramingRules, canvas: Canvas
) -> Framing:
    """The widest framing that the picture has room for, never closer than `tight_head_height`."""
    anchor = ((canvas.crop_size - 1) / 2, rules.eye_line * canvas.crop_size - 0.5)
    framing = None
    for share in np.linspace(rules.head_height, max(rules.head_height, rules.tight_head_height), 8):
        scale = head_height / (share * canvas.crop_size)
        affine = _crop_affine(eye_point, anchor, scale, roll)
        framing = Framing(affine, canvas.crop_size, canvas.full_height, canvas.full_width)
        if outside_share(framing) <= ALLOWED_OUTSIDE:
            break
    assert framing is not None
    return framing


def _head_geometry(face: FaceCandidate, max_roll: float) -> tuple[tuple[float, float], float, float]:
    """The point between the eyes, the head's height in pixels and its roll in radians."""
    box_x, _ = face.centre
    from_box = face.height / BOX_OF_HEAD
    if face.eyes is None:
        return (box_x, face.box[1] + EYES_IN_BOX * face.height), from_box, 0.0
    (left_x, left_y), (right_x, right_y) = face.eyes
    roll = math.atan2(right_y - left_y, right_x - left_x)
    from_eyes = math.hypot(right_x - left_x, right_y - left_y) / EYE_DISTANCE_OF_HEAD
    # A turned head brings the eyes together and the box does not notice; boxes are rough. The mean errs least.
    head_height = math.sqrt(from_box * min(max(from_eyes, from_box / 1.4), from_box * 1.4))
    # The eyes of a turned head are off its middle; the box is not.
    middle = 0.5 * ((left_x + right_x) / 2) + 0.5 * box_x
    return (middle, (left_y + right_y) / 2), head_height, min(max(roll, -max_roll), max_roll)


def _centre_framing(height: int, width: int, crop_size: int) -> Framing:
    """The largest square; of a tall picture the upper part, where heads are."""
    side = min(height, width)
    top = (height - side) * 0.2
    scale = side / crop_size
    corner = ((width - side) / 2 - 0.5, top - 0.5)
    return Framing(_crop_affine(corner, (-0.5, -0.5), scale, 0.0), crop_size, height, width)


def frame_eyes(
    left_eye: tuple[float, float],
    right_eye: tuple[float, float],
    picture_shape: tuple[int, ...],
    crop_size: int,
    rules: FramingRules | None = None,
) -> Framing:
    """The framing for two points that the user clicked, in either order. They are believed, whatever the roll."""
    rules = rules or FramingRules()
    (left_x, left_y), (right_x, right_y) = sorted((left_eye, right_eye))
    distance = max(math.hypot(right_x - left_x, right_y - left_y), 4.0)  # two clicks on one place
    middle = ((left_x + right_x) / 2, (left_y + right_y) / 2)
    roll = math.atan2(right_y - left_y, right_x - left_x)
    canvas = Canvas(crop_size, picture_shape[0], picture_shape[1])
    return _frame_head(middle, distance / EYE_DISTANCE_OF_HEAD, roll, rules, canvas)


def adjust_framing(framing: Framing, change: Adjustment) -> Framing:
    """The framing after the user moved, zoomed or turned the face about the crop's middle, kept on the picture."""
    middle = (framing.crop_size - 1) / 2
    shifted = (middle + change.right * framing.crop_size, middle + change.down * framing.crop_size)
    largest = 4 * max(framing.full_width, framing.full_height) / framing.crop_size
    scale = min(max(framing.scale / max(change.zoom, 1e-3), MIN_CROP_SIDE / framing.crop_size), largest)
    inner = _crop_affine((middle, middle), shifted, scale / framing.scale, -math.radians(change.rotate_degrees))
    adjusted = _inside_of(framing, inner, framing.crop_size)
    # A crop whose middle leaves the picture shows nothing that could be moved back.
    centre = adjusted.crop_to_full @ (middle, middle, 1.0)
    held = centre.clip(0, (framing.full_width - 1, framing.full_height - 1))
    adjusted.crop_to_full[:, 2] += held - centre
    return adjusted


def _inside_of(framing: Framing, inner: np.ndarray, crop_size: int) -> Framing:
    """The framing of a crop of the crop: `inner` (2, 3) maps its pixels to the old crop's."""
    linear = framing.crop_to_full[:, :2] @ inner[:, :2]
    offset = framing.crop_to_full[:, :2] @ inner[:, 2:] + framing.crop_to_full[:, 2:]
    return replace(framing, crop_to_full=np.concatenate([linear, offset], axis=1), crop_size=crop_size)


def resize_framing(framing: Framing, crop_size: int) -> Framing:
    """The same part of the picture at another resolution (256 and 512 show exactly the same)."""
    ratio = framing.crop_size / crop_size
    return _inside_of(framing, np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]]), crop_size)


def crop_corners(framing: Framing) -> np.ndarray:
    """(4, 2) outer corners of the crop in the full picture: top left, top right, bottom right, bottom left."""
    low, high = -0.5, framing.crop_size - 0.5
    corners = np.array([[low, low, 1], [high, low, 1], [high, high, 1], [low, high, 1]])
    return corners @ framing.crop_to_full.T


def outside_share(framing: Framing) -> float:
    """How much of the crop lies beyond the picture's edge, 0..1."""
    steps = np.linspace(0, framing.crop_size - 1, 65)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points = grid @ framing.crop_to_full[:, :2].T + framing.crop_to_full[:, 2]
    limit = np.array([framing.full_width, framing.full_height]) - 0.5
    return float(1 - ((points >= -0.5) & (points <= limit)).all(axis=1).mean())


def take_crop(full: np.ndarray, framing: Framing) -> np.ndarray:
    """(crop_size, crop_size, 3) uint8. What lies beyond the picture's edge is its edge, carried on and blurred."""
    assert full.shape[:2] == (framing.full_height, framing.full_width), (full.shape, framing)
    factor = int(framing.scale / PRESHRINK)
    if factor > 1:
        full, framing = _shrunk(full, framing, factor)
    size = framing.crop_size
    padded, (pad_left, pad_top) = _padded_region(full, framing)
    picture = Image.fromarray(padded)
    # Position of crop pixel centres in the padded region, in Pillow's coordinates (the first pixel's corner is 0).
    affine = framing.crop_to_full.copy()
    affine[:, 2] += affine[:, :2] @ (-0.5, -0.5) + 0.5 + (pad_left, pad_top)
    scale = framing.scale
    if abs(affine[0, 1]) < 1e-9 * scale:  # upright: one exact, filtered resize
        left, top = affine[:, 2]
        box = (left, top, left + size * affine[0, 0], top + size * affine[1, 1])
        box = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], picture.width), min(box[3], picture.height))
        return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS, box=box)).copy()
    if scale > 1:  # turned: filtered to the crop's resolution first, then turned there
        shrunk = (max(1, round(picture.width / scale)), max(1, round(picture.height / scale)))
        affine = np.array([[shrunk[0] / picture.width], [shrunk[1] / picture.height]]) * affine
        picture = picture.resize(shrunk, Image.Resampling.LANCZOS)
    # As floats, because on bytes Pillow's transform cuts the fraction off and darkens the picture by half a level.
    channels = [
        np.asarray(
            channel.convert("F").transform(
                (size, size), Image.Transform.AFFINE, tuple(affine.ravel()), Image.Resampling.BICUBIC
            )
        )
        for channel in picture.split()
    ]
    return np.rint(np.stack(channels, axis=2)).clip(0, 255).astype(np.uint8)


def _shrunk(full: np.ndarray, framing: Framing, factor: int) -> tuple[np.ndarray, Framing]:
    """Picture and framing at 1 / `factor` of the size: bounds the work for huge pictures and wide crops."""
    small = np.asarray(Image.fromarray(full).reduce(factor))
    affine = framing.crop_to_full / factor
    affine[:, 2] -= (factor - 1) / (2 * factor)
    return small, Framing(affine, framing.crop_size, small.shape[0], small.shape[1])


def _padded_region(full: np.ndarray, framing: Framing) -> tuple[np.ndarray, tuple[float, float]]:
    """The part of the picture under the crop with a rim for the filters, and what to add to its coordinates."""
    rim = math.ceil(4 * max(1.0, framing.scale)) + 1
    height, width = full.shape[:2]
    corners = crop_corners(framing)
    left, top = np.floor(corners.min(axis=0)).astype(int) - rim
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1 + rim
    left, right = min(left, width - 1), max(right, 1)  # a crop wholly beside the picture still sees its edge
    top, bottom = min(top, height - 1), max(bottom, 1)
    inside = full[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    rows = (max(-top, 0), max(bottom - height, 0))
    columns = (max(-left, 0), max(right - width, 0))
    if any((*rows, *columns)):
        inside = _soft_padding(inside, rows, columns)
    return inside, (float(-left), float(-top))


def _soft_padding(inside: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Carries the picture's edge on and blurs it the more the further it is from the picture.

    Carried on, shoulders go down and walls go up, where a mirror image would bring a second neck; the blur takes the
    streaks away.
    """
    padded = np.pad(inside, (rows, columns, (0, 0)), mode="edge")
    height, width = padded.shape[:2]
    y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    beyond_y = np.maximum(rows[0] - y, y - (height - 1 - rows[1])).clip(0)
    beyond_x = np.maximum(columns[0] - x, x - (width - 1 - columns[1])).clip(0)
    distance = np.hypot(beyond_y[:, None], beyond_x[None, :])
    picture = Image.fromarray(padded)
    for share in BLUR_SHARES:
        radius = share * max(height, width)
        weight = Image.fromarray(np.rint(np.clip(distance / (2 * radius), 0, 1) * 255).astype(np.uint8))
        picture = Image.composite(_blurred(picture, radius), picture, weight)
    return np.asarray(picture)


def _blurred(picture: Image.Image, radius: float) -> Image.Image:
    """Gaussian blur, made on a smaller picture where the radius allows it."""
    factor = max(1, int(radius / 4))
    small = picture.reduce(factor) if factor > 1 else picture
    soft = small.filter(ImageFilter.GaussianBlur(radius / factor))
    return soft.resize(picture.size, Image.Resampling.BICUBIC) if factor > 1 else soft
