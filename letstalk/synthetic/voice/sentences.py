"""Sentences from our own grammars, without end, and no sentence in two splits."""

from __future__ import annotations

import re

import numpy as np

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.split import Split, split_of_text
from letstalk.synthetic.voice.grammars import GRAMMARS, Grammar

LANGUAGES: tuple[str, ...] = tuple(GRAMMARS)
_SLOT = re.compile(r"\{([^}]+)\}")
# Of words with a written vowel these begin with a consonant to the ear.
_AN = re.compile(r"\b([Aa])(?= (?!unu|uni|use|eu|one)[aeiou])")
_MOST_DRAWS = 1000  # a draw falls into the smallest split once in ten times


def draw_sentence(language: str, random: np.random.Generator) -> str:
    """One sentence of any split."""
    grammar = grammar_of(language)
    sentence = _expand(grammar.templates[int(random.integers(len(grammar.templates)))], grammar, random)
    return _AN.sub(r"\1n", sentence) if language == "en" else sentence


def draw_sentences(language: str, split: Split, seed: int, count: int) -> list[str]:
    """`count` different sentences of one split. Membership is decided by the words alone, see split.py."""
    random = numpy_generator(seed, "sentences", language, split)
    chosen: dict[str, None] = {}
    for _ in range(count * _MOST_DRAWS):
        if len(chosen) == count:
            return list(chosen)
        sentence = draw_sentence(language, random)
        if split_of_text(sentence) == split:
            chosen[sentence] = None
    raise SettingsError(f"The grammar of {language!r} has fewer than {count} sentences for {split}.", "Ask for fewer.")


def grammar_of(language: str) -> Grammar:
    if language not in GRAMMARS:
        raise SettingsError(f"There is no grammar for {language!r}.", f"Use one of: {', '.join(LANGUAGES)}.")
    return GRAMMARS[language]


def _expand(template: str, grammar: Grammar, random: np.random.Generator) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name == "number":
            return str(_draw_number(random))
        choices = grammar.slots[name]
        return _expand(choices[int(random.integers(len(choices)))], grammar, random)

    return _SLOT.sub(fill, template)


def _draw_number(random: np.random.Generator) -> int:
    """Mostly small, as in speech; 2 at least, because what is counted stands in the plural."""
    return int(random.integers(2, 10 ** int(random.choice([1, 2, 2, 3, 4]))))
