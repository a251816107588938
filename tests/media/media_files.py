"""Builds the sound and video files that the media tests read: every format is encoded here, nothing binary is kept."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# name: (suffix, muxer, codec, sample format, rate)
SOUND_FORMATS = {
    "wav8": (".wav", "wav", "pcm_u8", "u8", 22_050),
    "wav16": (".wav", "wav", "pcm_s16le", "s16", 44_100),
    "wav24": (".wav", "wav", "pcm_s24le", "s32", 48_000),
    "wav64": (".wav", "wav", "pcm_s64le", "s64", 48_000),
    "wavfloat": (".wav", "wav", "pcm_f32le", "flt", 48_000),
    "wav_mulaw": (".wav", "wav", "pcm_mulaw", "s16", 8_000),
    "w64": (".w64", "w64", "pcm_s16le", "s16", 44_100),
    "aiff": (".aiff", "aiff", "pcm_s16be", "s16", 44_100),
    "mp3": (".mp3", "mp3", "libmp3lame", "fltp", 44_100),
    "flac": (".flac", "flac", "flac", "s16", 96_000),
    "vorbis": (".ogg", "ogg", "vorbis", "fltp", 44_100),
    "opus": (".ogg", "ogg", "libopus", "flt", 48_000),
    "m4a": (".m4a", "ipod", "aac", "fltp", 44_100),
    "adts": (".aac", "adts", "aac", "fltp", 44_100),
    "webm": (".webm", "webm", "libopus", "flt", 48_000),
    "mkv": (".mkv", "matroska", "flac", "s16", 48_000),
}


class Pipe:
    """A sink that can only be written to, as a browser's recorder writes: no header can be filled in later."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def speech_like(seconds: float, rate_hz: int, channels: int = 1, level: float = 0.3) -> np.ndarray:
    """(n, channels) float32: a voiced buzz that comes and goes, with pauses at the ends of each second."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    buzz = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    envelope = np.clip(np.sin(2 * np.pi * time) ** 2 * 1.5 - 0.4, 0, 1)
    return np.repeat((level * buzz * envelope).astype(np.float32)[:, None], channels, axis=1)


def encode_sound(path: Path, name: str, samples: np.ndarray, live: bool = False) -> Path:
    """`samples` (n, channels) at the format's own rate; `live` leaves the header without a length."""
    _, muxer, codec, sample_format, rate_hz = SOUND_FORMATS[name]
    if codec == "vorbis" and samples.shape[1] == 1:
        samples = np.repeat(samples, 2, axis=1)  # FFmpeg's own Vorbis encoder knows stereo alone
    pipe = Pipe()
    with av.open(pipe if live else str(path), "w", format=muxer) as container:
        layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
        options = {"strict": "-2"} if codec == "vorbis" else {}
        stream = container.add_stream(codec, rate=rate_hz, layout=layout, format=sample_format, options=options)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if live:
        path.write_bytes(pipe.data)
    return path


def encode_pictures(path: Path, num_frames: int = 10, rate: int = 25, size: int = 64) -> Path:
    """A video without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10"})
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        for i in range(num_frames):
            picture = np.full((size, size, 3), 20 + (i * 7) % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
