"""Portraits that were never seen, driven by synthetic performances: does the mouth do what the driver's does?

There is no true picture of a portrait that moves, so the pixels are read: by the face reader, as the driver's are. A
sheet shows them, because a figure does not see a torn ear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError
from letstalk.evaluation.clip_views import Examination, calm_frame, speaks
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.report import Bar, Figure, Report, figure
from letstalk.evaluation.transfer_suite import Performer, followed, perform
from letstalk.media.face import FaceFinder, frame_portrait
from letstalk.media.image import READABLE, load_image
from letstalk.reader.detector import as_detector
from letstalk.reader.predict import FaceReader
from letstalk.synthetic.data.benchmark import BenchmarkClip
from letstalk.types import Portrait

SIZE = 256
GOOD_R, GOOD_SPREAD = 0.8, 0.6
BARS = {"follows": Bar(least=0.75)}  # 15 of 20
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class NamedPortrait:
    name: str
    portrait: Portrait


@dataclass(frozen=True)
class Driven:
    """What the sheet shows of one portrait."""

    portrait: np.ndarray  # (S, S, 3) uint8
    driver: np.ndarray  # (k, S, S, 3) the driver's telling moments
    made: np.ndarray  # (k, S, S, 3) the portrait at the same moments


def read_portraits(folder: Path, reader: FaceReader, size: int = SIZE) -> list[NamedPortrait]:
    """All pictures of a folder in the order of their names, framed as users' pictures are."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS) if folder.is_dir() else []
    if not paths:
        raise InputError(f"There are no pictures in {folder}.", f"Name a folder of pictures: {READABLE}.")
    finder = FaceFinder(as_detector(reader))
    portraits = []
    for path in paths:
        image = load_image(path)
        portraits.append(NamedPortrait(path.name, frame_portrait(image, finder.find(image.pixels), size)))
    return portraits


def speaking_clips(clips: Sequence[BenchmarkClip]) -> list[BenchmarkClip]:
    """Drivers: photograph-like first performers who speak."""
    return [
        clip
        for clip in clips
        if clip.same_performance_as is None and clip.about["style"] == "photo" and speaks(clip.labels["mouth_gap"])
    ]


def examine_portraits(
    coder: Coder,
    reader: FaceReader,
    portraits: Sequence[NamedPortrait],
    clips: Sequence[BenchmarkClip],
    chosen: Examination,
    about: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Report, list[Driven]]:
    """Each portrait has a driver of its own; both are counted from calm: the driver's calmest frame is the portrait."""
    drivers = speaking_clips(clips)
    rows, seen = [], []
    for done, named in enumerate(portraits):
        progress(done, len(portraits))
        clip = drivers[done % len(drivers)]
        driver = perform(clip, reader, chosen.frame_step, calm_frame(clip))
        row, shown = portrait_row(coder, reader, named, driver)
        rows.append(row)
        seen.append(shown)
    progress(len(portraits), len(portraits))
    unseen = [row["portrait"] for row in rows if row["detector"] == "centre"]
    notes = (f"No face was found in: {', '.join(unseen)}; the middle of the picture was used.",) if unseen else ()
    return Report("portraits", figures_of(rows, chosen.seed), about, rows, notes), seen


def portrait_row(
    coder: Coder, reader: FaceReader, named: NamedPortrait, driver: Performer
) -> tuple[dict[str, Any], Driven]:
    crop = named.portrait.crop
    made = coder.drive(coder.guide(crop[None]), driver.frames, driver.calm)
    readings = reader.read(made)
    row: dict[str, Any] = {"portrait": named.name, "detector": named.portrait.detector, "driver": driver.clip.name}
    row |= followed(readings, driver.readings, "")
    row["follows"] = bool(row["gap_r"] >= GOOD_R and row["gap_spread"] >= GOOD_SPREAD)
    row["portrait_gap"] = float(reader.read(crop[None]).mouth_gap[0])
    row["confidence"] = float(readings.confidence.mean())
    moments = telling_moments(driver)
    return row, Driven(crop, driver.frames[moments], made[moments])


def telling_moments(driver: Performer) -> list[int]:
    """Places in a series that show most: mouth widest open, narrowest lips, head turned most, a closed mouth."""
    gap, width = driver.readings.mouth_gap, driver.readings.mouth_width
    turn = np.abs(driver.readings.head_rotation[:, :2]).sum(1)
    return [int(gap.argmax()), int(width.argmin()), int(turn.argmax()), int(gap.argmin())]


def figures_of(rows: list[dict[str, Any]], seed: int) -> tuple[Figure, ...]:
    def line(name: str, words: str) -> Figure:
        # A portrait that stands still has r = 0 and spread = 0; its face is seen all the same.
        still = None if name == "confidence" else [0.0]
        return figure(words, [float(row[name]) for row in rows], "", BARS.get(name), still, seed=seed)

    return (
        line("follows", f"share with r >= {GOOD_R}, spread >= {GOOD_SPREAD}"),
        line("gap_r", "mouth gap follows the driver, r"),
        line("gap_spread", "mouth gap, spread / driver's"),
        line("lids_r", "lids follow, r"),
        line("yaw_r", "head turn follows, r"),
        line("pitch_r", "head nod follows, r"),
        line("confidence", "the reader still sees a face"),
    )


def sheet(driven: Sequence[Driven], side: int = 160) -> np.ndarray:
    """(height, width, 3) uint8: a row for each portrait; it, then driver and portrait at each telling moment."""
    from PIL import Image

    rows = []
    for row in driven:
        pairs = [picture for pair in zip(row.driver, row.made, strict=True) for picture in pair]
        small = [
            np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS))
            for picture in (row.portrait, *pairs)
        ]
        rows.append(np.concatenate(small, axis=1))
    return np.concatenate(rows, axis=0)
