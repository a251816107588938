"""Working ahead: an iterator runs in a thread of its own, so that two cores share a job."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

POLL_SECONDS = 0.05
GOODBYE_SECONDS = 1.0  # how long the end waits for an item that is under way


@dataclass(frozen=True)
class _Made(Generic[Item]):
    item: Item


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None = None


def ahead(items: Iterator[Item], depth: int = 1, given_up: Callable[[], bool] | None = None) -> Iterator[Item]:
    """The same items in the same order; up to `depth` wait ready while one more is being made.

    What `items` raises is raised here, after the items before it. Closing this generator, or `given_up` turning true
    while nothing is ready, ends it. The thread ends with the item that it is at, which nothing here can hurry.
    """
    ready: queue.Queue[_Made[Item] | _Ended] = queue.Queue(depth)
    closed = threading.Event()
    thread = threading.Thread(target=_work, args=(items, ready, closed), name="letstalk-ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                made = ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                if given_up is not None and given_up():
                    return
                continue
            if isinstance(made, _Ended):
                if made.error is not None:
                    raise made.error
                return
            yield made.item
    finally:
        closed.set()
        thread.join(GOODBYE_SECONDS)


def _work(items: Iterator[Item], ready: queue.Queue[_Made[Item] | _Ended], closed: threading.Event) -> None:
    """Fills the queue until the items end, fail or nobody wants them any more."""

    def hand_over(made: _Made[Item] | _Ended) -> None:
        while not closed.is_set():  # polls: a full queue must not keep this thread for ever
            try:
                ready.put(made, timeout=POLL_SECONDS)
                return
            except queue.Full:
                continue

    try:
        for item in items:
            hand_over(_Made(item))
            if closed.is_set():
                break
        close = getattr(items, "close", None)
        if close is not None:
            close()
        ended = _Ended()
    except BaseException as error:  # it belongs to the consumer, whatever it is
        ended = _Ended(error)
    hand_over(ended)
