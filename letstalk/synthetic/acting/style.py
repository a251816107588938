"""The temperament of one clip: how much and in which manner a person moves while speaking."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.coarticulation import Articulation

# Offsets of a whole face, by expression unit; both sides where a name holds {side}. They leave the lips able to meet.
MOODS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"mouth-corner-puller": 0.5, "eye-{side}-slit": 0.3, "eyebrows-{side}-up": 0.1},
    "serious": {"eyebrows-{side}-down": 0.4, "eye-{side}-slit": 0.15, "mouth-compression": 0.08},
    "surprised": {"eyebrows-{side}-up": 0.5, "eye-{side}-opened-up": 0.3},
    "sad": {"eyebrows-{side}-inner-up": 0.55, "mouth-depression": 0.2, "eye-{side}-slit": 0.1},
    "tense": {"eyebrows-{side}-down": 0.55, "nose-compression": 0.2, "neck-platysma": 0.2},
    "friendly": {"mouth-corner-puller": 0.25, "eyebrows-{side}-inner-up": 0.15, "eye-{side}-slit": 0.1},
    "doubting": {"eyebrows-left-up": 0.4, "eyebrows-right-down": 0.25, "mouth-depression": 0.1},
}
_MOOD_SHARES = {
    "neutral": 0.34, "happy": 0.16, "friendly": 0.2, "serious": 0.1, "surprised": 0.06, "sad": 0.05, "tense": 0.04,
    "doubting": 0.05,
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """One temperament. Amplitudes are factors: 0 is stillness, 1 a usual speaker, 2 a lively one."""

    articulation: Articulation = field(default_factory=Articulation)
    mood: str = "neutral"  # a key of MOODS
    mood_strength: float = 0.7
    head_amplitude: float = 1.0
    beat_amplitude: float = 1.0  # nods and brows on stressed syllables
    brow_amplitude: float = 1.0
    facing: tuple[float, float, float] = (0.0, 0.0, 0.0)  # radians: pitch, yaw, roll around which the head moves
    eye_contact: float = 0.8  # share of the time that the eyes rest on the camera
    blinks_per_minute: float = 16.0
    breath_seconds: float = 4.0
    asymmetry: float = 0.0  # -1..1: which side of the face does more

    def __post_init__(self) -> None:
        assert self.mood in MOODS, self.mood


def sample_style(seed: int) -> Style:
    """From almost still to lively, from mumbling to clear; most speakers are in between."""
    random = numpy_generator(seed, "style")
    facing_yaw = random.normal(0, 0.06) if random.random() < 0.82 else random.uniform(-0.42, 0.42)
    return Style(
        articulation=Articulation(
            opening=float(np.clip(random.normal(1.0, 0.16), 0.65, 1.35)),
            rounding=float(np.clip(random.normal(1.0, 0.14), 0.65, 1.3)),
            spreading=float(np.clip(random.normal(1.0, 0.2), 0.5, 1.4)),
            clarity=float(np.clip(random.normal(1.0, 0.15), 0.7, 1.35)),
            early_seconds=float(random.uniform(0.0, 0.03)),
        ),
        mood=str(random.choice(list(_MOOD_SHARES), p=list(_MOOD_SHARES.values()))),
        mood_strength=float(random.uniform(0.35, 1.0)),
        head_amplitude=float(np.clip(random.lognormal(-0.25, 0.6), 0.12, 2.2)),
        beat_amplitude=float(np.clip(random.lognormal(-0.2, 0.6), 0.05, 2.2)),
        brow_amplitude=float(np.clip(random.lognormal(-0.2, 0.6), 0.05, 2.2)),
        facing=(float(random.normal(0.0, 0.045)), float(facing_yaw), float(random.normal(0.0, 0.035))),
        eye_contact=float(random.beta(6, 2)),
        blinks_per_minute=float(np.clip(random.lognormal(np.log(16), 0.35), 8, 30)),
        breath_seconds=float(random.uniform(3.2, 5.2)),
        asymmetry=float(np.clip(random.normal(0, 0.35), -1, 1)),
    )
