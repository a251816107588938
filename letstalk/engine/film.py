"""From a session to a finished video file: writes the stream, keeps the journal, measures, ends well when stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace

from letstalk.engine.chunks import Hooks
from letstalk.engine.clock import StageClock
from letstalk.engine.job_state import JobState
from letstalk.engine.journal import Journal
from letstalk.engine.session import Session
from letstalk.errors import Cancelled
from letstalk.longform.plan import ChunkPlan
from letstalk.media.video import VideoResult, VideoWriter
from letstalk.types import Audio, VideoChunk, num_samples_for_frames, seconds_for_frames

ChunkCallback = Callable[[VideoChunk], None]


@dataclass(frozen=True)
class FilmResult:
    video: VideoResult
    complete: bool  # False when it was stopped before the sound ended
    num_resumed_frames: int  # frames that an earlier run had made
    seconds: float  # from the first sound to the finished file, without what was resumed
    first_frame_seconds: float  # until the first new chunk was there
    stage_seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def num_made_frames(self) -> int:
        return self.video.num_frames - self.num_resumed_frames

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of new video; 0 when there was nothing left to make."""
        return self.seconds / seconds_for_frames(self.num_made_frames) if self.num_made_frames else 0.0


@dataclass(frozen=True)
class FilmOptions:
    resume: bool = False  # go on from the journal where it has something
    overlap: bool = False
    on_chunk: ChunkCallback | None = None  # after a chunk was handed to the writer


def film(
    session: Session,
    audio: Audio,
    writer: VideoWriter,
    *,
    hooks: Hooks | None = None,
    journal: Journal | None = None,
    options: FilmOptions | None = None,
) -> FilmResult:
    """Writes all of `audio` as video and finishes the writer.

    After `CancelToken.stop` the file holds what was done, and the journal stays so that it can go on later. After
    `cancel` nothing stays and `Cancelled` is raised. When the process dies, the journal is what is left.
    """
    options, hooks = options or FilmOptions(), hooks or Hooks()
    clock = hooks.clock or StageClock()
    hooks = replace(hooks, clock=clock)
    state = _resumed(session, audio, writer, journal, options.resume, hooks) if journal else None
    begin, first_frame_seconds = time.perf_counter(), 0.0
    num_resumed, notes = writer.num_frames, []
    try:
        # Closed, or its thread would work on after an error of the writer.
        with closing(session.stream(audio, state=state, hooks=hooks, overlap=options.overlap)) as stream:  # type: ignore[type-var]
            for chunk in stream:
                first_frame_seconds = first_frame_seconds or time.perf_counter() - begin
                with clock.stage("encoder"):
                    writer.write(chunk.frames, chunk.samples)
                if journal is not None:
                    with clock.stage("journal"):
                        journal.add(chunk.latents, chunk.state)
                notes += chunk.notes
                if options.on_chunk is not None:
                    options.on_chunk(chunk)
        with clock.stage("encoder"):
            video = writer.finish()
    except BaseException as error:
        if journal is not None and (isinstance(error, Cancelled) or not journal.holds_chunks):
            journal.remove()
        raise
    complete = video.num_frames == audio.num_frames
    if journal is not None and complete:
        journal.remove()
    seconds, said = time.perf_counter() - begin, (*notes, *video.notes)
    return FilmResult(video, complete, num_resumed, seconds, first_frame_seconds, clock.seconds(), said)


def _resumed(
    session: Session, audio: Audio, writer: VideoWriter, journal: Journal, resume: bool, hooks: Hooks
) -> JobState | None:
    """Writes what an earlier run had made and gives the state after it; begins the journal where there is nothing.

    Ends early once the job is stopped, like the stream that follows; the journal keeps all that it has.
    """
    state = journal.take_up(audio) if resume else None
    if state is None:
        journal.begin(audio)
        return None
    state.check_recipe(session.recipe)
    plan = ChunkPlan(session.settings.chunk_frames, session.settings.first_chunk_frames)
    for frames, latents in journal.chunks(plan, state):
        if hooks.stopped:
            break
        start, stop = num_samples_for_frames(frames.start), num_samples_for_frames(frames.stop)
        writer.write(session.frames(latents), audio.samples[start:stop])
    return state
