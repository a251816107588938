"""Drawings: the same people, lights and labels, shown as toon, flat colour, painting, pencil, ink, grey or sepia.

Toon and flat styles change the shading itself (`Look`); the others work on the finished picture. Textures of paper and
canvas stand still with the camera, and no filter decides by hard thresholds between frames, so drawings do not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.pictures.shading import Look

STYLES: dict[str, float] = {
    "toon": 0.24, "flat": 0.14, "painterly": 0.26, "pencil": 0.09, "ink": 0.07, "grey": 0.13, "sepia": 0.07,
}  # fmt: skip
STYLISED_SHARE = 0.15
CARTOON_SHARE = 0.04  # photographs of cartoon heads: large eyes, smooth skin
CARICATURES = ("toon", "flat", "painterly", "ink")  # half of these, too, have large eyes


@dataclass(frozen=True)
class Style:
    """How one clip is drawn. Lengths are in pixels of a 256-pixel picture."""

    kind: str = "photo"
    bands: int = 0  # steps of light
    texture_blur: float = 0.0  # levels of the texture pyramid
    shine: float = 1.0
    outline: float = 0.0  # 0..1 darkness
    outline_px: float = 1.0
    brush_px: float = 0.0
    palette_steps: int = 0  # grey levels per channel, 0 for all
    eye_scale: float = 1.0  # see caricature.py
    nose_scale: float = 1.0

    @property
    def look(self) -> Look:
        return Look(float(self.shine), int(self.bands), float(self.texture_blur), float(self.shine))


def sample_style(rng: np.random.Generator, kind: str | None = None) -> Style:
    """A photograph in all but STYLISED_SHARE of the clips; `kind` forces one of STYLES, or an honest "photo"."""
    forced = kind is not None
    if kind is None:
        shares = np.array(list(STYLES.values()))
        kind = str(rng.choice(list(STYLES), p=shares / shares.sum())) if rng.random() < STYLISED_SHARE else "photo"
    style = _drawn_as(rng, kind)
    cartoon = rng.random() < (0.5 if kind in CARICATURES else CARTOON_SHARE if kind == "photo" and not forced else 0.0)
    if not cartoon:
        return style
    blur = max(style.texture_blur, rng.uniform(1.0, 2.5))
    return replace(style, texture_blur=blur, eye_scale=rng.uniform(1.1, 1.4), nose_scale=rng.uniform(0.6, 1.0))


def _drawn_as(rng: np.random.Generator, kind: str) -> Style:
    line, blur = rng.uniform(0.8, 1.8), rng.random()
    if kind == "toon":
        palette, bands = int(rng.choice([0, 8, 12])), int(rng.integers(2, 5))
        return Style(kind, bands=bands, texture_blur=0.5 + 2 * blur, shine=0.4 * rng.integers(0, 3),
                     outline=rng.uniform(0.4, 1.0), outline_px=line, palette_steps=palette)  # fmt: skip
    if kind == "flat":
        outline, palette = rng.choice([0.0, rng.uniform(0.5, 1.0)]), int(rng.integers(5, 10))
        return Style(kind, bands=2, texture_blur=1.5 + 1.5 * blur, shine=0.0, outline=outline, outline_px=line,
                     brush_px=1.0, palette_steps=palette)  # fmt: skip
    if kind == "painterly":
        return Style(kind, texture_blur=blur, shine=rng.uniform(0.3, 1.2), brush_px=rng.uniform(1.0, 3.2))
    if kind == "ink":
        return Style(kind, texture_blur=0.5, shine=0.5, outline=1.0, outline_px=line)
    if kind == "pencil":
        return Style(kind, shine=0.6, outline=rng.uniform(0.3, 0.8), outline_px=0.9)
    return Style(kind)


class Artist:
    """Applies the style of one clip to its finished pictures."""

    def __init__(self, style: Style, size_px: int, seed: int) -> None:
        self.style, self.size_px = style, size_px
        rng = numpy_generator(seed, "paper")
        self._paper = _paper_grain(rng, size_px)
        self._hatching = _hatching(rng, size_px)
        self._ink = rng.uniform(0, 60, 3).astype(np.float32)
        self._paper_colour = 255 - rng.uniform(0, 30) * np.array([0.3, 0.5, 1.0], np.float32)

    def background(self, backdrop: np.ndarray) -> np.ndarray:
        """(size, size, 3) square root of light to the same, as this style draws it: flat colours get a flat wall."""
        if self.style.kind not in ("flat", "toon"):
            return backdrop
        levels = 5 if self.style.kind == "flat" else 9
        painted = kuwahara(backdrop * 255, 5.0 * self.size_px / 256) / 255
        return (np.round(painted * levels) / levels + 0.02).astype(np.float32)

    def apply(self, picture: np.ndarray, regions: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8 to the same; `regions` and `depth` are the label buffers of the frame."""
        style, scale = self.style, self.size_px / 256
        if style.kind == "photo":
            return picture
        shown = picture.astype(np.float32)
        if style.brush_px > 0:
            shown = kuwahara(shown, style.brush_px * scale)
        if style.palette_steps:
            shown = _softly_stepped(shown, style.palette_steps)
        if style.kind == "painterly":
            shown *= 1 + 0.02 * self._paper[..., None]
        elif style.kind == "pencil":
            shown = self._pencil(shown, scale)
        elif style.kind == "ink":
            shown = self._inked(shown)
        elif style.kind in ("grey", "sepia"):
            grey = shown @ np.array([0.3, 0.59, 0.11], np.float32)
            shown = grey[..., None] * np.array(
                [1.0, 1.0, 1.0] if style.kind == "grey" else [1.08, 0.92, 0.72], np.float32
            )
        if style.outline > 0:
            lines = outlines(regions, depth, style.outline_px * scale)[..., None] * style.outline
            shown += lines * (self._ink - shown)
        return np.clip(shown + 0.5, 0, 255).astype(np.uint8)

    def _pencil(self, shown: np.ndarray, scale: float) -> np.ndarray:
        """Light rubbed out against its surroundings leaves lines; shadows are hatched."""
        grey = shown @ np.array([0.3, 0.59, 0.11], np.float32)
        around = cv2.GaussianBlur(grey, (0, 0), 3.5 * scale)
        lines = np.clip((grey + 12) / (around + 12), 0.25, 1.0) ** 1.6
        shadow = np.clip(1.15 - grey / 150, 0, 1)
        tone = lines * (1 - shadow * (0.35 + 0.3 * self._hatching)) * (1 - 0.05 * np.abs(self._paper))
        return tone[..., None] * self._paper_colour

    def _inked(self, shown: np.ndarray) -> np.ndarray:
        """Black shapes on paper, with dots between black and white."""
        grey = shown @ np.array([0.3, 0.59, 0.11], np.float32)
        tone = 1 / (1 + np.exp(-(grey - 92 - 26 * self._hatching) / 7))
        return self._ink + tone[..., None] * (self._paper_colour - self._ink)


