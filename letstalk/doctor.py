"""`letstalk doctor`: what this machine has, what is missing and how to get it. Looks only; installs and downloads nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from letstalk import runtime
from letstalk.version import VERSION

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the report. `missing` is what the main job cannot do without; `optional` only costs a feature."""

    section: str
    name: str
    state: State
    detail: str
    advice: str = ""


def examine() -> list[Finding]:
    """Everything, in the order in which a person would ask."""
    sections: tuple[Callable[[], Iterator[Finding]], ...] = (
        _machine, _packages, _devices, _media, _faces, _weights_and_assets, _speech_engines,
    )  # fmt: skip
    return [finding for section in sections for finding in section()]


def exit_code(findings: list[Finding]) -> int:
    return int(any(finding.state == "missing" for finding in findings))


def _machine() -> Iterator[Finding]:
    import psutil

    yield Finding("machine", "letstalk", "ok", VERSION)
    new_enough = sys.version_info >= (3, 11)
    yield Finding(
        "machine", "python", "ok" if new_enough else "missing", platform.python_version(), "" if new_enough else "Install Python 3.11 or newer."
    )
    free, usable = runtime.num_free_cores(0.3), runtime.num_usable_cores()
    busy = "" if free == usable else "Another program keeps a core busy; generation is slower meanwhile."
    yield Finding("machine", "cores", "ok", f"{free} of {usable} free", busy)
    memory = psutil.virtual_memory()
    enough = memory.available > 1.5e9
    yield Finding(
        "machine", "memory", "ok" if enough else "missing", f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
        "" if enough else "Close other programs: 1.5 GB must be free.",
    )  # fmt: skip
    cache = runtime.cache_dir()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    space = shutil.disk_usage(existing).free
    roomy = space > 1e9
    yield Finding(
        "machine", "disk", "ok" if roomy else "missing", f"{space / 1e9:.1f} GB free for {cache}",
        "" if roomy else f"Free 1 GB, or set {runtime.CACHE_DIR_VARIABLE} to a folder on another disk.",
    )  # fmt: skip


def _packages() -> Iterator[Finding]:
    """Each requirement of the installed package against what is there."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("letstalk") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "letstalk", "missing", "the package itself is not installed", "Run `pip install -e .`.")
        return
    wrong, right = [], 0
    for requirement in map(Requirement, lines):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append((requirement, "not installed"))
            continue
        if requirement.specifier.contains(version, prereleases=True):
            right += 1
        else:
            wrong.append((requirement, f"{version}, but {requirement.specifier} is what was tested"))
    yield Finding("packages", "requirements", "ok", f"{right} as pinned")
    for requirement, detail in wrong:
        yield Finding("packages", requirement.name, "missing", detail, "Run `pip install -r requirements.txt`.")


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("devices", "torch", "ok", torch.__version__)
    device = runtime.pick_device()
    dtype = str(runtime.pick_dtype(device)).removeprefix("torch.")
    name = platform.processor() or platform.machine() if device.type == "cpu" else device.type
    yield Finding("devices", "chosen", "ok", f"{device} ({name}), {dtype}")
    if device.type == "cpu" and not runtime.has_fast_bf16(device):
        yield Finding("devices", "bf16", "optional", "this CPU has no AVX512-BF16 or AMX", "fp32 is used; expect about half the speed.")
    if device.type == "cuda":
        xformers = importlib.util.find_spec("xformers") is not None
        yield Finding("devices", "xformers", "ok" if xformers else "optional", "found" if xformers else "absent; torch's own attention is used")


def _media() -> Iterator[Finding]:
    from letstalk.media.video import missing_encoders

    missing = missing_encoders()
    advice = "Reinstall PyAV from its wheel: `pip install --force-reinstall --only-binary av av`."
    yield Finding("media", "encoders", "missing" if missing else "ok", f"lacks {', '.join(missing)}" if missing else "H.264 and AAC", advice if missing else "")


def _faces() -> Iterator[Finding]:
    from letstalk.media.detectors import detector_states

    for state in detector_states():
        yield Finding("faces", state.name, "ok" if state.available else "optional", state.detail, state.advice)


def _weights_and_assets() -> Iterator[Finding]:
    assets = runtime.resource_dir("assets")
    portraits, speech = sorted(assets.glob("portraits/*.png")), sorted(assets.glob("speech/*.flac"))
    found = bool(portraits and speech)
    yield Finding(
        "files", "samples", "ok" if found else "missing", f"{len(portraits)} portraits, {len(speech)} recordings",
        "" if found else "The assets folder is incomplete: clone or install the project again.",
    )  # fmt: skip
    weights = Path(__file__).resolve().parent / "weights"
    for name in sorted(folder.name for folder in weights.iterdir() if folder.is_dir()) if weights.is_dir() else []:
        size = sum(path.stat().st_size for path in (weights / name).rglob("*.safetensors"))
        yield Finding("files", f"weights/{name}", "ok" if size else "missing", f"{size / 1e6:.1f} MB")
    pack = runtime.cache_dir() / "assets" / "makehuman_cc0.npz"
    yield Finding(
        "files", "asset pack", "ok" if pack.is_file() else "optional", str(pack) if pack.is_file() else "absent: only needed to render new people",
        "" if pack.is_file() else "See `letstalk synth assets --help`.",
    )  # fmt: skip


def _speech_engines() -> Iterator[Finding]:
    from letstalk.synthetic.speech import engine_states

    for state in engine_states():
        yield Finding("speech", state.name, "ok" if state.available else "optional", state.detail, state.advice)
