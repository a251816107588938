"""What a face shows besides its words: the mood of the clip, brows on stressed syllables, the small play of life."""

from __future__ import annotations

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.emphasis import Phrase, Syllable
from letstalk.synthetic.acting.motion import drift, event_times, frame_seconds, plateau, pulse
from letstalk.synthetic.acting.style import MOODS, Style
from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX
from letstalk.types import FPS

_SIDES = ("left", "right")
# Fleeting movements of a quarter to two seconds, at full strength; most come much weaker.
_FLEETING: tuple[dict[str, float], ...] = (
    {"mouth-corner-puller": 0.3, "eye-{side}-slit": 0.15},
    {"eyebrows-{side}-up": 0.35},
    {"eyebrows-{side}-down": 0.3},
    {"eyebrows-{side}-inner-up": 0.35},
    {"nose-{side}-elevation": 0.25},
    {"nose-compression": 0.2},
    {"mouth-compression": 0.15},
    {"eye-{side}-slit": 0.35},
    {"eyebrows-left-extern-up": 0.35},
    {"eyebrows-right-extern-up": 0.35},
    {"mouth-retraction": 0.2},
)


def weights(parts: dict[str, float], asymmetry: float = 0.0) -> np.ndarray:
    """(num_units,) of a named expression. A positive asymmetry gives the left side more, a negative one the right."""
    result = np.zeros(len(EXPRESSION_UNITS))
    for name, value in parts.items():
        for side, factor in zip(_SIDES, (1 + 0.3 * asymmetry, 1 - 0.3 * asymmetry), strict=True):
            unit = UNIT_INDEX[name.format(side=side)]
            result[unit] = value * (factor if "-left-" in EXPRESSION_UNITS[unit] or "{side}" in name else 1.0)
    return result


def face_play(num_frames: int, seed: int, style: Style, syllables: list[Syllable], phrases: list[Phrase]) -> np.ndarray:
    """(num_frames, num_units) to be added to what speech does with the mouth."""
    random = numpy_generator(seed, "mood")
    seconds = frame_seconds(num_frames)
    swell = np.clip(0.75 + 0.3 * drift(random, num_frames, 1, 0.12), 0.1, 1.4)
    play = swell * style.mood_strength * weights(MOODS[style.mood], style.asymmetry)
    play = play + _brow_accents(random, seconds, style, syllables)
    play += _fleeting(random, seconds, style)
    play += _phrase_ends(random, seconds, style, phrases)
    # Muscle tone is never constant: a tremor too small to see as one keeps brows and lids from freezing.
    tone = drift(random, num_frames, 4, 0.5) * 0.018
    for track, name in enumerate(("eyebrows-left-up", "eyebrows-right-up", "eye-left-slit", "eye-right-slit")):
        play[:, UNIT_INDEX[name]] += 0.02 + (tone[:, track] + tone[:, track - track % 2]) / 2
    return np.maximum(play, 0.0)


def _brow_accents(
    random: np.random.Generator, seconds: np.ndarray, style: Style, syllables: list[Syllable]
) -> np.ndarray:
    """Brows rise with the strongest syllables and a little with the voice's loudness."""
    brows, last = np.zeros(len(seconds)), -1.0
    for syllable in syllables:
        chosen = random.random() < 0.9 * (syllable.prominence - 0.4)
        height = 0.55 * syllable.prominence * random.lognormal(0, 0.4)
        rise, fall = random.uniform(0.14, 0.24), random.uniform(0.3, 0.7)
        if chosen and syllable.middle_seconds - last > 0.5:
            last = syllable.middle_seconds
            brows += height * pulse(seconds, syllable.middle_seconds - 0.02, rise, fall)
    unit = weights({"eyebrows-{side}-up": 1.0, "eye-{side}-opened-up": 0.2}, style.asymmetry)
    frown = weights({"eyebrows-{side}-down": 0.8, "eye-{side}-slit": 0.2}, style.asymmetry)
    accent = frown if style.mood in ("serious", "tense") and random.random() < 0.6 else unit
    return np.minimum(brows * style.brow_amplitude, 0.8)[:, None] * accent


def _fleeting(random: np.random.Generator, seconds: np.ndarray, style: Style) -> np.ndarray:
    result = np.zeros((len(seconds), len(EXPRESSION_UNITS)))
    for moment in event_times(random, len(seconds) / FPS, 2.6):
        expression = weights(_FLEETING[int(random.integers(len(_FLEETING)))], random.normal(0, 1.0))
        hold, strength = random.gamma(1.5, 0.2), random.beta(1.6, 2.2)
        curve = plateau(seconds, moment, moment + hold, random.uniform(0.12, 0.25), random.uniform(0.2, 0.5))
        result += (strength * (0.4 + 0.6 * min(style.brow_amplitude, 1.5)) * curve)[:, None] * expression
    return result


def _phrase_ends(random: np.random.Generator, seconds: np.ndarray, style: Style, phrases: list[Phrase]) -> np.ndarray:
    """What is said is often underlined when the mouth falls still: a smile, pressed lips, raised brows."""
    result = np.zeros((len(seconds), len(EXPRESSION_UNITS)))
    smile = 0.35 if style.mood in ("happy", "friendly", "neutral") else 0.05
    choices = ({"mouth-corner-puller": smile, "eye-{side}-slit": 0.5 * smile}, {"eyebrows-{side}-up": 0.3})
    for phrase in phrases:
        if random.random() < 0.45:
            expression = weights(choices[int(random.integers(len(choices)))], style.asymmetry)
            start = phrase.end_seconds - 0.1
            curve = plateau(seconds, start, start + random.uniform(0.2, 0.8), 0.3, 0.6)
            result += (random.uniform(0.3, 1.0) * curve)[:, None] * expression
    return result
