"""How fast synthetic people are drawn on one core, where the time goes, and how exact the motion labels are.

    OMP_NUM_THREADS=1 python benchmarks/synthetic_render.py [--assets PACK] [--people 8] [--sizes 256 128] [--wall]

Counts the time of this thread, so that a busy machine disturbs it little; --wall counts the clock on the wall. Without
the asset pack the procedural stand-in is drawn, which is lighter. Compiling is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from letstalk.errors import MissingAssetError
from letstalk.synthetic.controls import UNIT_INDEX, Performance, still_performance
from letstalk.synthetic.people.assets import load_assets
from letstalk.synthetic.people.identity import make_person
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures import renderer as renderer_module
from letstalk.synthetic.pictures.dense_motion import backward_flow, cell_centres, record_motion
from letstalk.synthetic.pictures.finish import Developer
from letstalk.synthetic.pictures.labels import read_labels
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import flat_scene, sample_scene

NUM_FRAMES = 16
STAGES = ("vertex_normals", "rasterise", "soft_shadow", "light_vertices", "shade_solid", "blend_see_through")


def speaking_turn(num_frames: int) -> Performance:
    """A head that turns and a jaw that opens."""
    share = np.linspace(0, 1, num_frames, dtype=np.float32)
    still = still_performance(num_frames)
    expression = still.expression.copy()
    expression[:, UNIT_INDEX["mouth-open"]] = 0.7 * share
    rotation = share[:, None] * np.array([0.08, 0.3, 0.03], np.float32)
    return replace(still, expression=expression, head_rotation=rotation, lip_seal=(1 - share) ** 4)


class StageClock:
    """Adds up the time of the renderer's kernels by putting itself in their place."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.seconds = now, dict.fromkeys((*STAGES, "develop"), 0.0)
        for name in STAGES:
            setattr(renderer_module, name, self._timed(name, getattr(renderer_module, name)))
        Developer.develop = self._timed("develop", Developer.develop)

    def _timed(self, name: str, inner: Callable) -> Callable:
        def run(*arguments: object) -> object:
            started = self.now()
            result = inner(*arguments)
            self.seconds[name] += self.now() - started
            return result

        return run


def measure_speed(people: list[PreparedPerson], size_px: int, now: Callable[[], float]) -> None:
    performance, per_frame, labels, whole = speaking_turn(NUM_FRAMES), [], [], 0.0
    clock = StageClock(now)
    for seed, prepared in enumerate(people):
        renderer = Renderer(prepared, sample_scene(seed, prepared.person, style="photo"), size_px)
        renderer.draw(pose_vertices(prepared.person, performance, 0))
        clock.seconds = dict.fromkeys(clock.seconds, 0.0) if seed == 0 else clock.seconds
        frame_seconds, label_seconds = [], []
        for index in range(NUM_FRAMES):
            started = now()
            frame = renderer.draw(pose_vertices(prepared.person, performance, index), index)
            drawn = now()
            read_labels(renderer, frame, performance, index)
            frame_seconds.append(drawn - started)
            label_seconds.append(now() - drawn)
        whole += sum(frame_seconds)
        per_frame.append(np.median(frame_seconds))
        labels.append(np.median(label_seconds))
    frame, label = float(np.mean(per_frame)), float(np.mean(labels))
    print(f"{size_px} px: {1 / frame:.0f} frames/s drawn, {1 / (frame + label):.0f} with labels "
          f"({1e3 * frame:.1f} + {1e3 * label:.1f} ms; slowest person {1e3 * max(per_frame):.1f} ms)")  # fmt: skip
    shares = {name: seconds / whole for name, seconds in clock.seconds.items()}
    shares["the rest"] = 1 - sum(shares.values())
    print("   " + ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items()))


def measure_motion(prepared: PreparedPerson, size_px: int, grid: int) -> tuple[float, float, float]:
    """Mean error in grey levels over the visible picture, the visible person, and of a person that stands still."""
    performance = speaking_turn(5)
    renderer = Renderer(prepared, flat_scene(1, prepared.person), size_px)
    pictures, records = [], []
    for index in range(5):
        frame = renderer.draw(pose_vertices(prepared.person, performance, index), index)
        pictures.append(frame.picture)
        records.append(record_motion(renderer, frame, grid))
    sums = []
    for target, reference in ((4, 0), (0, 4), (2, 1)):
        flow, visible = backward_flow(records[target], records[reference])
        shown = cv2.resize((visible & (records[target].ids >= 0)).astype(np.uint8), (size_px,) * 2, interpolation=0) > 0
        seen = cv2.resize(visible.astype(np.uint8), (size_px,) * 2, interpolation=0) > 0
        fine = cv2.resize(flow, (size_px,) * 2, interpolation=cv2.INTER_LINEAR) if grid != size_px else flow
        x, y = (cell_centres(size_px, size_px) + fine * (size_px / 2)).astype(np.float32).transpose(2, 0, 1)
        moved = cv2.remap(pictures[reference], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(int)
        error = np.abs(moved - pictures[target]).mean(axis=2)
        standing = np.abs(pictures[reference].astype(int) - pictures[target]).mean(axis=2)
        sums.append((error[seen].mean(), error[shown].mean(), standing[shown].mean()))
    return tuple(np.mean(sums, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=Path)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 128])
    parser.add_argument("--wall", action="store_true")
    arguments = parser.parse_args()
    now = time.perf_counter if arguments.wall else time.thread_time
    try:
        pack = load_assets(arguments.assets)
        make: Callable[[int], Person] = lambda seed: make_person(pack, seed)  # noqa: E731
    except MissingAssetError as error:
        print(f"{error}\nDrawing procedural people.")
        make = procedural_person
    PreparedPerson(make(0))  # compiles
    seconds, people = [], []
    for seed in range(arguments.people):
        started = now()
        person = make(seed)
        made = now()
        people.append(PreparedPerson(person))
        seconds.append((made - started, now() - made))
    made, ready = np.mean(seconds, axis=0)
    print(f"new identity: {made + ready:.2f} s ({made:.2f} made, {ready:.2f} prepared for drawing)")
    errors = {grid: np.mean([measure_motion(one, 256, grid) for one in people[:4]], axis=0) for grid in (256, 64)}
    for grid, (everything, shown, standing) in errors.items():
        print(f"warp by the labelled flow at {grid} x {grid}, flat light: {everything:.2f} grey levels over what is "
              f"visible, {shown:.2f} on the person (standing still: {standing:.2f})")  # fmt: skip
    for size_px in arguments.sizes:
        measure_speed(people, size_px, now)


if __name__ == "__main__":
    main()
