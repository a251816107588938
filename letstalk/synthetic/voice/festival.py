"""festival: diphone and statistical voices, where installed. It writes a label file with the end time of each phone."""

from __future__ import annotations

import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from letstalk.errors import InputError, MissingAssetError
from letstalk.synthetic.voice.phonemes import is_silence
from letstalk.synthetic.voice.programs import run_engine
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence, to_16k_mono
from letstalk.types import SAMPLE_RATE_HZ

# speaker -> language and alphabet
SPEAKERS: dict[str, tuple[str, str]] = {
    "kal_diphone": ("en", "arpabet"),
    "ked_diphone": ("en", "arpabet"),
    "cmu_us_slt_arctic_hts": ("en", "arpabet"),
    "pc_diphone": ("it", "sampa"),
    "lp_diphone": ("it", "sampa"),
}
_PROGRAM = """(voice_{speaker})
(Parameter.set 'Duration_Stretch {stretch:.4f})
(set! spoken (Utterance Text "{text}"))
(utt.synth spoken)
(utt.save.segs spoken "{folder}/speech.lab")
(utt.save.wave spoken "{folder}/speech.wav" 'riff)
"""


@lru_cache(maxsize=1)
def installed_speakers() -> frozenset[str]:
    """Asked of the program itself: voices come in packages of their own."""
    program = shutil.which("festival")
    if program is None:
        return frozenset()
    command = [program, "-b", "(print (voice.list))"]
    done = run_engine("festival", command)
    return frozenset(done.stdout.decode(errors="replace").strip().strip("()").split()) & SPEAKERS.keys()


def speak(text: str, speaker: str, rate: float = 1.0) -> Speech:
    program = shutil.which("festival")
    if program is None or speaker not in installed_speakers():
        raise MissingAssetError(
            f"The festival voice {speaker!r} is not installed.",
            "Install it, for example: apt-get install festival festvox-kallpc16k.",
        )
    language, alphabet = SPEAKERS[speaker]
    with tempfile.TemporaryDirectory() as folder:
        script = _PROGRAM.format(speaker=speaker, stretch=1 / rate, text=_quoted(text), folder=folder)
        path = Path(folder) / "speak.scm"
        path.write_bytes(script.encode("latin-1", errors="ignore"))  # festival predates UTF-8
        done = run_engine("festival", [program, "-b", str(path)])
        wave, labels = Path(folder) / "speech.wav", Path(folder) / "speech.lab"
        if done.returncode != 0 or not wave.exists():
            reason = done.stderr.decode(errors="replace").strip() or "it does not say why"
            raise InputError(f"festival could not speak with {speaker!r} ({reason}).", "Check the text.")
        sound, rate_hz = soundfile.read(wave, dtype="float32")
        phones = _phones_from_labels(labels.read_text(encoding="latin-1"))
    samples = to_16k_mono(np.asarray(sound), rate_hz)
    phones = fill_silence(phones, len(samples) / SAMPLE_RATE_HZ)
    return Speech(samples, phones, alphabet, f"festival:{speaker}", language, text)


def _quoted(text: str) -> str:
    """The text stands in a Scheme string: nothing in it may end the string."""
    return "".join(letter for letter in text if letter.isprintable()).replace("\\", "").replace('"', "'")


def _phones_from_labels(text: str) -> list[Phone]:
    """Lines `END 100 name` after a line `#`."""
    phones, now = [], 0.0
    for line in text.partition("#\n")[2].splitlines():
        fields = line.split()
        if len(fields) != 3:
            continue
        end, name = float(fields[0]), fields[2]
        phones.append(Phone(now, end, SILENCE if is_silence(name) else name))
        now = end
    return phones
