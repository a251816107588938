"""Sound files of any kind, opened safely and decoded frame by frame with everything counted that the user should know.

A file is opened by us and given to FFmpeg as a file object; a file that names other files or addresses (a playlist, a
reference movie) is refused: nothing but the bytes of the one file is ever read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from letstalk.errors import InputError
from letstalk.media.files import open_input, quoted
from letstalk.media.promise import has_mp3_frame_count, has_ogg_end_mark, wav_missing_share

# Demuxers that read one file; playlists, concat scripts, image lists and capture devices are not among them.
DEMUXERS = (
    "wav,w64,mp3,flac,ogg,mov,matroska,aac,aiff,au,caf,amr,amrnb,amrwb,ac3,eac3,ape,tta,wv,"
    "avi,flv,asf,mpeg,mpegts,dts,mp2,mpc,mpc8"
)
# These state the length of their sound in the header; others only estimate it, and an estimate is no promise.
LENGTH_IN_HEADER = frozenset({"flac", "aiff", "caf", "au", "mov", "matroska"})
FULL_SCALE = 0.9995  # of the largest value: a 16-bit converter that overloads sticks at 32767 or at 32766
# Without it FFmpeg mixes floats so that two equal channels come out 3 dB louder, over full scale.
NORMALISED = {"rematrix_maxval": "1.0"}
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_PADDING = 2048  # samples: one packet of HE-AAC
FLOAT_FORMATS = frozenset({"flt", "fltp", "dbl", "dblp"})
NOT_AS_ARRAYS = frozenset({"s64", "s64p"})  # sample types that PyAV decodes and cannot hand over


def _refuse_nested(*_: Any) -> NoReturn:
    raise PermissionError("a media file may not open other files")


def open_media(path: Path, stack: ExitStack, kind: str) -> InputContainer:
    """The container at `path`, closed by `stack`; `InputError` when it is no media file."""
    file = stack.enter_context(open_input(path, kind))
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "none"}
    try:
        container = av.open(file, "r", options=options, io_open=_refuse_nested, metadata_errors="replace")
        return stack.enter_context(container)
    except (FFmpegError, OSError, ValueError) as error:
        raise not_media(path, kind, error) from None


def not_media(path: Path, kind: str, error: BaseException | None = None) -> InputError:
    reason = getattr(error, "strerror", None)
    detail = f" ({reason.lower()})" if reason else ""
    return InputError(
        f"{quoted(path)} is not a {kind} that can be read, or it is cut short{detail}.",
        "Open it in a player to check it, then save it again, for example as WAV or MP4.",
    )


def film_stream(container: InputContainer) -> av.VideoStream | None:
    """The first stream of moving pictures that can be decoded; the cover picture of a song is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    return None


