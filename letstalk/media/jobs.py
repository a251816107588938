"""A folder for each job: all that is unfinished lies in it, and what a killed process leaves goes when the next starts.

`owner.json` names the process and the unfinished files that had to lie elsewhere because the target is on another
filesystem.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil

from letstalk.errors import OutputError
from letstalk.media.files import is_partial, output_error, remove_tree
from letstalk.runtime import CACHE_DIR_VARIABLE, cache_dir

OWNER_FILE = "owner.json"
UNBORN_PREFIX = ".new-"
UNBORN_SECONDS = 3600.0


def jobs_root() -> Path:
    return cache_dir() / "jobs"


class JobFolder:
    """The folder of one running job. A context manager: leaving it removes the folder and every file recorded in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._outside: list[Path] = []

    @classmethod
    def create(cls, root: Path | None = None) -> JobFolder:
        """A new empty folder under `root` (`jobs_root()`), owned by this process; abandoned ones there are swept.

        It appears under its name only with its owner file inside: a sweep never meets a folder without an owner.
        """
        own_place, root = root is None, root or jobs_root()
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        unborn = root / f"{UNBORN_PREFIX}{name}"
        try:
            root.mkdir(parents=True, exist_ok=True)
            sweep_jobs(root)
            unborn.mkdir(mode=0o700)
            (unborn / OWNER_FILE).write_text(json.dumps(_owner([])))
            unborn.rename(root / name)
        except OSError as error:
            remove_tree(unborn)
            shown = output_error(root, error)
            if own_place and isinstance(shown, OutputError):  # nobody chose this folder: say how to
                advice = f"Free space there, or set {CACHE_DIR_VARIABLE} to a folder that you may write to."
                shown = OutputError(shown.problem, advice)
            raise shown from None
        return cls(root / name)

    def record(self, outside: Path) -> None:
        """Remembers an unfinished file outside the folder, before it is made, so that a sweep can find it."""
        assert is_partial(outside), outside
        self._outside.append(outside.absolute())
        fresh = self.path / f"{OWNER_FILE}.new"
        try:
            fresh.write_text(json.dumps(_owner(self._outside)))
            fresh.replace(self.path / OWNER_FILE)
        except OSError as error:
            raise output_error(self.path, error) from None

    def remove(self) -> None:
        for file in self._outside:
            file.unlink(missing_ok=True)
        remove_tree(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def sweep_jobs(root: Path | None = None) -> list[Path]:
    """Removes the folders of dead processes of this machine, and their recorded files; gives the folders removed.

    Never touches the folder of a living process, of another machine that shares the disk, or one whose owner file it
    cannot read. What cannot be removed stays. Safe to call from many processes at once.
    """
    root = root or jobs_root()
    removed = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.is_symlink() or not folder.is_dir():
            continue
        if folder.name.startswith(UNBORN_PREFIX):
            with suppress(FileNotFoundError):  # it was born meanwhile
                if time.time() - folder.stat().st_mtime > UNBORN_SECONDS:
                    remove_tree(folder)
            continue
        owner = _read_owner(folder)
        if owner is None or owner["machine"] != _machine() or _is_alive(owner):
            continue
        for name in owner["outside"]:
            file = Path(name)
            # The owner file is data: only what carries our own mark is removed because of it.
            if is_partial(file) and file.is_file() and not file.is_symlink():
                with suppress(OSError):
                    file.unlink()
        remove_tree(folder)
        if not folder.exists():
            removed.append(folder)
    return removed


def _owner(outside: list[Path]) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "started": _start_mark(os.getpid()),
        "machine": _machine(),
        "outside": [str(path) for path in outside],
    }


def _read_owner(folder: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads((folder / OWNER_FILE).read_text())
        return {"pid": int(owner["pid"]), "started": str(owner["started"]), "machine": str(owner["machine"])} | {
            "outside": [str(name) for name in owner["outside"]]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _machine() -> str:
    """Where process numbers mean the same: containers may share a disk and even the name of their host."""
    with suppress(OSError):
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


def _start_mark(pid: int) -> str:
    """Tells a process from a later one with the same number.

    On Linux in ticks of this boot: psutil's time comes from a clock that may be set, which would bury the living.
    """
    with suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {ticks}"
    return str(psutil.Process(pid).create_time())


def _is_alive(owner: dict[str, Any]) -> bool:
    try:
        # A zombie has ended; its parent just has not asked yet.
        is_zombie = psutil.Process(owner["pid"]).status() == psutil.STATUS_ZOMBIE
        return not is_zombie and _start_mark(owner["pid"]) == owner["started"]
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
