"""Alignment files: which phone sounds when in a recording, so that real speech can drive the same face.

Two forms. Text: one phone a line, `start end phone` in seconds, parted by tabs or blanks; lines that begin with # are
comments, and `# alphabet: arpabet` or `# language: en` in them are heeded. JSON: {"alphabet": ..., "language": ...,
"phones": [[start, end, phone], ...]}. A missing phone, or one of the usual names for it, is silence.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from letstalk.errors import InputError
from letstalk.synthetic.voice.phonemes import ALPHABETS, is_silence, visemes_of
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence
from letstalk.types import SAMPLE_RATE_HZ

_MOST_BYTES = 64 << 20
_OVERLAP_SECONDS = 1e-3
_FORM = "Each line is `start end phone` in seconds; JSON has a list `phones` of [start, end, phone]."


def read_alignment(path: Path, samples: np.ndarray | None = None) -> Speech:
    """The alignment with its sound (float32, 16 kHz mono), or with silence as long as itself where there is none.

    Raises InputError for what cannot be used, and says in which line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path.name} is too large for an alignment.", _FORM)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not a text in UTF-8.", _FORM) from error
    header, rows = _parse_json(path, text) if text.lstrip().startswith("{") else _parse_lines(path, text)
    alphabet = header.get("alphabet", "ipa").lower()
    if alphabet not in ALPHABETS:
        raise InputError(f"{path.name}: unknown alphabet {alphabet!r}.", f"Use one of: {', '.join(ALPHABETS)}.")
    phones = _checked(path, rows, alphabet)
    if samples is None:
        samples = np.zeros(round(phones[-1].end_seconds * SAMPLE_RATE_HZ), np.float32)
    duration_seconds = len(samples) / SAMPLE_RATE_HZ
    if phones[-1].end_seconds > duration_seconds + 0.25:
        raise InputError(
            f"{path.name} ends at {phones[-1].end_seconds:.2f} s, but its sound lasts {duration_seconds:.2f} s.",
            "Give the sound that the alignment was made from.",
        )
    return Speech(samples, fill_silence(phones, duration_seconds), alphabet, "recording", header.get("language", ""))


def write_alignment(path: Path, speech: Speech) -> None:
    """The text form; times to a tenth of a millisecond."""
    lines = [f"# alphabet: {speech.alphabet}", f"# language: {speech.language}"]
    lines += [f"{phone.start_seconds:.4f}\t{phone.end_seconds:.4f}\t{phone.symbol or 'sil'}" for phone in speech.phones]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _parse_json(path: Path, text: str) -> tuple[dict[str, str], list[tuple[str, object, object, object]]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path.name} is not valid JSON (line {error.lineno}).", _FORM) from error
    rows = content.get("phones")
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) in (2, 3) for row in rows):
        raise InputError(f"{path.name} has no list `phones` of [start, end, phone].", _FORM)
    header = {key: str(value) for key, value in content.items() if key != "phones"}
    return header, [(f"phone {i + 1}", row[0], row[1], row[2] if len(row) > 2 else "") for i, row in enumerate(rows)]


def _parse_lines(path: Path, text: str) -> tuple[dict[str, str], list[tuple[str, object, object, object]]]:
    header, rows = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#"):
            key, found, value = line.lstrip("# ").partition(":")
            if found:
                header[key.strip().lower()] = value.strip()
        elif line.strip():
            parts = line.split()
            if len(parts) not in (2, 3):
                raise InputError(f"{path.name}, line {number}: {line.strip()[:60]!r} is not `start end phone`.", _FORM)
            rows.append((f"line {number}", parts[0], parts[1], parts[2] if len(parts) > 2 else ""))
    return header, rows


def _checked(path: Path, rows: list[tuple[str, object, object, object]], alphabet: str) -> list[Phone]:
    phones: list[Phone] = []
    for where, start, end, symbol in rows:
        try:
            phone = Phone(float(start), float(end), str(symbol or ""))  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path.name}, {where}: {start!r} and {end!r} are not times in seconds.", _FORM) from error
        if not (math.isfinite(phone.end_seconds) and 0 <= phone.start_seconds <= phone.end_seconds):
            raise InputError(f"{path.name}, {where}: a phone cannot last from {start} to {end}.", _FORM)
        if phones and phone.start_seconds < phones[-1].end_seconds - _OVERLAP_SECONDS:
            raise InputError(f"{path.name}, {where}: it begins before the phone above it ends.", "Sort the phones.")
        try:
            visemes_of(phone.symbol, alphabet)
        except InputError as error:
            raise InputError(f"{path.name}, {where}: {error.problem}", error.advice) from error
        phones.append(phone._replace(symbol=SILENCE if is_silence(phone.symbol) else phone.symbol))
    if not phones:
        raise InputError(f"{path.name} holds no phones.", _FORM)
    return phones
