"""Settings of a training run from a command line, without any package: a bare GPU machine has none."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from letstalk.errors import SettingsError

Settings = TypeVar("Settings")


def read_settings(kind: type[Settings], arguments: Sequence[str], out: Path) -> Settings:
    """`--name value` (or `--flag` alone) for every field of the dataclass `kind`; tuples are separated by commas.

    `out` is the value of the field of that name where the command line does not give one.
    """
    hints = get_type_hints(kind)
    values: dict[str, Any] = {"out": out}
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        name = word.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name not in hints:
            known = ", ".join("--" + item.name.replace("_", "-") for item in fields(kind))  # type: ignore[arg-type]
            raise SettingsError(f"Unknown option {word!r}.", f"Options: {known}.")
        wanted = _plain_type(hints[name])
        if wanted is bool:
            values[name] = True
        elif not waiting:
            raise SettingsError(f"{word} needs a value.", f"Write {word} VALUE.")
        else:
            values[name] = _parsed(word, wanted, waiting.pop(0))
    missing = [item.name for item in fields(kind) if item.name not in values and _is_required(item)]  # type: ignore[arg-type]
    if missing:
        raise SettingsError(f"--{missing[0].replace('_', '-')} is missing.", "Give it a value.")
    return kind(**values)


def _is_required(item: Any) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _plain_type(hint: Any) -> Any:
    """`Path | None` is read as Path, `tuple[str, ...]` as tuple."""
    if isinstance(hint, types.UnionType):
        return next(part for part in get_args(hint) if part is not type(None))
    return get_origin(hint) or hint


def _parsed(word: str, kind: Any, text: str) -> Any:
    try:
        return tuple(part for part in text.split(",") if part) if kind is tuple else kind(text)
    except ValueError as error:
        raise SettingsError(f"{word} cannot be {text!r}.", f"Give a value of type {kind.__name__}.") from error
