"""Pictures to look at while training: one row for each example, one column for each thing."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from letstalk.models.autoencoder import Decoded
from letstalk.training.batch import PairBatch

WORST_PIXELS = 4.0  # flow error that is drawn white, pixels at 256


def tile(columns: list[Tensor], gap_px: int = 2) -> Tensor:
    """Columns of (N, 3, S, S) pictures in -1..1 -> one sheet (H, W, 3) uint8."""
    padded = [F.pad(column.float(), (0, gap_px, 0, gap_px), value=1.0) for column in columns]
    rows = torch.cat(padded, dim=3)  # (N, 3, S + gap, width)
    sheet = torch.cat(list(rows), dim=1)  # (3, H, W)
    return ((sheet.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu()


def save_sheet(columns: list[Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tile(columns).numpy()).save(path)


def as_picture(values: Tensor, size: int) -> Tensor:
    """(N, 1, h, w) in 0..1 -> (N, 3, size, size) grey in -1..1."""
    grown = F.interpolate(values.float(), size=(size, size), mode="nearest")
    return (grown.clamp(0, 1) * 2 - 1).expand(-1, 3, -1, -1)


def codec_columns(batch: PairBatch, own: Decoded, transfer: Decoded) -> list[Tensor]:
    """Reference | target | output | warp | kept share | flow error | output from the partner's motion."""
    size = batch.size
    error = (own.motions[0].flow64 - batch.flow[:, 0]).norm(dim=1, keepdim=True) * 128 / WORST_PIXELS
    error = error * batch.visibility[:, 0]
    return [
        batch.pictures[:, 1], batch.pictures[:, 0], own.pictures, own.warped, as_picture(own.keep, size),
        as_picture(error, size), transfer.pictures,
    ]  # fmt: skip


def load_portraits(folder: Path, size: int, limit: int = 20) -> Tensor:
    """Pictures of a folder, cut to their middle square: (N, 3, size, size) in -1..1. They should be framed already."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"))
    pictures = []
    for path in paths[:limit]:
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        cut = picture.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.LANCZOS)
        pictures.append(torch.frombuffer(bytearray(cut.tobytes()), dtype=torch.uint8).view(size, size, 3))
    return torch.stack(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
