"""The autoencoder on the frozen benchmark: pictures, flow and sharpness on pairs of frames, and its laws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from letstalk.evaluation.clip_views import Examination, draw_pairs, mouth_masks
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.flow_quality import endpoint_errors_px, folded_shares, moving_cells
from letstalk.evaluation.picture_quality import psnr_db, ssim
from letstalk.evaluation.report import Bar, Figure, Report, figure
from letstalk.evaluation.sharpness import relative_sharpness
from letstalk.synthetic.data.benchmark import BenchmarkClip

NUM_REFERENCES = 3
BARS = {
    "head_db": Bar(least=30.0),
    "head_gain_db": Bar(least=7.0),
    "mouth_db": Bar(least=27.0),
    "mouth_gain_db": Bar(least=8.0),
    "flow_px": Bar(most=1.2),
    "folded_percent": Bar(most=0.5),
    "sharpness": Bar(0.8, 1.1),
    "own_reference_db": Bar(least=38.0),
    "order": Bar(most=1e-5),
}
Progress = Callable[[int, int], None]


def examine_codec(
    coder: Coder,
    clips: Sequence[BenchmarkClip],
    chosen: Examination,
    about: dict[str, Any],
    progress: Progress = lambda done, total: None,
) -> Report:
    rows = []
    for done, clip in enumerate(clips):
        progress(done, len(clips))
        frames = clip.frames()
        row = {"clip": clip.name, "style": clip.about["style"]}
        row |= picture_row(coder, clip, frames, chosen) | flow_row(coder, clip, frames)
        row |= law_row(coder, frames)
        rows.append(row)
    progress(len(clips), len(clips))
    exact = coder.dtype == torch.float32  # half precision adds in another order: the law is one of arithmetic
    notes = () if exact else ("In half precision the order of references changes the last digits: no bar on it.",)
    return Report("codec", figures_of(rows, chosen.seed, exact), about, rows, notes)


def picture_row(coder: Coder, clip: BenchmarkClip, frames: np.ndarray, chosen: Examination) -> dict[str, float]:
    """Means over the clip's pairs, each figure beside the reference shown in place of the target (`_static`)."""
    target_at, reference_at = draw_pairs(clip, chosen.pairs_per_clip, chosen.seed).T
    targets, references = frames[target_at], frames[reference_at]
    found = coder.rebuild(targets, references).pictures
    head, mouth, face = clip.head_mask[target_at], mouth_masks(clip, target_at), clip.face_mask[target_at]
    row: dict[str, float] = {}
    for suffix, pictures in (("", found), ("_static", references)):
        row |= {
            f"head_db{suffix}": float(psnr_db(pictures, targets, head).mean()),
            f"mouth_db{suffix}": float(psnr_db(pictures, targets, mouth).mean()),
            f"whole_db{suffix}": float(psnr_db(pictures, targets).mean()),
            f"head_ssim{suffix}": float(ssim(pictures, targets, head).mean()),
            f"mouth_ssim{suffix}": float(ssim(pictures, targets, mouth).mean()),
            f"sharpness{suffix}": float(relative_sharpness(pictures, targets, face).mean()),
        }
    return row


def flow_row(coder: Coder, clip: BenchmarkClip, frames: np.ndarray) -> dict[str, float]:
    """On the pairs whose exact motion the benchmark holds; errors are means over all moving cells of the clip."""
    pairs = clip.flow_pairs
    target_at, reference_at = (np.array([getattr(pair, name) for pair in pairs]) for name in ("target", "reference"))
    found = coder.rebuild(frames[target_at], frames[reference_at]).flow
    truth = np.stack([np.moveaxis(pair.flow, -1, 0) for pair in pairs])
    counted = moving_cells(truth, np.stack([pair.visible for pair in pairs]), clip.head_mask[target_at])
    errors = endpoint_errors_px(found, truth, clip.size)[counted]
    zero = endpoint_errors_px(np.zeros_like(truth), truth, clip.size)[counted]
    return {
        "flow_px": float(errors.mean()) if counted.any() else float("nan"),
        "flow_px_static": float(zero.mean()) if counted.any() else float("nan"),
        "folded_percent": float(100 * np.nanmean(folded_shares(found, clip.face_mask[target_at]))),
    }


@torch.inference_mode()
def law_row(coder: Coder, frames: np.ndarray) -> dict[str, float]:
    """z of the reference gives back the reference; in which order references are given does not matter."""
    places = np.linspace(0, len(frames) - 1, NUM_REFERENCES + 1).astype(int)
    references, target = frames[places[:-1]], frames[places[-1:]]
    own = coder.rebuild(references, references).pictures
    latents = coder.encode(target)
    first, other = (
        coder.model.decode(latents, coder.guide(references[list(order)])).pictures.float()
        for order in (range(NUM_REFERENCES), reversed(range(NUM_REFERENCES)))
    )
    return {
        "own_reference_db": float(psnr_db(own, references).mean()),
        "order": float((first - other).abs().max()),
    }


def figures_of(rows: list[dict[str, Any]], seed: int, exact: bool) -> tuple[Figure, ...]:
    column = {name: np.array([row[name] for row in rows]) for name in rows[0] if name not in ("clip", "style")}

    def line(name: str, words: str, unit: str = "", truth: float | None = None) -> Figure:
        bounds = (column.get(f"{name}_static"), None if truth is None else [truth])
        return figure(words, column[name], unit, BARS.get(name), *bounds, seed=seed)

    def gain(name: str, words: str) -> Figure:
        values = column[f"{name}_db"] - column[f"{name}_db_static"]
        return figure(words, values, "dB", BARS.get(f"{name}_gain_db"), [0.0], seed=seed)

    orders = column["order"]
    worst = Figure(
        "order of references, largest change", "of -1..1", float(orders.max()), float("nan"), float("nan"),
        len(orders), BARS["order"] if exact else None,
    )  # fmt: skip
    return (
        line("head_db", "PSNR, head", "dB"),
        gain("head", "PSNR, head, above static copy"),
        line("mouth_db", "PSNR, mouth box", "dB"),
        gain("mouth", "PSNR, mouth box, above static"),
        line("whole_db", "PSNR, whole picture", "dB"),
        line("head_ssim", "SSIM, head", truth=1.0),
        line("mouth_ssim", "SSIM, mouth box", truth=1.0),
        line("flow_px", "flow error, moving head", "px", truth=0.0),
        line("folded_percent", "folded flow, % of the face", "%", truth=0.0),
        line("sharpness", "sharpness of the face / target's", truth=1.0),
        line("own_reference_db", "reference from its own z, PSNR", "dB"),
        worst,
    )
