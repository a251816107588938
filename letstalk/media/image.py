"""Reading any picture into uint8 RGB, and writing one without ever leaving half a file.

Whatever had to be done to the picture (turned, composited, reduced, first frame taken) is told in `LoadedImage.notes`.
Whatever cannot be used raises `InputError` before it is decoded where its header is enough to know.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from letstalk.errors import InputError, OutputError
from letstalk.media.files import atomic_target, open_input, quoted
from letstalk.media.pixels import DAMAGED, picture_from_array, to_rgb, turn_upright

ImageSource = str | os.PathLike | bytes | BinaryIO | Image.Image | np.ndarray

# Only these decoders run: others would start helper programs (EPS) or read what is no portrait. JPEG's reads MPO too.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM", "TGA", "ICO")
READABLE = "PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF"
WRITABLE = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}

# Files of these brands (bytes 8..12) are told by name when they are refused.
BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1"), "a HEIC photo"),
    **dict.fromkeys((b"isom", b"iso2", b"mp41", b"mp42", b"qt  "), "a video"),
    b"M4A ": "a sound file",
    b"crx ": "a raw camera file",
}


@dataclass(frozen=True)
class ImageLimits:
    """Sides in pixels. Above `reduce_side` a picture is made smaller, above the others it is refused."""

    min_side: int = 64
    reduce_side: int = 4096
    max_side: int = 20_000
    max_megapixels: int = 120


# Of a picture that becomes a video as a whole: at the usual limit one second of it would take a gigabyte, and few
# players could show it.
WHOLE_PICTURE_LIMITS = ImageLimits(reduce_side=1920)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Pillow warns on stderr of large or slightly broken pictures; the notes and errors here say it to the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


@dataclass(frozen=True)
class LoadedImage:
    pixels: np.ndarray  # (height, width, 3) uint8 RGB, C-contiguous
    notes: tuple[str, ...] = ()  # what was done to it, for the user to read
    name: str = "picture"

    def __post_init__(self) -> None:
        assert self.pixels.ndim == 3 and self.pixels.shape[2] == 3 and self.pixels.dtype == np.uint8, self.pixels.shape


@_no_warnings()
def load_image(source: ImageSource | None, limits: ImageLimits | None = None) -> LoadedImage:
    """Reads a path, bytes, an open file, a PIL picture or an array; raises `InputError` with what to do next.

    Arrays are (height, width), or with 1, 3 or 4 channels: uint8, uint16, bool, or floats in 0..1.
    """
    limits = limits or ImageLimits()
    notes: list[str] = []
    if source is None:
        raise InputError("No picture was given.", f"Choose a portrait as {READABLE}.")
    if isinstance(source, np.ndarray):
        name, picture = "picture", picture_from_array(source)
        _check_size(picture.size, name, limits)
    elif isinstance(source, Image.Image):
        name, picture = "picture", source
        _check_size(picture.size, name, limits)
    else:
        name, stream = _open_stream(source)
        with stream:
            picture = _decode(stream, name, limits, notes)
    try:
        picture = to_rgb(turn_upright(picture, notes), name, notes)
    except DAMAGED as error:
        raise _damaged(name, error) from error
    picture = _reduce(picture, name, limits, notes)
    return LoadedImage(np.array(picture), tuple(notes), name)


def save_image(path: str | os.PathLike, pixels: np.ndarray, quality: int = 95) -> Path:
    """Writes uint8 (height, width, 3) in the format of the name's suffix; the file appears complete or not at all."""
    path = Path(path)
    image_format = WRITABLE.get(path.suffix.lower())
    if image_format is None:
        raise OutputError(f"No picture format is known for {quoted(path)}.", f"End the name in {', '.join(WRITABLE)}.")
    with atomic_target(path) as partial, partial.open("wb") as file:
        Image.fromarray(pixels).save(file, image_format, quality=quality)
    return path


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def _damaged(name: str, error: BaseException) -> InputError:
    return InputError(
        f"{quoted(Path(name))} is damaged or cut short ({_reason(error)}).",
        "Save or download it again, or choose another picture.",
    )


