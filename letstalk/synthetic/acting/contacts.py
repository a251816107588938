"""Do the lips meet where they must? Counts over a performance and the speech that it plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from letstalk.synthetic.acting.coarticulation import MAX_SEALED_JAW, REST_AFTER_SECONDS, REST_BEFORE_SECONDS
from letstalk.synthetic.acting.motion import frame_seconds
from letstalk.synthetic.controls import UNIT_INDEX, Performance
from letstalk.synthetic.voice.phonemes import seals_lips, visemes_of
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech

_LEAD_SECONDS = 0.06  # the lips may be ahead of the sound by this much ...
_LAG_SECONDS = 0.02  # ... and behind it by this much
_CLOSED_SEAL = 0.95
_HOLD_SECONDS = 0.08  # closing takes this much longer than the wait before it


@dataclass(frozen=True)
class ContactCounts:
    """How many there are, and at how many of them the face does what it must."""

    num_bilabials: int  # m b p and their kin
    num_bilabials_closed: int
    num_labiodentals: int  # f v
    num_labiodentals_met: int
    num_silent_frames: int  # well inside pauses
    num_silent_frames_closed: int

    def __add__(self, other: ContactCounts) -> ContactCounts:
        return ContactCounts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def count_contacts(performance: Performance, speech: Speech, closed: np.ndarray | None = None) -> ContactCounts:
    """A contact counts if one frame within its sound (60 ms early at most) shows it, with a jaw that lets lips meet.

    `closed` (num_frames,) bool says when the lips of a certain person touch; without it the performance itself is read.
    """
    jaw = performance.expression[:, UNIT_INDEX["mouth-open"]]
    if closed is None:
        closed = (performance.lip_seal >= _CLOSED_SEAL) & (jaw <= 1.5 * MAX_SEALED_JAW)
    on_teeth = performance.lip_to_teeth >= _CLOSED_SEAL
    seconds = frame_seconds(performance.num_frames)
    bilabials = _shown(speech, seconds, closed, lambda phone: seals_lips(phone, speech.alphabet))
    labiodentals = _shown(speech, seconds, on_teeth, lambda phone: "f" in visemes_of(phone.symbol, speech.alphabet))
    silent = np.zeros(performance.num_frames, bool)
    end_of_all = speech.duration_seconds
    for phone in speech.phones:
        if phone.symbol == SILENCE:
            start = phone.start_seconds + (REST_AFTER_SECONDS + _HOLD_SECONDS if phone.start_seconds > 0 else 0.0)
            end = phone.end_seconds - (REST_BEFORE_SECONDS if phone.end_seconds < end_of_all - 1e-3 else 0.0)
            silent |= (seconds >= start) & (seconds <= end)
    return ContactCounts(
        len(bilabials),
        sum(bilabials),
        len(labiodentals),
        sum(labiodentals),
        int(silent.sum()),
        int(closed[silent].sum()),
    )


def _shown(speech: Speech, seconds: np.ndarray, shown: np.ndarray, wanted: Callable[[Phone], bool]) -> list[bool]:
    result = []
    for phone in speech.phones:
        inside = _inside(phone, seconds)
        if phone.symbol != SILENCE and phone.end_seconds < seconds[-1] and wanted(phone):
            result.append(bool(shown[inside].any()))
    return result


def _inside(phone: Phone, seconds: np.ndarray) -> np.ndarray:
    return (seconds >= phone.start_seconds - _LEAD_SECONDS) & (seconds <= phone.end_seconds + _LAG_SECONDS)
