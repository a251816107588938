"""HTTP live streaming: encoded packets become closed MPEG-TS segments and a playlist that grows while the job runs.

FFmpeg's own hls muxer is not used: it swallows write errors, its file names are patterns in which % counts, and it
announces a new target duration when a longer segment comes. Here each segment is muxed in memory and appears by a
rename.
"""

from __future__ import annotations

import io
import math
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from letstalk.types import FPS

PLAYLIST_NAME = "index.m3u8"
SEGMENT_FILES = "segment*"  # finished and unfinished ones
TS_PACKET_BYTES = 188
TS_CLOCK = Fraction(1, 90_000)


@dataclass(frozen=True)
class Segment:
    """A closed piece of the stream: an MPEG-TS file that starts with a key frame and can be decoded alone."""

    path: Path
    index: int
    first_frame: int
    num_frames: int

    @property
    def duration_seconds(self) -> float:
        return self.num_frames / FPS


@dataclass(frozen=True)
class SegmentPlan:
    """Where segments, and therefore key frames, begin: a short first one so that playing starts soon."""

    first_frames: int = 8
    later_frames: int = 25

    def start_of(self, index: int) -> int:
        return 0 if index == 0 else self.first_frames + (index - 1) * self.later_frames

    def is_start(self, frame: int) -> bool:
        return frame == 0 or (frame >= self.first_frames and (frame - self.first_frames) % self.later_frames == 0)

    @property
    def longest_seconds(self) -> float:
        return max(self.first_frames, self.later_frames) / FPS


class SegmentWriter:
    """Takes video and audio packets in any interleaving and writes every segment as soon as both have passed its end.

    Not thread-safe: it belongs to the encoder's thread. Video packets must come one a frame, in order, without
    B-frames.
    """

    def __init__(self, folder: Path, plan: SegmentPlan, video: av.VideoStream, audio: av.AudioStream) -> None:
        self._folder, self._plan = folder, plan
        self._templates = (video, audio)
        self._video: deque[av.Packet] = deque()
        self._audio: deque[av.Packet] = deque()
        self._num_video = 0
        self._audio_end = Fraction(0)
        self._segments: list[Segment] = []
        context = audio.codec_context
        self._sound_packet_seconds = Fraction(context.frame_size, context.sample_rate)
        self._continuity: dict[int, int] = {}
        self._playlist = folder / PLAYLIST_NAME
        target_seconds = math.ceil(plan.longest_seconds)
        self._playlist.write_text(
            "#EXTM3U\n#EXT-X-VERSION:6\n"
            f"#EXT-X-TARGETDURATION:{target_seconds}\n"
            "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        )

    def add_video(self, packet: av.Packet) -> list[Segment]:
        self._video.append(packet)
        self._num_video += 1
        return self._close_ready()

    def add_audio(self, packet: av.Packet) -> list[Segment]:
        """MPEG-TS has no edit list, so two packets that the MP4 keeps are left out here. The one before time 0 primes
        the decoder: the first 21 ms of the preview fade in instead. A last one of which less than half is to be heard
        would outlast the pictures: the preview ends up to half a packet earlier.
        """
        start, length = _seconds(packet), (packet.duration or 0) * packet.time_base
        self._audio_end = max(self._audio_end, start + length)
        is_stub = 2 * length < self._sound_packet_seconds
        if start >= 0 and not is_stub:
            self._audio.append(packet)
        return self._close_ready()

    def finish(self) -> list[Segment]:
        """Closes the last, shorter segment with its true duration and ends the playlist."""
        closed = self._close_ready()
        start = self._plan.start_of(len(self._segments))
        if start < self._num_video:
            closed.append(self._close(self._num_video))
        with self._playlist.open("a") as file:
            file.write("#EXT-X-ENDLIST\n")
        return closed

    def _close_ready(self) -> list[Segment]:
        closed = []
        while True:
            end = self._plan.start_of(len(self._segments) + 1)
            if self._num_video < end or self._audio_end < Fraction(end, FPS):
                return closed
            closed.append(self._close(end))

    def _close(self, end_frame: int) -> Segment:
        index = len(self._segments)
        start_frame = self._plan.start_of(index)
        packets = [self._video.popleft() for _ in range(end_frame - start_frame)]
        end_seconds = Fraction(end_frame, FPS)
        sound = []
        while self._audio and _seconds(self._audio[0]) < end_seconds:
            sound.append(self._audio.popleft())
        segment = Segment(self._folder / f"segment{index:05d}.ts", index, start_frame, end_frame - start_frame)
        partial = segment.path.with_suffix(".part")
        partial.write_bytes(self._mux(packets, sound))
        partial.replace(segment.path)
        # One short append: a player that reads the playlist at this moment sees the line whole or not at all.
        with self._playlist.open("a") as file:
            file.write(f"#EXTINF:{segment.duration_seconds:.3f},\n{segment.path.name}\n")
        self._segments.append(segment)
        return segment

    def _mux(self, video: list[av.Packet], audio: list[av.Packet]) -> bytes:
        sink = io.BytesIO()
        with av.open(sink, "w", format="mpegts") as container:
            video_stream, audio_stream = (container.add_stream_from_template(stream) for stream in self._templates)
            container.start_encoding()
            for packet in video:
                packet.stream = video_stream
            for packet in audio:
                packet.stream = audio_stream
            for packet in sorted(video + audio, key=_seconds):
                container.mux_one(packet)
        return self._renumbered(sink.getvalue())

    def _renumbered(self, data: bytes) -> bytes:
        """Counters of each stream go on from the segment before: players take a jump for lost data."""
        packets = np.frombuffer(bytearray(data), np.uint8).reshape(-1, TS_PACKET_BYTES)
        ids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
        has_payload = (packets[:, 3] & 0x10) != 0
        for stream_id in np.unique(ids):
            chosen = ids == stream_id
            # A packet without payload repeats the counter of the one before it.
            counts = np.cumsum(has_payload[chosen]) + self._continuity.get(int(stream_id), -1)
            packets[chosen, 3] = (packets[chosen, 3] & 0xF0) | (counts & 0x0F).astype(np.uint8)
            self._continuity[int(stream_id)] = int(counts[-1] & 0x0F)
        return packets.tobytes()


def _seconds(packet: av.Packet) -> Fraction:
    """When the packet is shown. Without B-frames this is also the order of decoding."""
    assert packet.pts is not None
    return packet.pts * packet.time_base
