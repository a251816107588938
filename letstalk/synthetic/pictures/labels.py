"""What is true of a frame: landmarks, mouth, eyes, head pose, regions, and the record of its motion.

Positions are in pixels of the picture; pixel (0, 0) has its centre at x = y = 0. Mouth and lids are measured in space
and divided by a length of the same face, so they do not depend on pose or framing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.controls import LANDMARK_INDEX, Performance
from letstalk.synthetic.person import Contact
from letstalk.synthetic.pictures.caricature import fit_rotation
from letstalk.synthetic.pictures.dense_motion import DEFAULT_GRID, MotionRecord, record_motion
from letstalk.synthetic.pictures.regions import REGION_CODE
from letstalk.synthetic.pictures.renderer import Frame, PreparedPerson, Renderer

LANDMARK_TOLERANCE = 0.12  # decimetres: a landmark counts as seen when no surface lies this much in front of it


@dataclass(frozen=True)
class HeadPose:
    """The head against the camera: x right, y up, z from the head to the camera."""

    rotation: np.ndarray  # (3, 3) float32; the identity looks straight into the camera
    translation: np.ndarray  # (3,) float32 decimetres, the face's centre from the camera

    @property
    def angles(self) -> np.ndarray:
        """(3,) radians: pitch (+ down), yaw (+ to the character's left), roll, in the order of `Performance`."""
        r = self.rotation
        pitch = -np.arcsin(np.clip(r[1, 2], -1, 1))
        return np.array([pitch, np.arctan2(r[0, 2], r[2, 2]), np.arctan2(r[1, 0], r[1, 1])], np.float32)


@dataclass(frozen=True)
class FrameLabels:
    landmarks: np.ndarray  # (NUM_LANDMARKS, 2) float32 pixels
    landmarks_visible: np.ndarray  # (NUM_LANDMARKS,) bool: in the frame and not hidden
    mouth_gap: float  # largest opening between the lips / distance of the eyes; 0 where they touch or overlap
    mouth_width: float  # corner to corner / distance of the eyes
    lid_opening: np.ndarray  # (2,) float32 left, right: largest opening of the lids / width of that eye
    lid_closure: np.ndarray  # (2,) float32: what the performance asked for, 0..1
    gaze: np.ndarray  # (2,) float32 radians relative to the head: yaw, pitch
    head: HeadPose
    viseme: int
    speaking: bool
    regions: np.ndarray  # (size, size) uint8 codes of regions.REGIONS
    cover: np.ndarray  # (size, size) uint8: share of each pixel that is person, 255 for all
    motion: MotionRecord

    def mask(self, *names: str) -> np.ndarray:
        """(size, size) bool: pixels of the named regions; "face", "lips", "mouth", "eyes", "brows" make a face."""
        return np.isin(self.regions, [REGION_CODE[name] for name in names])

    def mouth_box(self, margin: float = 0.35) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in pixels (right and bottom exclusive) round the lips, cut to the picture."""
        names = [name for name in LANDMARK_INDEX if name.startswith(("lip_", "mouth_"))]
        points = self.landmarks[[LANDMARK_INDEX[name] for name in names]]
        low, high = points.min(axis=0), points.max(axis=0)
        grow = margin * (high - low).max()
        last = len(self.regions)
        left, top = (int(np.clip(np.floor(value - grow), 0, last - 1)) for value in low)
        right, bottom = (int(np.clip(np.ceil(value + grow) + 1, 1, last)) for value in high)
        return left, top, max(right, left + 1), max(bottom, top + 1)


def read_labels(
    renderer: Renderer, frame: Frame, performance: Performance, frame_index: int, grid: int = DEFAULT_GRID
) -> FrameLabels:
    """Labels of a frame just drawn by `renderer`, before it draws the next; `performance[frame_index]` posed it."""
    prepared, canvas = renderer.prepared, frame.canvas
    person = prepared.person
    in_world, shift = head_motion(prepared, frame.vertices)
    camera = renderer.scene.camera
    centre = in_world @ person.face_centre + shift
    corners = _distance(person.landmark_vertices, frame.vertices, "mouth_corner_left", "mouth_corner_right")
    visible = landmarks_visible(renderer, frame)
    return FrameLabels(
        landmarks=frame.screen[person.landmark_vertices, :2].copy(),
        landmarks_visible=visible,
        mouth_gap=opening(person.rig.lips, frame.vertices, in_world[:, 1]) / person.eye_distance,
        mouth_width=corners / person.eye_distance,
        lid_opening=_lid_opening(prepared, frame.vertices, in_world[:, 1]),
        lid_closure=performance.lid_closure[frame_index].astype(np.float32),
        gaze=performance.gaze[frame_index].astype(np.float32),
        head=HeadPose((camera.rotation @ in_world).astype(np.float32),
                      (camera.rotation @ (centre - camera.position)).astype(np.float32)),
        viseme=int(performance.viseme[frame_index]),
        speaking=bool(performance.speaking[frame_index]),
        regions=prepared.regions[canvas.label_ids],
        cover=np.round(np.clip(canvas.cover, 0, 1) * 255).astype(np.uint8),
        motion=record_motion(renderer, frame, grid),
    )  # fmt: skip


def head_motion(prepared: PreparedPerson, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (3, 3) and shift (3,) from the neutral to the posed head, float64: what fits the skull best."""
    skull = prepared.rigid_vertices
    neutral = prepared.person.mesh.vertices[skull]
    return fit_rotation(neutral.astype(np.float64), vertices[skull].astype(np.float64))


def opening(contact: Contact, vertices: np.ndarray, up: np.ndarray) -> float:
    """Largest distance (decimetres) between two edges along their length; 0 where they touch or have passed each other.

    `up` points from the lower to the upper edge: lips pressed together overlap, which is not an opening.
    """
    upper = (vertices[contact.upper] * contact.upper_mix[..., None]).sum(axis=1)
    lower = (vertices[contact.lower] * contact.lower_mix[..., None]).sum(axis=1)
    apart = (upper - lower).astype(np.float64)
    signed = np.sign(apart @ up) * np.linalg.norm(apart, axis=1)
    return float(max(signed.max(), 0.0))


def _distance(landmarks: np.ndarray, vertices: np.ndarray, first: str, second: str) -> float:
    one, two = (vertices[landmarks[LANDMARK_INDEX[name]]].astype(np.float64) for name in (first, second))
    return float(np.linalg.norm(one - two))


def _lid_opening(prepared: PreparedPerson, vertices: np.ndarray, up: np.ndarray) -> np.ndarray:
    person = prepared.person
    open_share = []
    for index, side in enumerate(("left", "right")):
        corners = (f"eye_{side}_inner", f"eye_{side}_outer")
        width = _distance(person.landmark_vertices, vertices, *corners)
        open_share.append(opening(person.rig.lids[index], vertices, up) / max(width, 1e-6))
    return np.array(open_share, np.float32)


def landmarks_visible(renderer: Renderer, frame: Frame) -> np.ndarray:
    """(NUM_LANDMARKS,) bool. The nearest of 3 x 3 depths decides, so that a landmark on a silhouette counts as seen."""
    size = renderer.size_px
    points = frame.screen[renderer.prepared.person.landmark_vertices]
    inside = ((points[:, :2] > -0.5) & (points[:, :2] < size - 0.5)).all(axis=1)
    columns, rows = np.clip(np.round(points[:, :2]).astype(int), 0, size - 1).T
    farthest = np.full(len(points), np.inf)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = np.clip(rows + dy, 0, size - 1), np.clip(columns + dx, 0, size - 1)
            farthest = np.minimum(farthest, frame.canvas.label_depth[y, x])
    return inside & (points[:, 2] >= farthest * (1 - LANDMARK_TOLERANCE * points[:, 2]))
