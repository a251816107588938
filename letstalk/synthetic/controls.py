"""What drives a synthetic face, and the names that every module of the generator shares.

A `Performance` is one track of pose, expression, mouth and gaze at 25 frames a second. It knows nothing of the person
who plays it: two people who play the same performance give the exact truth of motion transfer, frame for frame.

Axes are MakeHuman's: decimetres, y up, the face looks along +z, +x is the character's left.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

EXPRESSION_UNITS: tuple[str, ...] = (
    "eye-left-closure", "eye-left-opened-up", "eye-left-slit",
    "eye-right-closure", "eye-right-opened-up", "eye-right-slit",
    "eyebrows-left-down", "eyebrows-left-extern-up", "eyebrows-left-inner-up", "eyebrows-left-up",
    "eyebrows-right-down", "eyebrows-right-extern-up", "eyebrows-right-inner-up", "eyebrows-right-up",
    "mouth-compression", "mouth-corner-puller", "mouth-depression-retraction", "mouth-depression", "mouth-elevation",
    "mouth-eversion", "mouth-open", "mouth-parling", "mouth-part-later", "mouth-protusion", "mouth-pursing",
    "mouth-retraction", "mouth-upward-retraction",
    "neck-platysma", "nose-compression", "nose-depression",
    "nose-left-dilatation", "nose-left-elevation", "nose-right-dilatation", "nose-right-elevation",
)  # fmt: skip
UNIT_INDEX: dict[str, int] = {name: index for index, name in enumerate(EXPRESSION_UNITS)}

# Landmarks are vertices of the face; left and right are the character's, so a mirrored picture must swap their names.
LANDMARK_NAMES: tuple[str, ...] = (
    *(f"eye_{side}_{part}" for side in ("left", "right") for part in ("inner", "outer", "upper", "lower", "centre")),
    *(f"brow_{side}_{part}" for side in ("left", "right") for part in ("inner", "middle", "outer")),
    "nose_bridge", "nose_tip", "nose_base", "nose_wing_left", "nose_wing_right",
    "mouth_corner_left", "mouth_corner_right",
    "lip_upper_outer", "lip_upper_outer_left", "lip_upper_outer_right",
    "lip_lower_outer", "lip_lower_outer_left", "lip_lower_outer_right",
    "lip_upper_inner", "lip_upper_inner_left", "lip_upper_inner_right",
    "lip_lower_inner", "lip_lower_inner_left", "lip_lower_inner_right",
    "chin", "jaw_left", "jaw_right", "cheek_left", "cheek_right", "forehead",
)  # fmt: skip
LANDMARK_INDEX: dict[str, int] = {name: index for index, name in enumerate(LANDMARK_NAMES)}
NUM_LANDMARKS = len(LANDMARK_NAMES)


def _mirrored(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


MIRRORED_LANDMARKS = np.array([LANDMARK_INDEX[_mirrored(name)] for name in LANDMARK_NAMES])


@dataclass(frozen=True)
class Performance:
    """One track at 25 frames a second; every array has `num_frames` rows, float32 unless said."""

    expression: (
        np.ndarray
    )  # (n, len(EXPRESSION_UNITS)) weights, mostly 0..1; lips and lids that must touch are apart, below
    lip_seal: (
        np.ndarray
    )  # (n,) 0..1: 1 presses this person's lips together, however their lips are shaped (m b p, silence)
    lip_to_teeth: np.ndarray  # (n,) 0..1: 1 puts the lower lip on the upper teeth (f v)
    lid_closure: np.ndarray  # (n, 2) 0..1, left and right: 1 closes this person's eye
    tongue: np.ndarray  # (n, 2) 0..1: tip raised, tip forward
    gaze: np.ndarray  # (n, 2) radians relative to the head: yaw (+ to the character's left), pitch (+ up)
    head_rotation: np.ndarray  # (n, 3) radians: pitch (+ down, a nod), yaw (+ to the character's left), roll
    head_translation: np.ndarray  # (n, 3) decimetres
    breath: np.ndarray  # (n,) -1..1, chest and shoulders
    viseme: np.ndarray  # (n,) int16, index into visemes.VISEME_NAMES: the phone that sounds in the middle of the frame
    speaking: np.ndarray  # (n,) bool: false in silence

    @property
    def num_frames(self) -> int:
        return len(self.expression)

    def __post_init__(self) -> None:
        assert self.expression.shape[1] == len(EXPRESSION_UNITS), self.expression.shape
        assert len({len(getattr(self, item.name)) for item in fields(self)}) == 1, (
            "all tracks must have the same length"
        )

    def window(self, first_frame: int, num_frames: int) -> Performance:
        """The same track from `first_frame` on, `num_frames` long."""
        cut = slice(first_frame, first_frame + num_frames)
        return replace(self, **{item.name: getattr(self, item.name)[cut] for item in fields(self)})


def still_performance(num_frames: int = 1) -> Performance:
    """Nobody moves: neutral face, lips together, eyes open."""

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((num_frames, *shape), np.float32)  # one array each: callers write into them

    return Performance(
        expression=zeros(len(EXPRESSION_UNITS)), lip_seal=zeros() + 1, lip_to_teeth=zeros(), lid_closure=zeros(2),
        tongue=zeros(2), gaze=zeros(2), head_rotation=zeros(3), head_translation=zeros(3), breath=zeros(),
        viseme=np.zeros(num_frames, np.int16), speaking=np.zeros(num_frames, bool),
    )  # fmt: skip