class SoundFile:
    """One decoding pass over the sound of a file. A context manager; `frames` can be read once.

    What is counted while decoding: samples, damaged packets, values that are not finite, samples at full scale, the
    peak. Sample 0 is the first one that decodes, whatever the timestamps say; every reader of one file therefore
    agrees.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_samples = 0  # for each channel
        self.num_values = 0  # over all channels
        self.num_not_finite = 0
        self.num_full_scale = 0
        self.peak = 0.0
        self.num_packets = 0
        self.num_damaged = 0
        self._first_seconds: float | None = None
        self._end_seconds = 0.0
        self._stack = ExitStack()
        with ExitStack() as guard:
            self._container = open_media(path, guard, "sound file")
            stream = self._container.streams.best("audio")
            if stream is None:
                self._refuse_silent_film()
            assert isinstance(stream, av.AudioStream)
            if stream.codec_context is None:
                raise not_media(path, "sound file")
            self._stream = stream
            if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
                raise InputError(f"{quoted(path)} has {self.rate_hz} samples a second.", "Use 16 000 to 48 000 Hz.")
            self._stack = guard.pop_all()

    def _refuse_silent_film(self) -> NoReturn:
        if film_stream(self._container):
            raise InputError(f"{quoted(self.path)} has pictures but no sound.", "Choose a file with speech in it.")
        raise not_media(self.path, "sound file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    @property
    def container_name(self) -> str:
        return self._container.format.name.split(",")[0]

    @property
    def codec_name(self) -> str:
        return self._stream.codec_context.name

    @property
    def rate_hz(self) -> int:
        return self._stream.codec_context.sample_rate

    @property
    def num_channels(self) -> int:
        return self._stream.codec_context.layout.nb_channels

    @property
    def layout(self) -> AudioLayout:
        return self._stream.codec_context.layout

    def frames(self) -> Iterator[AudioFrame]:
        """Decoded frames at the file's own rate and layout, without timestamps; floats are finite and in [-1, 1]."""
        try:
            for packet in self._container.demux(self._stream):
                self._note_times(packet)
                try:
                    decoded = packet.decode()
                except (FFmpegError, ValueError):
                    self.num_damaged += 1
                    continue
                for frame in map(self._measured, decoded):
                    if frame.samples:
                        yield frame
        except (FFmpegError, OSError):
            # The file breaks off inside a packet. What came before it is judged by `check_complete`.
            self.num_damaged += 1

    def blocks(self, rate_hz: int, layout: str) -> Iterator[np.ndarray]:
        """(num_channels, n) float32 pieces of any length at the rate and layout asked for."""
        resampler = Resampler(rate_hz, layout)
        for frame in self.frames():
            yield from resampler.push(frame)
        yield from resampler.flush()

    def _note_times(self, packet: av.Packet) -> None:
        if not packet.size:
            return
        self.num_packets += 1
        if packet.pts is None or packet.time_base is None:
            return
        start = float(packet.pts * packet.time_base)
        self._first_seconds = start if self._first_seconds is None else min(start, self._first_seconds)
        self._end_seconds = max(self._end_seconds, start + float((packet.duration or 0) * packet.time_base))

    def _measured(self, frame: AudioFrame) -> AudioFrame:
        if frame.format.name in NOT_AS_ARRAYS:
            (frame,) = AudioResampler("dbl").resample(frame)
        frame = self._without_padding(frame)
        if not frame.samples:
            return frame
        values = frame.to_ndarray()
        is_float = frame.format.name in FLOAT_FORMATS
        if is_float:
            finite = np.isfinite(values)
            if not finite.all():
                self.num_not_finite += int(values.size - np.count_nonzero(finite))
                values = np.where(finite, values, 0)
        level = np.abs(values if is_float else _as_unit(values))
        peak = float(level.max())
        self.peak = max(self.peak, peak)
        if peak >= FULL_SCALE:
            self.num_full_scale += int(np.count_nonzero(level >= FULL_SCALE))
        if is_float and (peak > 1.0 or not finite.all()):
            frame = _like(frame, np.clip(values, -1.0, 1.0).astype(values.dtype))
        self.num_samples += frame.samples
        self.num_values += values.size
        frame.pts = None  # samples are counted; a jump in the timestamps must not become a hole or an overlap
        return frame

    def _without_padding(self, frame: AudioFrame) -> AudioFrame:
        """AAC fills its last packet; MP4 states where the sound ends inside it, and FFmpeg does not cut there."""
        if self.container_name != "mov" or not frame.format.is_planar or self._stream.duration is None:
            return frame
        assert self._stream.time_base is not None
        stated = round(self._stream.duration * self._stream.time_base * frame.sample_rate)
        excess = self.num_samples + frame.samples - stated
        if not 0 < excess <= MAX_PADDING:
            return frame
        return _like(frame, np.ascontiguousarray(frame.to_ndarray()[:, : max(0, frame.samples - excess)]))

    def check_complete(self) -> None:
        """Refuses, after the last frame, a file in which nothing or too little decodes.

        Too little: more than half of its packets are damaged, or its header promises a length of which more than 2 %
        and more than 0.25 s are missing. ADTS, Ogg and live WebM state no length and are taken as they are; for Ogg a
        missing end mark is noted.
        """
        if self.num_samples == 0 or self.num_damaged * 2 > self.num_packets:
            raise InputError(f"{quoted(self.path)} holds no sound that can be decoded.", "Save or record it again.")
        promised = self._promised_seconds()
        missing = promised - self._presented_seconds()
        if missing > max(0.25, 0.02 * promised):
            raise InputError(
                f"{quoted(self.path)} is cut short: {promised:.1f} s announced, {promised - missing:.1f} s there.",
                "Copy or download it again.",
            )

    def _presented_seconds(self) -> float:
        by_count = self.num_samples / self.rate_hz
        return max(by_count, self._end_seconds - (self._first_seconds or 0.0))

    def _promised_seconds(self) -> float:
        """Length that the file states, 0 when it states none."""
        name = self.container_name
        if name == "wav":
            return self._presented_seconds() / max(1e-9, 1.0 - wav_missing_share(self.path))
        if name not in LENGTH_IN_HEADER and not (name == "mp3" and has_mp3_frame_count(self.path)):
            return 0.0
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None and film_stream(self._container) is None:
            return self._container.duration / av.time_base
        return 0.0

    def notes(self) -> tuple[str, ...]:
        """What the user should know of the sound, after the last frame."""
        found = []
        if self.num_not_finite:
            found.append(f"{self.num_not_finite} values that are no numbers were replaced by silence.")
        if self.num_values and self.num_full_scale > 0.001 * self.num_values:
            share = self.num_full_scale / self.num_values
            found.append(f"{share:.1%} of the samples are clipped: record it with less gain.")
        if self.num_damaged > max(1, 0.01 * self.num_packets):
            found.append(f"{self.num_damaged} damaged packets were left out.")
        if self.num_samples and self.peak < 1e-4:
            found.append("The sound is silent.")
        gap = self._end_seconds - (self._first_seconds or 0.0) - self.num_samples / self.rate_hz
        if self.num_samples and gap > 0.1:
            found.append(f"{gap:.1f} s of gaps between its packets were closed.")
        if self.container_name == "ogg" and not has_ogg_end_mark(self.path):
            found.append("The file has no end mark; it may be cut short.")
        return tuple(found)

    @property
    def lead_seconds(self) -> float:
        """How much later than the pictures the sound starts; 0 for a file without pictures."""
        pictures = film_stream(self._container)
        if pictures is None or pictures.start_time is None or self._stream.start_time is None:
            return 0.0
        if pictures.time_base is None or self._stream.time_base is None:
            return 0.0
        return float(self._stream.start_time * self._stream.time_base - pictures.start_time * pictures.time_base)


