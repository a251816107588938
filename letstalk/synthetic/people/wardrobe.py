"""Parts that come from the pack's proxies, fitted to one person: hair, brows, lashes, teeth, tongue, clothes."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import cv2
import numpy as np

from letstalk.synthetic.people.anatomy import UPPER_TEETH_FIRST
from letstalk.synthetic.people.assets import AssetPack, Proxy
from letstalk.synthetic.people.parts import Part
from letstalk.synthetic.people.skin_maps import smooth

_CLOTH_PX = 512


def proxy_part(
    pack: AssetPack, name: str, base: np.ndarray, texture: np.ndarray | None = None, **surface: object
) -> Part:
    proxy: Proxy = pack.proxies[name]
    return Part(
        proxy.kind, proxy.fit(base), proxy.triangles, proxy.uv, proxy.uv_triangles,
        pack.texture(name) if texture is None else texture, proxy.reference, proxy.weights, surface=surface or None,
    )  # fmt: skip


def teeth_part(pack: AssetPack, base: np.ndarray, draw: np.random.Generator) -> Part:
    """Sits a little deeper than the proxy says: the upper lip would hide the upper row, neutral lips would show it."""
    name = pack.names("teeth")[0]
    part = proxy_part(pack, name, base)
    upper = part.reference[:, 0] >= UPPER_TEETH_FIRST
    part.positions[:, 1] -= np.where(upper, 0.07, 0.075)
    part.positions[:, 2] -= np.where(upper, 0.0, 0.03)
    shade = draw.uniform(0.82, 1.04)
    yellow = draw.uniform(0, 0.12)
    tint = (1.08 * shade, 1.05 * shade * (1 - 0.25 * yellow), 0.97 * shade * (1 - yellow))
    return replace(part, surface={"tint": tint})


def tongue_part(pack: AssetPack, base: np.ndarray) -> Part:
    """Flatter and further back than the proxy, which would fill the open mouth."""
    part = proxy_part(pack, pack.names("tongue")[0], base)
    low = part.positions[:, 1].min()
    part.positions[:, 1] = (part.positions[:, 1] - low) * 0.75 + low - 0.03
    part.positions[:, 2] -= 0.07
    return part


def dyed(texture: np.ndarray, colour: np.ndarray, contrast: float = 0.55) -> np.ndarray:
    """The texture's light and dark in another colour (linear light), whatever its own colour was."""
    rgb = texture[..., :3].astype(np.float32) / 255
    light = (rgb * rgb).mean(2)
    solid = texture[..., 3] > 128
    mean = float(light[solid].mean()) if solid.any() else 0.1
    level = np.clip(light / max(mean, 1e-4), 0.05, 2.2) ** contrast
    painted = np.sqrt(np.clip(level[..., None] * np.asarray(colour, np.float32), 0, 1))
    return np.dstack([cv2.convertScaleAbs(painted, alpha=255), texture[..., 3]])


def hair_part(
    pack: AssetPack, name: str, base: np.ndarray, eyes: np.ndarray, colour: np.ndarray, draw: np.random.Generator
) -> Part:
    """`eyes` (2, 3) are the centres of the eyeballs: no fringe may hang over them. `colour` is linear light (3,)."""
    part = proxy_part(pack, name, base, dyed(pack.texture(name), colour))
    positions = part.positions
    centre = positions.mean(0)
    positions += (positions - centre) * (draw.uniform(-0.01, 0.05) + draw.normal(0, 0.012, 3)).astype(np.float32)
    _change_length(positions, float(eyes[:, 1].mean()), float(draw.uniform(0.72, 1.12)))
    mirrored = draw.random() < 0.5
    _lift_fringe(positions, eyes, float(draw.uniform(0.11, 0.2)))
    if not mirrored:
        return part
    positions[:, 0] *= -1
    # Turned inside out by the mirror: without this the hair would shade as if from within.
    return replace(part, triangles=part.triangles[:, ::-1].copy(), uv_triangles=part.uv_triangles[:, ::-1].copy())


