"""Readings drawn over their picture, with the mouth and the eyes enlarged beside it: for people to look at."""

from __future__ import annotations

import cv2
import numpy as np

from letstalk.reader.network import ReaderConfig
from letstalk.reader.predict import FaceReadings

SIDE = 512
OUTER, INNER = (60, 255, 90), (255, 80, 60)


def draw_readings(frame: np.ndarray, readings: FaceReadings, index: int, config: ReaderConfig) -> np.ndarray:
    """(512, 1024, 3) uint8: the face with its points, the mouth and the eyes enlarged, numbers below the mouth."""
    points = readings.landmarks[index].astype(np.float64)
    low, high = points.min(0), points.max(0)
    face = _close_up(frame, points, (low + high) / 2, 1.7 * float((high - low).max()), (SIDE, SIDE), config)
    mouth = points[config.mouth]
    reach = 2.2 * float(max(np.ptp(mouth[:, 0]), np.ptp(mouth[:, 1])))
    below = _close_up(frame, points, mouth.mean(0), reach, (SIDE, SIDE // 2), config)
    eyes = points[config.eyes[0] + config.eyes[1]]
    above = _close_up(frame, points, eyes.mean(0), 1.5 * float(np.ptp(eyes[:, 0])), (SIDE, SIDE // 2), config)
    pitch, yaw, roll = np.rad2deg(readings.head_rotation[index])
    lines = (
        f"gap {readings.mouth_gap[index]:.3f} +-{readings.mouth_gap_error[index]:.3f}"
        f" open {readings.mouth_open_probability[index]:.2f} sure {readings.confidence[index]:.2f}",
        f"lids {readings.lid_opening[index][0]:.2f} {readings.lid_opening[index][1]:.2f}"
        f" pitch {pitch:.0f} yaw {yaw:.0f} roll {roll:.0f}",
    )
    picture = np.hstack([face, np.vstack([above, below])])
    for row, line in enumerate(lines):
        place = (SIDE + 8, SIDE - 30 + 20 * row)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _close_up(
    frame: np.ndarray,
    points: np.ndarray,
    centre: np.ndarray,
    reach: float,
    size: tuple[int, int],
    config: ReaderConfig,
) -> np.ndarray:
    factor = size[0] / max(reach, 1.0)
    shift = np.array(size) / 2 - factor * centre
    matrix = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]])
    picture = cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC)
    for name, point in zip(config.landmark_names, points * factor + shift, strict=True):
        colour = INNER if "inner" in name and name.startswith("lip") else OUTER
        place = (round(float(point[0])), round(float(point[1])))
        cv2.circle(picture, place, 3, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(picture, place, 2, colour, -1, cv2.LINE_AA)
    return picture
