"""What part of a person every triangle belongs to: fixed for a person, read from neutral shape and materials."""

from __future__ import annotations

import numpy as np

from letstalk.synthetic.controls import LANDMARK_INDEX
from letstalk.synthetic.person import KIND_CODE, Person

# Codes of the region map. "face" is the skin in front of the ears from the hairline to the chin, "head" the rest of the
# skin that turns with the head (ears, scalp), "body" neck and shoulders, "mouth" all that is behind the lips.
REGIONS: tuple[str, ...] = (
    "background", "clothes", "body", "head", "face", "lips", "mouth", "eyes", "brows", "hair", "glasses", "accessory",
)  # fmt: skip
REGION_CODE: dict[str, int] = {name: code for code, name in enumerate(REGIONS)}
HEAD_REGIONS: tuple[str, ...] = REGIONS[3:]

_REGION_OF_KIND = {
    "skin": "body", "eyes": "eyes", "teeth": "mouth", "tongue": "mouth", "clothes": "clothes",
    "brow": "brows", "lash": "eyes", "hair": "hair", "glasses": "glasses", "lens": "glasses", "jewellery": "accessory",
    "hat": "accessory",
}  # fmt: skip
_DARK_INSIDE = 0.3  # ambient occlusion under which skin around the teeth lies in the mouth, not on the lips


def _point(person: Person, name: str) -> np.ndarray:
    return person.mesh.vertices[person.landmark_vertices[LANDMARK_INDEX[name]]]


def skin_vertices(person: Person) -> np.ndarray:
    """(num_vertices,) bool."""
    materials = [index for index, material in enumerate(person.materials) if material.kind == "skin"]
    found = np.zeros(len(person.mesh.vertices), bool)
    found[person.mesh.triangles[np.isin(person.mesh.triangle_material, materials)]] = True
    return found


def mouth_cavity(person: Person) -> np.ndarray:
    """(num_vertices,) float32, 1 for skin that lines the mouth: it surrounds the teeth and sees little sky."""
    kinds = np.array([KIND_CODE[material.kind] for material in person.materials])
    inner = np.isin(kinds[person.mesh.triangle_material], [KIND_CODE["teeth"], KIND_CODE["tongue"]])
    if not inner.any():
        return np.zeros(len(person.mesh.vertices), np.float32)
    vertices = person.mesh.vertices
    teeth = vertices[np.unique(person.mesh.triangles[inner])]
    low = teeth.min(axis=0) - np.array([0.15, 0.25, 0.4])
    high = teeth.max(axis=0) + np.array([0.15, 0.25, 0.05])
    around = ((vertices > low) & (vertices < high)).all(axis=1)
    dark = person.ambient_occlusion < _DARK_INSIDE
    return (around & dark & skin_vertices(person)).astype(np.float32)


def triangle_regions(person: Person, cavity: np.ndarray) -> np.ndarray:
    """(num_triangles,) uint8 codes of REGIONS; `cavity` comes from `mouth_cavity`."""
    mesh = person.mesh
    by_material = np.array([REGION_CODE[_REGION_OF_KIND[m.kind]] for m in person.materials], np.uint8)
    regions = by_material[mesh.triangle_material]
    skin = np.array([m.kind == "skin" and not m.transparent for m in person.materials])[mesh.triangle_material]
    centres = mesh.vertices[mesh.triangles].mean(axis=1)
    turning = person.rig.head_weight[mesh.triangles].min(axis=1) > 0.6
    chin = _point(person, "chin")
    jaw_z = 0.5 * (_point(person, "jaw_left") + _point(person, "jaw_right"))[2]
    in_front = (centres[:, 2] > jaw_z - 0.1) & (centres[:, 1] > chin[1] - 0.04 * person.face_height)
    regions[skin & turning] = REGION_CODE["head"]
    regions[skin & turning & in_front] = REGION_CODE["face"]
    regions[skin & turning & _on_lips(person, centres)] = REGION_CODE["lips"]
    regions[skin & (cavity[mesh.triangles].mean(axis=1) > 0.5)] = REGION_CODE["mouth"]
    return regions


def _on_lips(person: Person, centres: np.ndarray) -> np.ndarray:
    left, right = _point(person, "mouth_corner_left"), _point(person, "mouth_corner_right")
    upper, lower = _point(person, "lip_upper_outer"), _point(person, "lip_lower_outer")
    middle = 0.5 * (left + right)
    across = np.abs(centres[:, 0] - middle[0]) / (0.5 * np.linalg.norm(left - right) + 1e-6)
    height = np.where(centres[:, 1] > middle[1], upper[1] - middle[1], middle[1] - lower[1])
    along = np.abs(centres[:, 1] - middle[1]) / np.maximum(height, 1e-3)
    near = centres[:, 2] > min(left[2], right[2]) - 0.08 * person.face_height
    return (across**2 + along**1.5 < 1.0) & near
