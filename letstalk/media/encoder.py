"""One H.264 and one AAC encoder on one timeline. Their packets go to the MP4 and, the same ones, to the stream's
segments.

Both tracks start at 0 and end together: the sound is filled with silence up to the end of the last frame or cut there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from letstalk.media.container import Resampler, SoundFile, has_unknown_layout
from letstalk.media.files import local_url
from letstalk.media.hls import Segment, SegmentPlan, SegmentWriter
from letstalk.types import FPS, SAMPLE_RATE_HZ

PLAIN_RATE_HZ = 48_000
# What both AAC and MPEG-TS can carry. Under 16 kHz one AAC packet lasts longer than 64 ms and delays the first segment.
AAC_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
AAC_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
BITS_PER_SECOND = 96_000  # for each channel
SOUND_BLOCK = 4096


@dataclass(frozen=True)
class VideoSettings:
    """How a video is encoded. `metadata` reaches the MP4 for the keys that MP4 knows (title, artist, comment, date,
    ...).
    """

    crf: float = 20.0  # x264's constant quality: 18 looks like the original, 28 is coarse
    preset: str = "veryfast"
    num_threads: int = 1
    hls: bool = False
    segments: SegmentPlan = field(default_factory=SegmentPlan)
    metadata: dict[str, str] = field(default_factory=dict)


class SoundFeed(Protocol):
    """Where the soundtrack comes from: `push` takes the speech of the frames written, `take` gives what to encode."""

    rate_hz: int
    layout: str

    def push(self, samples: np.ndarray) -> None: ...

    def take(self, num_samples: int, is_last: bool) -> np.ndarray:
        """Up to `num_samples` as (num_channels, n) float32; exactly as many when `is_last`."""
        ...

    def close(self) -> None: ...


class SpeechFeed:
    """The mono 16 kHz speech itself, raised to 48 kHz."""

    rate_hz = PLAIN_RATE_HZ
    layout = "mono"

    def __init__(self) -> None:
        self._resampler = Resampler(self.rate_hz, self.layout)
        self._ready = np.zeros((1, 0), np.float32)

    def push(self, samples: np.ndarray) -> None:
        finite = np.nan_to_num(np.ascontiguousarray(samples, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        frame = av.AudioFrame.from_ndarray(np.clip(finite, -1.0, 1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        self._ready = np.concatenate([self._ready, *self._resampler.push(frame)], axis=1)

    def take(self, num_samples: int, is_last: bool) -> np.ndarray:
        if is_last:
            self._ready = np.concatenate([self._ready, *self._resampler.flush()], axis=1)
            self._ready = _filled(self._ready, num_samples)
        taken, self._ready = self._ready[:, :num_samples], self._ready[:, num_samples:]
        return taken

    def close(self) -> None:
        pass


class SourceFeed:
    """The user's own sound at its own rate and channels, decoded again as it is needed.

    Counts samples exactly as `load_audio` did, so it stays with the lips; rates and layouts that AAC in MPEG-TS cannot
    carry become 48 kHz and stereo.
    """

    def __init__(self, path: Path) -> None:
        self._file = SoundFile(path)
        self.rate_hz = self._file.rate_hz if self._file.rate_hz in AAC_RATES_HZ else PLAIN_RATE_HZ
        self.layout = _aac_layout(self._file.layout)
        self._blocks: Iterator[np.ndarray] | None = self._file.blocks(self.rate_hz, self.layout)
        self._num_channels = av.AudioLayout(self.layout).nb_channels
        self._ready = np.zeros((self._num_channels, 0), np.float32)

    def push(self, samples: np.ndarray) -> None:
        pass

    def take(self, num_samples: int, is_last: bool) -> np.ndarray:
        pieces, num_ready = [self._ready], self._ready.shape[1]
        while num_ready < num_samples and self._blocks is not None:
            piece = next(self._blocks, None)
            if piece is None:
                self._blocks = None
                break
            pieces.append(np.clip(piece, -1.0, 1.0))
            num_ready += piece.shape[1]
        # A source that ends before the speech does goes on in silence.
        joined = _filled(np.concatenate(pieces, axis=1), num_samples)
        taken, self._ready = joined[:, :num_samples], joined[:, num_samples:]
        return taken

    def close(self) -> None:
        self._file.close()


class FilmEncoder:
    """Frames and speech in, an MP4 file and optional stream segments out. Belongs to one thread; `close` is always due.

    Frames are (n, height, width, 3) uint8 RGB. Odd sides grow by one pixel, a repeat of the edge: H.264 in 4:2:0 has
    even sides.
    """

    def __init__(
        self, path: Path, height: int, width: int, settings: VideoSettings, feed: SoundFeed, folder: Path | None
    ) -> None:
        self.num_frames = 0
        self._settings, self._feed = settings, feed
        self._num_sound = 0
        self._reformatter = VideoReformatter()
        self._padding = ((0, height % 2), (0, width % 2), (0, 0))
        with ExitStack() as guard:
            self._container = guard.enter_context(
                av.open(local_url(path), "w", format="mp4", options={"movflags": "+faststart"})
            )
            self._container.metadata.update(settings.metadata)
            self._video = self._add_video(height + height % 2, width + width % 2)
            self._audio = self._container.add_stream("aac", rate=feed.rate_hz, layout=feed.layout)
            self._audio.bit_rate = BITS_PER_SECOND * self._audio.codec_context.layout.nb_channels
            self._container.start_encoding()
            self._segments = SegmentWriter(folder, settings.segments, self._video, self._audio) if folder else None
            guard.pop_all()

    def _add_video(self, height: int, width: int) -> av.VideoStream:
        # zerolatency: no B-frames and no look-ahead, so a packet leaves as its frame comes and decoding order is
        # showing order.
        options = {
            "preset": self._settings.preset,
            "tune": "zerolatency",
            "crf": f"{self._settings.crf:g}",
            "forced-idr": "1",
            "sc_threshold": "0",
        }
        stream = self._container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
        context.thread_count = self._settings.num_threads
        context.gop_size = 100_000  # key frames come from the plan alone
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    def encode(self, frames: np.ndarray, samples: np.ndarray) -> list[Segment]:
        """Adds frames and their 16 kHz samples; gives the segments that closed thereby."""
        closed: list[Segment] = []
        self._feed.push(samples)
        for frame in frames:
            closed += self._send_video(self._video.encode(self._picture(frame)))
            self.num_frames += 1
        closed += self._advance_sound(is_last=False)
        return closed

    def finish(self) -> list[Segment]:
        """Ends both tracks at the end of the last frame and completes the MP4."""
        closed = self._advance_sound(is_last=True)
        closed += self._send_video(self._video.encode(None))
        closed += self._send_audio(self._audio.encode(None))
        if self._segments:
            closed += self._segments.finish()
        self._container.close()
        return closed

    def close(self) -> None:
        """Frees everything; after `finish` the MP4 is complete, otherwise it is a torso for the caller to remove."""
        try:
            self._container.close()
        except (FFmpegError, OSError):
            pass  # a torso cannot always be ended, for instance on a full disk
        finally:
            self._feed.close()

    def _picture(self, frame: np.ndarray) -> av.VideoFrame:
        if any(after for _, after in self._padding):
            frame = np.pad(frame, self._padding, mode="edge")
        picture = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"),
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            threads=1,
        )
        picture.pts, picture.time_base, picture.duration = self.num_frames, Fraction(1, FPS), 1
        picture.pict_type = PictureType.I if self._settings.segments.is_start(self.num_frames) else PictureType.NONE
        return picture

    def _advance_sound(self, is_last: bool) -> list[Segment]:
        closed: list[Segment] = []
        due = self.num_frames * self._feed.rate_hz // FPS - self._num_sound
        while due > 0:
            block = self._feed.take(due if is_last else min(due, SOUND_BLOCK), is_last)
            if not block.shape[1]:
                break
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._feed.layout)
            frame.sample_rate, frame.pts = self._feed.rate_hz, self._num_sound
            frame.time_base = Fraction(1, self._feed.rate_hz)
            self._num_sound += block.shape[1]
            due -= block.shape[1]
            closed += self._send_audio(self._audio.encode(frame))
        return closed

    def _send_video(self, packets: list[av.Packet]) -> list[Segment]:
        closed: list[Segment] = []
        for packet in packets:
            packet.duration = 1
            self._container.mux_one(packet)
            closed += self._segments.add_video(packet) if self._segments else []
        return closed

    def _send_audio(self, packets: list[av.Packet]) -> list[Segment]:
        closed: list[Segment] = []
        for packet in packets:
            self._container.mux_one(packet)
            closed += self._segments.add_audio(packet) if self._segments else []
        return closed


def _aac_layout(layout: av.AudioLayout) -> str:
    """The layout itself where AAC has it, side and back speakers taken as one; stereo for the others."""
    if has_unknown_layout(layout) or layout.nb_channels == 1:
        return "mono"
    name = layout.name.split("(")[0]
    return name if name in AAC_LAYOUTS else "stereo"


def _filled(block: np.ndarray, num_samples: int) -> np.ndarray:
    """At least `num_samples` long: silence is added at the end."""
    missing = num_samples - block.shape[1]
    return np.pad(block, ((0, 0), (0, missing))) if missing > 0 else block
