"""How well the reader reads people it has never seen, by condition, beside what a reader without eyes would get.

Every frame is searched and read from nothing but its pixels, as a user's picture would be. Errors of points are divided
by the size of the face: the distance of the eyes as the face would show it from the front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import numpy as np

from letstalk.reader import geometry
from letstalk.reader.losses import OPEN_GAP
from letstalk.reader.pool import TRAITS, Pool
from letstalk.reader.predict import SURE, FaceReader, FaceReadings
from letstalk.reader.samples import Record

Rows = TypeVar("Rows", FaceReadings, "Truth")
FRONTAL_RADIANS = np.deg2rad(12)
TURNED_RADIANS = np.deg2rad(35)


@dataclass(frozen=True)
class Scores:
    """Means over the frames whose face was found; nan where none was. Lengths in eye distances, angles in degrees."""

    num_frames: int
    found: float  # share of frames with a face where it is
    landmarks: float
    mouth_landmarks: float
    gap: float
    gap_when_sure: float  # over the surer half, by the reader's own word
    gap_r: float
    closed_right: float  # share of frames whose "closed" or "open" is right
    width: float
    lids: float  # of the width of the eye
    pose_degrees: float
    gaze_degrees: float

    def to_dict(self) -> dict[str, float | None]:
        """For JSON: what could not be measured, because no face was found, is null."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Truth:
    landmarks: np.ndarray
    units: np.ndarray  # (n,) pixels an eye distance
    gap: np.ndarray
    width: np.ndarray
    lid_opening: np.ndarray
    gaze: np.ndarray
    angles: np.ndarray  # (n, 3)

    @classmethod
    def of(cls, records: list[Record], reader: FaceReader) -> Truth:
        landmarks = np.stack([record.landmarks for record in records])
        places = geometry.place_of(landmarks, reader.mean_face, reader.config.stable)
        return cls(
            landmarks=landmarks,
            units=geometry.scale_of(places),
            gap=np.array([record.gap for record in records]),
            width=np.array([record.width for record in records]),
            lid_opening=np.stack([record.lid_opening for record in records]),
            gaze=np.stack([record.gaze for record in records]),
            angles=geometry.rotation_angles(np.stack([record.rotation for record in records])),
        )


