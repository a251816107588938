"""The video writer: frames and speech as they come, closed segments meanwhile, one faststart MP4 at the end."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, Self

import numpy as np

from letstalk.errors import OutputError
from letstalk.media.encoder import FilmEncoder, SourceFeed, SpeechFeed, VideoSettings
from letstalk.media.files import can_rename_into, check_target, output_error, partial_name
from letstalk.media.hls import PLAYLIST_NAME, SEGMENT_FILES, Segment, SegmentPlan
from letstalk.media.jobs import JobFolder
from letstalk.types import FPS, SAMPLES_PER_FRAME, num_frames_for_samples

__all__ = ["Segment", "SegmentPlan", "VideoResult", "VideoSettings", "VideoWriter"]

SUFFIXES = (".mp4", ".m4v")
PIECE_FRAMES = 4
QUEUE_PIECES = 8  # 32 frames: 6 MB at 256x256, 25 MB at 512x512


@dataclass(frozen=True)
class VideoResult:
    path: Path
    num_frames: int
    playlist: Path | None = None
    segments: tuple[Segment, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def duration_seconds(self) -> float:
        return self.num_frames / FPS


class VideoWriter:
    """Writes one video. Encoding runs in a thread of its own behind a short queue; its errors surface at the next call.

        with VideoWriter(Path("out.mp4"), (256, 256), audio_source=audio.source) as writer:
            for chunk in chunks:
                writer.write(chunk.frames, chunk.samples)
                play(writer.closed_segments())
            result = writer.finish()

    `finish` after any number of frames gives a complete, playable file. Leaving the block without it, or `abort`,
    removes everything. Unfinished work lies in `job`, or in a job folder of its own; with `settings.hls` the segments
    lie there too, so the caller must own the job and keep it for as long as somebody watches. Without `target` the
    video stays in the job as video.mp4. One thread writes; `closed_segments` may be called from another.
    """

    def __init__(
        self,
        target: Path | None,
        shape: tuple[int, int],
        settings: VideoSettings | None = None,
        audio_source: Path | None = None,
        job: JobFolder | None = None,
    ) -> None:
        self._settings = settings or VideoSettings()
        self._height, self._width = shape
        assert min(shape) >= 2, shape
        assert job is not None or (target is not None and not self._settings.hls), (
            "segments outlive the writer: pass a job"
        )
        if target is not None:
            check_target(target, [audio_source] if audio_source else [], SUFFIXES)
        self._job = job or JobFolder.create()
        self._owns_job = job is None
        self._target = target or self._job.path / "video.mp4"
        self._queue: queue.Queue[tuple[np.ndarray, np.ndarray] | None] = queue.Queue(QUEUE_PIECES)
        self._closed: deque[Segment] = deque()
        self._segments: list[Segment] = []
        self._error: BaseException | None = None
        self._aborted = threading.Event()
        self._result: VideoResult | None = None
        self._num_frames = 0
        self._got_partial_frame = False
        self._partial: Path | None = None
        try:
            self._partial = self._place_partial()
            feed = SourceFeed(audio_source) if audio_source else SpeechFeed()
            folder = self._job.path if self._settings.hls else None
            try:
                self._encoder = FilmEncoder(self._partial, self._height, self._width, self._settings, feed, folder)
            except BaseException:
                feed.close()
                raise
        except Exception as error:
            self._remove_all()
            self._raise(error)
        self._thread = threading.Thread(target=self._run, name="letstalk-encoder", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.abort()

    @property
    def num_frames(self) -> int:
        """Frames taken so far; the encoder may be a few behind."""
        return self._num_frames

    def write(self, frames: np.ndarray, samples: np.ndarray) -> None:
        """Adds (n, height, width, 3) uint8 frames and their (n * 640,) float samples, which may be reused at once.

        Only the very last call may bring fewer samples, for a partial last frame. Waits while the encoder is behind.
        """
        assert frames.dtype == np.uint8, frames.dtype
        assert frames.shape[1:] == (self._height, self._width, 3), frames.shape
        assert num_frames_for_samples(len(samples)) == len(frames), (len(samples), len(frames))
        has_ended = self._result is not None or self._aborted.is_set() or self._got_partial_frame
        assert not has_ended, "the video has ended"
        self._got_partial_frame = len(samples) % SAMPLES_PER_FRAME != 0
        for start in range(0, len(frames), PIECE_FRAMES):
            self._raise_error()
            stop = start + PIECE_FRAMES
            speech = samples[start * SAMPLES_PER_FRAME : stop * SAMPLES_PER_FRAME]
            self._queue.put((np.array(frames[start:stop]), np.array(speech, dtype=np.float32)))
            self._num_frames += len(frames[start:stop])
        self._raise_error()

    def closed_segments(self) -> list[Segment]:
        """Segments that closed since the last call, in order. Each is a complete file."""
        taken = []
        while self._closed:
            taken.append(self._closed.popleft())
        return taken

    def finish(self) -> VideoResult:
        """Ends the video after the frames written so far, puts it in its place and says what it is."""
        if self._result is not None:
            return self._result
        if self._num_frames == 0:
            self.abort()
            raise OutputError("There is no frame to save.", "Let it run until the first pictures are there.")
        assert not self._aborted.is_set(), "the video was aborted"
        self._stop_thread()
        self._raise_error()
        assert self._partial is not None
        try:
            self._partial.replace(self._target)
        except OSError as error:
            self._remove_all()
            raise output_error(self._target, error) from error
        playlist = self._job.path / PLAYLIST_NAME if self._settings.hls else None
        notes = ()
        if self._height % 2 or self._width % 2:
            notes = ("An edge was repeated once: a video has even sides.",)
        self._result = VideoResult(self._target, self._num_frames, playlist, tuple(self._segments), notes)
        if self._owns_job:
            self._job.remove()
        return self._result

    def abort(self) -> None:
        """Stops encoding and removes everything; does nothing after `finish` or a second time."""
        if self._result is not None or self._aborted.is_set():
            return
        self._aborted.set()
        self._stop_thread()
        self._remove_all()

    def _run(self) -> None:
        """The encoder's thread: reads the queue up to its end mark, even after an error: no writer ever hangs."""
        try:
            while (item := self._queue.get()) is not None:
                if self._error is None and not self._aborted.is_set():
                    self._attempt(partial(self._encoder.encode, *item))
            if self._error is None and not self._aborted.is_set():
                self._attempt(self._encoder.finish)
        finally:
            self._encoder.close()

    def _attempt(self, work: Callable[[], list[Segment]]) -> None:
        try:
            segments = work()
        except Exception as error:  # shown by the next call, in the caller's thread
            self._error = error
        else:
            self._segments += segments
            self._closed += segments

    def _stop_thread(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            self.abort()
            self._raise(self._error)

    def _raise(self, error: BaseException) -> NoReturn:
        shown = output_error(self._target, error)
        raise shown from (None if shown is error else error)

    def _place_partial(self) -> Path:
        """Inside the job where a rename to the target is possible, else beside the target and recorded in the job."""
        inside = self._job.path / partial_name()
        if can_rename_into(self._job.path, self._target):
            return inside
        beside = self._target.parent / inside.name
        self._job.record(beside)
        return beside

    def _remove_all(self) -> None:
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)
        for file in self._job.path.glob(SEGMENT_FILES):
            file.unlink(missing_ok=True)
        self._closed.clear()
        (self._job.path / PLAYLIST_NAME).unlink(missing_ok=True)
        if self._owns_job:
            self._job.remove()
