"""Builds the frozen exam from the asset pack; see benchmark.py for what it is and how it is read."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import OutputError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.data.benchmark import (
    BENCHMARK_FORMAT,
    HASH_NAME,
    MANIFEST_NAME,
    benchmark_hash,
    write_labels,
)
from letstalk.synthetic.data.clip_renderer import Clip, cached_renderer
from letstalk.synthetic.data.plan import ClipSpec, Role, SpeechSpec
from letstalk.synthetic.data.workers import in_workers
from letstalk.synthetic.split import person_seed
from letstalk.types import FPS

NUM_FIRST, NUM_SECOND = 24, 10
NUM_FRAMES, SIZE = 5 * FPS, 256
FLOW_PAIRS = 6
FLOW_GAPS_FRAMES = (round(0.5 * FPS), NUM_FRAMES - 1)
MOST_BYTES = 8_000_000
_SEED = 3
_STYLES = {5: "toon", 11: "painterly", 17: "flat", 23: "pencil"}  # by number of the clip; the others are photographs
_SILENT = (8, 16)
# Speakers that no training clip has; three in four speak English.
_VOICES = (
    "flite:rms", "espeak:en-us+f3", "espeak:en+m5", "espeak:de+f3", "espeak:en-gb-x-rp+f3", "flite:rms",
    "espeak:en-us+m5", "espeak:es+m5", "espeak:en-gb-scotland+f3", "flite:rms", "espeak:en-us+f3", "espeak:fr+m5",
)  # fmt: skip


@dataclass(frozen=True)
class BenchmarkPlan:
    """The exam; tests build a smaller one."""

    num_first: int = NUM_FIRST
    num_second: int = NUM_SECOND
    num_frames: int = NUM_FRAMES
    size: int = SIZE
    procedural: bool = False
    silent: bool = False  # nobody speaks: for machines without voice engines
    crf: float = 19.0  # of the videos, x264's scale: about 42 dB
    skipped_people: tuple[int, ...] = ()  # numbers of test people that are not fit for an exam

    def specs(self) -> list[ClipSpec]:
        """Clip number n has person n of the test split, and those up to `num_second` a second one."""
        numbers = range(self.num_first + self.num_second + len(self.skipped_people))
        people = [person_seed("test", n) for n in numbers if n not in self.skipped_people]
        return [self._spec(number, people) for number in range(self.num_first)]

    def _spec(self, number: int, people: list[int]) -> ClipSpec:
        random = numpy_generator(_SEED, "benchmark", number)
        seeds = [int(seed) for seed in random.integers(2**62, size=4)]
        roles = [Role(people[number], seeds[0], _STYLES.get(number, "photo"))]
        if number < self.num_second:
            roles.append(Role(people[self.num_first + number], seeds[1], "photo"))
        silent = self.silent or number in _SILENT
        speech = None if silent else SpeechSpec(_VOICES[number % len(_VOICES)], seeds[2], None)
        return ClipSpec(
            split="test", index=number, kind="idle" if silent else "speech", performance_seed=seeds[3],
            roles=tuple(roles), num_frames=self.num_frames, size=self.size, procedural=self.procedural, clean=True,
            speech=speech,
        )  # fmt: skip

    def flow_frames(self, number: int) -> list[tuple[int, int]]:
        """Pairs (target, reference) between half a second and the whole clip apart, forwards and backwards."""
        random = numpy_generator(_SEED, "flow", number)
        least, most = (min(gap, self.num_frames - 1) for gap in FLOW_GAPS_FRAMES)
        pairs = []
        for gap in np.linspace(least, most, FLOW_PAIRS).astype(int).tolist():
            first = int(random.integers(self.num_frames - gap))
            pair = (first, first + gap)
            pairs.append(pair if random.random() < 0.5 else pair[::-1])
        return pairs


@dataclass(frozen=True)
class BenchmarkReport:
    folder: Path
    hash: str
    num_bytes: int
    video_psnr_db: dict[str, float]  # of the compressed frames against the rendered ones, by clip


def build_benchmark(
    folder: Path,
    plan: BenchmarkPlan | None = None,
    assets: Path | None = None,
    num_workers: int = 2,
    on_clip: Callable[[int, int], None] | None = None,
) -> BenchmarkReport:
    """Renders the exam into a new folder, which appears complete or not at all. An existing exam is never replaced."""
    from letstalk.media.files import output_error

    plan = plan or BenchmarkPlan()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not an empty folder.", "A benchmark is frozen: build another one elsewhere.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".benchmark-", dir=folder.parent))
        try:
            report = _build_in(work, plan, assets, num_workers, on_clip or (lambda done, total: None))
            if report.num_bytes > MOST_BYTES:
                raise OutputError(f"The benchmark takes {report.num_bytes / 1e6:.2f} MB.", "Raise --crf.")
            work.chmod(0o755)  # mkdtemp makes folders that nobody else can read
            if folder.exists():
                folder.rmdir()
            work.replace(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise output_error(folder, error) from error
    return BenchmarkReport(folder, report.hash, report.num_bytes, report.video_psnr_db)


def _build_in(
    work: Path, plan: BenchmarkPlan, assets: Path | None, num_workers: int, on_clip: Callable[[int, int], None]
) -> BenchmarkReport:
    specs = plan.specs()
    render = partial(_write_clip, work, plan, assets)
    entries: list[dict[str, Any]] = []
    for results in in_workers(render, specs, num_workers):
        entries += results
        on_clip(len({entry["number"] for entry in entries}), len(specs))
    psnr = {entry["name"]: entry.pop("video_psnr_db") for entry in entries}
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(work.iterdir())}
    manifest = {
        "format": BENCHMARK_FORMAT, "clips": entries, "files": files,
        "note": "Rendered by this project, see SOURCES.md in the assets folder. Never train on it, never change it.",
    }  # fmt: skip
    data = json.dumps(manifest, ensure_ascii=False).encode()
    (work / MANIFEST_NAME).write_bytes(data)
    (work / HASH_NAME).write_text(hashlib.sha256(data).hexdigest() + "\n", encoding="ascii")
    num_bytes = sum(path.stat().st_size for path in work.iterdir())
    return BenchmarkReport(work, benchmark_hash(work), num_bytes, psnr)


def _write_clip(work: Path, plan: BenchmarkPlan, assets: Path | None, spec: ClipSpec) -> list[dict[str, Any]]:
    """Renders one performance and writes its files, one video for each performer; returns their manifest entries."""
    clip = cached_renderer(assets, spec.procedural).render(spec)
    first_name = f"clip-{spec.index + 1:02d}"
    return [
        _write_performer(
            work, plan, clip, person, first_name if person else None, first_name + ("-b" if person else "")
        )
        for person in range(clip.num_people)
    ]


def _write_performer(
    work: Path, plan: BenchmarkPlan, clip: Clip, person: int, first_name: str | None, name: str
) -> dict[str, Any]:
    from letstalk.media.archive import read_archive, write_archive

    sound = None if first_name else clip.speech.samples
    video = write_archive(work / f"{name}.mp4", clip.frames[person], sound, plan.crf)
    decoded, _ = read_archive(video)
    squared = np.mean((decoded.astype(np.float32) - clip.frames[person].astype(np.float32)) ** 2)
    pairs = plan.flow_frames(clip.spec.index)
    write_labels(work / f"{name}.npz", clip.labels, person, clip.motion[person], pairs)
    role, speech = clip.spec.roles[person], clip.speech
    return {
        "name": name, "number": clip.spec.index, "same_performance_as": first_name, "video": video.name,
        "sound": f"{first_name or name}.mp4", "labels": f"{name}.npz", "num_frames": clip.num_frames,
        "size": clip.spec.size, "kind": clip.spec.kind, "person_seed": role.person_seed,
        "scene_seed": role.scene_seed, "style": role.style, "performance_seed": clip.spec.performance_seed,
        "speech": {"voice": speech.voice, "language": speech.language, "text": speech.text, "alphabet": speech.alphabet,
                   "phones": [[round(p.start_seconds, 5), round(p.end_seconds, 5), p.symbol] for p in speech.phones]},
        "video_psnr_db": round(float(10 * np.log10(255.0**2 / max(squared, 1e-9))), 2),
    }  # fmt: skip