def _change_length(positions: np.ndarray, eye_height: float, share: float) -> None:
    """Lengthens or shortens what hangs below the ears."""
    ears = eye_height - 0.35
    below = positions[:, 1] < ears
    positions[below, 1] = ears + (positions[below, 1] - ears) * share


def _lift_fringe(positions: np.ndarray, eyes: np.ndarray, rise: float) -> None:
    """Some styles of the pack hang over one eye: what is in front of the eyes is gathered up to `rise` above them."""
    limit = float(eyes[:, 1].mean()) + rise
    reach = float(np.abs(eyes[:, 0]).mean())
    across = smooth(np.abs(positions[:, 0]), reach + 0.36, reach + 0.17)
    front = smooth(positions[:, 2], float(eyes[:, 2].mean()) - 0.25, float(eyes[:, 2].mean()) + 0.02)
    too_low = np.maximum(limit - positions[:, 1], 0)
    positions[:, 1] += across * front * too_low * 0.88


def clothes_part(pack: AssetPack, name: str, base: np.ndarray, draw: np.random.Generator) -> Part:
    """The garment in other colours, now and then with a woven or printed pattern over its own."""
    texture = cv2.resize(pack.texture(name), (_CLOTH_PX, _CLOTH_PX), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(np.ascontiguousarray(texture[..., :3]), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + draw.uniform(0, 180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * draw.choice([0.15, 0.4, 0.7, 1.1]), 0, 230)
    hsv[..., 2] = np.clip(hsv[..., 2] * draw.uniform(0.4, 1.25) + draw.uniform(0, 25), 0, 245)
    rgb = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32) / 255
    if draw.random() < 0.7:  # whole cloth in one colour: folds and weave stay, prints go
        rgb = _shading_of(rgb.mean(2))[..., None] * random_colour(draw, (0.0, 0.75), (0.12, 0.95))
    if draw.random() < 0.35 and "elegant" not in name:
        mask = _pattern(draw)[..., None] * draw.uniform(0.4, 1.0)
        rgb = rgb + mask * (rgb.mean() * 0.4 + 0.6 * random_colour(draw, (0.0, 0.8), (0.1, 0.95)) - rgb)
    painted = cv2.convertScaleAbs(np.clip(rgb, 0, 1), alpha=255)
    return proxy_part(pack, name, base, np.dstack([painted, texture[..., 3]]))


def _shading_of(light: np.ndarray) -> np.ndarray:
    """Light and dark of a cloth without what is printed on it, around 0.9."""
    broad = cv2.GaussianBlur(light, (0, 0), 9.0)
    fine = np.clip(light - cv2.GaussianBlur(light, (0, 0), 2.0), -0.06, 0.06)
    return 0.5 + 0.4 * broad / max(float(np.median(broad)), 0.08) + fine


def _pattern(draw: np.random.Generator) -> np.ndarray:
    """(_CLOTH_PX, _CLOTH_PX) 0..1: stripes, checks, dots or melange."""
    y, x = np.mgrid[0:_CLOTH_PX, 0:_CLOTH_PX].astype(np.float32) / _CLOTH_PX
    count = draw.integers(18, 60)
    wide = draw.uniform(-0.5, 0.6)
    kind = draw.integers(4)
    stripes = [smooth(np.sin(2 * np.pi * count * axis), wide, wide + 0.25) for axis in (x, y)]
    if kind == 0:
        return stripes[int(draw.integers(2))]
    if kind == 1:
        return 0.5 * (stripes[0] + stripes[1])
    if kind == 2:
        cell = count * 0.8
        return smooth(np.hypot((x * cell) % 1 - 0.5, (y * cell) % 1 - 0.5), 0.28, 0.22)
    return np.clip(0.5 + 0.3 * draw.standard_normal((_CLOTH_PX, _CLOTH_PX), np.float32), 0, 1)


def random_colour(draw: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """sRGB (3,)."""
    return np.array(colorsys.hsv_to_rgb(draw.random(), draw.uniform(*saturation), draw.uniform(*value)))
