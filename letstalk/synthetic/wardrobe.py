"""Parts that come from the pack's proxies, fitted to one person: hair, brows, lashes, teeth, tongue, clothes."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from letstalk.synthetic.assets import AssetPack, Proxy
from letstalk.synthetic.parts import Part
from letstalk.synthetic.skin_maps import smooth

UPPER_TEETH_FIRST = 15060  # base vertices of the upper row start here


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
    return Part(**{**part.__dict__, "surface": {"tint": tint}})


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
    if draw.random() < 0.5:
        positions[:, 0] *= -1
    _lift_fringe(positions, eyes, float(draw.uniform(0.11, 0.2)))
    return part


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
    texture = cv2.resize(pack.texture(name), (512, 512), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(np.ascontiguousarray(texture[..., :3]), cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + draw.uniform(0, 180)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * draw.uniform(0.2, 1.2), 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * draw.uniform(0.45, 1.3), 0, 255)
    rgb = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    return proxy_part(pack, name, base, np.dstack([rgb, texture[..., 3]]))


def random_colour(draw: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    """sRGB (3,)."""
    return np.array(colorsys.hsv_to_rgb(draw.random(), draw.uniform(*saturation), draw.uniform(*value)))
