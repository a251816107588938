"""How a process that renders beside others behaves: one thread, silent at Ctrl-C, and gone when its parent is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_workers(function: Callable[[Item], Result], items: Iterable[Item], num_workers: int) -> Iterator[Result]:
    """`map` in worker processes, in order; one worker works in this process. What is not taken is not waited for."""
    if num_workers == 1:
        yield from map(function, items)
        return
    with worker_pool(num_workers) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def worker_pool(num_workers: int) -> ProcessPoolExecutor:
    """Processes that start fresh: forking one that has threads (torch, BLAS) may hang the child."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(num_workers, context, initializer=_prepare_pool_worker)


def _prepare_pool_worker() -> None:
    """Ctrl-C reaches workers too: what they are at is lost with their parent's loop, so they end at once."""
    is_deaf = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # begun in the background: its parent is deaf too
    prepare_worker()
    if not is_deaf:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def prepare_worker() -> None:
    """Call once at the start of a worker process, in its main thread."""
    import cv2

    # Each worker has one core; a picture must not depend on how many threads filtered it either.
    cv2.setNumThreads(1)
    # The parent answers Ctrl-C, and may save first; tracebacks of all its workers would bury its message.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, name="letstalk-parent-watch", daemon=True).start()


def _leave_with_parent() -> None:
    """A killed parent cannot stop its workers, and they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
