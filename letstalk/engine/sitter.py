"""The person of a job: one to three pictures, framed at the job's size and encoded once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from letstalk.errors import InputError
from letstalk.media.face import FaceFinder, frame_portrait
from letstalk.media.framing import resize_framing, take_crop
from letstalk.media.image import ImageLimits, ImageSource, LoadedImage, load_image
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.encoder import References
from letstalk.types import Portrait

MOST_PICTURES = 3
Picture = Portrait | LoadedImage | ImageSource


def framed(
    pictures: Picture | Sequence[Picture],
    size: int,
    finder: Callable[[], FaceFinder],
    limits: ImageLimits | None = None,
) -> tuple[Portrait, ...]:
    """Portraits with crops of `size`, always taken from the full picture. The first one is the one that speaks.

    A `Portrait` keeps its framing; anything else is read, within `limits`, and searched for a face with `finder()`.
    """
    several: list[Any] = list(pictures) if isinstance(pictures, list | tuple) else [pictures]
    if not 1 <= len(several) <= MOST_PICTURES:
        raise InputError(
            f"{len(several)} pictures were given.", f"Give one to {MOST_PICTURES} pictures of the same person."
        )
    portraits = []
    for picture in several:
        if isinstance(picture, Portrait):
            portraits.append(_resized(picture, size))
        else:
            image = picture if isinstance(picture, LoadedImage) else load_image(picture, limits)
            portraits.append(frame_portrait(image, finder().find(image.pixels), size))
    return tuple(portraits)


def _resized(portrait: Portrait, size: int) -> Portrait:
    if portrait.framing.crop_size == size:
        return portrait
    framing = resize_framing(portrait.framing, size)
    return replace(portrait, crop=take_crop(portrait.full, framing), framing=framing)


def pictures_hash(portraits: Sequence[Portrait]) -> str:
    """Names what the network gets to see."""
    digest = hashlib.sha256()
    for portrait in portraits:
        digest.update(repr(portrait.crop.shape).encode() + portrait.crop.tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Sitter:
    """Portraits as the networks know them."""

    portraits: tuple[Portrait, ...]
    references: References  # of one person, R = 1..3; pixels stay float32 whatever the networks compute in
    latents: Tensor  # (1, C, h, w) float32: the first picture's, normalised; deltas count from here

    @classmethod
    @torch.inference_mode()
    def encode(cls, portraits: tuple[Portrait, ...], autoencoder: ReferenceAutoencoder) -> Sitter:
        crops = torch.from_numpy(np.stack([portrait.crop for portrait in portraits]))  # (R, S, S, 3) uint8
        pictures = (crops.to(autoencoder.device).float() / 127.5 - 1.0).permute(0, 3, 1, 2)[None]  # (1, R, 3, S, S)
        references = autoencoder.encode_references(pictures.to(autoencoder.dtype))
        # Half precision would lose the last bit of the user's own pixels.
        references = references._replace(pixels=pictures)
        return cls(portraits, references, autoencoder.normalise(references.latents[:, 0].float()))
