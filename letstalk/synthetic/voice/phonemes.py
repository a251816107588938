"""Phone symbols of several alphabets -> visemes in time.

IPA is read letter by letter, its marks ignored, so any language works whose letters are listed.
ARPAbet is the alphabet of flite and of festival's English voices, SAMPA that of festival's other voices.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from letstalk.errors import InputError
from letstalk.synthetic.visemes import VISEME_INDEX, VISEMES
from letstalk.synthetic.voice.speech import SILENCE, Phone

_IPA_LETTERS: dict[str, str] = {
    "p": "p b m ɓ ɸ β ʙ", "f": "f v ɱ ʋ ⱱ", "th": "θ ð",
    "t": "t d n ɾ r ʈ ɖ ɳ ɗ", "s": "s z ɬ ɮ", "sh": "ʃ ʒ ʂ ʐ ɕ ʑ ɧ",
    "k": "k ɡ g ŋ x ɣ q ɢ χ ʁ ʀ ɴ ɰ ɠ", "r": "ɹ ɻ ɽ", "l": "l ɫ ʎ ɭ ʟ ɺ",
    "j": "j ɲ ç ʝ c ɟ", "w": "w ʍ ɥ", "h": "h ɦ ʔ ħ ʕ",
    "aa": "a ɑ", "ae": "æ", "ah": "ʌ ɐ", "eh": "ɛ e", "ih": "ɪ ɨ ᵻ", "iy": "i",
    "ao": "ɔ ɒ", "ow": "o ø œ ɵ ɤ", "uw": "u ʊ y ʏ ʉ ɯ", "er": "ɜ ɝ ɚ", "ax": "ə ɘ ɞ",
}  # fmt: skip
# Two letters that are one gesture of the mouth; everything else of several letters moves from letter to letter.
_IPA_PAIRS: dict[str, str] = {
    "tʃ": "sh", "dʒ": "sh", "tɕ": "sh", "dʑ": "sh", "tʂ": "sh", "dʐ": "sh", "ts": "s", "dz": "s", "pf": "f", "bv": "f",
    "kp": "p", "ɡb": "p",
}  # fmt: skip
_ARPABET: dict[str, tuple[str, ...]] = {
    "aa": ("aa",), "ae": ("ae",), "ah": ("ah",), "ao": ("ao",), "aw": ("aa", "uw"), "ax": ("ax",), "axr": ("er",),
    "ay": ("aa", "ih"), "b": ("p",), "ch": ("sh",), "d": ("t",), "dh": ("th",), "dx": ("t",), "eh": ("eh",),
    "el": ("l",), "em": ("p",), "en": ("t",), "er": ("er",), "ey": ("eh", "ih"), "f": ("f",), "g": ("k",),
    "hh": ("h",), "hv": ("h",), "ih": ("ih",), "ix": ("ih",), "iy": ("iy",), "jh": ("sh",), "k": ("k",), "l": ("l",),
    "m": ("p",), "n": ("t",), "ng": ("k",), "nx": ("t",), "ow": ("ow", "uw"), "oy": ("ao", "ih"), "p": ("p",),
    "q": ("h",), "r": ("r",), "s": ("s",), "sh": ("sh",), "t": ("t",), "th": ("th",), "uh": ("uw",), "uw": ("uw",),
    "ux": ("uw",), "v": ("f",), "w": ("w",), "y": ("j",), "z": ("s",), "zh": ("sh",),
}  # fmt: skip

_SAMPA: dict[str, tuple[str, ...]] = {
    "a": ("aa",), "a1": ("aa",), "aa": ("aa",), "b": ("p",), "c": ("j",), "C": ("j",), "d": ("t",), "dz": ("s",),
    "dZ": ("sh",), "e": ("eh",), "e1": ("eh",), "E": ("eh",), "E1": ("eh",), "ee": ("eh",), "f": ("f",), "F": ("f",),
    "g": ("k",), "h": ("h",), "i": ("iy",), "i1": ("iy",), "ii": ("iy",), "j": ("j",), "J": ("j",), "JJ": ("j",),
    "k": ("k",), "l": ("l",), "L": ("l",), "LL": ("l",), "m": ("p",), "n": ("t",), "N": ("k",), "ng": ("k",),
    "nf": ("f",), "ng1": ("k",), "o": ("ow",), "o1": ("ow",), "O": ("ao",), "O1": ("ao",), "oo": ("ow",),
    "p": ("p",), "r": ("t",), "R": ("k",), "s": ("s",), "S": ("sh",), "SS": ("sh",), "t": ("t",), "T": ("th",),
    "ts": ("s",), "tS": ("sh",), "u": ("uw",), "u1": ("uw",), "uu": ("uw",), "v": ("f",), "w": ("w",), "x": ("k",),
    "y": ("uw",), "yy": ("uw",), "z": ("s",), "Z": ("sh",), "{": ("ae",), "@": ("ax",), "2": ("ow",), "9": ("ow",),
    "?": ("h",), "D": ("th",),
}  # fmt: skip

_SILENT_SYMBOLS = frozenset(("", "pau", "sil", "sp", "spn", "h#", "#", "_", "_:", "<eps>", "ssil", "brth"))
ALPHABETS: tuple[str, ...] = ("ipa", "arpabet", "sampa")
_FIRST_SHARE_OF_DIPHTHONG = 0.58  # the first part of a diphthong is the longer one

_IPA: dict[str, str] = {letter: viseme for viseme, letters in _IPA_LETTERS.items() for letter in letters.split()}


class Segment(NamedTuple):
    """A piece of a phone that asks for one mouth shape."""

    start_seconds: float
    end_seconds: float
    viseme: int  # index into visemes.VISEMES
    phone: int  # index into the phones it came from


def is_silence(symbol: str) -> bool:
    return symbol.lower() in _SILENT_SYMBOLS


@lru_cache(maxsize=4096)
def visemes_of(symbol: str, alphabet: str) -> tuple[str, ...]:
    """Names of the mouth shapes that one phone passes through. InputError for a symbol that the alphabet lacks."""
    if alphabet not in ALPHABETS:
        raise InputError(f"Unknown phonetic alphabet {alphabet!r}.", f"Use one of: {', '.join(ALPHABETS)}.")
    if is_silence(symbol):
        return ("sil",)
    if alphabet == "ipa":
        return _ipa_visemes(symbol)
    table = _ARPABET if alphabet == "arpabet" else _SAMPA
    key = symbol.rstrip("012").lower() if alphabet == "arpabet" else symbol.rstrip(":")
    shapes = table.get(symbol) or table.get(key)
    if shapes is None:
        raise InputError(f"{symbol!r} is not a phone of the alphabet {alphabet}.", "Check the alignment's alphabet.")
    return shapes


def _ipa_visemes(symbol: str) -> tuple[str, ...]:
    letters = _letters(symbol)
    shapes: list[str] = []
    while letters:
        pair = "".join(letters[:2])
        if pair in _IPA_PAIRS:
            shapes.append(_IPA_PAIRS[pair])
            letters = letters[2:]
        elif letters[0] in _IPA:
            shapes.append(_IPA[letters[0]])
            letters = letters[1:]
        else:
            raise InputError(f"{symbol!r} holds {letters[0]!r}, which is not a known IPA letter.", "Use plain IPA.")
    if not shapes:
        return ("h",)  # marks alone: something sounds, the mouth does not care
    return tuple(shape for i, shape in enumerate(shapes) if i == 0 or shape != shapes[i - 1])


def segments(phones: Sequence[Phone], alphabet: str) -> list[Segment]:
    """Mouth shapes in time. A diphthong becomes two, the first one longer."""
    result = []
    for index, phone in enumerate(phones):
        shapes = ("sil",) if phone.symbol == SILENCE else visemes_of(phone.symbol, alphabet)
        now = phone.start_seconds
        for position, shape in enumerate(shapes):
            last = position == len(shapes) - 1
            share = _FIRST_SHARE_OF_DIPHTHONG if len(shapes) == 2 else 1.0 / len(shapes)
            end = phone.end_seconds if last else now + share * phone.seconds
            result.append(Segment(now, end, VISEME_INDEX[shape], index))
            now = end
    return result


def has_sound(symbol: str) -> bool:
    """False for a mark that engines list like a phone: a tone number, a change of language."""
    return not symbol.startswith("(") and bool(_letters(symbol))


def _letters(symbol: str) -> list[str]:
    """The letters of an IPA symbol. Length, stress, tone, release and secondary articulation leave the mouth alone."""
    letters = []
    for character in unicodedata.normalize("NFD", symbol):
        category = unicodedata.category(character)
        if category in ("Ll", "Lu", "Lo") or character in _IPA:
            letters.append(character)
    return letters


def is_vowel(phone: Phone, alphabet: str) -> bool:
    return VISEMES[VISEME_INDEX[visemes_of(phone.symbol, alphabet)[0]]].vowel


def seals_lips(phone: Phone, alphabet: str) -> bool:
    """Whether the lips must meet: m b p and their kin."""
    return "p" in visemes_of(phone.symbol, alphabet)
