"""Worker processes: in order, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from letstalk.synthetic.data.workers import in_workers

# A parent that says who its worker is and then waits for ever.
PARENT = """
import os, time
from letstalk.synthetic.data.workers import worker_pool
if __name__ == "__main__":
    pool = worker_pool(1)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""

# One whose workers are asleep for long after the first item.
BUSY_PARENT = """
import signal
from time import sleep
from letstalk.synthetic.data.workers import in_workers
def item(seconds):
    sleep(seconds)
    return 1
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background begin deaf
    try:
        for result in in_workers(item, [0, 600, 600], 2):
            print(result, flush=True)
    except KeyboardInterrupt:
        print("stopped")
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


def test_ctrl_c_ends_a_busy_pool_at_once_and_in_silence(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(BUSY_PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None and parent.stdout.readline() == "1\n"
    time.sleep(0.5)  # the second item is being worked on
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=20)
    assert (out, err) == ("stopped\n", "")


def works(process: psutil.Process) -> bool:
    """An orphan that has left may stay listed until somebody collects it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
