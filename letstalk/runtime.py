"""Device, dtype, threads, random numbers and cancelling: chosen once at a job's start and stored in its result.

This is the only module that looks at the machine or the environment. torch is imported inside functions: it takes
a second.
"""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from letstalk.errors import Cancelled, SettingsError

if TYPE_CHECKING:
    import torch

CACHE_DIR_VARIABLE = "LETSTALK_CACHE"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a container runs under a number that belongs to no user
        return Path(tempfile.gettempdir()) / "letstalk-home"


def cache_dir() -> Path:
    """Where runs, asset packs and unfinished jobs live; `LETSTALK_CACHE` moves it. Not created here."""
    return Path(os.environ.get(CACHE_DIR_VARIABLE) or _home() / ".cache" / "letstalk")


def resource_dir(name: str) -> Path:
    """`presets` or `assets`: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def face_model_dirs() -> tuple[Path, ...]:
    """Folders that may hold insightface packs (`<folder>/<pack>/*.onnx`), in the order of trial; may not exist."""
    home = os.environ.get("INSIGHTFACE_HOME")
    chosen = (Path(home) / "models", Path(home)) if home else ()
    return (*chosen, _home() / ".insightface" / "models", cache_dir() / "insightface")


def cpu_flags() -> frozenset[str]:
    """Instruction-set names as Linux prints them; empty where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    line = next((row for row in text.splitlines() if row.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def num_usable_cores() -> int:
    """Cores this process may run on: affinity and container quota counted, not what the board carries."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return max(1, cores)


def num_free_cores(window_seconds: float = 0.1) -> int:
    """Usable cores that nobody else is using right now, at least 1.

    A two-thread network next to a busy process slows down ten times (its threads wait for each other), so it pays to
    look first.
    """
    import psutil

    cores = num_usable_cores()
    busy_share = psutil.cpu_percent(interval=window_seconds, percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(busy_share))
    busy = sum(busy_share[i] > 50.0 for i in allowed if i < len(busy_share))
    return max(1, cores - busy)


def pick_device(name: str = "auto") -> torch.device:
    """`auto` takes CUDA, else the CPU; a device asked for by name must exist. Apple's MPS only by name: nobody has run
    the models on it yet.
    """
    import torch

    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind = name.split(":")[0]
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": mps}
    if not available.get(kind, False):
        found = ", ".join(key for key, there in available.items() if there)
        raise SettingsError(f"Device {name!r} is not available here.", f"Use one of: auto, {found}.")
    return torch.device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """On a CPU bf16 pays only with AVX512-BF16 or AMX; elsewhere it is emulated and slower than fp32."""
    import torch

    if device.type == "cpu":
        return bool(cpu_flags() & {"avx512_bf16", "amx_bf16"})
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def pick_dtype(device: torch.device, name: str = "auto") -> torch.dtype:
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name == "auto":
        return torch.bfloat16 if has_fast_bf16(device) else torch.float32
    if name not in dtypes:
        raise SettingsError(f"Unknown dtype {name!r}.", f"Use one of: auto, {', '.join(dtypes)}.")
    if name == "float16" and device.type == "cpu":
        raise SettingsError("float16 is not usable on a CPU.", "Use bfloat16 or float32.")
    return dtypes[name]


@dataclass(frozen=True)
class RuntimePlan:
    """What a job runs on: fixed at its start, applied once, and stored in its result so that it can be repeated."""

    device: str
    dtype: str
    num_threads: int

    @classmethod
    def choose(cls, device: str = "auto", dtype: str = "auto", num_threads: int | None = None) -> RuntimePlan:
        chosen = pick_device(device)
        threads = num_threads if num_threads is not None else num_free_cores()
        if threads < 1:
            raise SettingsError(f"{threads} threads cannot work.", "Use 1 or more, or leave it out.")
        return cls(str(chosen), str(pick_dtype(chosen, dtype)).removeprefix("torch."), threads)

    def side_by_side(self, wanted: bool | None = None) -> tuple[RuntimePlan, bool]:
        """The plan for two networks that may work at the same time, and whether they do.

        Then each has half of the threads. By default they do where there is more than one.
        """
        together = self.num_threads > 1 if wanted is None else wanted
        return (replace(self, num_threads=max(1, self.num_threads // 2)) if together else self), together

    def apply(self) -> tuple[torch.device, torch.dtype]:
        """Sets the thread count of this process and returns device and dtype for the models."""
        import torch

        torch.set_num_threads(self.num_threads)
        device = torch.device(self.device)
        return device, getattr(torch, self.dtype)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Noise is drawn on the CPU by default so that one seed gives the same numbers on every device."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


def numpy_generator(seed: int, *stream: int | str) -> np.random.Generator:
    """An independent stream for each name: `numpy_generator(7, "hair")` never depends on how much "skin" drew."""
    # Kind and length go in front of every part, or ("ab",) would equal ("a", "b") and a last 0 would not count.
    words = [seed & 0xFFFFFFFF, seed >> 32]
    for part in stream:
        if isinstance(part, int | np.integer):
            words += [1, int(part) & 0xFFFFFFFF, int(part) >> 32]
        else:
            words += [2 + len(part), *part.encode()]
    return np.random.default_rng(np.random.SeedSequence(words))


class CancelToken:
    """One for each job. `cancel` throws the work away, `stop` keeps what is done; both are safe from any thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._stopped = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def stopped(self) -> bool:
        """True after `stop` or `cancel`: no further chunk is to be started."""
        return self._stopped.is_set() or self._cancelled.is_set()

    def check(self) -> None:
        """Raises `Cancelled` after `cancel`; call it wherever a second of work is about to start."""
        if self.cancelled:
            raise Cancelled
