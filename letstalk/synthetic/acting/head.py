"""Head pose and breath of a living person: slow drift, turns between phrases, beats on stressed syllables, rest."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.emphasis import Phrase, Syllable
from letstalk.synthetic.acting.motion import drift, frame_seconds, glide, pulse
from letstalk.synthetic.acting.style import Style
from letstalk.types import FPS

# Radians at amplitude 1, for pitch, yaw and roll.
_SLOW_DRIFT = np.array([0.022, 0.038, 0.02])
_QUICK_DRIFT = np.array([0.005, 0.006, 0.004])
_POSTURE = np.array([0.03, 0.065, 0.028])
_SWAY_DECIMETRES = np.array([0.045, 0.02, 0.035])
_PIVOT_PER_RADIAN = np.array([0.16, 0.12])  # a neck bends as a whole: a turned head also shifts
_MOST_RADIANS = np.array([0.38, 0.62, 0.32])
_QUIET_FACTOR = 0.45  # of the movement remains while nobody speaks


def head_motion(
    num_frames: int, seed: int, style: Style, syllables: list[Syllable], phrases: list[Phrase]
) -> tuple[np.ndarray, np.ndarray]:
    """(num_frames, 3) rotation, radians (pitch + down, yaw + left, roll); (num_frames, 3) translation, decimetres."""
    random = numpy_generator(seed, "head")
    seconds = frame_seconds(num_frames)
    activity = _activity(seconds, phrases)[:, None]
    moving = drift(random, num_frames, 3, 0.28) * _SLOW_DRIFT + drift(random, num_frames, 3, 0.9) * _QUICK_DRIFT
    rotation = moving * activity + _postures(random, seconds, phrases) * _POSTURE
    rotation = rotation * style.head_amplitude + _beats(random, seconds, syllables) * style.beat_amplitude
    rotation = _soft_limit(rotation + np.array(style.facing), _MOST_RADIANS)
    sway = drift(random, num_frames, 3, 0.22) * _SWAY_DECIMETRES * style.head_amplitude * activity
    sway[:, 0] += _PIVOT_PER_RADIAN[0] * (rotation[:, 1] - style.facing[1]) - 0.25 * rotation[:, 2]
    sway[:, 2] += _PIVOT_PER_RADIAN[1] * (rotation[:, 0] - style.facing[0])
    return rotation, sway


def _activity(seconds: np.ndarray, phrases: list[Phrase]) -> np.ndarray:
    """1 while somebody speaks, `_QUIET_FACTOR` in silence, slowly from one to the other."""
    from scipy.ndimage import gaussian_filter1d

    speaking = np.zeros(len(seconds))
    for phrase in phrases:
        speaking[(seconds >= phrase.start_seconds) & (seconds < phrase.end_seconds)] = 1.0
    return _QUIET_FACTOR + (1 - _QUIET_FACTOR) * gaussian_filter1d(speaking, 0.45 * FPS, mode="nearest")


def _postures(random: np.random.Generator, seconds: np.ndarray, phrases: list[Phrase]) -> np.ndarray:
    """(num_frames, 3) of unit spread: the head settles anew at some phrases, and now and then in long silence."""
    duration = len(seconds) / FPS
    keys = [phrase.start_seconds - 0.15 for phrase in phrases if random.random() < 0.6]
    now = random.uniform(1.5, 4.0)
    while now < duration:
        keys.append(now)
        now += random.gamma(3.0, 1.6)
    key_seconds = np.array([-10.0, *sorted(key for key in keys if key > 0)])
    values = np.clip(random.normal(0, 1, (len(key_seconds), 3)), -2, 2)
    distance = np.abs(np.diff(values, axis=0, prepend=values[:1])).max(axis=1)
    moves = random.uniform(0.45, 0.85, len(key_seconds)) + 0.25 * distance  # a wide turn takes longer
    return glide(seconds, key_seconds, values, moves)


def _beats(random: np.random.Generator, seconds: np.ndarray, syllables: list[Syllable]) -> np.ndarray:
    """(num_frames, 3) radians: a nod that lands on the stressed vowel, some with a tilt or a turn."""
    beats = np.zeros((len(seconds), 3))
    last = -1.0
    for syllable in syllables:
        chosen = random.random() < 1.15 * (syllable.prominence - 0.35)
        strength = min(syllable.prominence * random.lognormal(0, 0.35), 1.2)
        rise, fall = random.uniform(0.16, 0.26), random.uniform(0.28, 0.5)
        turn = random.normal(0, [0.012, 0.02, 0.016])
        if not chosen or syllable.middle_seconds - last < 0.32:
            continue
        last = syllable.middle_seconds
        hump = pulse(seconds, syllable.middle_seconds + random.normal(0.0, 0.03), rise, fall)
        beats += hump[:, None] * strength * (np.array([0.06, 0.0, 0.0]) + turn)
        # A nod swings a little past its rest on the way back.
        beats[:, 0] -= 0.012 * strength * pulse(seconds, syllable.middle_seconds + rise + 0.25, 0.2, 0.35)
    return beats


def _soft_limit(values: np.ndarray, most: np.ndarray) -> np.ndarray:
    return most * np.tanh(values / most)


def breathing(num_frames: int, seed: int, style: Style, phrases: list[Phrase]) -> np.ndarray:
    """(num_frames,) -1 empty to 1 full. Speech is one long breath out; the breath in is quick and fills a pause."""
    random = numpy_generator(seed, "breath")
    duration = num_frames / FPS
    knots: list[tuple[float, float]] = []
    now = -random.uniform(0.2, 1.0) * style.breath_seconds
    for phrase in [*phrases, Phrase(duration + 12.0, duration + 12.0)]:
        now = _quiet_breaths(random, style, knots, now, phrase.start_seconds - 0.55)
        if phrase.start_seconds - now > 0.25 or not knots:
            quick = min(0.55, max(0.2, phrase.start_seconds - now))
            knots.append((phrase.start_seconds - quick, knots[-1][1] if knots else -0.4))
            full = min(0.95, 0.35 + 0.12 * (phrase.end_seconds - phrase.start_seconds) + random.uniform(0, 0.3))
            knots.append((phrase.start_seconds - 0.06, full))
        level = knots[-1][1] - 0.38 * (phrase.end_seconds - phrase.start_seconds)
        knots.append((phrase.end_seconds, max(-0.95, level)))
        now = phrase.end_seconds
    times, levels = _increasing(knots)
    return np.clip(PchipInterpolator(times, levels)(frame_seconds(num_frames)), -1, 1)


def _quiet_breaths(
    random: np.random.Generator, style: Style, knots: list[tuple[float, float]], now: float, until: float
) -> float:
    """Adds whole cycles of quiet breath as long as one fits before `until`; returns the time reached."""
    while True:
        cycle = style.breath_seconds * random.lognormal(0, 0.14)
        if now + cycle > until:
            return now
        knots.append((now + 0.12 * cycle, -0.5 + random.normal(0, 0.07)))
        knots.append((now + 0.5 * cycle, 0.3 + random.normal(0, 0.12)))
        now += cycle


def _increasing(knots: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Drops knots that stand less than 80 ms behind the one before."""
    kept = [knots[0]]
    for knot in knots[1:]:
        if knot[0] - kept[-1][0] > 0.08:
            kept.append(knot)
    return np.array([time for time, _ in kept]), np.array([level for _, level in kept])
