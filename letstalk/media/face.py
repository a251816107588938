"""From a picture to a framed portrait: finds the face, says how, and never fails.

The first detector that sees a face decides. Without any, the upper middle of the picture is taken and the portrait says
so.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from letstalk import runtime
from letstalk.media.detectors import DETECTOR_FAILURES, Detector, FaceReader, load_detectors
from letstalk.media.framing import FaceCandidate, FramingRules, frame_face, outside_share, take_crop
from letstalk.media.image import LoadedImage
from letstalk.types import Framing, Portrait

CENTRE = "centre"
UNCERTAIN_SCORE = 0.4
SMALL_FACE = 0.6  # full-picture pixels for one crop pixel, below which the crop is visibly enlarged


@dataclass(frozen=True)
class FoundFaces:
    """What was seen in a picture; the main face comes first."""

    candidates: tuple[FaceCandidate, ...]
    detector: str  # "centre" when nobody saw a face
    notes: tuple[str, ...] = ()

    @property
    def main(self) -> FaceCandidate | None:
        return self.candidates[0] if self.candidates else None


class FaceFinder:
    """Keeps loaded detectors for any number of pictures; safe from several threads (one looks at a time)."""

    def __init__(self, reader: FaceReader | None = None, model_dirs: tuple[Path, ...] | None = None) -> None:
        self._waiting: Iterator[Detector] = load_detectors(
            reader, runtime.face_model_dirs() if model_dirs is None else model_dirs
        )
        self._loaded: list[Detector] = []
        self._lock = threading.Lock()

    def find(self, pixels: np.ndarray) -> FoundFaces:
        """Faces in uint8 RGB (height, width, 3). Never raises for what is in the picture."""
        notes: list[str] = []
        with self._lock:
            for detector in self._detectors():
                try:
                    seen = detector.detect(pixels)
                except DETECTOR_FAILURES as error:
                    notes.append(
                        f"The {detector.name} face detector failed ({type(error).__name__}); the next was used."
                    )
                    continue
                faces = _main_first([face for face in seen if _is_sound(face, pixels.shape)], pixels.shape)
                if faces:
                    notes += _face_notes(len(faces), faces[0])
                    return FoundFaces(faces, detector.name, tuple(notes))
        notes.append(
            "No face was found; the middle of the picture is used. Choose a clear picture of one face, from the front."
        )
        return FoundFaces((), CENTRE, tuple(notes))

    def _detectors(self) -> Iterator[Detector]:
        yield from list(self._loaded)
        for detector in self._waiting:
            self._loaded.append(detector)
            yield detector


def find_faces(
    pixels: np.ndarray, reader: FaceReader | None = None, model_dirs: tuple[Path, ...] | None = None
) -> FoundFaces:
    """One look with detectors loaded for it; keep a `FaceFinder` to look at many pictures."""
    return FaceFinder(reader, model_dirs).find(pixels)


def frame_portrait(
    image: LoadedImage | np.ndarray, faces: FoundFaces, size: int = 256, rules: FramingRules | None = None
) -> Portrait:
    """The portrait of the main face; its notes hold the image's, the detector's and the framing's."""
    image = image if isinstance(image, LoadedImage) else LoadedImage(image)
    framing = frame_face(faces.main, image.pixels.shape, size, rules)
    return portrait_from_framing(image, framing, faces.detector, faces.notes)


def portrait_from_framing(image: LoadedImage, framing: Framing, detector: str, notes: tuple[str, ...] = ()) -> Portrait:
    """A portrait with a framing that is settled: the user's own, or an adjusted one."""
    said = [*image.notes, *notes]
    if outside_share(framing) > 0.01:
        said.append("The crop goes beyond the picture's edge; what is missing was filled in softly.")
    if framing.scale < SMALL_FACE:
        said.append("The face is small in the picture; the video will look soft.")
    return Portrait(take_crop(image.pixels, framing), image.pixels, framing, detector, tuple(said))


def _is_sound(face: FaceCandidate, picture_shape: tuple[int, ...]) -> bool:
    """A detector's mistakes that would break the framing: boxes of no size, of no number, or off the picture."""
    height, width = picture_shape[:2]
    x, y = face.centre
    values = [*face.box, *(value for eye in face.eyes or () for value in eye)]
    if not all(math.isfinite(value) for value in values):
        return False
    return face.box[2] - face.box[0] >= 8 and face.height >= 8 and 0 <= x < width and 0 <= y < height


def _main_first(faces: list[FaceCandidate], picture_shape: tuple[int, ...]) -> tuple[FaceCandidate, ...]:
    """The largest first, a central one before an equal at the edge; ones far less certain than the best are dropped."""
    height, width = picture_shape[:2]

    def weight(face: FaceCandidate) -> float:
        x, y = face.centre
        off_centre = math.hypot(x / width - 0.5, y / height - 0.4)
        return face.height * (1 - 0.4 * min(off_centre, 1.0)) * math.sqrt(max(face.score, 0.05))

    best = max((face.score for face in faces), default=0.0)
    apart: list[FaceCandidate] = []
    for face in sorted((face for face in faces if face.score >= best / 2), key=weight, reverse=True):
        if not any(_overlap(face, kept) for kept in apart):
            apart.append(face)
    return tuple(apart)


def _overlap(face: FaceCandidate, other: FaceCandidate) -> bool:
    """One face seen twice: the middle of one lies inside the other."""
    (x, y), (x0, y0, x1, y1) = face.centre, other.box
    return x0 <= x <= x1 and y0 <= y <= y1


def _face_notes(num_faces: int, main: FaceCandidate) -> list[str]:
    notes = []
    if num_faces > 1:
        notes.append(f"{num_faces} faces were found; the largest is used.")
    if main.score < UNCERTAIN_SCORE:
        notes.append("The face is not certain; look at the crop.")
    return notes
