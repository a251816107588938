"""A pinhole camera that stands still for the length of a clip, and how portraits are framed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.person import Person

CLOSE_UP, HEAD_AND_SHOULDERS = 0.70, 0.35  # crown to chin as a share of the frame's height
HEADROOM = 0.075  # least share of the frame above the crown: hair needs room


@dataclass(frozen=True)
class Camera:
    """World decimetres to pixels. Pixel (0, 0) has its centre at x = y = 0; y points down."""

    rotation: np.ndarray  # (3, 3) float64, rows: right, up, backward
    position: np.ndarray  # (3,) float64
    focal: float  # in heights of the picture
    centre: tuple[float, float]  # where the optical axis meets the picture, x and y in its heights

    def lens(self, size_px: int) -> np.ndarray:
        """(focal pixels, centre x, centre y) for a square picture, float64."""
        return np.array([self.focal * size_px, self.centre[0] * size_px - 0.5, self.centre[1] * size_px - 0.5])

    def project(self, points: np.ndarray, size_px: int) -> np.ndarray:
        """(..., 3) world points to (..., 3): x, y in pixels and 1 / distance."""
        right, up, backward = np.moveaxis((points - self.position) @ self.rotation.T, -1, 0)
        focal, x, y = self.lens(size_px)
        inverse = 1.0 / np.maximum(-backward, 0.05)
        return np.stack([x + focal * right * inverse, y - focal * up * inverse, inverse], axis=-1)


def aim(person: Person, yaw: float, pitch: float, roll: float, focal: float, face_share: float) -> tuple:
    """Rotation and position of a camera that sees the face `face_share` of the frame high, from an angle in radians."""
    backward = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    up = np.cross(backward, right)
    rolled = np.stack([np.cos(roll) * right + np.sin(roll) * up, np.cos(roll) * up - np.sin(roll) * right, backward])
    distance = person.face_height * focal / face_share
    return rolled, person.face_centre.astype(np.float64) + distance * backward


def sample_camera(rng: np.random.Generator, person: Person) -> Camera:
    """A portrait as people take them: close-up to head and shoulders, from about the height of the eyes."""
    face_share = HEAD_AND_SHOULDERS + (CLOSE_UP - HEAD_AND_SHOULDERS) * rng.beta(1.9, 1.4)
    focal = float(np.exp(rng.uniform(np.log(1.1), np.log(4.2))))  # phone at arm's length to long portrait lens
    yaw, pitch, roll = rng.normal(0, 0.13), rng.normal(0.0, 0.07), rng.normal(0, 0.02)
    rotation, position = aim(person, yaw, pitch, roll, focal, face_share)
    # The axis goes through the middle of the face, so its place in the picture is the face's place.
    x = 0.5 + np.clip(rng.normal(0, 0.035), -0.08, 0.08) * (1.4 - face_share)
    y = rng.normal(0.47, 0.03)
    y = np.clip(y, HEADROOM + 0.5 * face_share, 0.985 - 0.5 * face_share)
    return Camera(rotation, position, focal, (float(x), float(y)))
