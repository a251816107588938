"""Suites on the real benchmark with autoencoders whose answer is known: the untrained one is the static copy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import InputError
from letstalk.evaluation.clip_views import Examination, calm_frame, draw_pairs, mouth_masks
from letstalk.evaluation.codec_suite import examine_codec
from letstalk.evaluation.coder import Coder
from letstalk.evaluation.portraits_suite import examine_portraits, read_portraits, sheet
from letstalk.evaluation.report import Figure, Report
from letstalk.evaluation.transfer_suite import examine_transfer, perform, performances, transfer_row
from letstalk.reader.predict import FaceReader
from letstalk.runtime import resource_dir
from letstalk.synthetic.data.benchmark import BenchmarkClip

QUICK = Examination(pairs_per_clip=2, frame_step=25)


def by_name(report: Report, start: str) -> Figure:
    (found,) = (item for item in report.figures if item.name.startswith(start))
    return found


def test_pairs_are_half_a_second_to_five_seconds_apart_and_the_seed_decides(clips: list[BenchmarkClip]) -> None:
    pairs = draw_pairs(clips[0], 200, seed=0)
    gaps = pairs[:, 0] - pairs[:, 1]
    assert abs(gaps).min() >= 13 and abs(gaps).max() <= 124 and (gaps > 0).any() and (gaps < 0).any()
    assert pairs.min() >= 0 and pairs.max() < 125
    assert np.array_equal(pairs, draw_pairs(clips[0], 200, seed=0))
    assert not np.array_equal(pairs, draw_pairs(clips[0], 200, seed=1))
    assert not np.array_equal(pairs, draw_pairs(clips[1], 200, seed=0))


def test_the_calm_frame_has_a_closed_mouth_and_open_eyes(clips: list[BenchmarkClip]) -> None:
    calm, labels = calm_frame(clips[0]), clips[0].labels
    assert labels["mouth_gap"][calm] < np.median(labels["mouth_gap"]) + 0.02
    assert labels["lid_closure"][calm].max() < 0.3
    mask = mouth_masks(clips[0], np.array([calm]))[0]
    lips = labels["landmarks"][calm][-1]
    assert mask.any() and mask.sum() < 0.2 * mask.size and lips.shape == (2,)


def test_an_untrained_codec_is_the_static_copy(untrained: Coder, clips: list[BenchmarkClip]) -> None:
    report = examine_codec(untrained, clips, QUICK, {})
    for name in ("PSNR, head", "PSNR, mouth box", "SSIM, head", "sharpness", "flow error"):
        found = next(item for item in report.figures if item.name.startswith(name))
        assert found.value == pytest.approx(found.static_copy, rel=1e-6), name
    assert by_name(report, "PSNR, head, above").value == 0 and not report.passed
    assert by_name(report, "folded").value == 0 and by_name(report, "flow error").value > 1
    assert by_name(report, "reference from its own z").value == 100
    assert by_name(report, "order of references").value < 1e-6
    assert len(report.details) == 2 and report.details[0]["clip"] == "clip-01"


def test_a_bad_codec_is_worse_than_its_reference_and_the_same_twice(stirred: Coder, clips: list[BenchmarkClip]) -> None:
    report = examine_codec(stirred, clips[:1], QUICK, {})
    assert by_name(report, "reference from its own z").passed is False
    assert by_name(report, "PSNR, head, above").value < 0
    assert 0 < by_name(report, "order of references").value <= 1e-5
    again = examine_codec(stirred, clips[:1], QUICK, {})
    assert report.to_dict() == again.to_dict()
    other = examine_codec(stirred, clips[:1], replace(QUICK, seed=1), {})
    assert other.figures[0].value != report.figures[0].value


def test_half_precision_has_no_bar_on_the_order(untrained: Coder, clips: list[BenchmarkClip]) -> None:
    import copy

    import torch

    half = Coder(copy.deepcopy(untrained.model).to(torch.bfloat16))
    report = examine_codec(half, clips[:1], QUICK, {})
    assert by_name(report, "order of references").passed is None and report.notes
    assert by_name(report, "reference from its own z").value > 45


def test_whoever_stands_still_follows_nobody(untrained: Coder, reader: FaceReader, clips: list[BenchmarkClip]) -> None:
    assert [(first.name, second.name) for first, second in performances(clips)] == [("clip-01", "clip-01-b")]
    report = examine_transfer(untrained, reader, clips, QUICK, {})
    gap = by_name(report, "mouth gap follows")
    assert gap.value == pytest.approx(0, abs=0.01) and gap.passed is False
    assert gap.truth is not None and gap.truth > 0.8, "the other performer truly does the same"
    assert by_name(report, "mouth gap, spread").value == pytest.approx(0, abs=0.01)
    assert by_name(report, "lost by transfer, head").value == pytest.approx(0, abs=1e-6)
    assert [row["driver"] for row in report.details] == ["clip-01", "clip-01-b"]


def test_nothing_is_lost_by_a_transfer_to_oneself(
    stirred: Coder, reader: FaceReader, clips: list[BenchmarkClip]
) -> None:
    """z_ref + z_t - z_s of one person is z_t; any other sign or reference would show here."""
    calm = calm_frame(clips[0])
    own = perform(clips[0], reader, 25, calm)
    row = transfer_row(stirred, reader, own, own, calm)
    assert row["head_db"] == pytest.approx(row["head_db_own"], abs=0.02)
    assert row["head_db"] != pytest.approx(row["head_db_static"], abs=0.02)
    assert row["gap_r_truth"] == pytest.approx(1) and row["gap_spread_truth"] == pytest.approx(1)


def test_portraits_are_framed_driven_read_and_drawn(
    untrained: Coder, reader: FaceReader, clips: list[BenchmarkClip], tmp_path: Path
) -> None:
    for name in ("amara.png", "pia-pencil.png"):
        (tmp_path / name).write_bytes((resource_dir("assets") / "portraits" / name).read_bytes())
    (tmp_path / "notes.txt").write_text("no picture")
    portraits = read_portraits(tmp_path, reader)
    assert [named.name for named in portraits] == ["amara.png", "pia-pencil.png"]
    assert portraits[0].portrait.crop.shape == (256, 256, 3)
    report, driven = examine_portraits(untrained, reader, portraits, clips, QUICK, {})
    assert by_name(report, "share with").value == 0 and not report.passed
    assert by_name(report, "the reader still").value > 0.9
    assert {row["detector"] for row in report.details} == {"reader"}
    assert sheet(driven).shape == (2 * 160, 9 * 160, 3)
    assert np.abs(driven[0].made[0].astype(int) - portraits[0].portrait.crop).max() <= 1


def test_a_folder_without_pictures_is_refused(reader: FaceReader, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match="no pictures"):
            read_portraits(folder, reader)
