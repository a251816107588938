"""espeak-ng: many languages, many speakers, robotic. Times are those of its own formant synthesiser."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

from letstalk.errors import InputError, MissingAssetError
from letstalk.synthetic import espeak_process
from letstalk.synthetic.phonemes import has_sound
from letstalk.synthetic.speech import SILENCE, Phone, Speech, fill_silence, to_16k_mono
from letstalk.types import SAMPLE_RATE_HZ

_TIMEOUT_SECONDS = 60
_USUAL_WORDS_PER_MINUTE = 165
_USUAL_PITCH = 50
# A phone shorter than this has been swallowed by the one before it (an l after a vowel is part of its glide), and takes
# this share of it, up to this many seconds.
_SWALLOWED_SECONDS, _SWALLOWED_SHARE, _SWALLOWED_MOST_SECONDS = 0.006, 0.4, 0.07


@lru_cache(maxsize=1)
def is_available() -> bool:
    return espeak_process.load_library() is not None


def speak(text: str, speaker: str, language: str, rate: float = 1.0, pitch: float = 1.0) -> Speech:
    """`speaker` is an espeak voice with its variant (`en-us+f3`); rate and pitch are factors on the usual ones."""
    if not is_available():
        raise MissingAssetError("espeak-ng is not installed.", "Install it, for example: apt-get install espeak-ng.")
    request = {
        "text": text,
        "voice": speaker,
        "words_per_minute": round(_USUAL_WORDS_PER_MINUTE * rate),
        "pitch": min(99, round(_USUAL_PITCH * pitch)),
    }
    # -I and -S: nothing of this program's surroundings is imported, which also makes the start twice as fast.
    command = [sys.executable, "-I", "-S", str(Path(espeak_process.__file__))]
    done = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=_TIMEOUT_SECONDS)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise InputError(f"espeak-ng failed: {reason}.", "Check the voice and the text.")
    header, _, sound = done.stdout.partition(b"\n")
    answer = json.loads(header)
    samples = to_16k_mono(np.frombuffer(sound, np.int16), answer["rate_hz"])
    duration_seconds = len(samples) / SAMPLE_RATE_HZ
    starts = [(start / answer["rate_hz"], name) for start, name in answer["starts"]]
    phones = fill_silence(_phones_from_starts(starts, duration_seconds), duration_seconds)
    return Speech(samples, phones, "ipa", f"espeak:{speaker}", language, text)


def _phones_from_starts(starts: list[tuple[float, str]], duration_seconds: float) -> list[Phone]:
    """Only starts are given: a phone ends where the next begins. Tone and language marks are no phones."""
    named = [(start, name) for start, name in sorted(starts, key=lambda item: item[0]) if name == "" or has_sound(name)]
    ends = [start for start, _ in named[1:]] + [duration_seconds]
    phones: list[Phone] = []
    for (start, name), end in zip(named, ends, strict=True):
        if end - start < _SWALLOWED_SECONDS and name != SILENCE and phones and phones[-1].symbol != SILENCE:
            before = phones[-1]
            share = min(_SWALLOWED_SHARE * before.seconds, _SWALLOWED_MOST_SECONDS)
            phones[-1] = before._replace(end_seconds=before.end_seconds - share)
            start = before.end_seconds - share
        if end > start:
            phones.append(Phone(start, end, name))
    return phones
