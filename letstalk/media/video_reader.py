"""Reading video: upright RGB frames on an even timeline, and the sound that belongs to them, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from letstalk.errors import InputError
from letstalk.media.container import SoundFile, film_stream, not_media, open_media
from letstalk.media.files import quoted
from letstalk.types import FPS, SAMPLE_RATE_HZ, Audio

KIND = "video file"
# H.273 matrix number -> how swscale is told. 2 is "not said": players then go by the height of the picture.
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
HD_HEIGHT = 720
SEEK_BACK_SECONDS = (0.0, 2.0, 10.0)
TICK_SECONDS = 0.002  # WebM rounds its timestamps to milliseconds


class VideoReader:
    """The frames of a video file at `fps` a second: frame i is what a player shows i / fps after the first picture.

    Another frame rate in the file, or an uneven one, is met by repeating and leaving out frames, never by blending.
    Pictures are turned upright as the file asks. `fps=None` keeps the file's own average rate. A context manager, for
    one thread.
    """

    def __init__(self, path: Path | str, fps: int | Fraction | None = FPS) -> None:
        self.path = Path(path)
        self._reformatter = VideoReformatter()
        self._stack = ExitStack()
        self._open()
        self.file_fps = self._stream.average_rate or self._stream.guessed_rate or Fraction(FPS)
        self.fps = Fraction(fps) if fps is not None else self.file_fps
        try:
            self._first_seconds, self._end_seconds = self._scan()
        except InputError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    @property
    def num_frames(self) -> int:
        """How many frames `frames` gives, from the timestamps of the packets. Where a picture does not decode, the one
        before it stays.
        """
        return max(1, math.ceil((self.duration_seconds - TICK_SECONDS) * self.fps))

    @property
    def duration_seconds(self) -> float:
        return self._end_seconds - self._first_seconds

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright pictures."""
        height, width = self.frame(0).shape[:2]
        return height, width

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self._container.metadata)

    def frames(self, start: int = 0) -> Iterator[np.ndarray]:
        """(height, width, 3) uint8 RGB from frame `start` on. One iteration at a time: a second one moves the first.

        A picture that stays for several frames is the same array each time: copy before you paint on it.
        """
        index, held, shown = start, None, None
        for picture in self._pictures(float(start / self.fps)):
            seconds = self._seconds(picture)
            while held is not None and float(index / self.fps) < seconds - TICK_SECONDS:
                shown = self._rgb(held) if shown is None else shown
                yield shown
                index += 1
            held, shown = picture, None
        if held is None:
            raise InputError(f"{quoted(self.path)} holds no pictures that can be decoded.", "Save or record it again.")
        shown = self._rgb(held)
        for _ in range(index, self.num_frames):
            yield shown

    def frame(self, index: int) -> np.ndarray:
        """Frame `index`, found by way of the key frame before it."""
        if not 0 <= index < self.num_frames:
            raise IndexError(f"frame {index} of {self.num_frames}")
        return next(self.frames(index))

    def audio(self) -> Audio | None:
        """The sound as mono 16 kHz, sample 0 at the first picture: what comes earlier is cut, what comes later is
        waited for.

        None when there is no sound.
        """
        if not self._container.streams.audio:
            return None
        with SoundFile(self.path) as file:
            pieces = [piece[0] for piece in file.blocks(SAMPLE_RATE_HZ, "mono")]
            file.check_complete()
            lead, notes = round(file.lead_seconds * SAMPLE_RATE_HZ), file.notes()
        samples = np.clip(np.concatenate(pieces), -1.0, 1.0)
        samples = np.pad(samples, (lead, 0)) if lead > 0 else samples[-lead:]
        return Audio(samples, source=self.path, notes=notes)

    def _open(self) -> None:
        """From the first packet, also when it was open before: going back by a seek is not exact in every format."""
        self._stack.close()
        with ExitStack() as guard:
            container = open_media(self.path, guard, KIND)
            stream = film_stream(container)
            if stream is None:
                if container.streams.audio:
                    raise InputError(f"{quoted(self.path)} has sound but no pictures.", "Choose a video.")
                raise not_media(self.path, KIND)
            stream.thread_count = 1
            self._coded_size = (stream.width, stream.height)
            self._container, self._stream = container, stream
            self._stack = guard.pop_all()

    def _scan(self) -> tuple[float, float]:
        """Start of the first and end of the last picture in seconds, from the packets alone."""
        first, end = math.inf, -math.inf
        try:
            for packet in self._container.demux(self._stream):
                if packet.pts is None or packet.is_discard:
                    continue
                start = float(packet.pts * packet.time_base)
                length = float((packet.duration or 0) * packet.time_base) or 1.0 / float(self.file_fps)
                first, end = min(first, start), max(end, start + length)
        except (FFmpegError, OSError):
            pass  # the file breaks off; what came before it can be used
        if math.isinf(first):
            raise not_media(self.path, KIND)
        return first, end

    def _pictures(self, seconds: float) -> Iterator[av.VideoFrame]:
        """Decoded pictures from the one shown at `seconds`, or from some before it."""
        for back_seconds in SEEK_BACK_SECONDS:
            if seconds - back_seconds <= 0:
                break
            self._seek(seconds - back_seconds)
            pictures = self._decode()
            first = next(pictures, None)
            # MPEG-TS has no index: a seek may land behind the key frame that the picture needs.
            if first is not None and self._seconds(first) <= seconds + TICK_SECONDS:
                yield first
                yield from pictures
                return
        self._open()
        yield from self._decode()

    def _seek(self, seconds: float) -> None:
        assert self._stream.time_base is not None
        offset = math.floor((self._first_seconds + seconds) / self._stream.time_base)
        with suppress(FFmpegError, OSError):  # where it cannot seek, decoding goes on and is found to be too late
            self._container.seek(offset, stream=self._stream, backward=True)

    def _decode(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from (picture for picture in packet.decode() if picture.pts is not None)
                except FFmpegError:
                    continue
        except (FFmpegError, OSError):
            return

    def _seconds(self, picture: av.VideoFrame) -> float:
        assert picture.pts is not None and picture.time_base is not None
        return float(picture.pts * picture.time_base) - self._first_seconds

    def _rgb(self, picture: av.VideoFrame) -> np.ndarray:
        unknown = Colorspace.ITU709 if picture.height >= HD_HEIGHT else Colorspace.ITU601
        full_range = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        width, height = self._coded_size  # browsers change the size within a recording; all frames get the first one
        converted = self._reformatter.reformat(
            picture,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=MATRICES.get(int(picture.colorspace), unknown),
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
            threads=1,
        )
        turns = round(picture.rotation / 90)  # counter-clockwise, as np.rot90 counts
        return np.ascontiguousarray(np.rot90(converted.to_ndarray(), turns))


def read_video(path: Path | str, fps: int | None = FPS, max_frames: int = 1500) -> tuple[np.ndarray, Audio | None]:
    """All frames (n, height, width, 3) uint8 and the sound of a video; one of more than `max_frames` is refused."""
    with VideoReader(path, fps) as reader:
        if reader.num_frames > max_frames:
            raise InputError(
                f"{quoted(reader.path)} has {reader.num_frames} frames, more than the {max_frames} that fit at once.",
                "Cut it, or read it frame by frame.",
            )
        return np.stack(list(reader.frames())), reader.audio()