class Resampler:
    """Frames of any rate, layout and sample type in, (num_channels, n) float32 of one rate and layout out.

    The input may change on the way (chained Ogg, spliced AAC). The result does not depend on how the input was cut.
    """

    def __init__(self, rate_hz: int, layout: str) -> None:
        self._rate_hz, self._layout = rate_hz, layout
        self._inner: AudioResampler | None = None
        self._input_kind: tuple[int, str, str] | None = None

    def push(self, frame: AudioFrame) -> list[np.ndarray]:
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        drained = self.flush() if kind != self._input_kind else []
        frame = _mixed(frame) if has_unknown_layout(frame.layout) else frame
        if self._inner is None:
            self._inner = AudioResampler("fltp", self._layout, self._rate_hz, options=NORMALISED)
            self._input_kind = kind
        return drained + [piece.to_ndarray() for piece in self._inner.resample(frame)]

    def flush(self) -> list[np.ndarray]:
        """The last samples; the next frame starts anew."""
        if self._inner is None:
            return []
        rest = [piece.to_ndarray() for piece in self._inner.resample(None) if piece is not None and piece.samples]
        self._inner, self._input_kind = None, None
        return rest


def has_unknown_layout(layout: AudioLayout) -> bool:
    """True where nobody says which channel is which ("9 channels"): FFmpeg refuses to mix those."""
    return layout.name.endswith("channels")


def _mixed(frame: AudioFrame) -> AudioFrame:
    """The mean of all channels, for channels of which nothing is known."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    mono = (values if frame.format.name in FLOAT_FORMATS else _as_unit(values)).mean(axis=0, keepdims=True)
    copy = AudioFrame.from_ndarray(mono.astype(np.float32), format="fltp", layout="mono")
    copy.sample_rate = frame.sample_rate
    return copy


def _as_unit(values: np.ndarray) -> np.ndarray:
    """Integer samples as float32 in [-1, 1]; unsigned 8-bit rests at 128."""
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128.0) / 127.0
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def _like(frame: AudioFrame, values: np.ndarray) -> AudioFrame:
    copy = AudioFrame.from_ndarray(values, format=frame.format.name, layout=frame.layout.name)
    copy.sample_rate = frame.sample_rate
    return copy
