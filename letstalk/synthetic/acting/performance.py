"""Speech in, a whole `Performance` out. Nothing here knows who will play it."""

from __future__ import annotations

import unicodedata

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.coarticulation import MouthTracks, mouth_tracks
from letstalk.synthetic.acting.emphasis import Syllable, phone_loudness, phrases, syllables
from letstalk.synthetic.acting.gaze import eye_motion
from letstalk.synthetic.acting.head import breathing, head_motion
from letstalk.synthetic.acting.mood import face_play
from letstalk.synthetic.acting.motion import frame_seconds
from letstalk.synthetic.acting.style import Style, sample_style
from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX, Performance
from letstalk.synthetic.visemes import MOUTH_UNITS, SIL, TONGUE_CHANNELS, VISEMES
from letstalk.synthetic.voice.phonemes import Segment, segments
from letstalk.synthetic.voice.speech import Speech, silent_speech
from letstalk.types import num_samples_for_frames

_RELEASED = frozenset("pb")  # end in a burst: the lips part before the phone is over
_LIP_PARTING_UNITS = np.array([UNIT_INDEX[name] for name in ("mouth-upward-retraction", "mouth-depression-retraction")])
_SMILE = UNIT_INDEX["mouth-corner-puller"]


def perform(speech: Speech, num_frames: int, seed: int, style: Style | None = None) -> Performance:
    """Plays a speech (of a voice engine, or a recording with its alignment) for `num_frames` frames from its start.

    The same speech, seed and style give the same arrays everywhere. Past the end of the speech the face lives on in
    silence. Without sound (an alignment alone) stress is guessed from the lengths of vowels.
    """
    style = style or sample_style(seed)
    pieces = segments(speech.phones, speech.alphabet)
    accents, spoken = syllables(speech), phrases(speech)
    mouth = _mouth(speech, pieces, accents, num_frames, seed, style)
    rotation, translation = head_motion(num_frames, seed, style, accents, spoken)
    gaze, lids = eye_motion(num_frames, seed, style, rotation, spoken)
    expression = _expression(mouth, face_play(num_frames, seed, style, accents, spoken))
    viseme = _sounding_visemes(pieces, num_frames)
    return Performance(
        expression=expression.astype(np.float32),
        lip_seal=mouth.lip_seal.astype(np.float32),
        lip_to_teeth=mouth.lip_to_teeth.astype(np.float32),
        lid_closure=lids.astype(np.float32),
        tongue=np.clip(mouth.channels[:, TONGUE_CHANNELS], 0, 1).astype(np.float32),
        gaze=gaze.astype(np.float32),
        head_rotation=rotation.astype(np.float32),
        head_translation=translation.astype(np.float32),
        breath=breathing(num_frames, seed, style, spoken).astype(np.float32),
        viseme=viseme,
        speaking=viseme != SIL,
    )


def idle_performance(num_frames: int, seed: int, style: Style | None = None) -> Performance:
    """Somebody who is silent and alive: lips closed, breath, blinks, glances, small movements."""
    return perform(silent_speech(num_samples_for_frames(num_frames)), num_frames, seed, style)


def _mouth(
    speech: Speech, pieces: list[Segment], accents: list[Syllable], num_frames: int, seed: int, style: Style
) -> MouthTracks:
    random = numpy_generator(seed, "mouth")
    loudness = phone_loudness(speech)
    stress = np.full(len(speech.phones), 0.4)
    for accent in accents:
        stress[accent.phone] = accent.prominence
    by_phone = loudness * (0.8 + 0.45 * stress) * np.exp(random.normal(0, 0.07, len(stress)))
    effort = np.array([by_phone[piece.phone] for piece in pieces])
    released = {
        index
        for index, piece in enumerate(pieces)
        if VISEMES[piece.viseme].seals_lips and _base_letter(speech.phones[piece.phone].symbol) in _RELEASED
    }
    return mouth_tracks(pieces, num_frames, effort, style.articulation, released)


def _base_letter(symbol: str) -> str:
    return unicodedata.normalize("NFD", symbol)[:1].lower()


def _expression(mouth: MouthTracks, play: np.ndarray) -> np.ndarray:
    """Speech and mood on one face. Pursed lips cannot smile, and nothing may part lips that speech presses together."""
    expression = np.zeros((len(play), len(EXPRESSION_UNITS)))
    expression[:, MOUTH_UNITS] = mouth.channels[:, : len(MOUTH_UNITS)]
    rounded = np.clip(expression[:, UNIT_INDEX["mouth-pursing"]], 0, 1)
    play = play.copy()
    play[:, _SMILE] *= 1 - 0.6 * rounded
    play[:, _LIP_PARTING_UNITS] *= (1 - mouth.lip_seal)[:, None]
    return np.clip(expression + play, -0.3, 1.0)


def _sounding_visemes(pieces: list[Segment], num_frames: int) -> np.ndarray:
    """(num_frames,) int16: what sounds in the middle of each frame, without the lead of the lips."""
    result = np.full(num_frames, SIL, np.int16)
    if pieces:
        starts = np.array([piece.start_seconds for piece in pieces])
        seconds = frame_seconds(num_frames)
        index = np.clip(np.searchsorted(starts, seconds, side="right") - 1, 0, None)
        inside = (seconds >= starts[0]) & (seconds < pieces[-1].end_seconds)
        codes = np.array([piece.viseme for piece in pieces], np.int16)
        result[inside] = codes[index[inside]]
    return result
