"""Readers of MakeHuman's text formats (.obj, .target, .mhclo, .mhmat, weights, skeletons) and of their licences.

A file that cannot be read raises `InputError` with its name. Nothing here decides what goes into a pack.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError

LFS_POINTER = b"version https://git-lfs"
_HEADER_LINES = 60
# Licences that a header may name in place of CC0.
_OTHER_LICENCES = re.compile(
    r"AGPL|\bGPL|GNU (Affero )?General Public|CC[- ]BY|Creative Commons Attribution|all rights reserved", re.I
)
_CC0 = re.compile(r"\bCC[- ]?0\b|creativecommons\.org/publicdomain|public domain", re.I)


@dataclass(frozen=True)
class ObjMesh:
    vertices: np.ndarray  # (n, 3) float32
    uv: np.ndarray  # (m, 2) float32
    triangles: np.ndarray  # (t, 3) int32; polygons are split as fans
    uv_triangles: np.ndarray  # (t, 3) int32, into `uv`
    groups: tuple[str, ...]  # of each triangle


@dataclass(frozen=True)
class Clothes:
    """A .mhclo: how a mesh is bound to the base mesh."""

    name: str
    obj_file: str
    material: str
    scale: tuple[tuple[int, int, float], ...]  # x, y, z: two base vertices and their distance
    reference: np.ndarray  # (n, 3) int32
    weights: np.ndarray  # (n, 3) float32
    offset: np.ndarray  # (n, 3) float32
    delete: np.ndarray  # (d,) int32


def stated_licence(file: Path) -> str:
    """'CC0', 'other' or 'none' by what the head of a text file says; JSON files may say it in a field."""
    lines = _text(file).splitlines()[:_HEADER_LINES]
    if file.suffix in (".mhw", ".jsonw", ".mhskel", ".json"):
        head = "\n".join(re.findall(r'"(?:license|copyright)"\s*:\s*"([^"]*)"', _text(file)))
    else:
        head = "\n".join(line for line in lines if line.lstrip().startswith("#") or line.startswith("license"))
    # "Was AGPL, explicitly released as CC0" is CC0: the grant counts, not the history.
    if _CC0.search(head):
        return "CC0"
    return "other" if _OTHER_LICENCES.search(head) else "none"


def grants_cc0(checkout: Path) -> bool:
    """Whether a repository's own statement puts its assets under CC0."""
    names = ("LICENSE.ASSETS.md", "LICENSE.md", "LICENSE", "README.md", "license.txt")
    texts = [_text(checkout / name) for name in names if (checkout / name).is_file()]
    return any(_CC0.search(text) for text in texts)


def read_obj(file: Path) -> ObjMesh:
    vertices, uv, triangles, uv_triangles, groups = [], [], [], [], []
    group = ""
    try:
        for line in _text(file).splitlines():
            word, _, rest = line.partition(" ")
            if word == "v":
                vertices.append([float(value) for value in rest.split()[:3]])
            elif word == "vt":
                uv.append([float(value) for value in rest.split()[:2]])
            elif word == "g":
                group = rest.strip()
            elif word == "f":
                corners = [corner.split("/") for corner in rest.split()]
                points = [int(corner[0]) - 1 for corner in corners]
                texture = [int(corner[1]) - 1 if len(corner) > 1 and corner[1] else 0 for corner in corners]
                for k in range(1, len(corners) - 1):
                    triangles.append((points[0], points[k], points[k + 1]))
                    uv_triangles.append((texture[0], texture[k], texture[k + 1]))
                    groups.append(group)
    except (ValueError, IndexError) as error:
        raise InputError(f"{file} is not a Wavefront OBJ file ({error}).", _ADVICE) from error
    if not vertices or not triangles or min(min(t) for t in triangles) < 0:
        raise InputError(f"{file} holds no mesh with absolute face indices.", _ADVICE)
    return ObjMesh(
        np.array(vertices, np.float32), np.array(uv or [[0, 0]], np.float32), np.array(triangles, np.int32),
        np.array(uv_triangles, np.int32), tuple(groups),
    )  # fmt: skip


