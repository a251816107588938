"""How fast the video writer is, how much memory it takes over a long job, and when the first segment closes.

    python benchmarks/video_writer.py [--frames 90000] [--size 256] [--folder FOLDER]

Pictures are smooth moving shapes with a little noise, about as hard to encode as a face in front of a still wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from letstalk.media.jobs import JobFolder
from letstalk.media.video import VideoSettings, VideoWriter
from letstalk.types import FPS, SAMPLES_PER_FRAME

LOOP_FRAMES = 50
CHUNK_FRAMES = 10


def moving_pictures(size: int) -> np.ndarray:
    """(LOOP_FRAMES, size, size, 3) uint8: a disc with a mouth-like bar that moves before a still gradient."""
    y, x = np.mgrid[:size, :size] / size
    generator = np.random.default_rng(0)
    frames = np.empty((LOOP_FRAMES, size, size, 3), np.uint8)
    for i in range(LOOP_FRAMES):
        phase = 2 * np.pi * i / LOOP_FRAMES
        centre = 0.5 + 0.02 * np.sin(phase)
        head = (x - centre) ** 2 + (y - 0.45) ** 2 < 0.09
        mouth = (np.abs(x - centre) < 0.08) & (np.abs(y - 0.6) < 0.03 * (1 + np.sin(8 * phase)))
        grey = np.where(mouth, 60, np.where(head, 190 - 80 * np.abs(x - centre), 90 + 60 * y))
        picture = grey[..., None] * np.array([1.0, 0.85, 0.75]) + generator.normal(0, 1.5, (size, size, 1))
        frames[i] = np.clip(picture, 0, 255)
    return frames


def speech(num_frames: int, first_frame: int) -> np.ndarray:
    time_seconds = (np.arange(num_frames * SAMPLES_PER_FRAME) + first_frame * SAMPLES_PER_FRAME) / 16_000
    return (0.3 * np.sin(2 * np.pi * 150 * time_seconds) * np.sin(2 * np.pi * time_seconds)).astype(np.float32)


def first_segment(pictures: np.ndarray, folder: Path) -> tuple[float, int]:
    """Seconds from opening the writer to the first closed segment, and the frames that had to be given for it."""
    size = pictures.shape[1]
    with JobFolder.create(folder) as job:
        began = time.perf_counter()
        with VideoWriter(None, (size, size), VideoSettings(hls=True), job=job) as writer:
            for i in range(FPS):
                writer.write(pictures[i : i + 1], speech(1, i))
                waited = time.perf_counter()
                while time.perf_counter() - waited < 0.05:  # a generator would be busy meanwhile
                    if writer.closed_segments():
                        return time.perf_counter() - began - 0.05 * i, i + 1
                    time.sleep(0.001)
    raise AssertionError("no segment within a second of video")


def long_job(pictures: np.ndarray, num_frames: int, folder: Path) -> tuple[float, float, int]:
    """Frames a second, growth of resident memory in MB after the first 500 frames, and bytes of the MP4."""
    size = pictures.shape[1]
    process = psutil.Process()
    settings = VideoSettings(hls=True)
    with JobFolder.create(folder) as job, VideoWriter(folder / "long.mp4", (size, size), settings, job=job) as writer:
        base = peak = 0
        began = time.perf_counter()
        for first in range(0, num_frames, CHUNK_FRAMES):
            frames = pictures[first % LOOP_FRAMES : first % LOOP_FRAMES + CHUNK_FRAMES][: num_frames - first]
            writer.write(frames, speech(len(frames), first))
            writer.closed_segments()
            if first == 500:
                base = process.memory_info().rss
            if first % 1000 == 0:
                peak = max(peak, process.memory_info().rss)
        result = writer.finish()
        seconds = time.perf_counter() - began
        peak = max(peak, process.memory_info().rss)
    return num_frames / seconds, (peak - base) / 1e6, result.path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="where to write (a temporary folder)")
    arguments = parser.parse_args()
    pictures = moving_pictures(arguments.size)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        starts = [first_segment(pictures, folder) for _ in range(3)]
        print(f"first closed segment: {starts[0][1]} frames in, {1000 * min(s for s, _ in starts):.0f} ms of encoding")
        rate, growth_mb, num_bytes = long_job(pictures, arguments.frames, folder)
    print(f"{arguments.frames} frames at {arguments.size}x{arguments.size} with segments: {rate:.0f} frames/s")
    print(f"resident memory: +{growth_mb:.1f} MB after frame 500")
    print(f"MP4: {8 * num_bytes / (arguments.frames / FPS) / 1000:.0f} kbit/s")


if __name__ == "__main__":
    main()
