"""Worker processes: in order, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from letstalk.synthetic.workers import in_workers

# A parent that says who its worker is and then waits for ever.
PARENT = """
import os, time
from letstalk.synthetic.workers import worker_pool
if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""


def test_results_come_in_order_whoever_works() -> None:
    numbers = [3, -1, 4, -1, 5]
    assert list(in_workers(abs, numbers, 1)) == list(in_workers(abs, numbers, 2)) == [3, 1, 4, 1, 5]


def test_a_worker_leaves_with_its_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    assert works(worker)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while works(worker):
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.1)


def works(process: psutil.Process) -> bool:
    """An orphan that has left may stay listed until somebody collects it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
