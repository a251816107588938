"""The asset pack: geometry and textures of MakeHuman's CC0 data in one file, read lazily.

The pack is not part of the project. `load_assets` says how to get one when it is missing; `pack_builder.py` builds it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError, MissingAssetError
from letstalk.runtime import cache_dir

PACK_NAME = "makehuman_cc0.npz"
PACK_FORMAT = 1  # packs without a number in their header are of this format
NUM_BASE_VERTICES = 19158
PROXY_KINDS = ("hair", "brow", "lash", "eyes", "teeth", "tongue", "clothes")
HOW_TO_GET_A_PACK = (
    "Give one with --assets FILE, or build it from checkouts of the public CC0 repositories with "
    "`letstalk synth assets --makehuman DIR --makehuman-assets DIR`."
)


@dataclass(frozen=True)
class Proxy:
    """A mesh that is bound to the base mesh: each vertex is a mix of three base vertices plus a scaled offset."""

    name: str
    kind: str
    scale: tuple[tuple[int, int, float], ...]  # per axis: two base vertices and their distance on the base mesh
    reference: np.ndarray  # (n, 3) int32 base vertices
    weights: np.ndarray  # (n, 3) float32
    offset: np.ndarray  # (n, 3) float32
    triangles: np.ndarray  # (t, 3) int32
    uv_triangles: np.ndarray  # (t, 3) int32
    uv: np.ndarray  # (m, 2) float32
    delete: np.ndarray  # (d,) int32 base vertices that it hides

    def fit(self, vertices: np.ndarray) -> np.ndarray:
        """Positions (n, 3) on a base mesh of any shape (num_base, 3)."""
        size = [
            abs(vertices[a, axis] - vertices[b, axis]) / span if span and a != b else 1.0
            for axis, (a, b, span) in enumerate(self.scale)
        ]
        placed = np.einsum("nkc,nk->nc", vertices[self.reference], self.weights)
        return (placed + self.offset * np.asarray(size, np.float32)).astype(np.float32)


@dataclass(frozen=True)
class BodyMesh:
    triangles: np.ndarray  # (t, 3) int32 into the base vertices
    uv_triangles: np.ndarray  # (t, 3) int32
    uv: np.ndarray  # (m, 2) float32


class AssetPack:
    """One opened pack. Textures are decoded on first use and kept; everything else is in memory from the start."""

    def __init__(self, archive: Mapping[str, np.ndarray], meta: dict[str, Any]) -> None:
        self._archive = archive
        self._texture_meta: dict[str, dict[str, Any]] = meta["textures"]
        self._textures: dict[str, np.ndarray] = {}
        self.base_vertices: np.ndarray = np.asarray(archive["base/vertices"], np.float32)
        self.body = BodyMesh(
            archive["body/tv"].astype(np.int32),
            archive["body/tt"].astype(np.int32),
            archive["body/uv"].astype(np.float32),
        )
        self.head_weight = archive["weights/hw"].astype(np.float32).clip(0, 1)
        self.arm_weight = {side: archive[f"weights/arm{side}"].astype(np.float32).clip(0, 1) for side in ("L", "R")}
        self.proxies = {name: _read_proxy(archive, name, item) for name, item in meta["proxies"].items()}
        index, delta, start = (archive[f"targets/{part}"] for part in ("index", "delta", "start"))
        self.targets: dict[str, tuple[np.ndarray, np.ndarray]] = {
            name: (index[first:last].astype(np.int64), delta[first:last].astype(np.float32))
            for name, first, last in zip(meta["targets"], start[:-1], start[1:], strict=True)
        }

    def names(self, kind: str) -> list[str]:
        """Proxies of one kind, sorted, so that a seed picks the same one whatever the order in the file."""
        return sorted(name for name, proxy in self.proxies.items() if proxy.kind == kind)

    def textures_of(self, prefix: str) -> list[str]:
        return sorted(name for name in self._texture_meta if name.startswith(prefix))

    def texture(self, name: str) -> np.ndarray:
        """RGBA (height, width, 4) uint8; do not write into it."""
        if name not in self._textures:
            self._textures[name] = _decode_texture(self._archive, name, self._texture_meta[name])
        return self._textures[name]

    def add_target(self, vertices: np.ndarray, name: str, weight: float) -> None:
        """Adds a morph to base vertices in place; a combination that MakeHuman leaves out (an average) is zero."""
        if weight and name in self.targets:
            index, delta = self.targets[name]
            vertices[index] += delta * np.float32(weight)

    @cached_property
    def anatomy(self) -> Any:
        """Landmarks, contact lines and expression bases, found once per pack."""
        from letstalk.synthetic.people.anatomy import Anatomy

        return Anatomy.find(self)

    @cached_property
    def skins(self) -> Any:
        """Skin textures cut to the head, with the masks of the regions painted on, once per pack."""
        from letstalk.synthetic.people.skin import SkinLibrary

        return SkinLibrary(self)


def _read_proxy(archive: Mapping[str, np.ndarray], name: str, item: dict[str, Any]) -> Proxy:
    def read(part: str, dtype: type) -> np.ndarray:
        return archive[f"proxy/{name}/{part}"].astype(dtype)

    return Proxy(
        name, item["kind"], tuple((int(a), int(b), float(span)) for a, b, span in item["scale"]),
        read("ref", np.int32), read("weights", np.float32), read("offset", np.float32),
        read("tv", np.int32), read("tt", np.int32), read("uv", np.float32), read("delete", np.int32),
    )  # fmt: skip


def _decode_texture(archive: Mapping[str, np.ndarray], name: str, meta: dict[str, Any]) -> np.ndarray:
    import cv2

    bgr = cv2.imdecode(archive[f"texture/{name}/rgb"], cv2.IMREAD_COLOR)
    alpha = cv2.imdecode(archive[f"texture/{name}/alpha"], cv2.IMREAD_GRAYSCALE) if meta["alpha"] else None
    if bgr is None or (alpha is None and meta["alpha"]):
        raise InputError(f"The texture {name!r} in the asset pack cannot be decoded.", HOW_TO_GET_A_PACK)
    if alpha is None:
        alpha = np.full(bgr.shape[:2], 255, np.uint8)
    return np.ascontiguousarray(np.dstack([bgr[..., ::-1], alpha]))


def default_pack_path() -> Path:
    return cache_dir() / "assets" / PACK_NAME


def pack_path(path: Path | str | None = None) -> Path:
    """The given file, else the one in the cache folder; `MissingAssetError` where there is none."""
    file = Path(path) if path is not None else default_pack_path()
    if not file.is_file():
        raise MissingAssetError(f"There is no asset pack at {file}.", HOW_TO_GET_A_PACK)
    return file


def load_assets(path: Path | str | None = None) -> AssetPack:
    """Opens a pack: the given file, else the one in the cache folder. Missing or foreign files raise a clear error."""
    file = pack_path(path)
    try:
        # Read whole: forked render workers would share an open file and move each other's place in it.
        stored = np.load(file, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("one array, not an archive")
        with stored:
            archive = {name: stored[name] for name in stored.files}
        meta = json.loads(archive["meta"].tobytes())
        _check(archive, meta, file)
        return AssetPack(archive, meta)
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        # What numpy says of a foreign file is advice to load it unsafely: not for users.
        raise InputError(f"{file} is not an asset pack, or damaged.", HOW_TO_GET_A_PACK) from error


def _check(archive: Mapping[str, np.ndarray], meta: dict[str, Any], file: Path) -> None:
    found = int(meta.get("format", PACK_FORMAT))
    if found != PACK_FORMAT:
        raise InputError(f"{file} has pack format {found}; this version reads {PACK_FORMAT}.", HOW_TO_GET_A_PACK)
    if archive["base/vertices"].shape != (NUM_BASE_VERTICES, 3):
        raise InputError(f"{file} does not hold MakeHuman's base mesh.", HOW_TO_GET_A_PACK)
    if len(archive["targets/start"]) != len(meta["targets"]) + 1:
        raise InputError(f"{file} is damaged: its targets do not match their names.", HOW_TO_GET_A_PACK)
    missing = {kind for kind in PROXY_KINDS if not any(item["kind"] == kind for item in meta["proxies"].values())}
    if missing:
        raise InputError(f"{file} holds no {', '.join(sorted(missing))}.", HOW_TO_GET_A_PACK)
