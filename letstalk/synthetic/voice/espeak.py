"""espeak-ng: many languages, many speakers, robotic. Times are those of its own formant synthesiser."""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from letstalk.errors import InputError, MissingAssetError
from letstalk.synthetic.voice import espeak_process
from letstalk.synthetic.voice.phonemes import has_sound
from letstalk.synthetic.voice.programs import run_engine
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence, to_16k_mono
from letstalk.types import SAMPLE_RATE_HZ

_USUAL_WORDS_PER_MINUTE = 165
_USUAL_PITCH = 50
# A phone shorter than this has been swallowed by the one before it (an l after a vowel is part of its glide), and takes
# this share of it, up to this many seconds.
_SWALLOWED_SECONDS, _SWALLOWED_SHARE, _SWALLOWED_MOST_SECONDS = 0.006, 0.4, 0.07

_STOP_LETTERS = frozenset("pbtdkɡgcqʈɖɟ")
_SHORTEST_CLOSURE_SECONDS, _LONGEST_CLOSURE_SECONDS = 0.008, 0.14
_BURST_RISE_SECONDS = 0.025  # a burst may begin this much before its event


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
    done = run_engine("espeak-ng", command, json.dumps(request).encode())
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise InputError(f"espeak-ng failed: {reason}.", "Check the voice and the text.")
    header, _, sound = done.stdout.partition(b"\n")
    answer = json.loads(header)
    samples = to_16k_mono(np.frombuffer(sound, np.int16), answer["rate_hz"])
    duration_seconds = len(samples) / SAMPLE_RATE_HZ
    starts = [(start / answer["rate_hz"], name) for start, name in answer["starts"]]
    phones = _with_closures(_phones_from_starts(starts, duration_seconds), samples)
    phones = fill_silence(phones, duration_seconds)
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


def _with_closures(phones: list[Phone], samples: np.ndarray) -> list[Phone]:
    """Gives stops their closure.

    espeak-ng names a p t k or ch when it bursts. The silence of the closed mouth before it counts as a pause or as
    part of the phone before, but lips close when that silence begins.
    """
    quiet = _quiet_below(samples)
    result: list[Phone] = []
    for phone in phones:
        stops = phone.symbol[:1] in _STOP_LETTERS
        pauses = len(result) > 1 and result[-1].symbol == SILENCE
        if stops and pauses and result[-1].seconds < _LONGEST_CLOSURE_SECONDS:
            phone = phone._replace(start_seconds=result.pop().start_seconds)
        if stops and result and result[-1].symbol != SILENCE:
            before = result[-1]
            start = max(_quiet_since(quiet, phone.start_seconds), before.start_seconds + 0.3 * before.seconds)
            if phone.start_seconds - start > _SHORTEST_CLOSURE_SECONDS:
                result[-1] = before._replace(end_seconds=start)
                phone = phone._replace(start_seconds=start)
        result.append(phone)
    return result


def _quiet_since(quiet: np.ndarray, burst_seconds: float) -> float:
    """When the quiet began that lasts until (a little before) the burst; the burst itself where there is none."""
    burst = round(burst_seconds * SAMPLE_RATE_HZ)
    first = max(0, burst - round(_LONGEST_CLOSURE_SECONDS * SAMPLE_RATE_HZ))
    moments = np.flatnonzero(quiet[first:burst])
    if not len(moments) or burst - first - moments[-1] > _BURST_RISE_SECONDS * SAMPLE_RATE_HZ:
        return burst_seconds
    breaks = np.flatnonzero(np.diff(moments) > 1)
    return (first + int(moments[breaks[-1] + 1 if len(breaks) else 0])) / SAMPLE_RATE_HZ


def _quiet_below(samples: np.ndarray) -> np.ndarray:
    """(num_samples,) bool: where the loudest sample within 1.5 ms is 30 dB below the loudest of all."""
    level = maximum_filter1d(np.abs(samples), 49)
    return level < 0.03 * max(float(level.max()), 1e-6) if len(level) else level.astype(bool)
