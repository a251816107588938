"""How many portraits of a folder are found, by which detector and how fast; and what pasting a frame back costs.

    python benchmarks/faces.py [FOLDER] [--sheet SHEET.png]

Without a folder it takes scikit-image's astronaut. The sheet shows every crop with the line that the eyes should be on.
Times are processor time of this thread, the smallest of several, with OpenCV held to one thread.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from letstalk.errors import InputError
from letstalk.media.face import FaceFinder, frame_portrait
from letstalk.media.framing import FramingRules, take_crop
from letstalk.media.image import LoadedImage, load_image, save_image
from letstalk.media.paste import PasteBack
from letstalk.types import Framing, Portrait

SIZE = 256
COLUMNS = 7


def best_seconds(work: Callable[[], object], num_runs: int) -> float:
    best = math.inf
    for _ in range(num_runs):
        started = time.thread_time()
        work()
        best = min(best, time.thread_time() - started)
    return best


def pictures_of(folder: Path | None) -> list[LoadedImage]:
    if folder is None:
        import skimage.data

        return [LoadedImage(skimage.data.astronaut(), name="astronaut")]
    pictures = []
    for path in sorted(folder.iterdir()):
        try:
            pictures.append(load_image(path))
        except InputError as error:
            print(error)
    return pictures


def look_at(pictures: list[LoadedImage]) -> list[Portrait]:
    """Prints one line for each picture and the sums."""
    finder, portraits, seconds = FaceFinder(), [], []
    for image in pictures:
        faces = finder.find(image.pixels)
        seconds.append(best_seconds(partial(finder.find, image.pixels), 3))
        portraits.append(frame_portrait(image, faces, SIZE))
        eyes = "eyes" if faces.main and faces.main.eyes else "no eyes"
        print(f"{image.name:24.24} {faces.detector:12} {len(faces.candidates)} faces, {eyes:8} {seconds[-1]:.3f} s")
    by_detector = Counter(portrait.detector for portrait in portraits)
    print(f"{dict(by_detector)}; search {np.mean(seconds):.3f} s on average, {max(seconds):.3f} s at most")
    return portraits


def write_sheet(portraits: list[Portrait], target: Path) -> None:
    tiles = [portrait.crop.copy() for portrait in portraits]
    for tile in tiles:
        tile[round(FramingRules().eye_line * SIZE), ::4] = (255, 0, 0)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)]
    save_image(target, np.concatenate(rows))


def time_pasting() -> None:
    generator = np.random.default_rng(0)
    full = generator.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    for side in (400, 600, 800, 1080):
        scale, roll = side / SIZE, math.radians(4)
        linear = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
        framing = Framing(np.concatenate([linear, [[500.0], [10.0]]], axis=1), SIZE, *full.shape[:2])
        portrait = Portrait(take_crop(full, framing), full, framing, "none")
        seconds = best_seconds(partial(PasteBack(portrait).frame, 255 - portrait.crop), 20)
        print(f"crop of {side} pixels into 1920 x 1080: {1000 * seconds:.1f} ms a frame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    try:
        import cv2

        cv2.setNumThreads(1)
    except ImportError as error:
        print(f"without OpenCV: {error}")
    portraits = look_at(pictures_of(arguments.folder))
    if arguments.sheet:
        write_sheet(portraits, arguments.sheet)
    time_pasting()


if __name__ == "__main__":
    main()
