"""Which boundaries between phones leave a sharp trace in the sound, and how far each engine's labels are from it.

Engines that learned from recordings label a fricative or a closure from where the mouth begins to move, some 20 ms
before the sound shows it; espeak-ng ends an m or n 20 ms late. These are constants of an engine, measured by
`sync.py` on 60 sentences of seed 9 for each voice and taken off here; `letstalk synth sync` measures what remains
on other sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from letstalk.synthetic.voice.phonemes import is_vowel, visemes_of
from letstalk.synthetic.voice.speech import SILENCE, Phone

BoundaryKind = Literal[
    "closure", "frication_start", "frication_end", "nasal_start", "nasal_end", "silence_start", "silence_end"
]
_STOP_LETTERS = frozenset("pbtdkɡg")
_NASAL_LETTERS = frozenset("mnŋ")
_MOST_SHARE = 0.35  # of a phone that a correction may take

# Seconds to add to a label; by voice, or by engine where all its voices are one synthesiser.
SHIFTS: dict[str, dict[str, float]] = {
    "espeak": {"nasal_end": -0.02},
    "flite:slt": {"closure": 0.018, "frication_start": 0.013, "frication_end": -0.015, "nasal_end": -0.004,
                  "silence_start": 0.009},
    "flite:awb": {"closure": 0.006, "frication_start": 0.006, "frication_end": -0.007},
    "flite:rms": {"closure": 0.009, "frication_start": 0.012, "frication_end": -0.02},
    # kal speaks at 8 kHz, where frication leaves no trace: it takes the constants of kal16, the same man.
    "flite:kal": {"closure": 0.006, "frication_start": 0.009, "frication_end": -0.003, "nasal_start": 0.004,
                  "silence_start": -0.012},
    "flite:kal16": {"closure": 0.006, "frication_start": 0.009, "frication_end": -0.003, "silence_start": -0.013},
    "festival:kal_diphone": {"closure": 0.013, "frication_start": 0.015, "frication_end": 0.004, "nasal_start": 0.005,
                             "nasal_end": 0.009, "silence_start": -0.017, "silence_end": 0.004},
    "festival:ked_diphone": {"closure": 0.005, "frication_start": 0.015, "frication_end": -0.008, "nasal_end": 0.004,
                             "silence_start": -0.012, "silence_end": 0.01},
    "festival:cmu_us_slt_arctic_hts": {"closure": 0.015, "frication_start": 0.021, "frication_end": -0.012,
                                       "nasal_start": 0.003, "silence_start": 0.011, "silence_end": 0.011},
    "festival:lp_diphone": {"closure": 0.005, "frication_end": -0.012, "nasal_start": 0.005},
    "festival:pc_diphone": {"closure": 0.003, "frication_start": 0.003, "frication_end": -0.007, "nasal_start": 0.005,
                            "silence_start": -0.007, "silence_end": 0.005},
}  # fmt: skip


def boundary_kind(before: Phone, after: Phone, alphabet: str) -> BoundaryKind | None:
    """None where the sound changes too slowly, or in a way too varied, to tell a moment."""
    first, second = _sound_class(before.symbol, alphabet), _sound_class(after.symbol, alphabet)
    if second == "stop" and first in ("vowel", "nasal"):
        return "closure"
    kinds: dict[tuple[str, str], BoundaryKind] = {
        ("vowel", "sibilant"): "frication_start", ("sibilant", "vowel"): "frication_end",
        ("vowel", "nasal"): "nasal_start", ("nasal", "vowel"): "nasal_end",
        ("vowel", "silence"): "silence_start", ("silence", "vowel"): "silence_end",
    }  # fmt: skip
    return kinds.get((first, second))


def _sound_class(symbol: str, alphabet: str) -> str:
    if symbol == SILENCE:
        return "silence"
    if visemes_of(symbol, alphabet)[0] in ("s", "sh"):
        # An affricate begins with a closure, but how long it is varies from voice to voice.
        return "sibilant" if symbol[0] in "sʃSɕʂ" else "other"
    letter = symbol[0]
    if letter in _NASAL_LETTERS:
        return "nasal"
    if letter in _STOP_LETTERS and symbol not in ("pf", "dh", "th"):
        return "stop"
    return "vowel" if is_vowel(Phone(0.0, 1.0, symbol), alphabet) else "other"


def correct_times(phones: Sequence[Phone], alphabet: str, voice: str) -> tuple[Phone, ...]:
    """Labels moved onto the sound by the constants of their voice; order and coverage stay."""
    shifts = SHIFTS.get(voice) or SHIFTS.get(voice.partition(":")[0], {})
    result = list(phones)
    for index in range(1, len(result)):
        before, after = result[index - 1], result[index]
        shift = shifts.get(boundary_kind(before, after, alphabet) or "", 0.0)
        if shift:
            low = before.end_seconds - _MOST_SHARE * before.seconds
            high = after.start_seconds + _MOST_SHARE * after.seconds
            moment = min(max(after.start_seconds + shift, low), high)
            result[index - 1] = before._replace(end_seconds=moment)
            result[index] = after._replace(start_seconds=moment)
    return tuple(result)