def _paper_grain(rng: np.random.Generator, size_px: int) -> np.ndarray:
    fine = cv2.resize(rng.standard_normal((256, 256), np.float32), (size_px, size_px), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(rng.standard_normal((64, 64), np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    grain = fine + coarse
    return np.clip(grain / grain.std(), -2.5, 2.5)


def _hatching(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """(size, size) float32 -1..1: slightly wavy strokes at one angle."""
    rows, columns = np.mgrid[0:size_px, 0:size_px].astype(np.float32) * (256 / size_px)
    wave = cv2.resize(rng.standard_normal((9, 9), np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    angle, spacing = rng.uniform(0.5, 1.1), rng.uniform(3.2, 5.0)
    return np.sin((columns * np.cos(angle) + rows * np.sin(angle) + 3 * wave) * (2 * np.pi / spacing)).astype(
        np.float32
    )


def _softly_stepped(shown: np.ndarray, steps: int) -> np.ndarray:
    """Few levels per channel with soft borders: a hard rounding would make grain flicker."""
    scaled = shown * (steps / 255)
    level = np.floor(scaled)
    rest = np.clip((scaled - level - 0.35) / 0.3, 0, 1)
    return (level + rest * rest * (3 - 2 * rest)) * (255 / steps)


def kuwahara(shown: np.ndarray, radius_px: float) -> np.ndarray:
    """Brush-like smoothing that keeps edges: the mean of the calmest of four windows, blended, not chosen.

    (height, width, 3) float32 to the same. A hard choice of window would boil in video.
    """
    reach = max(1, round(radius_px))
    width = reach + 1
    padded = cv2.copyMakeBorder(shown, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    grey = padded @ np.array([0.3, 0.59, 0.11], np.float32)
    stacked = np.dstack([padded, grey, grey * grey])
    means = cv2.boxFilter(stacked, -1, (width, width), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    height, length = shown.shape[:2]
    total = np.zeros_like(shown)
    weights = np.zeros((height, length, 1), np.float32)
    for top in (0, reach):
        for left in (0, reach):
            window = means[top : top + height, left : left + length]
            spread = np.maximum(window[..., 4] - window[..., 3] ** 2, 0) + 4.0
            weight = (1.0 / (spread * spread * spread))[..., None]
            total += weight * window[..., :3]
            weights += weight
    return total / weights


def outlines(regions: np.ndarray, depth: np.ndarray, width_px: float) -> np.ndarray:
    """(size, size) float32 0..1: lines where the kind of surface changes or the distance jumps or bends."""
    edge = np.zeros(regions.shape, np.float32)
    for axis in (0, 1):
        first, second = (slice(1, None), slice(None)), (slice(None, -1), slice(None))
        if axis == 1:
            first, second = first[::-1], second[::-1]
        changed = (regions[first] != regions[second]).astype(np.float32)
        jump = np.abs(depth[first] - depth[second]) / (np.maximum(depth[first], depth[second]) + 1e-6)
        line = np.maximum(changed, np.clip((jump - 0.006) / 0.01, 0, 1))
        edge[first] = np.maximum(edge[first], line)
    if width_px > 1.4:
        size = round(width_px)
        edge = cv2.dilate(edge, np.ones((size, size), np.uint8))
    return np.clip(cv2.GaussianBlur(edge, (0, 0), 0.55 + 0.15 * width_px) * 1.25, 0, 1)
