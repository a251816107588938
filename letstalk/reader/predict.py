"""Pictures -> readings of a face: landmarks, mouth, eyes, head pose, and how sure the reader is.

Two looks: the first finds the landmarks from a rough place, the second from an upright patch round them. Mouth and eyes
are then read from patches of the full-size picture. Every frame is read for itself: nothing is smoothed over time, so
what moves here moved there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from letstalk.errors import InputError, MissingAssetError
from letstalk.reader import find, geometry
from letstalk.reader.geometry import EYE, FACE, MOUTH, PatchShape
from letstalk.reader.network import WEIGHTS_FILE, ReaderConfig, ReaderNetwork, to_network

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights" / "reader"
CHUNK_FRAMES = 32
SURE = 0.5  # confidence from which a place that was looked at holds a face
SURE_TO_FIND = 0.9  # the same for a search: among thousands of places some deceive, and faces read 0.98 and more
MAYBE = 0.2  # confidence at the first look from which a second is worth its time
MOST_WANDER = 0.06  # eye distances: mean shift of the points between two looks at which confidence is halved


@dataclass(frozen=True)
class FaceReadings:
    """One row for each frame. Sides are the character's; the mouth is measured in space, in distances of the eyes."""

    landmarks: np.ndarray  # (n, num_landmarks, 2) float32 pixels
    confidence: np.ndarray  # (n,) 0..1 that there is a face where the landmarks are
    mouth_gap: np.ndarray  # (n,) largest opening between the lips
    mouth_gap_error: np.ndarray  # (n,) what the reader expects the absolute error of `mouth_gap` to be
    mouth_width: np.ndarray  # (n,) between the corners
    mouth_open_probability: np.ndarray  # (n,) 0..1 that the gap is 0.02 or more
    lid_opening: np.ndarray  # (n, 2) left, right: largest opening / width of that eye
    gaze: np.ndarray  # (n, 2) radians against the head: yaw (+ to the character's left), pitch (+ up)
    head_rotation: np.ndarray  # (n, 3) radians against the camera: pitch (+ down), yaw (+ to the left), roll
    box: np.ndarray  # (n, 4) pixels: left, top, right, bottom of the landmarks

    def __len__(self) -> int:
        return len(self.confidence)

    @classmethod
    def join(cls, parts: list[FaceReadings]) -> FaceReadings:
        return cls(**{item.name: np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)})


@dataclass(frozen=True)
class Look:
    """What the face network sees from one place."""

    landmarks: np.ndarray  # (n, num_landmarks, 2) pixels
    rotation: np.ndarray  # (n, 3, 3)
    confidence: np.ndarray  # (n,)


