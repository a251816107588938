"""The detectors that can find a face, in the order they are tried, and what is missing where one cannot.

Nothing here ever downloads: insightface runs only with model files that lie on this machine already.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from letstalk import runtime
from letstalk.media.cascade import OpenCvCascade
from letstalk.media.framing import FaceCandidate

FaceReader = Callable[[np.ndarray], list[FaceCandidate]]

# What a detector raises when it or its files are broken.
DETECTOR_FAILURES = (ImportError, OSError, RuntimeError, AssertionError, ValueError)

PREFERRED_PACKS = ("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s", "buffalo_sc")
INSIGHTFACE_MIN_SCORE = 0.5
LBP_WORKING_SIDE = 400
LBP_MIN_FACE = 48
# The LBP cascade's square box and the face it stands for, in box sides from its middle: hair line, chin, cheek.
LBP_HAIR_LINE, LBP_CHIN, LBP_CHEEK = -0.42, 0.52, 0.38


class Detector(Protocol):
    @property
    def name(self) -> str: ...

    def detect(self, pixels: np.ndarray) -> list[FaceCandidate]:
        """Faces in uint8 RGB (height, width, 3), best first; may raise `DETECTOR_FAILURES`."""
        ...


@dataclass(frozen=True)
class DetectorState:
    """One line of `letstalk doctor`."""

    name: str
    available: bool
    detail: str
    advice: str


@contextlib.contextmanager
def _foreign_errors(name: str) -> Iterator[None]:
    """onnxruntime, protobuf and OpenCV raise plain children of Exception for a broken model file."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"{name} failed: {type(error).__name__}: {error}") from error


class InsightFaceDetector:
    """SCRFD from a pack of the user's own: finds nearly any face and its eyes."""

    name = "insightface"

    def __init__(self, pack: Path) -> None:
        assert pack.is_dir(), pack  # a name that is no folder would make insightface download
        with _foreign_errors(self.name), contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            from insightface.app import FaceAnalysis

            self._analysis: Any = FaceAnalysis(
                name=str(pack.resolve()), allowed_modules=["detection"], providers=["CPUExecutionProvider"]
            )
            self._analysis.prepare(ctx_id=-1, det_thresh=INSIGHTFACE_MIN_SCORE)

    def detect(self, pixels: np.ndarray) -> list[FaceCandidate]:
        blue_first = np.ascontiguousarray(pixels[:, :, ::-1])
        with _foreign_errors(self.name), contextlib.redirect_stdout(io.StringIO()):
            found = [self._candidate(face) for face in self._analysis.get(blue_first)]
        return sorted(found, key=lambda face: -face.score)

    def _candidate(self, face: Any) -> FaceCandidate:
        x0, y0, x1, y1 = (float(value) for value in face["bbox"])
        points = face.get("kps")
        eyes = None
        if points is not None and len(points) >= 2:
            left, right = sorted((float(x), float(y)) for x, y in points[:2])
            eyes = (left, right)
        return FaceCandidate((x0, y0, x1, y1), float(face["det_score"]), self.name, eyes)


class ReaderDetector:
    """A face reader that the caller brings: the project's own small network."""

    name = "reader"

    def __init__(self, reader: FaceReader) -> None:
        self._reader = reader

    def detect(self, pixels: np.ndarray) -> list[FaceCandidate]:
        return sorted(self._reader(pixels), key=lambda face: -face.score)


