"""One person's motion on another: decode(z_ref of B + z_t of A - z_s of A), held against what B truly did.

The benchmark has people who play the same performance frame for frame, so there is a truth. B's own reconstruction,
decode(z_t of B), is the bound from above: what is lost beyond it is lost by the transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from letstalk.evaluation.clip_views import Examination, calm_frame, gap_frames, mouth_masks, speaks
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.following import Following, following
from letstalk.evaluation.picture_quality import psnr_db
from letstalk.evaluation.report import Bar, Figure, Report, figure, mean_of
from letstalk.reader.predict import FaceReader, FaceReadings
from letstalk.synthetic.data.benchmark import BenchmarkClip

BARS = {
    "head_loss_db": Bar(most=1.5),
    "mouth_loss_db": Bar(most=1.5),
    "gap_r": Bar(least=0.9),
    "gap_spread": Bar(0.8, 1.2),
}
STILL = "Clips whose driver does not speak are left out of what follows the driver"


@dataclass(frozen=True)
class Performer:
    """A clip with what is needed of it, made once: it drives and is driven."""

    clip: BenchmarkClip
    frames: np.ndarray  # (n, S, S, 3) uint8, every `frame_step`-th
    at: np.ndarray  # (n,) their places in the clip
    calm: np.ndarray  # (1, S, S, 3) uint8, the frame that change is counted from
    readings: FaceReadings  # of those frames


def performances(clips: Sequence[BenchmarkClip]) -> list[tuple[BenchmarkClip, BenchmarkClip]]:
    """(first, second) performers of each performance that has two."""
    named = {clip.name: clip for clip in clips}
    return [(named[clip.same_performance_as], clip) for clip in clips if clip.same_performance_as in named]


def examine_transfer(
    coder: Coder,
    reader: FaceReader,
    clips: Sequence[BenchmarkClip],
    chosen: Examination,
    about: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    rows, pairs = [], performances(clips)
    for done, pair in enumerate(pairs):
        progress(done, len(pairs))
        calm_at = calm_frame(pair[0])
        first, second = (perform(clip, reader, chosen.frame_step, calm_at) for clip in pair)
        rows += [transfer_row(coder, reader, *both, calm_at) for both in ((first, second), (second, first))]
    progress(len(pairs), len(pairs))
    still = sorted({row["performance"] for row in rows if not row["speaks"]})
    notes = (f"{STILL}: {', '.join(still)}.",) if still else ()
    return Report("transfer", figures_of(rows, chosen.seed), about, rows, notes)


def perform(clip: BenchmarkClip, reader: FaceReader, frame_step: int, calm_at: int) -> Performer:
    at = np.arange(0, clip.num_frames, frame_step)
    frames = clip.frames()
    return Performer(clip, frames[at], at, frames[[calm_at]], reader.read(frames[at]))


def transfer_row(
    coder: Coder, reader: FaceReader, driver: Performer, driven: Performer, calm_at: int
) -> dict[str, Any]:
    """`driven` moved by `driver`, both counted from the calm frame; and `driven` from its own latents."""
    clip = driven.clip
    guide = coder.guide(driven.calm)
    made = coder.drive(guide, driver.frames, driver.calm)
    # Frames next to the reference are easy for every method; the series below keeps them, pictures do not.
    far = np.abs(driven.at - calm_at) >= gap_frames(clip.num_frames)[0]
    truth, head = driven.frames[far], clip.head_mask[driven.at[far]]
    own = coder.decode(coder.encode(truth), guide)
    mouth = mouth_masks(clip, driven.at[far])
    row: dict[str, Any] = {
        "performance": driver.clip.name.removesuffix("-b"), "driver": driver.clip.name, "driven": clip.name,
        "reference_frame": calm_at, "speaks": speaks(driver.clip.labels["mouth_gap"][driver.at]),
    }  # fmt: skip
    copies = np.broadcast_to(driven.calm, truth.shape)
    for suffix, pictures in (("", made[far]), ("_own", own), ("_static", copies)):
        row[f"head_db{suffix}"] = float(psnr_db(pictures, truth, head).mean())
        row[f"mouth_db{suffix}"] = float(psnr_db(pictures, truth, mouth).mean())
    readings = reader.read(made)
    row |= followed(readings, driver.readings, "")
    row |= followed(driven.readings, driver.readings, "_truth")
    row["confidence"] = float(readings.confidence.mean())
    return row


def followed(found: FaceReadings, driver: FaceReadings, suffix: str) -> dict[str, float]:
    """How the mouth gap, the lids and the head's turn of one series follow another's."""
    series = {
        "gap": lambda readings: readings.mouth_gap,
        "lids": lambda readings: readings.lid_opening.mean(1),
        "yaw": lambda readings: readings.head_rotation[:, 1],
        "pitch": lambda readings: readings.head_rotation[:, 0],
    }
    row: dict[str, float] = {}
    for name, take in series.items():
        result: Following = following(take(found), take(driver))
        row |= {f"{name}_r{suffix}": result.r, f"{name}_spread{suffix}": result.spread}
    return row


def figures_of(rows: list[dict[str, Any]], seed: int) -> tuple[Figure, ...]:
    """One value for each performance: its two directions share all that makes it easy or hard."""
    names = list(dict.fromkeys(row["performance"] for row in rows))

    def by_performance(name: str, spoken: bool = False) -> list[float]:
        return [
            mean_of([row[name] for row in rows if row["performance"] == own and (row["speaks"] or not spoken)])
            for own in names
        ]

    def lost(area: str, words: str) -> Figure:
        own = np.array(by_performance(f"{area}_db_own"))
        loss, copied = (own - np.array(by_performance(f"{area}_db{suffix}")) for suffix in ("", "_static"))
        return figure(words, loss, "dB", BARS[f"{area}_loss_db"], copied, [0.0], seed)

    def plain(area: str, words: str) -> list[Figure]:
        static = by_performance(f"{area}_db_static")
        return [
            figure(f"PSNR, {words}, transferred", by_performance(f"{area}_db"), "dB", None, static, None, seed),
            figure(f"PSNR, {words}, own latents", by_performance(f"{area}_db_own"), "dB", None, static, None, seed),
        ]

    def follows(name: str, words: str) -> Figure:
        spoken = name.startswith("gap")
        truth = by_performance(f"{name}_truth", spoken)  # who stands still has r = 0 and spread = 0
        return figure(words, by_performance(name, spoken), "", BARS.get(name), [0.0], truth, seed)

    return (
        *plain("head", "head"),
        lost("head", "lost by transfer, head"),
        *plain("mouth", "mouth box"),
        lost("mouth", "lost by transfer, mouth box"),
        follows("gap_r", "mouth gap follows the driver, r"),
        follows("gap_spread", "mouth gap, spread / driver's"),
        follows("lids_r", "lids follow, r"),
        follows("yaw_r", "head turn follows, r"),
        follows("pitch_r", "head nod follows, r"),
    )
