"""A clip of speech: sentences of one voice with pauses between them, exactly as long as asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.voice.sentences import draw_sentences
from letstalk.synthetic.voice.speech import Speech, cut, join, silent_speech, trim
from letstalk.synthetic.voice.voices import Voice, speak
from letstalk.types import SAMPLE_RATE_HZ, num_samples_for_frames

_PAUSE_SECONDS = (0.2, 2.0)
_LEAD_IN_SECONDS = (0.1, 0.9)
_LOUDNESS_DB = -23.0  # root mean square of what sounds
_SENTENCES_AT_A_TIME = 4
_MOST_MISSES = 3  # sentences too long for what is left, before silence fills it


def speech_clip(voice: Voice, num_frames: int, seed: int, most_pause_seconds: float = _PAUSE_SECONDS[1]) -> Speech:
    """`num_frames` of sentences from the split of the voice, with silence before, between and (mostly) after them.

    Half of the clips end in the middle of a sentence, as a piece of a longer recording would; in the others a sentence
    that does not fit is left out (but for the first).
    """
    random = numpy_generator(seed, "clip", voice.name)
    rate, pitch = (
        float(np.clip(random.normal(1.0, 0.1), 0.78, 1.28)),
        float(np.clip(random.normal(1.0, 0.12), 0.7, 1.3)),
    )
    num_samples = num_samples_for_frames(num_frames)
    cuts_last, misses = random.random() < 0.5, 0
    parts = [_silence(min(random.uniform(*_LEAD_IN_SECONDS), 0.2 * num_samples / SAMPLE_RATE_HZ))]
    for text in _sentences(voice, random):
        spoken = trim(speak(text, voice, rate, pitch))
        free = num_samples - sum(len(part.samples) for part in parts)
        if len(parts) > 1 and len(spoken.samples) > free and not cuts_last:
            misses += 1
            if misses == _MOST_MISSES:
                break
            continue
        pause = min(_PAUSE_SECONDS[0] + random.gamma(1.4, 0.32), most_pause_seconds)
        parts += [spoken, _silence(pause)]
        if len(spoken.samples) + pause * SAMPLE_RATE_HZ >= free:
            break
    clip = cut(join(parts), 0, num_samples)
    return replace(clip, samples=_at_usual_loudness(clip.samples))


def _sentences(voice: Voice, random: np.random.Generator) -> Iterator[str]:
    """Sentences without end, drawn a few at a time because small grammars cannot give many different ones at once."""
    while True:
        yield from draw_sentences(voice.language, voice.split, int(random.integers(2**62)), _SENTENCES_AT_A_TIME)


def _silence(seconds: float) -> Speech:
    return silent_speech(round(seconds * SAMPLE_RATE_HZ))


def _at_usual_loudness(samples: np.ndarray) -> np.ndarray:
    """Voices differ by 15 dB; measured over what sounds, so that pauses do not make the rest louder."""
    sounding = samples[np.abs(samples) > 0.01]
    if not len(sounding):
        return samples
    gain = 10 ** (_LOUDNESS_DB / 20) / float(np.sqrt(np.mean(np.square(sounding, dtype=np.float64))))
    return (samples * min(gain, 0.97 / float(np.abs(samples).max()))).astype(np.float32)
