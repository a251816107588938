"""Contact sheets show every cell, whole and in order."""

from __future__ import annotations

import numpy as np
import pytest

from letstalk.synthetic.controls import still_performance
from letstalk.synthetic.data.clip_renderer import ClipRenderer
from letstalk.synthetic.data.sheets import (
    Cell,
    contact_sheet,
    people_cells,
    style_cells,
    viseme_cells,
    viseme_performance,
)
from letstalk.synthetic.pictures.stylise import STYLES
from letstalk.synthetic.visemes import VISEMES


@pytest.fixture(scope="module")
def renderer() -> ClipRenderer:
    return ClipRenderer(None)


def flat(value: int) -> np.ndarray:
    return np.full((40, 60, 3), value, np.uint8)


def test_cells_lie_row_by_row() -> None:
    sheet = contact_sheet([Cell(flat(10 * n), f"cell {n}") for n in range(1, 6)], columns=3, gap_px=4)
    assert sheet.shape[1] == 3 * 64 + 4
    row = (sheet.shape[0] - 4) // 2
    for n in range(5):
        top, left = 4 + n // 3 * row, 4 + n % 3 * 64
        assert (sheet[top : top + 40, left : left + 60] == 10 * (n + 1)).all(), n


def test_captions_are_written_and_cut_to_their_cell() -> None:
    plain = contact_sheet([Cell(flat(9))], columns=1)
    short = contact_sheet([Cell(flat(9), "ab")], columns=1)
    long = contact_sheet(
        [Cell(flat(9), "a caption that is much too long for so narrow a cell"), Cell(flat(9))], columns=2
    )
    assert short.shape[0] > plain.shape[0]
    assert (short[46:] < 150).any() and not (plain[44:] < 150).any()
    assert not (long[48:, 66:] < 150).any(), "the caption runs into the next cell"


def test_people_differ_and_say_who_they_are(renderer: ClipRenderer) -> None:
    cells = people_cells(renderer, range(3), 64, procedural=True)
    assert [cell.caption.split()[0] for cell in cells] == ["0", "1", "2"]
    assert np.abs(cells[0].picture.astype(int) - cells[1].picture).mean() > 5


def test_each_style_looks_different(renderer: ClipRenderer) -> None:
    cells = style_cells(renderer, [3], 64, procedural=True)
    assert [cell.caption for cell in cells] == ["3 photo", *(f"3 {style}" for style in STYLES)]
    for cell in cells[1:]:
        assert np.abs(cells[0].picture.astype(int) - cell.picture).mean() > 1, cell.caption


def test_visemes_show_the_mouth(renderer: ClipRenderer) -> None:
    cells = viseme_cells(renderer, [2], 48, procedural=True)
    assert [cell.caption for cell in cells] == [viseme.name for viseme in VISEMES]
    by_name = {cell.caption: cell.picture.astype(int) for cell in cells}
    assert np.abs(by_name["aa"] - by_name["p"]).mean() > 3 * np.abs(by_name["sil"] - by_name["p"]).mean()


def test_the_viseme_performance_seals_what_must_meet() -> None:
    performance = viseme_performance()
    names = [viseme.name for viseme in VISEMES]
    assert performance.lip_seal[names.index("p")] == 1 and performance.lip_seal[names.index("aa")] == 0
    assert performance.lip_to_teeth[names.index("f")] == 1
    jaw = performance.expression - still_performance(len(VISEMES)).expression
    assert np.abs(jaw[names.index("aa")]).sum() > np.abs(jaw[names.index("p")]).sum()
