"""Builds the asset pack from checkouts of MakeHuman's public repositories, and takes nothing that is not CC0.

What counts is, in this order: the licence that a file's own header names, else the statement of its repository.
Optional assets that are not CC0 are left out and reported; without base mesh, weights and morphs there is no pack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from letstalk.errors import InputError, OutputError
from letstalk.synthetic.people.anatomy import (
    CHIN_JOINT,
    CROWN_JOINT,
    EYE_JOINTS,
    HEAD_JOINT,
    NECK_JOINT,
    SHOULDER_JOINTS,
)
from letstalk.synthetic.people.assets import PACK_FORMAT
from letstalk.synthetic.people.makehuman_files import (
    LFS_POINTER,
    Clothes,
    ObjMesh,
    bones_below,
    grants_cc0,
    read_bone_parents,
    read_clothes,
    read_material_texture,
    read_obj,
    read_target,
    read_weights,
    stated_licence,
)

# Found only under another licence tag in the past, whatever a header says now.
NEVER = frozenset({"afro01", "bob01", "female_casualsuit02", "male_casualsuit01"})
TARGET_FOLDERS = (
    "asym", "cheek", "chin", "ears", "expression/units", "eyebrows", "eyes", "forehead", "head", "macrodetails",
    "mouth",
    "neck", "nose",
)  # fmt: skip
# Kind, folder in the assets repository, which names.
PROXY_FOLDERS = (
    ("hair", "hair", ""), ("brow", "eyebrows", ""), ("lash", "eyelashes", ""), ("eyes", "eyes", ""),
    ("teeth", "teeth", "teeth_base"), ("tongue", "tongue", ""), ("clothes", "clothes", "male_"),
)  # fmt: skip
# Head and torso: what no portrait shows is cut off. Base mesh, decimetres.
LOWEST, WIDEST = 1.6, 4.6
_HEAD_SHARES = {"neck03": 0.5, "neck02": 0.3, "neck01": 0.12}
_TEXTURE_PX = {"skin": 2048, "hair": 1024, "clothes": 1024, "tongue": 256}
_JPEG_QUALITY = 92
_ADVICE = "Use checkouts of makehumancommunity/makehuman and makehumancommunity/makehuman-assets with Git LFS."


@dataclass
class BuildReport:
    """What went into a pack and what was refused, with the reason."""

    taken: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


class _Source:
    """A checkout, and what its licence statement covers."""

    def __init__(self, folder: Path, what: str) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder ({what}).", _ADVICE)
        self.folder = folder
        self.is_cc0 = grants_cc0(folder)

    def refusal(self, file: Path) -> str:
        """Why a text file may not be used; empty when it may."""
        stated = stated_licence(file)
        if stated == "CC0" or (stated == "none" and self.is_cc0):
            return ""
        return "its header names another licence" if stated == "other" else "neither it nor its repository says CC0"

    def require(self, file: Path) -> Path:
        if not file.is_file():
            raise InputError(f"{file} is missing.", _ADVICE)
        reason = self.refusal(file)
        if reason:
            raise InputError(
                f"{file} may not be used: {reason}.", "Use a checkout from after September 2020, when it became CC0."
            )
        return file


def build_pack(makehuman_dir: Path | str, makehuman_assets_dir: Path | str, out: Path | str) -> BuildReport:
    """Writes a pack that `load_assets` reads. The same checkouts give the same bytes."""
    program = _Source(Path(makehuman_dir), "the makehuman checkout")
    assets = _Source(Path(makehuman_assets_dir), "the makehuman-assets checkout")
    data = program.folder / "makehuman" / "data"
    data = data if data.is_dir() else program.folder / "data"
    report = BuildReport()
    base = read_obj(program.require(data / "3dobjs" / "base.obj"))
    arrays: dict[str, np.ndarray] = {}
    meta: dict[str, object] = {"format": PACK_FORMAT, "proxies": {}, "textures": {}}
    body = _add_body(arrays, base)
    _add_weights(arrays, program, data / "rigs", len(base.vertices))
    used = [body.ravel(), *_joint_vertices()]
    for kind, folder, prefix in PROXY_FOLDERS:
        for file in _proxy_files([assets.folder / "base" / folder, data / folder], prefix):
            source = assets if assets.folder in file.parents else program
            used += _add_proxy(arrays, meta, report, source, kind, file, base.vertices)
    _add_textures(arrays, meta, report, [assets.folder / "base", data])
    meta["targets"] = _add_targets(arrays, report, program, data / "targets", used)
    arrays["meta"] = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    _write(Path(out), arrays)
    return report


def _joint_vertices() -> list[np.ndarray]:
    firsts = (*EYE_JOINTS, NECK_JOINT, CHIN_JOINT, CROWN_JOINT, HEAD_JOINT, *SHOULDER_JOINTS.values())
    return [np.arange(first, first + 8) for first in firsts]


def _in_view(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    corners = vertices[triangles]
    return np.asarray((corners[..., 1] > LOWEST).all(1) & (np.abs(corners[..., 0]) < WIDEST).all(1))


def _add_body(arrays: dict[str, np.ndarray], base: ObjMesh) -> np.ndarray:
    keep = np.array([group == "body" for group in base.groups]) & _in_view(base.vertices, base.triangles)
    if not keep.any():
        raise InputError("base.obj has no group `body` in view.", _ADVICE)
    used_uv, where = np.unique(base.uv_triangles[keep], return_inverse=True)
    arrays["base/vertices"] = base.vertices
    arrays["body/tv"] = base.triangles[keep].astype(np.uint16)
    arrays["body/tt"] = where.reshape(-1, 3).astype(np.uint16)
    arrays["body/uv"] = base.uv[used_uv]
    return base.triangles[keep]


def _add_weights(arrays: dict[str, np.ndarray], source: _Source, rigs: Path, num_vertices: int) -> None:
    names = ("default_weights.mhw", "default_weights.jsonw")
    weights_file = next((rigs / name for name in names if (rigs / name).is_file()), rigs / names[0])
    weights = read_weights(source.require(weights_file), num_vertices)
    parents = read_bone_parents(source.require(rigs / "default.mhskel"))
    # Helper vertices do not sum to 1 as they are; used so, clothes would tear at the shoulders.
    total = np.maximum(sum(weights.values(), np.zeros(num_vertices, np.float32)), 1e-6)

    def share_of(bones: dict[str, float]) -> np.ndarray:
        parts = [weights[bone] * share for bone, share in bones.items() if bone in weights]
        return (sum(parts, np.zeros(num_vertices, np.float32)) / total).clip(0, 1).astype(np.float16)

    arrays["weights/hw"] = share_of(_HEAD_SHARES | dict.fromkeys(sorted(bones_below(parents, "head")), 1.0))
    for side in ("L", "R"):
        arm = dict.fromkeys(sorted(bones_below(parents, f"upperarm01.{side}")), 1.0)
        arrays[f"weights/arm{side}"] = share_of({f"shoulder01.{side}": 0.35} | arm)


def _proxy_files(folders: list[Path], prefix: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted(folder.rglob("*.mhclo")):
            if prefix in file.stem:
                yield file


def _add_proxy(
    arrays: dict[str, np.ndarray],
    meta: dict,
    report: BuildReport,
    source: _Source,
    kind: str,
    file: Path,
    base: np.ndarray,
) -> list[np.ndarray]:
    """Adds one proxy with its texture; returns the base vertices that it needs, nothing when it is refused."""
    name = file.stem.replace("-", "")
    if name in meta["proxies"]:
        return []
    if name in NEVER:
        report.refused[name] = "on the list of assets that were found under another licence"
        return []
    clothes = read_clothes(file)
    mesh_file = file.parent / clothes.obj_file
    material = (file.parent / clothes.material).resolve() if clothes.material else None
    texts = [file, mesh_file] + ([material] if material is not None and material.is_file() else [])
    for text in texts:
        reason = source.refusal(text) if text.is_file() else f"{text.name} is missing"
        if reason:
            report.refused[name] = reason
            return []
    texture = read_material_texture(material) if material is not None and material.is_file() else None
    if texture is None or not texture.is_file():
        report.refused[name] = "it has no texture"
        return []
    _add_mesh(arrays, name, clothes, read_obj(mesh_file), base)
    meta["proxies"][name] = {"kind": kind, "scale": [list(axis) for axis in clothes.scale]}
    _add_texture(arrays, meta, name, texture, _TEXTURE_PX.get(kind, 512))
    report.taken.append(name)
    return [clothes.reference.ravel(), np.array([int(v) for axis in clothes.scale for v in axis[:2]])]


def _add_mesh(arrays: dict[str, np.ndarray], name: str, clothes: Clothes, mesh: ObjMesh, base: np.ndarray) -> None:
    if len(mesh.vertices) != len(clothes.reference):
        raise InputError(f"{name}: {len(mesh.vertices)} vertices but {len(clothes.reference)} bindings.", _ADVICE)
    place = np.einsum("nkc,nk->nc", base[clothes.reference], clothes.weights)
    keep = _in_view(place, mesh.triangles)
    used, where = np.unique(mesh.triangles[keep], return_inverse=True)
    used_uv, where_uv = np.unique(mesh.uv_triangles[keep], return_inverse=True)
    arrays[f"proxy/{name}/ref"] = clothes.reference[used].astype(np.uint16)
    arrays[f"proxy/{name}/weights"] = clothes.weights[used]
    arrays[f"proxy/{name}/offset"] = clothes.offset[used]
    arrays[f"proxy/{name}/tv"] = where.reshape(-1, 3).astype(np.uint16)
    arrays[f"proxy/{name}/tt"] = where_uv.reshape(-1, 3).astype(np.uint16)
    arrays[f"proxy/{name}/uv"] = mesh.uv[used_uv]
    arrays[f"proxy/{name}/delete"] = clothes.delete.astype(np.uint16)


def _add_textures(arrays: dict[str, np.ndarray], meta: dict, report: BuildReport, roots: list[Path]) -> None:
    """Skins and irises: pictures carry no header, so the statement of the repository covers them."""
    for root in roots:
        for file in sorted((root / "skins" / "textures").glob("*_diffuse*.png")):
            _take_texture(arrays, meta, report, f"skin_{file.stem}", file, _TEXTURE_PX["skin"])
        for file in sorted((root / "eyes" / "materials").glob("*_eye.png")):
            _take_texture(arrays, meta, report, f"eye_{file.stem.removesuffix('_eye')}", file, 512)
    if not any(name.startswith("skin_") for name in meta["textures"]):
        raise InputError("There are no skin textures in the checkouts.", _ADVICE)


def _take_texture(
    arrays: dict[str, np.ndarray], meta: dict, report: BuildReport, name: str, file: Path, size_px: int
) -> None:
    checkout = next((parent for parent in file.parents if grants_cc0(parent)), None)
    if checkout is None:
        report.refused[name] = "no statement of CC0 above it"
    elif name not in meta["textures"]:
        _add_texture(arrays, meta, name, file, size_px)
        report.taken.append(name)


def _add_texture(arrays: dict[str, np.ndarray], meta: dict, name: str, file: Path, largest_px: int) -> None:
    """Opaque pictures as JPEG, alpha as PNG beside it."""
    content = file.read_bytes()
    if content.startswith(LFS_POINTER):
        raise InputError(f"{file} is a Git LFS pointer, not a picture.", "Run `git lfs pull` in the checkout first.")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise InputError(f"{file} is not a picture.", _ADVICE)
    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR) if picture.ndim == 2 else picture
    scale = largest_px / max(picture.shape[:2])
    if scale < 1:
        size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    has_alpha = picture.shape[2] == 4 and int(picture[..., 3].min()) < 255
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    arrays[f"texture/{name}/rgb"] = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., :3]), quality)[1].ravel()
    if has_alpha:
        arrays[f"texture/{name}/alpha"] = cv2.imencode(".png", np.ascontiguousarray(picture[..., 3]))[1].ravel()
    meta["textures"][name] = {"size": [picture.shape[1], picture.shape[0]], "alpha": has_alpha}


def _add_targets(
    arrays: dict[str, np.ndarray], report: BuildReport, source: _Source, folder: Path, used: list[np.ndarray]
) -> list[str]:
    """Morphs of the head and torso, cut to the vertices that anything in the pack needs."""
    wanted = np.unique(np.concatenate([part.ravel() for part in used]).astype(np.int64))
    names, index, delta, start = [], [], [], [0]
    for file in sorted(file for part in TARGET_FOLDERS for file in (folder / part).rglob("*.target")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        if "/baby" in name or name.endswith("-baby"):
            continue
        reason = source.refusal(file)
        if reason:
            report.refused[name] = reason
            continue
        moved, offset = read_target(file)
        keep = np.isin(moved, wanted)
        names.append(name)
        index.append(moved[keep])
        delta.append(offset[keep])
        start.append(start[-1] + int(keep.sum()))
    if not any(name.startswith("macrodetails/") for name in names):
        raise InputError(f"There are no usable morphs under {folder}.", _ADVICE)
    arrays["base/used"] = wanted.astype(np.uint16)
    arrays["targets/index"] = np.concatenate(index).astype(np.uint16)
    arrays["targets/delta"] = np.concatenate(delta).astype(np.float16)
    arrays["targets/start"] = np.array(start, np.int64)
    return names


def _write(out: Path, arrays: dict[str, np.ndarray]) -> None:
    """Through a file beside it, so that a full disk leaves no half pack behind."""
    partial = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **{name: arrays[name] for name in sorted(arrays)})
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"The pack cannot be written to {out} ({error.strerror or error}).", "Choose another place with --out."
        ) from error
