"""A folder for each job: all that is unfinished lies in it, and what a killed process leaves behind is found and
removed.

`owner.json` names the process (id, start time, machine) and the unfinished files that had to lie elsewhere because the
target is on another filesystem. The start time tells a process from a later one with the same number.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any, Self

import psutil

from letstalk.errors import OutputError
from letstalk.media.files import is_partial, output_error, quoted, remove_tree
from letstalk.runtime import cache_dir

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
        """A new empty folder under `root` (`jobs_root()`), owned by this process.

        It appears under its name only with its owner file inside: a sweep never meets a folder without an owner.
        """
        root = root or jobs_root()
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        unborn = root / f"{UNBORN_PREFIX}{name}"
        try:
            root.mkdir(parents=True, exist_ok=True)
            unborn.mkdir(mode=0o700)
            (unborn / OWNER_FILE).write_text(json.dumps(_owner([])))
            unborn.rename(root / name)
        except OSError as error:
            remove_tree(unborn)
            raise output_error(root, error) from None
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
    cannot read. Safe to call from many processes at once.
    """
    root = root or jobs_root()
    removed = []
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.is_symlink() or not folder.is_dir():
            continue
        if folder.name.startswith(UNBORN_PREFIX):
            if time.time() - folder.stat().st_mtime > UNBORN_SECONDS:
                remove_tree(folder)
            continue
        owner = _read_owner(folder)
        if owner is None or owner["machine"] != socket.gethostname() or _is_alive(owner):
            continue
        for name in owner["outside"]:
            file = Path(name)
            # The owner file is data: only what carries our own mark is removed because of it.
            if is_partial(file) and file.is_file() and not file.is_symlink():
                file.unlink(missing_ok=True)
        remove_tree(folder)
        if folder.exists():
            raise OutputError(f"The abandoned job {quoted(folder)} cannot be removed.", "Remove it by hand.")
        removed.append(folder)
    return removed


def _owner(outside: list[Path]) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "machine": socket.gethostname(),
        "outside": [str(path) for path in outside],
    }


def _read_owner(folder: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads((folder / OWNER_FILE).read_text())
        return {"pid": int(owner["pid"]), "started": float(owner["started"]), "machine": str(owner["machine"])} | {
            "outside": [str(name) for name in owner["outside"]]
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(owner: dict[str, Any]) -> bool:
    try:
        process = psutil.Process(owner["pid"])
        # A zombie has ended; its parent just has not asked yet. One second covers the clock's grain.
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - owner["started"]) < 1.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
