"""Cost of the autoencoder on this machine: operations, milliseconds a frame, and pairs a second in training.

    python benchmarks/codec_speed.py [--threads 2] [--training]

Times are the least of several runs: on a busy machine everything else only measures the neighbours.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.training.augment import AugmentSettings, augment
from letstalk.training.codec import new_codec
from letstalk.training.codec_stages import standard_stages
from letstalk.training.codec_task import CodecTask, weighted_total
from letstalk.training.pair_clips import PairClips, PairSettings
from letstalk.training.pair_pool import draw_batch


def least_milliseconds(work: Callable[[], object], runs: int = 15) -> float:
    work()
    found = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found) * 1e3


def gigaflops(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 1e9


def matrix_rate(dtype: torch.dtype, side: int = 1024) -> float:
    """GFLOP/s of a square matrix product."""
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    return 2 * side**3 / least_milliseconds(lambda: a @ b) / 1e6


def report_inference(model: ReferenceAutoencoder) -> None:
    half = model.eval().to(torch.bfloat16).to(memory_format=torch.channels_last)
    print(
        f"{'size':>5} {'encode':>8} {'reference':>10} {'decode 1':>9} {'decode 4':>9} {'GFLOP':>6}   ms a frame, bf16"
    )
    for size in (128, 256, 512):
        picture = torch.rand(1, 3, size, size).to(torch.bfloat16)
        with torch.no_grad():
            guide = half.encode_references(picture[None])
            latents = half.encode(picture)
            cost = gigaflops(lambda guide=guide, latents=latents: half.decode(latents, guide))
        with torch.inference_mode():
            encode = least_milliseconds(lambda picture=picture: half.encode(picture))
            reference = least_milliseconds(lambda picture=picture: half.encode_references(picture[None]))
            one = least_milliseconds(lambda guide=guide, latents=latents: half.decode(latents, guide))
            many = latents.expand(4, -1, -1, -1)
            four = least_milliseconds(lambda guide=guide, many=many: half.decode(many, guide)) / 4
        print(f"{size:>5} {encode:>8.1f} {reference:>10.1f} {one:>9.1f} {four:>9.1f} {cost:>6.2f}")


def report_training(rows: int, size: int, stage_name: str) -> None:
    """One step after another on procedural people; parts in milliseconds."""
    from letstalk.synthetic.data.plan import ClipSettings

    settings = ClipSettings(size=size, procedural=True, people_per_clip=(2, 2), clips_per_cast=1)
    clips = deque(next(iter(PairClips(settings, PairSettings(6, 4), "train"))))
    stage = next(stage for stage in standard_stages() if stage.name == stage_name)
    model = new_codec().to(memory_format=torch.channels_last)
    task, optimizer = CodecTask(model), torch.optim.AdamW(model.parameters(), 1e-3)
    batch = draw_batch(clips, rows, 1, np.random.default_rng(0))
    parts: dict[str, list[float]] = {"augment": [], "forward": [], "backward": [], "update": []}
    for step in range(6):
        marks = [time.perf_counter()]
        given = augment(batch, AugmentSettings(), stage, (16, 8, 8), torch.Generator().manual_seed(step))
        marks.append(time.perf_counter())
        with torch.autocast("cpu", torch.bfloat16):
            total = weighted_total(task(given, stage).losses, stage)
        marks.append(time.perf_counter())
        total.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        for part, spent in zip(parts.values(), np.diff(marks), strict=True):
            part.append(float(spent))
    least = {name: min(times) for name, times in parts.items()}
    seconds = sum(least.values())
    told = " ".join(f"{name} {value * 1e3:.0f}" for name, value in least.items())
    print(f"{stage_name} {size}, {rows} rows: {seconds * 1e3:.0f} ms a step, {rows / seconds:.0f} pairs/s ({told} ms)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--training", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rates = ", ".join(f"{dtype} {matrix_rate(dtype):.0f}" for dtype in (torch.bfloat16, torch.float32))
    print(f"{chosen.threads} threads; matrix products, GFLOP/s: {rates}")
    model = new_codec()
    parts = {name: sum(value.numel() for value in part.parameters()) for name, part in model.named_children()}
    print(f"parameters {sum(parts.values()) / 1e6:.2f} M:", ", ".join(f"{k} {v / 1e6:.2f}" for k, v in parts.items()))
    picture = torch.rand(1, 3, 256, 256)
    print(f"encoder {gigaflops(lambda: model.encode(picture)):.2f} GFLOP, with reference "
          f"{gigaflops(lambda: model.encode_references(picture[None])):.2f}")  # fmt: skip
    report_inference(new_codec())
    if chosen.training:
        report_training(16, 128, "geometry")
        report_training(16, 128, "pictures")
        report_training(8, 256, "fine")


if __name__ == "__main__":
    main()
