"""Poses and expressions far wider than speech, smooth in time: what a codec must be able to draw."""

from __future__ import annotations

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.coarticulation import MAX_SEALED_JAW
from letstalk.synthetic.acting.gaze import MOST_GAZE_RADIANS
from letstalk.synthetic.acting.mood import weights
from letstalk.synthetic.acting.motion import drift, frame_seconds, glide
from letstalk.synthetic.acting.style import MOODS
from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX, Performance
from letstalk.synthetic.visemes import MOUTH_UNITS, SIL, TONGUE_CHANNELS, VISEMES, target_matrix
from letstalk.types import FPS

_JAW = UNIT_INDEX["mouth-open"]
_MOST_HEAD_RADIANS = np.array([0.38, 0.65, 0.32])  # pitch, yaw, roll
CALM_SHARE = 0.65
# Wide faces that no mood of a speaker holds; the rest is drawn unit by unit.
_FACES: tuple[dict[str, float], ...] = (
    {"mouth-open": 1.0, "eyebrows-{side}-up": 0.8, "eye-{side}-opened-up": 0.6},
    {"mouth-corner-puller": 0.95, "mouth-part-later": 0.7, "eye-{side}-slit": 0.6},
    {"mouth-corner-puller": 0.8, "mouth-open": 0.55, "mouth-part-later": 0.6, "eye-{side}-slit": 0.5},
    {"mouth-pursing": 1.0, "mouth-protusion": 0.6},
    {"mouth-upward-retraction": 0.7, "nose-{side}-elevation": 0.6, "eyebrows-{side}-down": 0.6},
    {"mouth-depression": 0.7, "eyebrows-{side}-inner-up": 0.8},
    {"mouth-retraction": 0.9, "neck-platysma": 0.8, "mouth-depression-retraction": 0.5},
    {"mouth-compression": 0.4, "eyebrows-{side}-down": 0.8, "nose-compression": 0.6},
    {"eyebrows-left-up": 0.8, "eyebrows-right-down": 0.6},
    {"eyebrows-right-up": 0.8, "eyebrows-left-down": 0.6},
)


def random_performance(num_frames: int, seed: int) -> Performance:
    """A silent walk through random faces, mouth shapes, head turns, glances and winks.

    Unlike in a performance of speech, `speaking` is false although the mouth opens, and `viseme` is silence throughout.
    """
    random = numpy_generator(seed, "rehearsal")
    seconds = frame_seconds(num_frames)
    expression, tongue, seal, teeth = _mouth_and_face(random, seconds)
    rotation = (
        _walk(random, seconds, 3, 0.7, 1.8) * np.array([0.5, 0.55, 0.5]) + drift(random, num_frames, 3, 0.6) * 0.05
    )
    rotation = _MOST_HEAD_RADIANS * np.tanh(rotation * _head_gain(random))
    gaze = MOST_GAZE_RADIANS * np.tanh(_walk(random, seconds, 2, 0.3, 1.2, quick=True) * 0.7)
    return Performance(
        expression=np.clip(expression, -0.3, 1.0).astype(np.float32),
        lip_seal=seal.astype(np.float32),
        lip_to_teeth=teeth.astype(np.float32),
        lid_closure=_lids(random, seconds).astype(np.float32),
        tongue=np.clip(tongue, 0, 1).astype(np.float32),
        gaze=gaze.astype(np.float32),
        head_rotation=rotation.astype(np.float32),
        head_translation=(drift(random, num_frames, 3, 0.4) * [0.12, 0.06, 0.1]).astype(np.float32),
        breath=np.tanh(drift(random, num_frames, 1, 0.3)[:, 0]).astype(np.float32),
        viseme=np.full(num_frames, SIL, np.int16),
        speaking=np.zeros(num_frames, bool),
    )


def _head_gain(random: np.random.Generator) -> float:
    """Most people hold their heads about as speakers do. Under wide turns everywhere, lips of a few pixels would be the
    last thing that anybody learns.
    """
    return random.uniform(0.05, 0.35) if random.random() < CALM_SHARE else random.uniform(0.4, 1.4)


def _key_times(random: np.random.Generator, duration: float, least: float, most: float) -> np.ndarray:
    times = [-1.0]
    while times[-1] < duration:
        times.append(max(times[-1], 0.0) + random.uniform(least, most))
    return np.array(times)


def _walk(
    random: np.random.Generator, seconds: np.ndarray, num_tracks: int, least: float, most: float, quick: bool = False
) -> np.ndarray:
    """(num_frames, num_tracks) of unit spread: from one random value to the next; `quick` moves within two frames."""
    keys = _key_times(random, len(seconds) / FPS, least, most)
    moves = np.full(len(keys), 0.07) if quick else random.uniform(0.8, 1.2, len(keys)) * least
    return glide(seconds, keys, random.standard_normal((len(keys), num_tracks)), moves)


def _mouth_and_face(
    random: np.random.Generator, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Expression (n, units), tongue (n, 2), lip seal (n,) and lip to teeth (n,)."""
    keys = _key_times(random, len(seconds) / FPS, 0.3, 1.0)
    poses = np.stack([_random_pose(random) for _ in keys])
    moves = random.uniform(0.16, 0.34, len(keys))
    tracks = glide(seconds, keys, poses, moves)
    num_units = len(EXPRESSION_UNITS)
    expression, tongue = tracks[:, :num_units], tracks[:, num_units : num_units + 2]
    # A contact asks for a jaw that is closed: where it is not, there is none.
    room = np.clip(1 - (expression[:, _JAW] - MAX_SEALED_JAW) / 0.08, 0, 1)
    return expression, tongue, tracks[:, -2] * room, tracks[:, -1] * room


def _random_pose(random: np.random.Generator) -> np.ndarray:
    """(num_units + 2 + 2,): one face, mouth shape and contact."""
    mouth = VISEMES[int(random.integers(len(VISEMES)))]
    shape = target_matrix()[VISEMES.index(mouth)] * random.uniform(0.6, 1.4)
    face = np.zeros(len(EXPRESSION_UNITS))
    closed = mouth.seals_lips or mouth.name == "sil" or random.random() < 0.12
    if not closed:
        face[MOUTH_UNITS] = shape[: len(MOUTH_UNITS)]
        face[_JAW] += 0.5 * random.random() ** 3
    faces = [weights(face) for face in (*_FACES, *MOODS.values())]
    face += faces[int(random.integers(len(faces)))] * random.beta(1.2, 1.2)
    stray = random.integers(len(face), size=2)
    face[stray] += 0.5 * random.beta(1, 2, 2) * (EXPRESSION_UNITS[stray[0]] != "mouth-eversion")
    if closed:
        face[_JAW] = min(face[_JAW], MAX_SEALED_JAW)
    return np.concatenate([face, shape[TONGUE_CHANNELS], [float(closed), float(mouth.lip_on_teeth)]])


def _lids(random: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """(num_frames, 2): open, half closed, closed, and now and then one eye alone."""
    keys = _key_times(random, len(seconds) / FPS, 0.25, 1.1)
    both = random.choice([0.0, 0.0, 0.0, 0.25, 0.6, 1.0], len(keys))
    wink = random.random((len(keys), 2)) < 0.1
    values = np.where(wink, 1.0, both[:, None])
    return np.clip(glide(seconds, keys, values, np.full(len(keys), 0.12)), 0, 1)
