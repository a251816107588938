"""Small, near-perfect videos that decode to the same bytes on every machine: for frozen test material, not for users.

H.264 with full colour resolution (yuv444p) and B-frames beside lossless FLAC speech, in MP4. The way back to RGB is
integer arithmetic of our own: FFmpeg's differs by a level between processors.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace

from letstalk.errors import InputError
from letstalk.media.files import atomic_target, local_url
from letstalk.types import FPS, SAMPLE_RATE_HZ

_PCM_SCALE = 32767.0
# BT.709, full range, as fixed-point numbers of 16 bits.
_RED_SHARE, _BLUE_SHARE = 0.2126, 0.0722
_SCALE = 1 << 16
_HALF = _SCALE >> 1


def write_archive(path: Path, frames: np.ndarray, samples: np.ndarray | None, crf: float) -> Path:
    """(n, height, width, 3) uint8 RGB and float32 speech at 16 kHz, if any; `crf` is x264's, 0 loses nearly nothing."""
    with (
        atomic_target(path) as partial,
        av.open(local_url(partial), "w", format="mp4", options={"fflags": "+bitexact"}) as box,
    ):
        video = box.add_stream("libx264", rate=FPS, options={"preset": "veryslow", "crf": f"{crf:g}"})
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv444p"
        context = video.codec_context
        context.thread_count = 1  # with more, the bits depend on how many
        context.color_range, context.colorspace = ColorRange.JPEG, Colorspace.ITU709
        sound = (
            box.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono", format="s16") if samples is not None else None
        )
        for number, frame in enumerate(frames):
            picture = _to_yuv(frame)
            picture.pts, picture.time_base = number, Fraction(1, FPS)
            box.mux(video.encode(picture))
        box.mux(video.encode(None))
        if sound is not None and samples is not None:
            pcm = np.rint(np.clip(samples, -1, 1) * _PCM_SCALE).astype(np.int16)
            block = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE_HZ, 0, Fraction(1, SAMPLE_RATE_HZ)
            box.mux(sound.encode(block))
            box.mux(sound.encode(None))
    return path


def read_archive(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Frames (n, height, width, 3) uint8 and speech (num_samples,) float32 (None without a sound track)."""
    try:
        with av.open(local_url(path), "r", format="mov") as box:
            frames = np.stack([_to_rgb(frame) for frame in box.decode(video=0)])
        with av.open(local_url(path), "r", format="mov") as box:
            if not box.streams.audio:
                return frames, None
            pcm = np.concatenate([frame.to_ndarray().reshape(-1) for frame in box.decode(audio=0)])
    except (FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).", "The file is damaged: get it again.") from error
    return frames, (pcm / np.float32(_PCM_SCALE)).astype(np.float32)


def _to_yuv(frame: np.ndarray) -> av.VideoFrame:
    red, green, blue = (frame[..., channel].astype(np.float64) for channel in range(3))
    luma = _RED_SHARE * red + (1 - _RED_SHARE - _BLUE_SHARE) * green + _BLUE_SHARE * blue
    planes = (luma, (blue - luma) / (2 - 2 * _BLUE_SHARE) + 128, (red - luma) / (2 - 2 * _RED_SHARE) + 128)
    stacked = np.concatenate([np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes])
    picture = av.VideoFrame.from_ndarray(stacked.reshape(3, *frame.shape[:2]), format="yuv444p")
    picture.color_range, picture.colorspace = ColorRange.JPEG, Colorspace.ITU709
    return picture


def _to_rgb(picture: av.VideoFrame) -> np.ndarray:
    planes = [
        np.frombuffer(memoryview(plane), np.uint8)
        .reshape(plane.height, plane.line_size)[:, : plane.width]
        .astype(np.int64)
        for plane in picture.planes
    ]
    luma, blue_difference, red_difference = planes[0] * _SCALE, planes[1] - 128, planes[2] - 128
    green_share = 1 - _RED_SHARE - _BLUE_SHARE
    red = luma + round((2 - 2 * _RED_SHARE) * _SCALE) * red_difference
    blue = luma + round((2 - 2 * _BLUE_SHARE) * _SCALE) * blue_difference
    green = luma - (
        round((2 - 2 * _BLUE_SHARE) * _BLUE_SHARE / green_share * _SCALE) * blue_difference
        + round((2 - 2 * _RED_SHARE) * _RED_SHARE / green_share * _SCALE) * red_difference
    )
    return np.stack(
        [np.clip((channel + _HALF) // _SCALE, 0, 255).astype(np.uint8) for channel in (red, green, blue)], -1
    )