def read_target(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Moved vertices (n,) int32, rising, and their offsets (n, 3) float32."""
    rows = [line.split() for line in _text(file).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        index = np.array([int(row[0]) for row in rows], np.int32)
        delta = np.array([[float(value) for value in row[1:4]] for row in rows], np.float32).reshape(-1, 3)
    except (ValueError, IndexError) as error:
        raise InputError(f"{file} is not a MakeHuman target ({error}).", _ADVICE) from error
    order = np.argsort(index, kind="stable")
    return index[order], delta[order]


def read_clothes(file: Path) -> Clothes:
    """Lines after `verts` name one base vertex, or three with weights and an offset; deleted vertices come later."""
    fields: dict[str, str] = {}
    scales: dict[str, tuple[int, int, float]] = {}
    rows: list[list[str]] = []
    deleted: list[str] = []
    section = ""
    try:
        for line in _text(file).splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] in ("verts", "delete_verts", "weights", "faces", "texFaces"):
                section = words[0]
            elif section == "verts" and _is_number(words[0]):
                rows.append(words)
            elif section == "delete_verts" and (_is_number(words[0]) or words[0] == "-"):
                deleted += words
            elif len(words) >= 4 and words[0] in ("x_scale", "y_scale", "z_scale"):
                scales[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
            else:
                section = ""
                fields[words[0]] = " ".join(words[1:])
        bound = np.array([_binding(row) for row in rows], np.float64).reshape(-1, 9)
        delete = _ranges(deleted)
    except (ValueError, IndexError) as error:
        raise InputError(f"{file} is not a MakeHuman clothes file ({error}).", _ADVICE) from error
    if not len(bound) or "obj_file" not in fields:
        raise InputError(f"{file} binds no mesh.", _ADVICE)
    none = (0, 0, 0.0)
    return Clothes(
        fields.get("name", file.stem), fields["obj_file"], fields.get("material", ""),
        tuple(scales.get(axis, none) for axis in ("x_scale", "y_scale", "z_scale")),
        bound[:, :3].astype(np.int32), bound[:, 3:6].astype(np.float32), bound[:, 6:].astype(np.float32), delete,
    )  # fmt: skip


def _binding(row: list[str]) -> list[float]:
    if len(row) == 1:
        vertex = float(int(row[0]))
        return [vertex, vertex, vertex, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    return [float(int(value)) for value in row[:3]] + [float(value) for value in row[3:9]]


def _ranges(words: list[str]) -> np.ndarray:
    """`3 - 6 9` is 3 4 5 6 9."""
    found: list[int] = []
    for position, word in enumerate(words):
        if word == "-":
            found += range(found[-1] + 1, int(words[position + 1]))
        else:
            found.append(int(word))
    return np.unique(np.array(found, np.int32))


def _is_number(word: str) -> bool:
    return word.lstrip("-").isdigit()


def read_material_texture(file: Path) -> Path | None:
    """The diffuse texture that a .mhmat names, or None where it names none."""
    for line in _text(file).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "diffuseTexture" and rest.strip():
            return (file.parent / rest.strip()).resolve()
    return None


def read_weights(file: Path, num_vertices: int) -> dict[str, np.ndarray]:
    """(num_vertices,) float32 for each bone, as written: they need not sum to 1 over the bones."""
    content = _json(file)
    found = {}
    for bone, pairs in content.get("weights", {}).items():
        weight = np.zeros(num_vertices, np.float32)
        for vertex, value in pairs:
            weight[int(vertex)] = value
        found[bone] = weight
    if not found:
        raise InputError(f"{file} holds no skin weights.", _ADVICE)
    return found


def read_bone_parents(file: Path) -> dict[str, str]:
    return {name: bone.get("parent") or "" for name, bone in _json(file).get("bones", {}).items()}


def bones_below(parents: dict[str, str], root: str) -> set[str]:
    """A bone and all that hang from it."""

    def hangs(bone: str) -> bool:
        while bone and bone != root:
            bone = parents.get(bone, "")
        return bone == root

    return {bone for bone in parents if hangs(bone)}


_ADVICE = "Use checkouts of makehumancommunity/makehuman and makehumancommunity/makehuman-assets with Git LFS."


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror or error}).", _ADVICE) from error


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(file))
    except json.JSONDecodeError as error:
        raise InputError(f"{file} is not JSON ({error}).", _ADVICE) from error
    return content if isinstance(content, dict) else {}
