"""Stop keeps what is done and cancel nothing; both act within one denoising step, in one thread and in two."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tiny_engine import in_pieces, sound_of

from letstalk.engine.ahead import ahead
from letstalk.engine.chunks import Step
from letstalk.errors import Cancelled
from letstalk.pipeline import LetsTalkPipeline
from letstalk.runtime import CancelToken
from letstalk.settings import GenerationSettings
from letstalk.types import Portrait

BOTH = pytest.mark.parametrize("overlap", [False, True])


@BOTH
def test_stop_ends_within_one_step(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    token, steps = CancelToken(), []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.first_frame == 3 and step.step == 2:
            token.stop()

    stream = pipe.stream(portrait, sound_of(16_000), settings, steps=4, on_step=on_step, cancel=token, overlap=overlap)
    chunks = list(stream)
    assert steps[-1] == Step(3, 5, 2, 4) and steps[-1].frames_done == 3 + 2.5
    assert [step.step for step in steps] == [1, 2, 3, 4, 1, 2]
    # In two threads the first chunk may still have waited for its decoder.
    assert [chunk.first_frame for chunk in chunks] in ([[0]] if not overlap else [[0], []])


@BOTH
def test_cancel_is_raised(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    token = CancelToken()
    stream = pipe.stream(portrait, sound_of(16_000), settings, cancel=token, overlap=overlap)
    next(stream)
    token.cancel()
    with pytest.raises(Cancelled):
        next(stream)


@BOTH
def test_a_token_that_was_used_before_makes_nothing(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    token = CancelToken()
    token.stop()
    assert list(pipe.stream(portrait, sound_of(16_000), settings, cancel=token, overlap=overlap)) == []
    with pytest.raises(Cancelled):
        pipe(portrait, sound_of(16_000), settings, cancel=token, overlap=overlap)


def test_stop_does_not_wait_for_a_silent_microphone(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings
) -> None:
    token, hung_up = CancelToken(), threading.Event()

    def microphone() -> Iterator[np.ndarray]:
        yield sound_of(6000)
        hung_up.wait(30)

    stream = pipe.stream(portrait, microphone(), settings, cancel=token, overlap=True)
    assert next(stream).first_frame == 0
    token.stop()
    begin = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - begin < 5
    hung_up.set()


@BOTH
def test_stop_lets_go_of_live_sound_at_the_next_block(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    """Not at the end of the chunk's sound: what a microphone hears after Stop belongs to somebody else."""
    token, heard = CancelToken(), []

    def microphone() -> Iterator[np.ndarray]:
        for block in in_pieces(sound_of(16_000), 320):
            heard.append(len(block))
            if len(heard) == 20:
                token.stop()
            yield block

    stream = pipe.stream(portrait, microphone(), settings, cancel=token, overlap=overlap)
    assert [chunk.first_frame for chunk in stream] in ([[0]] if not overlap else [[0], []])
    wait_for_threads()
    assert len(heard) == 20


@BOTH
def test_closing_a_stream_ends_its_work(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    steps: list[Step] = []
    stream = pipe.stream(portrait, sound_of(48_000), settings, on_step=steps.append, overlap=overlap)
    next(stream)
    stream.close()
    wait_for_threads()
    num_steps = len(steps)
    time.sleep(0.2)
    assert len(steps) == num_steps <= 3 * settings.steps


@BOTH
def test_an_error_in_a_callback_reaches_the_consumer(
    pipe: LetsTalkPipeline, portrait: Portrait, settings: GenerationSettings, overlap: bool
) -> None:
    def on_step(step: Step) -> None:
        raise ZeroDivisionError(step.first_frame)

    with pytest.raises(ZeroDivisionError):
        next(pipe.stream(portrait, sound_of(16_000), settings, on_step=on_step, overlap=overlap))


def wait_for_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "letstalk-ahead":
            thread.join(10)
            assert not thread.is_alive()


class TestAhead:
    def test_same_items_same_order(self) -> None:
        assert list(ahead(iter(range(100)), depth=3)) == list(range(100))

    def test_is_never_further_ahead_than_asked(self) -> None:
        made: list[int] = []

        def count() -> Iterator[int]:
            for number in range(10):
                made.append(number)
                yield number

        items = ahead(count(), depth=2)
        assert next(items) == 0
        time.sleep(0.3)
        assert made == [0, 1, 2, 3]  # one taken, two ready, one in hand
        items.close()  # type: ignore[attr-defined]
        wait_for_threads()
        assert len(made) <= 5

    def test_an_error_comes_after_the_items_before_it(self) -> None:
        def broken() -> Iterator[int]:
            yield 1
            yield 2
            raise OSError("gone")

        items = ahead(broken())
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(OSError, match="gone"):
            next(items)

    def test_an_error_at_the_very_end_is_no_endless_wait(self) -> None:
        class Broken:
            def __iter__(self) -> Iterator[int]:
                return self

            def __next__(self) -> int:
                raise StopIteration

            def close(self) -> None:
                raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            list(ahead(Broken()))

    def test_the_source_is_closed(self) -> None:
        closed = threading.Event()

        def source() -> Iterator[int]:
            try:
                while True:
                    yield 0
            finally:
                closed.set()

        items = ahead(source())
        next(items)
        items.close()  # type: ignore[attr-defined]
        assert closed.wait(5)
