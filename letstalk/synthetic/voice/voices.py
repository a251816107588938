"""Every voice we know, which split it belongs to, and one way to make any of them speak.

The list does not depend on what is installed, so a seed means the same voice everywhere; a missing engine is an error.
Splits keep *speakers* apart: flite's kal and festival's kal are one man, so both are training voices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from letstalk.errors import SettingsError
from letstalk.synthetic.split import Split
from letstalk.synthetic.voice import espeak, festival, flite
from letstalk.synthetic.voice.speech import Speech
from letstalk.synthetic.voice.timing import correct_times

ENGINES: tuple[str, ...] = ("espeak", "flite", "festival")


@dataclass(frozen=True)
class Voice:
    engine: str
    speaker: str  # the engine's own name
    language: str  # a key of sentences.LANGUAGES
    split: Split

    @property
    def name(self) -> str:
        return f"{self.engine}:{self.speaker}"


# Language of the sentences -> espeak's names of its accents.
_ESPEAK_ACCENTS: dict[str, tuple[str, ...]] = {
    "en": ("en-us", "en", "en-gb-scotland", "en-gb-x-rp"),  # en: espeak-ng knows en-gb by this name
    "es": ("es", "es-419"), "fr": ("fr",), "de": ("de",), "it": ("it",), "pt": ("pt", "pt-br"), "nl": ("nl",),
    "pl": ("pl",), "ru": ("ru",), "tr": ("tr",), "hi": ("hi",), "ja": ("ja",), "cmn": ("cmn-latn-pinyin",),
}  # fmt: skip
_ESPEAK_SPEAKERS: dict[Split, tuple[str, ...]] = {
    "train": ("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f4", "max", "steph", "grandpa"),
    "validation": ("m8", "f5"),
    "test": ("m5", "f3"),
}
_FLITE_SPLITS: dict[str, Split] = {"slt": "train", "awb": "train", "kal": "train", "kal16": "train", "rms": "test"}
_FESTIVAL_SPLITS: dict[str, Split] = {
    "kal_diphone": "train", "cmu_us_slt_arctic_hts": "train", "lp_diphone": "train",
    "ked_diphone": "validation", "pc_diphone": "test",
}  # fmt: skip


def _all_voices() -> tuple[Voice, ...]:
    voices = [
        Voice("espeak", f"{accent}+{speaker}", language, split)
        for language, accents in _ESPEAK_ACCENTS.items()
        for accent in accents
        for split, speakers in _ESPEAK_SPEAKERS.items()
        for speaker in speakers
    ]
    voices += [Voice("flite", speaker, "en", split) for speaker, split in _FLITE_SPLITS.items()]
    voices += [Voice("festival", name, festival.SPEAKERS[name][0], split) for name, split in _FESTIVAL_SPLITS.items()]
    return tuple(voices)


VOICES: tuple[Voice, ...] = _all_voices()
_BY_NAME: dict[str, Voice] = {voice.name: voice for voice in VOICES}


def voice_named(name: str) -> Voice:
    if name not in _BY_NAME:
        raise SettingsError(f"There is no voice {name!r}.", f"Voices look like {VOICES[0].name} or flite:slt.")
    return _BY_NAME[name]


def voices_of(split: Split, engines: tuple[str, ...] = ENGINES, languages: tuple[str, ...] = ()) -> tuple[Voice, ...]:
    """Voices of one split; no languages means all."""
    return tuple(
        voice
        for voice in VOICES
        if voice.split == split and voice.engine in engines and (not languages or voice.language in languages)
    )


def is_installed(voice: Voice) -> bool:
    if voice.engine == "espeak":
        return espeak.is_available()
    if voice.engine == "flite":
        return flite.is_available()
    return voice.speaker in festival.installed_speakers()


def speak(text: str, voice: Voice, rate: float = 1.0, pitch: float = 1.0) -> Speech:
    """The same text, voice and factors give the same samples in any process. Only espeak-ng heeds `pitch`."""
    if voice.engine == "espeak":
        speech = espeak.speak(text, voice.speaker, voice.language, rate, pitch)
    elif voice.engine == "flite":
        speech = flite.speak(text, voice.speaker, rate)
    else:
        speech = festival.speak(text, voice.speaker, rate)
    return replace(speech, phones=correct_times(speech.phones, speech.alphabet, voice.name))
