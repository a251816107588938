"""Who belongs to train, validation or test. Identities, voices and sentences are split apart, and none is in two.

Membership is a property of the thing itself (the number of a person, the words of a sentence; voices.py says it for
each voice), so it holds in whatever order clips are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal, get_args

from letstalk.errors import SettingsError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

# Of each 20 person seeds in a row one is for validation and one for test.
_BLOCK = 20
_HELD_OUT: dict[Split, int] = {"validation": 18, "test": 19}
_NUM_TRAIN = _BLOCK - len(_HELD_OUT)


def check_split(name: str) -> Split:
    for split in SPLITS:
        if name == split:
            return split
    raise SettingsError(f"There is no split {name!r}.", f"Use one of: {', '.join(SPLITS)}.")


def person_seed(split: Split, number: int) -> int:
    """The seed of person `number` of a split: one to one, so that no two numbers share a person."""
    assert number >= 0
    if split == "train":
        return number // _NUM_TRAIN * _BLOCK + number % _NUM_TRAIN
    return number * _BLOCK + _HELD_OUT[split]


def split_of_person(seed: int) -> Split:
    for split, slot in _HELD_OUT.items():
        if seed % _BLOCK == slot:
            return split
    return "train"


def split_of_text(text: str) -> Split:
    """Decided by the words alone: capitals, spaces and punctuation do not make another sentence."""
    slot = _digest("".join(letter for letter in text.casefold() if letter.isalnum())) % 10
    return "validation" if slot == 0 else "test" if slot == 1 else "train"


def names_of_split(names: Iterable[str], split: Split) -> tuple[str, ...]:
    """The names (of recordings) that belong to one split, sorted. Of three or more every split gets at least one.

    Held out are those whose file names have the smallest digests, so another list moves only few of them and another
    folder none: what one machine trains on is not what another one tests on.
    """
    ordered = sorted(set(names), key=lambda name: (_digest(PurePath(name).name), name))
    num_held_out = max(1, round(len(ordered) / 8)) if len(ordered) >= len(SPLITS) else 0
    parts: dict[Split, list[str]] = {
        "validation": ordered[:num_held_out],
        "test": ordered[num_held_out : 2 * num_held_out],
        "train": ordered[2 * num_held_out :],
    }
    if not parts[split]:
        raise SettingsError(f"{len(ordered)} recordings leave nothing for the split {split!r}.", "Give three or more.")
    return tuple(sorted(parts[split]))


def _digest(text: str) -> int:
    # Python's own hash() differs from process to process.
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
