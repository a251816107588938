"""A person's skin: tone, the grain of a real skin texture, marks, hair too short to be cards, and make-up."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.people.assets import AssetPack
from letstalk.synthetic.people.shape import Traits
from letstalk.synthetic.people.skin_maps import BODY_SIZE, HEAD_SIZE, HeadMaps, crop_head, find_head_maps, smooth

# sRGB of the cheek from the lightest to the darkest people.
_TONES = np.array(
    [
        (240, 208, 190), (231, 190, 166), (213, 167, 138), (188, 138, 107),
        (152, 104, 77), (112, 74, 55), (78, 51, 40), (56, 37, 31),
    ],
    np.float32,
) / 255  # fmt: skip
# Mean and spread of the place in that row (0..1) by ancestry: caucasian, african, asian.
_TONE_PLACE = ((0.17, 0.09), (0.76, 0.14), (0.29, 0.11))
_FLOOR = 0.015  # keeps logarithms of dark texels tame


@dataclass(frozen=True)
class SkinLook:
    """What is painted; strengths 0..1, colours sRGB 0..1."""

    tone: float  # place among _TONES, 0 lightest .. 1 darkest
    warmth: float  # undertone: - rosy .. + golden
    freckles: float
    moles: int
    redness: float
    wrinkles: float
    beard_style: str  # none, stubble, moustache, goatee, full
    beard_density: float
    hair_colour: tuple[float, float, float]
    beard_colour: tuple[float, float, float]
    scalp: str  # bare, buzz, roots
    scalp_density: float
    lipstick: float
    lip_colour: tuple[float, float, float]
    blush: float
    eye_shadow: float
    shadow_colour: tuple[float, float, float]
    eyeliner: float


def sample_tone(seed: int, ancestry: np.ndarray) -> tuple[float, float]:
    """Place among the tones and warmth of the undertone."""
    draw = numpy_generator(seed, "tone")
    place = sum(
        share * (mean + spread * draw.normal()) for share, (mean, spread) in zip(ancestry, _TONE_PLACE, strict=True)
    )
    return float(np.clip(place, 0, 1)), float(np.clip(draw.normal() * 0.5 + 0.25 * ancestry[2], -1, 1))


def tone_colour(tone: float, warmth: float) -> np.ndarray:
    """sRGB (3,) 0..1."""
    grid = np.linspace(0, 1, len(_TONES))
    colour = np.array([np.interp(tone, grid, _TONES[:, channel]) for channel in range(3)])
    return np.clip(colour * (1 + warmth * np.array([-0.005, 0.012, -0.05])), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class _Source:
    """One skin of the pack as logarithm of its colour over that of its own cheek: grain without tone."""

    is_dark: bool
    is_female: bool
    years: int
    head: np.ndarray  # (h, w, 3) float16
    body: np.ndarray  # (BODY_SIZE, BODY_SIZE, 3) float16


_YEARS = {"young": 25, "middleage": 47, "old": 70}


class SkinLibrary:
    """Skins of a pack, prepared on first use and kept."""

    def __init__(self, pack: AssetPack) -> None:
        self._pack = pack
        self._sources: dict[str, _Source] = {}
        self.names = pack.textures_of("skin_")
        self.maps: HeadMaps = find_head_maps(pack)

    def source(self, name: str) -> _Source:
        if name not in self._sources:
            self._sources[name] = self._prepare(name)
        return self._sources[name]

    def pick(self, draw: np.random.Generator, traits: Traits, tone: float) -> str:
        """A skin of about this age and tone; gender counts less, because few packs have all combinations."""

        def mismatch(name: str) -> float:
            years = next(years for word, years in _YEARS.items() if word in name)
            is_dark, is_female = "dark" in name, "female" in name
            wrong_tone = (tone > 0.55) != is_dark
            return abs(years - traits.age) / 25 + 2.0 * wrong_tone + 0.7 * (is_female == traits.is_male) + draw.random()

        return min(self.names, key=mismatch)

    def _prepare(self, name: str) -> _Source:
        texture = self._pack.texture(name)
        head = crop_head(texture)
        body = cv2.resize(np.ascontiguousarray(texture[..., :3]), (BODY_SIZE,) * 2, interpolation=cv2.INTER_AREA)
        cheek = (head * self.maps.cheeks[..., None]).sum((0, 1)) / self.maps.cheeks.sum()
        reference = np.log(cheek + _FLOOR)
        grain = np.log(head + _FLOOR) - reference
        # Painted scalp hair of the source would shine through bald heads: only its fine grain is kept there.
        painted = smooth(self.maps.hairline, -0.22, 0.02)[..., None]
        grain = grain * (1 - painted)
        return _Source(
            "dark" in name, "female" in name, 0, grain.astype(np.float16),
            (np.log(body.astype(np.float32) / 255 + _FLOOR) - reference).astype(np.float16),
        )  # fmt: skip


def paint_skin(library: SkinLibrary, seed: int, traits: Traits, look: SkinLook) -> tuple[np.ndarray, np.ndarray]:
    """RGBA uint8 textures of the head (HEAD_SIZE) and of the rest of the body (BODY_SIZE square)."""
    draw = numpy_generator(seed, "skin")
    first = library.source(library.pick(draw, traits, look.tone))
    second = library.source(library.pick(draw, traits, look.tone))
    mix = np.float32(draw.uniform(0, 0.5))
    tone = tone_colour(look.tone, look.warmth)
    head = _toned(first.head, second.head, mix, tone)
    body = _toned(first.body, second.body, mix, tone)
    maps = library.maps
    _add_marks(head, maps, look, draw)
    _add_short_hair(head, maps, look, numpy_generator(seed, "stubble"))
    _add_make_up(head, maps, look)
    return _as_texture(head), _as_texture(body)


def _toned(first: np.ndarray, second: np.ndarray, mix: np.float32, tone: np.ndarray) -> np.ndarray:
    grain = first.astype(np.float32) * (1 - mix) + second.astype(np.float32) * mix
    # On dark skin the same melanin makes lips and lids stand out less.
    return np.exp(np.log(tone + _FLOOR) + grain) - _FLOOR


def _as_texture(colour: np.ndarray) -> np.ndarray:
    rgb = cv2.convertScaleAbs(np.clip(colour, 0, 1), alpha=255)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def _noise(draw: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of HEAD_SIZE, mean 0, spread about 1."""
    width, height = HEAD_SIZE
    small = draw.standard_normal((max(2, cells * height // width), cells), np.float32)
    return cv2.resize(small, HEAD_SIZE, interpolation=cv2.INTER_CUBIC)


def _darken(colour: np.ndarray, mask: np.ndarray, towards: tuple[float, float, float] | np.ndarray) -> None:
    """Blends `colour` towards another in place by a mask 0..1."""
    colour += mask[..., None] * (np.asarray(towards, np.float32) - colour)


def _add_marks(head: np.ndarray, maps: HeadMaps, look: SkinLook, draw: np.random.Generator) -> None:
    """Blotches, redness, pores, freckles, moles."""
    blotches = 0.014 * _noise(draw, 24) + 0.010 * _noise(draw, 96)
    pores = 0.03 * np.minimum(draw.standard_normal(head.shape[:2], np.float32), 0.6)
    head *= np.exp(blotches + pores * (0.4 + 0.6 * maps.sun))[..., None]
    if look.wrinkles > 0:
        depth = look.wrinkles * (1 + 0.35 * _noise(draw, 40)) * maps.creases
        head *= np.exp(-depth[..., None] * np.array([0.20, 0.26, 0.26], np.float32))
        head *= np.exp(-(look.wrinkles * maps.under_eyes)[..., None] * np.array([0.14, 0.17, 0.13], np.float32))
    red = look.redness * maps.sun * (1 + 0.3 * _noise(draw, 48))
    head *= np.exp(red[..., None] * np.array([0.03, -0.06, -0.05], np.float32))
    if look.freckles > 0:
        specks = np.maximum(_noise(draw, 220), _noise(draw, 150))
        mask = smooth(specks, 2.1 - 0.7 * look.freckles, 2.7) * maps.sun * look.freckles * 0.55
        head *= np.exp(-mask[..., None] * np.array([0.35, 0.75, 1.0], np.float32))
    for _ in range(look.moles):
        _add_mole(head, maps, draw)


def _add_mole(head: np.ndarray, maps: HeadMaps, draw: np.random.Generator) -> None:
    rows, columns = np.nonzero(maps.face > 0.9)
    pick = draw.integers(len(rows))
    row, column = int(rows[pick]), int(columns[pick])
    radius = draw.uniform(0.8, 2.4)
    reach = int(np.ceil(radius)) + 2
    height, width = maps.face.shape  # a mole at the rim of the picture is cut by it
    rows_px = slice(max(row - reach, 0), min(row + reach + 1, height))
    window = rows_px, slice(max(column - reach, 0), min(column + reach + 1, width))
    y, x = np.ogrid[window]
    mask = smooth(np.hypot(y - row, x - column), radius + 1, radius - 0.6) * draw.uniform(0.4, 0.8)
    patch = head[window]
    patch += mask[..., None] * (patch * np.array([0.5, 0.38, 0.33], np.float32) - patch)


def _add_short_hair(head: np.ndarray, maps: HeadMaps, look: SkinLook, draw: np.random.Generator) -> None:
    """Beards, stubble and cropped scalps: a shadow of pigment under the skin and strands on top."""
    masks = {"stubble": maps.beard, "moustache": maps.moustache, "goatee": maps.goatee, "full": maps.beard}
    colour = np.asarray(look.hair_colour, np.float32) * 0.75
    if look.beard_style in masks:
        region = masks[look.beard_style]
        if look.beard_style != "stubble":  # the rest of the jaw is shaved, never quite
            region = np.maximum(region, 0.18 * maps.beard)
        _paint_strands(head, region, look.beard_density, np.asarray(look.beard_colour, np.float32) * 0.75, draw)
    if look.scalp == "buzz":
        ragged = smooth(maps.hairline + 0.025 * _noise(draw, 60), 0.0, 0.09) * maps.scalp
        _paint_strands(head, ragged, look.scalp_density, colour, draw)
    elif look.scalp == "roots":  # under long hair: no bright skin between the strands, nothing where the forehead shows
        _darken(head, 0.85 * smooth(maps.hairline, 0.10, 0.32), colour)


def _paint_strands(
    head: np.ndarray, region: np.ndarray, density: float, colour: np.ndarray, draw: np.random.Generator
) -> None:
    """Strands lie along the texture's u axis, which runs down the face."""
    grain = draw.standard_normal(region.shape, np.float32)
    strands = cv2.GaussianBlur(grain, (5, 1), 1.3) * 1.9
    patches = 0.25 * _noise(draw, 30)
    coverage = smooth(strands + patches, 1.3 - 2.6 * density, 2.9 - 2.2 * density)
    shadow = 0.45 * density  # pigment that shines through the skin
    mask = region * np.clip(shadow + (0.25 + 0.55 * density) * coverage, 0, 0.97)
    _darken(head, mask, colour)


def _add_make_up(head: np.ndarray, maps: HeadMaps, look: SkinLook) -> None:
    if look.lipstick > 0:
        light = head.mean(2, keepdims=True) / max(float(head[maps.lips > 0.5].mean()), 0.05)
        painted = np.clip(light * np.asarray(look.lip_colour, np.float32), 0, 1)
        head += (maps.lips * look.lipstick)[..., None] * (painted - head)
    if look.blush > 0:
        head *= np.exp((maps.cheeks * look.blush)[..., None] * np.array([0.06, -0.22, -0.16], np.float32))
    if look.eye_shadow > 0:
        _darken(head, maps.lids * look.eye_shadow * 0.6, np.asarray(look.shadow_colour, np.float32))
    if look.eyeliner > 0:
        _darken(head, maps.lid_line * look.eyeliner * 0.85, (0.03, 0.025, 0.025))
