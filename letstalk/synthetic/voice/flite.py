"""flite: small English voices recorded from people. It prints the end time of each phone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from letstalk.errors import InputError, MissingAssetError
from letstalk.synthetic.voice.phonemes import is_silence
from letstalk.synthetic.voice.programs import run_engine
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence, to_16k_mono
from letstalk.types import SAMPLE_RATE_HZ

SPEAKERS: tuple[str, ...] = ("slt", "rms", "awb", "kal", "kal16")


def is_available() -> bool:
    return shutil.which("flite") is not None


def speak(text: str, speaker: str, rate: float = 1.0) -> Speech:
    program = shutil.which("flite")
    if program is None:
        raise MissingAssetError("flite is not installed.", "Install it, for example: apt-get install flite.")
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "speech.wav"
        command = [program, "-voice", speaker, "-psdur", "--setf", f"duration_stretch={1 / rate:.4f}"]
        command += ["-t", text, "-o", str(wave)]
        done = run_engine("flite", command)
        if done.returncode != 0 or not wave.exists():
            reason = done.stderr.decode(errors="replace").strip() or "it does not say why"
            raise InputError(f"flite could not speak with {speaker!r} ({reason}).", "Check the text.")
        sound, rate_hz = soundfile.read(wave, dtype="float32")
    samples = to_16k_mono(np.asarray(sound), rate_hz)
    phones = fill_silence(_phones_from_ends(done.stdout.decode()), len(samples) / SAMPLE_RATE_HZ)
    return Speech(samples, phones, "arpabet", f"flite:{speaker}", "en", text)


def _phones_from_ends(printed: str) -> list[Phone]:
    """Reads `pau:0.164 hh:0.255 ...`: a phone begins where the one before it ended."""
    phones, now = [], 0.0
    for item in printed.split():
        name, _, end = item.rpartition(":")
        phones.append(Phone(now, float(end), SILENCE if is_silence(name) else name))
        now = float(end)
    return phones