def _open_stream(source: str | os.PathLike | bytes | BinaryIO) -> tuple[str, BinaryIO]:
    """The source's name for messages, and a seekable stream of its own that the caller closes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "picture", io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return path.name, open_input(path, "picture")
    if not hasattr(source, "read"):
        raise InputError(f"A picture cannot be read from {type(source).__name__}.", "Give a file, bytes or an array.")
    name = Path(str(getattr(source, "name", "") or "picture")).name
    try:
        content = source.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{quoted(Path(name))} cannot be read: {_reason(error)}.", "Open it again.") from error
    if not isinstance(content, bytes):
        raise InputError(f"{quoted(Path(name))} was opened as text.", "Open it in binary mode.")
    return name, io.BytesIO(content)


def _decode(stream: BinaryIO, name: str, limits: ImageLimits, notes: list[str]) -> Image.Image:
    """The first frame, decoded; size is checked on the header alone."""
    try:
        head = stream.read(4096)
        stream.seek(0)
    except OSError as error:
        raise InputError(
            f"{quoted(Path(name))} cannot be read: {_reason(error)}.", "Check the disk or copy the file again."
        ) from error
    if not head:
        raise InputError(f"{quoted(Path(name))} is empty.", "Save or download it again.")
    try:
        picture = Image.open(stream, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise _not_a_picture(name, head) from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far too many pixels", limits) from error
    except DAMAGED as error:
        raise _damaged(name, error) from error
    _check_size(picture.size, name, limits)
    try:
        if max(picture.size) > 2 * limits.reduce_side:  # JPEG alone can decode at half or a quarter of its size
            picture.draft("RGB", (limits.reduce_side, limits.reduce_side))
        # The second picture of an MPO is a phone's depth map: nothing that the user would miss.
        if getattr(picture, "is_animated", False) and picture.format != "MPO":
            several = "It has several pages; the first is used."
            notes.append(several if picture.format == "TIFF" else "It is animated; the first frame is used.")
        picture.seek(0)
        picture.load()
    except DAMAGED as error:
        raise _damaged(name, error) from error
    return picture


def _not_a_picture(name: str, head: bytes) -> InputError:
    """Names what the file is instead, from its first bytes."""
    kind = BRANDS.get(head[8:12], "") if head[4:8] == b"ftyp" else ""
    if not kind and b"<svg" in head:
        kind = "an SVG drawing"
    if not kind and head.startswith((b"%PDF", b"%!PS")):
        kind = "a document"
    if not kind and head.startswith((b"RIFF", b"ID3", b"OggS", b"fLaC")):
        kind = "a sound or video file"
    if kind:
        return InputError(
            f"{quoted(Path(name))} is {kind}, which cannot be read as a picture here.",
            f"Save it as {READABLE} and use that.",
        )
    return InputError(f"{quoted(Path(name))} is not a picture, or its beginning is damaged.", f"Use {READABLE}.")


def _too_large(name: str, what: str, limits: ImageLimits) -> InputError:
    bound = f"{limits.max_side} pixels a side or {limits.max_megapixels} megapixels"
    return InputError(
        f"{quoted(Path(name))} is too large: {what}, at most {bound}.",
        "Make it smaller; 1024 pixels are plenty for a portrait.",
    )


def _check_size(size: tuple[int, int], name: str, limits: ImageLimits) -> None:
    width, height = size
    if min(size) < limits.min_side:
        problem = f"{quoted(Path(name))} is too small: {width} x {height} pixels."
        raise InputError(problem, f"Each side must have at least {limits.min_side} pixels; 256 or more look good.")
    if max(size) > limits.max_side or width * height > limits.max_megapixels * 1_000_000:
        raise _too_large(name, f"{width} x {height} pixels", limits)


def _reduce(picture: Image.Image, name: str, limits: ImageLimits, notes: list[str]) -> Image.Image:
    longest = max(picture.size)
    if longest <= limits.reduce_side:
        return picture
    width, height = (max(1, round(side * limits.reduce_side / longest)) for side in picture.size)
    if min(width, height) < limits.min_side:
        raise InputError(f"{quoted(Path(name))} is a narrow strip.", "Cut out the part with the face.")
    notes.append(f"It was reduced from {picture.width} x {picture.height} to {width} x {height} pixels.")
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