def score(readings: FaceReadings, truth: Truth, mouth: list[int]) -> Scores:
    distance = np.linalg.norm(readings.landmarks - truth.landmarks, axis=-1) / truth.units[:, None]
    # A face is found where the reader is sure and its points are on that face, not on a shirt.
    found = (readings.confidence >= SURE) & (np.median(distance, 1) < 0.5)
    rows = np.flatnonzero(found)
    gap_error = np.abs(readings.mouth_gap - truth.gap)[rows]
    surest = np.argsort(readings.mouth_gap_error[rows])[: max(1, len(rows) // 2)]
    says_open = readings.mouth_open_probability[rows] >= 0.5
    eyes_open = rows[(truth.lid_opening[rows] > 0.1).all(1)]
    turned = readings.head_rotation[rows] - truth.angles[rows]
    return Scores(
        num_frames=len(found),
        found=float(found.mean()),
        landmarks=_mean(distance[rows]),
        mouth_landmarks=_mean(distance[rows][:, mouth]),
        gap=_mean(gap_error),
        gap_when_sure=_mean(gap_error[surest]),
        gap_r=_correlation(readings.mouth_gap[rows], truth.gap[rows]),
        closed_right=_mean(says_open == (truth.gap[rows] >= OPEN_GAP)),
        width=_mean(np.abs(readings.mouth_width - truth.width)[rows]),
        lids=_mean(np.abs(readings.lid_opening - truth.lid_opening)[rows]),
        pose_degrees=_mean(np.rad2deg(np.abs(turned))),
        gaze_degrees=_mean(np.rad2deg(np.abs(readings.gaze - truth.gaze)[eyes_open])),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one of them does not vary."""
    spread = one.std() * other.std() if len(one) else 0.0
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread > 0 else 0.0


def blind_scores(truth: Truth, reader: FaceReader) -> Scores:
    """The bound from below: the mean face, told where the face is, and the gap that costs least of all constants."""
    places = geometry.place_of(truth.landmarks, reader.mean_face, reader.config.stable)
    count = len(truth.gap)
    readings = FaceReadings(
        landmarks=geometry.apply(places, reader.mean_face[None]).astype(np.float32),
        confidence=np.ones(count),
        mouth_gap=np.full(count, np.median(truth.gap)),
        mouth_gap_error=np.ones(count),
        mouth_width=np.full(count, np.median(truth.width)),
        mouth_open_probability=np.full(count, float((truth.gap >= OPEN_GAP).mean() >= 0.5)),
        lid_opening=np.tile(np.median(truth.lid_opening, 0), (count, 1)),
        gaze=np.zeros((count, 2)),
        head_rotation=np.tile(np.median(truth.angles, 0), (count, 1)),
        box=np.zeros((count, 4)),
    )
    return score(readings, truth, reader.config.mouth)


def _smaller(picture: np.ndarray) -> np.ndarray:
    import cv2

    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _blurred(picture: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), 2.0 * picture.shape[0] / 256)


def _compressed(picture: np.ndarray) -> np.ndarray:
    import cv2

    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_COLOR))


def _dark(picture: np.ndarray) -> np.ndarray:
    return (picture * 0.3).astype(np.uint8)


def _grey(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture.mean(-1, keepdims=True), 3, -1).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half the pixels a side": _smaller, "blur of 2 px at 256": _blurred, "JPEG quality 20": _compressed,
    "0.3 of the light": _dark, "grey": _grey,
}  # fmt: skip


def conditions(truth: Truth, traits: np.ndarray) -> dict[str, np.ndarray]:
    """Rows (bool) of each group; the groups overlap."""
    turn = np.abs(truth.angles[:, :2]).max(1)
    column = {name: traits[:, index] for index, name in enumerate(TRAITS)}
    return {
        "all within 35 degrees": turn <= TURNED_RADIANS,
        "frontal (12 degrees)": turn <= FRONTAL_RADIANS,
        "turned (12-35 degrees)": (turn > FRONTAL_RADIANS) & (turn <= TURNED_RADIANS),
        "beyond 35 degrees": turn > TURNED_RADIANS,
        "glasses": (column["glasses"] > 0) & (turn <= TURNED_RADIANS),
        "beard": (column["beard"] > 0) & (turn <= TURNED_RADIANS),
        "drawn": (column["stylised"] > 0) & (turn <= TURNED_RADIANS),
        "photo-like": (column["stylised"] == 0) & (turn <= TURNED_RADIANS),
    }


def evaluate(reader: FaceReader, pool: Pool, max_frames: int, max_changed_frames: int = 400) -> dict[str, Scores]:
    """Scores by condition, the bound first. Frames are taken evenly over the pool."""
    chosen = np.unique(np.linspace(0, len(pool) - 1, min(max_frames, len(pool))).astype(int))
    records = [pool.record(int(index)) for index in chosen]
    truth, traits = Truth.of(records, reader), pool.column("traits")[chosen]
    readings = read_each(reader, [record.picture for record in records])
    results = {"mean face, constant gap": blind_scores(truth, reader)}
    for name, rows in conditions(truth, traits).items():
        if rows.sum() >= 8:
            results[name] = score(_rows(readings, rows), _rows(truth, rows), reader.config.mouth)
    usual = np.flatnonzero(conditions(truth, traits)["all within 35 degrees"])[:max_changed_frames]
    for name, change in CHANGES.items():
        changed = read_each(reader, [change(records[index].picture) for index in usual])
        results[name] = score(changed, _rows(truth, usual), reader.config.mouth)
    return results


def read_each(reader: FaceReader, pictures: list[np.ndarray]) -> FaceReadings:
    """Each picture searched and read for itself."""
    return FaceReadings.join([reader.read(picture[None], track=False) for picture in pictures])


def _rows(values: Rows, rows: np.ndarray) -> Rows:
    return replace(values, **{name: getattr(values, name)[rows] for name in values.__dataclass_fields__})


def table(results: dict[str, Scores]) -> Iterator[str]:
    """Lines of plain text; lengths in hundredths of the eye distance."""
    heads = (
        "frames",
        "found",
        "points",
        "mouth",
        "gap",
        "gap/sure",
        "gap r",
        "closed?",
        "width",
        "lids",
        "pose",
        "gaze",
    )
    yield f"{'condition':<26}" + "".join(f"{head:>9}" for head in heads)
    for name, s in results.items():
        hundredths = (s.landmarks, s.mouth_landmarks, s.gap, s.gap_when_sure)
        yield (
            f"{name:<26}{s.num_frames:>9}{100 * s.found:>8.1f}%"
            + "".join(f"{100 * value:>9.2f}" for value in hundredths)
            + f"{s.gap_r:>9.3f}{100 * s.closed_right:>8.1f}%{100 * s.width:>9.2f}{100 * s.lids:>9.2f}"
            + f"{s.pose_degrees:>9.2f}{s.gaze_degrees:>9.2f}"
        )
