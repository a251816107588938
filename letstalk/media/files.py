"""Paths that users hand us: checked before use, opened as local files only, and written by a temporary name then a
rename.

FFmpeg takes a name such as `concat:a|b` or `http://...` for a protocol and `%05d` for a pattern. No user path ever
reaches it: inputs are opened here and handed over as file objects, outputs are named by us inside our own folders.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from letstalk.errors import InputError, LetsTalkError, OutputError

PARTIAL_PREFIX = ".letstalk-"
PARTIAL_SUFFIX = ".partial"
# `raise` for these says "make room"; anything else says "choose another place".
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def quoted(path: Path) -> str:
    """The name as the user should see it, on one line even when it holds line breaks or undecodable bytes."""
    text = str(path).encode("utf-8", "replace").decode()
    return '"' + "".join(char if char.isprintable() else "?" for char in text) + '"'


def check_input_file(path: Path, kind: str) -> Path:
    """`path` when it is a readable, non-empty regular file; `kind` ("sound file") completes the advice.

    Pipes and devices are refused: reading one could wait for ever.
    """
    advice = f"Choose a {kind}."
    try:
        mode = path.stat()
        if stat.S_ISDIR(mode.st_mode):
            raise InputError(f"{quoted(path)} is a folder.", advice)
        if not stat.S_ISREG(mode.st_mode):
            raise InputError(f"{quoted(path)} is a device or a pipe, not a file.", advice)
        if mode.st_size == 0:
            raise InputError(f"{quoted(path)} is empty.", f"Save it again, or choose another {kind}.")
        with path.open("rb"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{quoted(path)} does not exist.", "Check the name and the folder.") from None
    except PermissionError:
        raise InputError(f"{quoted(path)} may not be read.", "Allow reading it, or copy it elsewhere.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the name
        reason = getattr(error, "strerror", None) or "the name is not possible here"
        raise InputError(f"{quoted(path)} cannot be opened ({reason}).", advice) from None
    return path


def open_input(path: Path, kind: str) -> BinaryIO:
    check_input_file(path, kind)
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{quoted(path)} cannot be opened ({error.strerror}).", f"Choose a {kind}.") from None


def output_error(path: Path, error: BaseException) -> BaseException:
    """The sentence for a write that the system refused; a user's error and a mistake of our own come back unchanged."""
    if isinstance(error, LetsTalkError) or not hasattr(error, "errno"):
        return error
    code = getattr(error, "errno", None)
    if code in NO_SPACE:
        return OutputError(
            f"There is no space left to write {quoted(path)}.", "Free some space, or choose another disk."
        )
    if code in NO_RIGHT:
        return OutputError(f"{quoted(path)} may not be written.", "Choose a folder that you may write to.")
    reason = getattr(error, "strerror", None) or type(error).__name__
    return OutputError(f"{quoted(path)} could not be written ({reason}).", "Choose another place and try again.")


def check_target(path: Path, inputs: Iterable[Path] = (), suffixes: tuple[str, ...] = ()) -> Path:
    """`path` when a file can be put there: its folder exists, it is no folder or device, and it is none of the
    `inputs`.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise OutputError(f"{quoted(path)} has no name that fits.", f"Let the name end in {' or '.join(suffixes)}.")
    try:
        if not path.parent.is_dir():
            raise OutputError(f"The folder of {quoted(path)} does not exist.", "Make the folder first.")
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            mode = stat.S_IFREG
        if stat.S_ISDIR(mode):
            raise OutputError(f"{quoted(path)} is a folder.", "Give the name of a file.")
        if not stat.S_ISREG(mode):
            raise OutputError(f"{quoted(path)} is a device or a pipe, not a file.", "Give the name of a file.")
        for source in inputs:
            if path.exists() and source.exists() and path.samefile(source):
                raise OutputError(f"{quoted(path)} is one of the inputs.", "Choose another name for the result.")
    except OSError as error:
        raise output_error(path, error) from None
    except ValueError:  # a NUL inside the name
        raise OutputError(f"{quoted(path)} is not a possible name.", "Choose another name.") from None
    return path


def partial_name() -> str:
    """A fresh hidden name for unfinished work; short, so that it fits wherever the final name fits."""
    return f"{PARTIAL_PREFIX}{secrets.token_hex(8)}{PARTIAL_SUFFIX}"


def is_partial(path: Path) -> bool:
    return path.name.startswith(PARTIAL_PREFIX) and path.name.endswith(PARTIAL_SUFFIX)


def can_rename_into(source_folder: Path, target: Path) -> bool:
    """True when a file in `source_folder` can be renamed to `target`; raises where none can be written.

    Tried, not guessed: two mounts of one disk have one device number and still refuse to rename.
    """
    probe = source_folder / partial_name()
    landed = target.parent / probe.name
    try:
        probe.touch()
        try:
            probe.replace(landed)
            return True
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            landed.touch()
            return False
    except OSError as error:
        raise output_error(target, error) from None
    finally:
        probe.unlink(missing_ok=True)
        landed.unlink(missing_ok=True)


@contextmanager
def atomic_target(path: Path, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not."""
    check_target(path, inputs)
    partial = path.parent / partial_name()
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise output_error(path, error) from None
    finally:
        partial.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Best effort: what another process removes at the same moment is not an error."""
    shutil.rmtree(folder, ignore_errors=True)


def local_url(path: Path) -> str:
    """How FFmpeg is told to open a path of our own: `file:` stops every other reading of the name."""
    return "file:" + os.fspath(path.absolute())
