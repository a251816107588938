"""The reader on the frozen benchmark: figures that anybody can repeat, without the asset pack.

Each clip is read as a video, as evaluations read what was generated: the face is looked for where it was a frame
before, and nothing is smoothed over time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from letstalk.reader import geometry
from letstalk.reader.evaluate import Scores, Truth, blind_scores, score
from letstalk.reader.predict import FaceReader, FaceReadings

if TYPE_CHECKING:
    from letstalk.synthetic.data.benchmark import BenchmarkClip


def examine(reader: FaceReader, clips: Iterable[BenchmarkClip]) -> dict[str, Scores]:
    """Scores by clip, then over all frames of all clips, after the bound: a reader that sees nothing."""
    truths, readings, by_clip = [], [], {}
    for clip in clips:
        truths.append(truth_of(clip, reader))
        readings.append(reader.read(clip.frames()))
        by_clip[f"{clip.name} {clip.about['style']}"] = score(readings[-1], truths[-1], reader.config.mouth)
    truth = Truth(
        **{item.name: np.concatenate([getattr(part, item.name) for part in truths]) for item in fields(Truth)}
    )
    all_frames = score(FaceReadings.join(readings), truth, reader.config.mouth)
    return {"mean face, constant gap": blind_scores(truth, reader), **by_clip, "all clips": all_frames}


def truth_of(clip: BenchmarkClip, reader: FaceReader) -> Truth:
    labels = clip.labels
    places = geometry.place_of(labels["landmarks"], reader.mean_face, reader.config.stable)
    return Truth(
        landmarks=labels["landmarks"],
        units=geometry.scale_of(places),
        gap=labels["mouth_gap"],
        width=labels["mouth_width"],
        lid_opening=labels["lid_opening"],
        gaze=labels["gaze"],
        angles=geometry.rotation_angles(labels["head_rotation"]),
    )