class FaceReader:
    """Holds the networks; reading changes nothing in it, so one reader serves many threads."""

    def __init__(
        self, network: ReaderNetwork, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype or torch.float32
        moved = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = moved.eval()
        self.mean_face = network.mean_face.detach().cpu().double().numpy()

    @classmethod
    def load(
        cls, path: Path | None = None, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> FaceReader:
        """The shipped weights, or those in the folder `path`."""
        folder = path or WEIGHTS_FOLDER
        if not (folder / WEIGHTS_FILE).is_file():
            raise MissingAssetError(
                f"There are no face reader weights in {folder}.", "Train them with `letstalk reader train`."
            )
        return cls(ReaderNetwork.load(folder), device, dtype)

    @property
    def config(self) -> ReaderConfig:
        return self.network.config

    def read(self, frames: np.ndarray, boxes: np.ndarray | None = None, track: bool = True) -> FaceReadings:
        """Readings of frames (n, h, w, 3) uint8.

        `boxes` (n, 4) or (4,) say where the faces are. Without them the first frame is searched; `track` then looks in
        each further frame where the face was last, and searches only where it is lost; `track=False` searches every
        frame. Where no face is found the middle of the frame is read, with low confidence.
        """
        if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[-1] != 3:
            raise InputError(f"Frames {frames.shape} {frames.dtype} cannot be read.", "Give (n, h, w, 3) uint8 RGB.")
        assert len(frames) > 0
        if boxes is not None:
            places = self.places_of_boxes(np.broadcast_to(np.asarray(boxes, np.float64), (len(frames), 4)))
        elif not track:
            places = np.concatenate([self._search(frame) for frame in frames])
        else:
            places = None
        parts, last = [], None
        for first in range(0, len(frames), CHUNK_FRAMES):
            chunk = frames[first : first + CHUNK_FRAMES]
            if places is not None:
                look = self._second_look(chunk, places[first : first + CHUNK_FRAMES])
            else:
                look = self._follow(chunk, self._search(chunk[0]) if last is None else last)
                last = self.place(look)[-1:]
            parts.append(self._details(chunk, look))
        return FaceReadings.join(parts)

    def find(self, picture: np.ndarray) -> list[find.FoundFace]:
        """All faces of a picture (h, w, 3) uint8, the surest first; an empty list where there is none."""
        places = find.rough_places(self.network.finder, picture, self.device)
        if not len(places):
            return []
        first = self.look([picture] * len(places), places)
        likely = find.distinct(self.place(first), np.where(first.confidence >= MAYBE, first.confidence, 0.0))
        if not likely:
            return []
        pictures = [picture] * len(likely)
        second = self.look(pictures, self.place(first)[likely])
        third = self.look(pictures, self.place(second))
        sure = np.minimum(second.confidence, third.confidence) * _steadiness(second, third, self.place(third))
        kept = find.distinct(self.place(third), np.where(sure >= SURE_TO_FIND, sure, 0.0))
        return [
            find.FoundFace(box_of(third.landmarks[index]), third.landmarks[index], float(sure[index])) for index in kept
        ]

    def place(self, look: Look) -> np.ndarray:
        return geometry.place_of(look.landmarks, self.mean_face, self.config.stable)

    def places_of_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Upright placements (n, 2, 3) of boxes (n, 4) that run from the forehead to the chin."""
        extent = self.mean_face.max(0) - self.mean_face.min(0)
        sides = (boxes[:, 2:] - boxes[:, :2]) / extent
        return geometry.upright((boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(sides.mean(1), 1.0))

    def _search(self, frame: np.ndarray) -> np.ndarray:
        found = self.find(frame)
        if found:
            return self.place(Look(found[0].landmarks[None], np.eye(3)[None], np.ones(1)))
        height, width = frame.shape[:2]
        return geometry.upright(np.array([[width / 2, height / 2]]), np.array([min(height, width) * 0.2]))

    def _follow(self, frames: np.ndarray, place: np.ndarray) -> Look:
        """Reads all frames from one place, and those where that fails from where a search finds the face."""
        look = self._second_look(frames, np.repeat(place, len(frames), 0))
        lost = np.flatnonzero(look.confidence < SURE)
        if not len(lost):
            return look
        again = self._second_look(frames[lost], np.concatenate([self._search(frames[index]) for index in lost]))
        better = again.confidence > look.confidence[lost]
        for name in ("landmarks", "rotation", "confidence"):
            getattr(look, name)[lost[better]] = getattr(again, name)[better]
        return look

    def _second_look(self, frames: np.ndarray, places: np.ndarray) -> Look:
        return self.look(frames, self.place(self.look(frames, places)))

    @torch.inference_mode()
    def look(self, frames: np.ndarray | list[np.ndarray], places: np.ndarray) -> Look:
        to_picture = geometry.patch_to_picture(places, FACE)
        with self._precision():
            out = self.network.face(self._patches(frames, to_picture, FACE))
        landmarks = geometry.apply(to_picture, out.points.places.double().cpu().numpy())
        turned = geometry.turned_in_plane(out.rotation.double().cpu().numpy(), geometry.angle_of(to_picture))
        return Look(landmarks, turned, out.logit.sigmoid().float().cpu().numpy())

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _patches(
        self, frames: np.ndarray | list[np.ndarray], to_picture: np.ndarray, shape: PatchShape
    ) -> torch.Tensor:
        pairs = zip(frames, to_picture, strict=True)
        patches = np.stack([geometry.cut_patch(frame, transform, shape) for frame, transform in pairs])
        return to_network(torch.from_numpy(patches).to(self.device))

    @torch.inference_mode()
    def _details(self, frames: np.ndarray, look: Look) -> FaceReadings:
        places, landmarks = self.place(look), look.landmarks.copy()
        mouth_map = self._centred(places, landmarks[:, self.config.mouth], MOUTH)
        eye_maps = [
            self._centred(places, landmarks[:, points], EYE, mirrored=side == 1)
            for side, points in enumerate(self.config.eyes)
        ]
        eye_patches = torch.cat([self._patches(frames, eye_map, EYE) for eye_map in eye_maps])
        with self._precision():
            mouth = self.network.read_mouths(self._patches(frames, mouth_map, MOUTH))
            eyes = self.network.eye(eye_patches)
        landmarks[:, self.config.mouth] = geometry.apply(mouth_map, _numpy(mouth.places))
        for side, points in enumerate(eyes.points.places.chunk(2)):
            landmarks[:, self.config.eyes[side]] = geometry.apply(eye_maps[side], _numpy(points))
        left, right = eyes.gaze.chunk(2)
        right = right * right.new_tensor([-1.0, 1.0])  # right eyes were seen in a mirror
        return FaceReadings(
            landmarks=landmarks.astype(np.float32),
            confidence=look.confidence,
            mouth_gap=_numpy(mouth.gap.clamp(min=0)),
            mouth_gap_error=_numpy(mouth.gap_error),
            mouth_width=_numpy(mouth.width),
            mouth_open_probability=_numpy(mouth.open_logit.sigmoid()),
            lid_opening=np.stack([_numpy(part) for part in eyes.opening.clamp(min=0).chunk(2)], 1),
            gaze=_numpy((left + right) / 2),
            head_rotation=geometry.rotation_angles(look.rotation).astype(np.float32),
            box=np.stack([box_of(points) for points in landmarks]),
        )

    def _centred(self, places: np.ndarray, points: np.ndarray, shape: PatchShape, mirrored: bool = False) -> np.ndarray:
        centres = geometry.apply(geometry.invert(places), points).mean(1)
        return geometry.patch_to_picture(places, shape, centres, mirrored)


def _steadiness(one: Look, other: Look, places: np.ndarray) -> np.ndarray:
    """(n,) 0..1: points that lie on a face stay there at another look; those on a cup or a stone wander."""
    wander = np.linalg.norm(other.landmarks - one.landmarks, axis=-1).mean(-1) / geometry.scale_of(places)
    return np.clip(1.5 - wander / MOST_WANDER, 0, 1)


def box_of(landmarks: np.ndarray) -> np.ndarray:
    """(4,) float32 left, top, right, bottom of points (k, 2)."""
    return np.concatenate([landmarks.min(0), landmarks.max(0)]).astype(np.float32)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
