"""`letstalk doctor`: what this machine has, what is missing and how to get it. It only looks, it never installs."""

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


@dataclass(frozen=True)
class Section:
    """Makes the findings of one section; advice is given only where something lacks."""

    name: str

    def need(self, name: str, there: bool, detail: str, advice: str) -> Finding:
        return Finding(self.name, name, "ok" if there else "missing", detail, "" if there else advice)

    def like(self, name: str, there: bool, detail: str, advice: str) -> Finding:
        return Finding(self.name, name, "ok" if there else "optional", detail, "" if there else advice)


def examine() -> list[Finding]:
    """Everything, in the order in which a person would ask. A section that breaks is itself a finding."""
    sections: dict[str, Callable[[Section], Iterator[Finding]]] = {
        "machine": _machine,
        "packages": _packages,
        "devices": _devices,
        "media": _media,
        "faces": _faces,
        "files": _files,
        "speech": _speech_engines,
    }
    findings: list[Finding] = []
    for name, look in sections.items():
        try:
            findings.extend(look(Section(name)))
        except Exception as error:  # a half-installed package may fail in any way, and this report is to say so
            detail = f"{type(error).__name__}: {error}".splitlines()[0]
            findings.append(Section(name).need("look", False, detail, "Install again: `pip install -e .`."))
    return findings


def exit_code(findings: list[Finding]) -> int:
    return int(any(finding.state == "missing" for finding in findings))


def _machine(section: Section) -> Iterator[Finding]:
    import psutil

    yield section.need("letstalk", True, VERSION, "")
    yield section.need(
        "python", sys.version_info >= (3, 11), platform.python_version(), "Install Python 3.11 or newer."
    )
    free, usable = runtime.num_free_cores(0.3), runtime.num_usable_cores()
    yield section.like(
        "cores", free == usable, f"{free} of {usable} free", "Another program keeps a core busy; generation is slower."
    )
    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    yield section.need("memory", memory.available > 1.5e9, detail, "Close other programs: 1.5 GB must be free.")
    cache = runtime.cache_dir()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    space_bytes = shutil.disk_usage(existing).free
    advice = f"Free 1 GB, or set {runtime.CACHE_DIR_VARIABLE} to a folder on another disk."
    yield section.need("disk", space_bytes > 1e9, f"{space_bytes / 1e9:.1f} GB free for {cache}", advice)


def _packages(section: Section) -> Iterator[Finding]:
    """Each requirement of the installed package against what is there."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("letstalk") or []
    except importlib.metadata.PackageNotFoundError:
        yield section.need("letstalk", False, "the package itself is not installed", "Run `pip install -e .`.")
        return
    num_right = 0
    for requirement in map(Requirement, lines):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _installed_version(requirement.name)
        if version is not None and requirement.specifier.contains(version, prereleases=True):
            num_right += 1
            continue
        detail = f"{version} is here, {requirement.specifier} was tested" if version else "not installed"
        yield section.need(requirement.name, False, detail, "Run `pip install -r requirements.txt`.")
    yield section.need("requirements", True, f"{num_right} as pinned", "")


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices(section: Section) -> Iterator[Finding]:
    import torch

    yield section.need("torch", True, torch.__version__, "")
    device = runtime.pick_device()
    dtype = str(runtime.pick_dtype(device)).removeprefix("torch.")
    yield section.need("chosen", True, f"{device}, {dtype}", "")
    yield section.like(
        "bf16", runtime.has_fast_bf16(device), dtype, "No AVX512-BF16 or AMX: fp32 is used, at about half the speed."
    )
    if device.type not in ("cpu", "mps"):
        found = importlib.util.find_spec("xformers") is not None
        yield section.like("xformers", found, "found" if found else "absent", "torch's own attention is used instead.")


def _media(section: Section) -> Iterator[Finding]:
    from letstalk.media.abilities import missing_encoders

    missing = missing_encoders()
    detail = f"lacks {', '.join(missing)}" if missing else "H.264 and AAC"
    advice = "Reinstall PyAV from its wheel: `pip install --force-reinstall --only-binary av av`."
    yield section.need("encoders", not missing, detail, advice)


def _faces(section: Section) -> Iterator[Finding]:
    from letstalk.media.detectors import detector_states

    for state in detector_states():
        yield section.like(state.name, state.available, state.detail, state.advice)


def _files(section: Section) -> Iterator[Finding]:
    assets = runtime.resource_dir("assets")
    portraits, speech = list(assets.glob("portraits/*.png")), list(assets.glob("speech/*.flac"))
    detail = f"{len(portraits)} portraits, {len(speech)} recordings"
    advice = "The assets folder is incomplete: clone or install the project again."
    yield section.need("samples", bool(portraits and speech), detail, advice)
    weights = Path(__file__).resolve().parent / "weights"
    for folder in sorted(weights.iterdir()) if weights.is_dir() else []:
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        yield section.need(f"weights/{folder.name}", size_bytes > 0, f"{size_bytes / 1e6:.1f} MB", advice)
    pack = runtime.cache_dir() / "assets" / "makehuman_cc0.npz"
    detail = str(pack) if pack.is_file() else "absent: only needed to render new people"
    yield section.like("asset pack", pack.is_file(), detail, "See `letstalk synth assets --help`.")


def _speech_engines(section: Section) -> Iterator[Finding]:
    """Needed only to make training speech; the user's own sound needs none of them."""
    from letstalk.synthetic.voice import espeak, festival, flite

    engines = {
        "espeak-ng": espeak.is_available(),
        "flite": flite.is_available(),
        "festival": bool(festival.installed_speakers()),
    }
    for name, there in engines.items():
        advice = f"Only for making training speech: apt-get install {name}."
        yield section.like(name, there, "found" if there else "absent", advice)
