"""The reader as a face detector for `letstalk.media`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from letstalk.reader.predict import FaceReader

if TYPE_CHECKING:
    from letstalk.media.framing import FaceCandidate

DETECTOR_NAME = "reader"
ABOVE_FOREHEAD = 0.15  # our highest point lies so far below the hair line, in heights of the points' box


def as_detector(reader: FaceReader) -> Callable[[np.ndarray], list[FaceCandidate]]:
    """What `media.face.find_faces(reader=...)` takes: picture (h, w, 3) uint8 -> faces, the surest first."""
    from letstalk.media.framing import FaceCandidate

    eyes = list(reader.config.eye_centres)

    def detect(picture: np.ndarray) -> list[FaceCandidate]:
        candidates = []
        for face in reader.find(picture):
            left, top, right, bottom = (float(value) for value in face.box)
            top -= ABOVE_FOREHEAD * (bottom - top)
            first, second = sorted((float(x), float(y)) for x, y in face.landmarks[eyes])
            box = (left, top, right, bottom)
            candidates.append(FaceCandidate(box, face.confidence, DETECTOR_NAME, (first, second)))
        return candidates

    return detect
