"""Where the eyes look and when they close."""

from __future__ import annotations

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.emphasis import Phrase
from letstalk.synthetic.acting.motion import drift, event_times, frame_seconds, plateau
from letstalk.synthetic.acting.style import Style
from letstalk.types import FPS

MOST_GAZE_RADIANS = np.array([0.6, 0.42])  # an eye in its socket: yaw, pitch
_STEPS_PER_FRAME = 8  # a saccade takes one frame or two: it is drawn finely, then averaged as a camera does
_CLOSED_SECONDS = 0.045  # longer than a frame, so that one frame at least shows a closed eye


def eye_motion(
    num_frames: int, seed: int, style: Style, head_rotation: np.ndarray, phrases: list[Phrase]
) -> tuple[np.ndarray, np.ndarray]:
    """(num_frames, 2) gaze in radians relative to the head (yaw + left, pitch + up); (num_frames, 2) lid closure."""
    target, shift_seconds = _fixations(num_frames, seed, style, phrases)
    # The eyes hold their target while the head moves: they turn against it (head pitch counts down, gaze pitch up).
    gaze = target - head_rotation[:, [1, 0]] * np.array([1.0, -1.0])
    gaze = MOST_GAZE_RADIANS * np.tanh(gaze / MOST_GAZE_RADIANS)
    # Blinks alone: that lids follow the eye down is anatomy, so posing does it.
    return gaze, _blinks(num_frames, seed, style, shift_seconds, phrases)


def _fixations(num_frames: int, seed: int, style: Style, phrases: list[Phrase]) -> tuple[np.ndarray, np.ndarray]:
    """(num_frames, 2) directions in the room, and the times of the larger shifts. The camera is at (0, 0)."""
    random = numpy_generator(seed, "gaze")
    duration = num_frames / FPS
    fine = (np.arange(num_frames * _STEPS_PER_FRAME) + 0.5) / (FPS * _STEPS_PER_FRAME)
    path = np.zeros((len(fine), 2))
    now, here, shifts = 0.0, _camera_point(random), []
    path += here
    while now < duration:
        away = np.hypot(*here) > 0.06
        now += random.gamma(2.2, 0.28) if away else random.gamma(2.2, 0.3 + 0.9 * style.eye_contact**2) + 0.12
        pause = any(phrase.end_seconds < now < phrase.end_seconds + 0.7 for phrase in phrases)
        leave = random.random() < (1 - style.eye_contact) * (1.8 if pause else 1.0)
        there = _aversion(random) if leave else _camera_point(random)
        size = float(np.hypot(*(there - here)))
        seconds = 0.022 + 0.13 * size  # the main sequence: 2.2 ms a degree
        ramp = np.clip((fine - now) / seconds, 0, 1)
        path += (ramp * ramp * (3 - 2 * ramp))[:, None] * (there - here)
        if size > 0.12:
            shifts.append(now)
        here = there
    path = path.reshape(num_frames, _STEPS_PER_FRAME, 2).mean(axis=1)
    return path + drift(random, num_frames, 2, 1.5) * 0.0025, np.array(shifts)


def _camera_point(random: np.random.Generator) -> np.ndarray:
    """Not one spot: people look at an eye, the other eye, the mouth."""
    return random.normal(0, [0.018, 0.014])


def _aversion(random: np.random.Generator) -> np.ndarray:
    """Aside, more often down than up."""
    yaw = random.choice([-1.0, 1.0]) * random.uniform(0.08, 0.38)
    return np.array([yaw, random.normal(-0.06, 0.1)])


def _blinks(num_frames: int, seed: int, style: Style, shifts: np.ndarray, phrases: list[Phrase]) -> np.ndarray:
    """(num_frames, 2): lids close fast and open slowly; more often at the end of a phrase and with wide glances."""
    random = numpy_generator(seed, "blinks")
    duration = num_frames / FPS
    spontaneous = event_times(random, duration, 60.0 / (0.7 * style.blinks_per_minute), shape=1.8)
    likely = style.blinks_per_minute / 60.0
    invited = [phrase.end_seconds + random.uniform(0.0, 0.25) for phrase in phrases if random.random() < 1.1 * likely]
    invited += [shift + 0.02 for shift in shifts if random.random() < 0.8 * likely]
    seconds = frame_seconds(num_frames)
    lids, last = np.zeros((num_frames, 2)), -1.0
    for moment in sorted([*spontaneous, *invited]):
        closing, opening = random.uniform(0.06, 0.09), random.uniform(0.12, 0.2)
        depth = 1.0 if random.random() < 0.86 else random.uniform(0.55, 0.9)  # some blinks are not finished
        hold = _CLOSED_SECONDS + random.exponential(0.015)
        lag = random.normal(0, 0.004)  # the two eyes are almost, not quite, one
        double = random.random() < 0.06
        if moment - last < 0.45:
            continue
        last = moment
        for start in (moment, moment + 0.3) if double else (moment,):
            for eye, delay in enumerate((0.0, lag)):
                blink = depth * plateau(seconds, start + delay, start + delay + hold, closing, opening)
                lids[:, eye] = np.maximum(lids[:, eye], blink)
    return lids
