"""Runs espeak-ng once, in a process of its own: text in on stdin as JSON, sound and phone starts out on stdout.

The library keeps global state (the phase of its waves, its random numbers) that makes the second sentence of a
process differ from the first, and it hangs when it is shut down and started again. A fresh process for each text
costs 40 ms, gives the same samples every time and cannot harm a worker's threads. So this file must import nothing
but the standard library.
"""

from __future__ import annotations

import ctypes
import json
import sys
from ctypes.util import find_library

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come to the callback, nothing is played
_PHONEME_EVENTS, _PHONEME_IPA = 1, 2
_UTF8_TEXT = 1
_EVENT_LIST_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE, _WORD_GAP = 1, 3, 4, 7


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    )  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def load_library() -> ctypes.CDLL | None:
    for name in ("libespeak-ng.so.1", find_library("espeak-ng")):
        try:
            if name:
                return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def synthesise(library: ctypes.CDLL, request: dict) -> tuple[int, list[tuple[int, str]], bytes]:
    """Sample rate, (start sample, IPA) of each phone, int16 samples. RuntimeError says what the library refused."""
    pieces: list[bytes] = []
    starts: list[tuple[int, str]] = []

    def receive(samples: ctypes._Pointer, num_samples: int, events: ctypes._Pointer) -> int:
        if samples and num_samples > 0:
            pieces.append(ctypes.string_at(samples, num_samples * 2))
        index = 0
        while events[index].type != _EVENT_LIST_END:
            if events[index].type == _EVENT_PHONEME:
                # Eight bytes, not always ended by a zero, and a long name may be cut within a letter.
                name = bytes(events[index].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                starts.append((events[index].sample, name))
            index += 1
        return 0

    callback = _CALLBACK(receive)  # the library keeps only a pointer: this name keeps it alive
    rate_hz = library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _PHONEME_IPA)
    if rate_hz <= 0:
        raise RuntimeError("espeak-ng found no voice data")
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {request['voice']}")
    for code, key in ((_RATE, "words_per_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range"), (_WORD_GAP, "word_gap")):
        if request.get(key) is not None:
            library.espeak_SetParameter(code, int(request[key]), 0)
    text = request["text"].encode()
    if library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8_TEXT, None, None) != 0:
        raise RuntimeError("espeak-ng could not speak this text")
    library.espeak_Synchronize()
    return rate_hz, starts, b"".join(pieces)


def main() -> int:
    library = load_library()
    if library is None:
        sys.stderr.write("libespeak-ng is missing")
        return 3
    try:
        rate_hz, starts, samples = synthesise(library, json.loads(sys.stdin.buffer.read()))
    except RuntimeError as error:
        sys.stderr.write(str(error))
        return 4
    sys.stdout.buffer.write(json.dumps({"rate_hz": rate_hz, "starts": starts}).encode() + b"\n" + samples)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