class LbpCascade:
    """scikit-image's face cascade: weaker than OpenCV's, but it loads where OpenCV's system libraries are missing."""

    name = "skimage"

    def __init__(self) -> None:
        import skimage.data
        import skimage.feature

        self._cascade: Any = skimage.feature.Cascade(skimage.data.lbp_frontal_face_cascade_filename())

    def detect(self, pixels: np.ndarray) -> list[FaceCandidate]:
        from PIL import Image

        height, width = pixels.shape[:2]
        factor = max(1.0, max(height, width) / LBP_WORKING_SIDE)
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
        longest = min(size)
        if longest < LBP_MIN_FACE:
            return []
        hits = self._cascade.detect_multi_scale(
            img=small, scale_factor=1.15, step_ratio=1, min_size=(LBP_MIN_FACE,) * 2, max_size=(longest,) * 2
        )
        step = (width / size[0], height / size[1])
        largest = max((hit["width"] for hit in hits), default=1)
        faces = [self._candidate(hit, step, 0.5 * hit["width"] / largest) for hit in hits]
        return sorted(faces, key=lambda face: -face.score)

    def _candidate(self, hit: dict[str, int], step: tuple[float, float], score: float) -> FaceCandidate:
        """The cascade gives no score of its own: the largest hit is the likeliest."""
        side = float(hit["width"])
        x, y = hit["c"] + side / 2, hit["r"] + side / 2
        box = (x - LBP_CHEEK * side, y + LBP_HAIR_LINE * side, x + LBP_CHEEK * side, y + LBP_CHIN * side)
        x0, y0, x1, y1 = (value * step[index % 2] - 0.5 for index, value in enumerate(box))
        return FaceCandidate((x0, y0, x1, y1), score, self.name)


def local_packs(folders: tuple[Path, ...]) -> list[Path]:
    """Folders with insightface models, the best known first. Empty files and folders do not count."""
    packs = []
    for folder in folders:
        try:
            inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
            packs += [path for path in (folder, *inside) if path not in packs and _holds_models(path)]
        except OSError:
            continue
    rank = {name: place for place, name in enumerate(PREFERRED_PACKS)}
    return sorted(packs, key=lambda path: rank.get(path.name, len(rank)))


def _holds_models(folder: Path) -> bool:
    return folder.is_dir() and any(path.stat().st_size > 0 for path in folder.glob("*.onnx"))


def load_detectors(reader: FaceReader | None, model_dirs: tuple[Path, ...]) -> Iterator[Detector]:
    """Every detector that works here, best first; each is loaded only when the caller asks for the next.

    Of the cascades only one is used: what OpenCV's refused, the weaker one would only see by mistake.
    """
    packs: list[Callable[[], Detector]] = [partial(InsightFaceDetector, pack) for pack in local_packs(model_dirs)]
    readers: list[Callable[[], Detector]] = [] if reader is None else [partial(ReaderDetector, reader)]
    for makers in (packs, readers, [OpenCvCascade, LbpCascade]):
        for make in makers:
            try:
                detector = make()
            except DETECTOR_FAILURES:
                continue  # `detector_states` tells the user why
            yield detector
            break


def detector_states(model_dirs: tuple[Path, ...] | None = None) -> list[DetectorState]:
    """What each detector needs and whether it is there, for `letstalk doctor`."""
    folders = model_dirs if model_dirs is not None else runtime.face_model_dirs()
    return [
        _insightface_state(folders),
        _tried("opencv", OpenCvCascade, "Install libGL (Debian: libgl1) and opencv-python 4.x."),
        _tried("skimage", LbpCascade, "Install scikit-image again."),
    ]


def _insightface_state(folders: tuple[Path, ...]) -> DetectorState:
    packs = local_packs(folders)
    if not packs:
        place = folders[-1] if folders else Path("models")
        advice = f"Optional: put a model pack of yours, such as buffalo_l, into {place}; it finds more faces."
        return DetectorState("insightface", False, "no local models", advice)
    return _tried("insightface", lambda: InsightFaceDetector(packs[0]), f"The models in {packs[0]} do not load.")


def _tried(name: str, make: Callable[[], Detector], advice: str) -> DetectorState:
    try:
        make()
    except DETECTOR_FAILURES as error:
        return DetectorState(name, False, f"{type(error).__name__}: {error}".rstrip(": "), advice)
    return DetectorState(name, True, "ready", "")
