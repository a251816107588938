"""Any of Pillow's modes, or an array, into an upright 8-bit sRGB picture. What had to be done is added to `notes`."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from letstalk.errors import InputError
from letstalk.media.files import quoted

EXIF_ORIENTATION = 0x0112
EXIF_UPRIGHT = 1
# Behind transparent pixels: light enough not to edge hair with black, dark enough to show white clothes.
NEUTRAL_GREY = 200

# What Pillow raises on damaged files: its decoders check little and fail as they come.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


def picture_from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or array.size == 0:
        raise InputError(
            f"An array of shape {array.shape} is not a picture.", "Give (height, width) with 1, 3 or 4 channels."
        )
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype == np.uint16:
        array = _high_byte(array)
    elif np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < -0.01 or array.max() > 1.01:
            raise InputError("A picture of floats must lie in 0..1.", "Scale it, or give uint8.")
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise InputError(f"An array of {array.dtype} is not a picture.", "Give uint8, uint16, or floats in 0..1.")
    return Image.fromarray(np.ascontiguousarray(array))


def _high_byte(values: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, white to white."""
    return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)


def turn_upright(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Applies the EXIF turn. A broken EXIF block is no reason to refuse the picture."""
    try:
        orientation = picture.getexif().get(EXIF_ORIENTATION, EXIF_UPRIGHT)
        if orientation == EXIF_UPRIGHT:
            return picture
        turned = ImageOps.exif_transpose(picture)
    except DAMAGED:
        notes.append("Its EXIF block is damaged and was ignored.")
        return picture
    if orientation in range(2, 9):
        notes.append("It was turned upright as its EXIF tag says.")
    return turned


def to_rgb(picture: Image.Image, name: str, notes: list[str]) -> Image.Image:
    profile = picture.info.get("icc_profile")
    picture = _to_eight_bits(picture)
    alpha = _alpha_of(picture)
    if picture.mode in ("RGBa", "La"):
        picture = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
    colour = picture if picture.mode in ("RGB", "L", "CMYK") else picture.convert("RGB")
    rgb = _to_srgb(colour, profile, notes) if profile else None
    if rgb is None:
        if colour.mode == "CMYK":
            notes.append("It is CMYK without a usable colour profile; its colours are a guess.")
        rgb = colour.convert("RGB")
    if alpha is None:
        return rgb
    opacity = np.asarray(alpha)
    if not opacity.any():
        raise InputError(f"{quoted(Path(name))} is fully transparent.", "Choose a picture that shows something.")
    if opacity.min() < 255:
        notes.append("Its transparent parts were filled with grey.")
        backdrop = Image.new("RGB", rgb.size, (NEUTRAL_GREY,) * 3)
        rgb = Image.composite(rgb, backdrop, alpha)
    return rgb


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Deep grey modes are scaled: Pillow's own `convert` would clip everything above 255 to white."""
    if picture.mode.startswith("I;16"):
        return Image.fromarray(_high_byte(np.asarray(picture).astype(np.uint16)))
    if picture.mode not in ("I", "F"):
        return picture
    values = np.nan_to_num(np.array(picture, np.float32), copy=False, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    white = next((bound for bound in (1.0, 255.0, 65_535.0) if top <= bound), top)
    white = 255.0 if picture.mode == "I" and white == 1.0 else white
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _alpha_of(picture: Image.Image) -> Image.Image | None:
    if not picture.has_transparency_data:
        return None
    return (picture if picture.mode == "RGBA" else picture.convert("RGBA")).getchannel("A")


def _to_srgb(picture: Image.Image, profile: bytes, notes: list[str]) -> Image.Image | None:
    """None where the embedded profile is broken or of another colour space than the pixels."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if picture.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return picture
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, *DAMAGED):
        notes.append("Its colour profile could not be used and was ignored.")
        return None
    notes.append("Its colours were converted to sRGB.")
    return converted
