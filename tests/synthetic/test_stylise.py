"""Drawings: sound, still when nothing moves, and recognisably of their kind."""

from __future__ import annotations

import numpy as np
import pytest
from scenery import draw, turning_performance

from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import still_performance
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.pictures.stylise import STYLES, kuwahara, outlines, sample_style

DRAWN = sorted(set(STYLES) - {"grey", "sepia"})  # these two are photographs and keep their grain


@pytest.fixture(scope="module")
def prepared() -> PreparedPerson:
    return PreparedPerson(procedural_person(5))


def render(prepared: PreparedPerson, style: str, seed: int = 4) -> Renderer:
    return Renderer(prepared, sample_scene(seed, prepared.person, style=style), 96)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_draws_the_same_picture_twice(prepared: PreparedPerson, style: str) -> None:
    first, second = (draw(render(prepared, style), still_performance(1), 0).picture for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (96, 96, 3)
    assert (first == second).all() and first.std() > 8
    photo = draw(render(prepared, "photo"), still_performance(1), 0).picture
    assert np.abs(first.astype(int) - photo).mean() > 1.5, "the style changes nothing"


@pytest.mark.parametrize("style", DRAWN)
def test_drawings_stand_still_when_nothing_moves(prepared: PreparedPerson, style: str) -> None:
    renderer, still = render(prepared, style), still_performance(3)
    assert (draw(renderer, still, 0).picture == draw(renderer, still, 2).picture).all()


@pytest.mark.parametrize("style", DRAWN)
def test_drawings_change_little_when_little_moves(prepared: PreparedPerson, style: str) -> None:
    """A filter that boils would change all over the picture; a slow turn changes only lines and borders."""
    renderer, slow = render(prepared, style), turning_performance(40, yaw=0.2)
    before, after = (draw(renderer, slow, index).picture.astype(int) for index in (10, 11))
    assert np.abs(after - before).mean() < 6


@pytest.mark.parametrize("style", ["grey", "sepia"])
def test_monochrome_has_one_hue(prepared: PreparedPerson, style: str) -> None:
    renderer = render(prepared, style)
    frame = draw(renderer, still_performance(1), 0)
    red, green, blue = renderer._artist.apply(frame.picture, *_labels(renderer, frame)).astype(int).transpose(2, 0, 1)
    if style == "grey":
        assert np.abs(red - green).max() <= 1 and np.abs(green - blue).max() <= 1
    else:
        assert (red >= green).all() and (green >= blue).all()


def _labels(renderer: Renderer, frame) -> tuple[np.ndarray, np.ndarray]:
    return renderer.prepared.regions[frame.canvas.label_ids], frame.canvas.label_depth


def test_toon_shading_uses_few_tones(prepared: PreparedPerson) -> None:
    """Of the light on a cheek, toon keeps a few steps where a photograph has a ramp."""

    def distinct_tones(style: str) -> int:
        renderer = render(prepared, style, seed=9)
        frame = draw(renderer, still_performance(1), 0)
        grey = (frame.canvas.colour.mean(axis=2)[frame.canvas.cover == 1] * 100).astype(int)
        counts = np.bincount(grey)
        return int((counts > 0.01 * counts.sum()).sum())

    assert distinct_tones("toon") < 0.8 * distinct_tones("photo")


def test_painting_keeps_edges_and_removes_grain() -> None:
    rng = np.random.default_rng(0)
    step = np.zeros((64, 64, 3), np.float32)
    step[:, 32:] = 200
    grain = rng.normal(0, 12, step.shape).astype(np.float32)
    painted = kuwahara(step + grain, 3.0)
    assert painted[:, 36:60].std() < 0.5 * grain.std()
    assert painted[:, 33].mean() - painted[:, 30].mean() > 150
    assert np.allclose(kuwahara(np.full((32, 32, 3), 77, np.float32), 2.0), 77, atol=1e-3)


def test_outlines_follow_the_border_of_regions() -> None:
    regions = np.zeros((40, 40), np.uint8)
    regions[10:30, 10:30] = 4
    lines = outlines(regions, np.full((40, 40), 0.1, np.float32), 1.0)
    assert lines[20, 9:11].max() > 0.5 and lines[20, 20] < 0.01 and lines[3, 3] < 0.01


def test_a_named_style_is_what_comes() -> None:
    for kind in (*STYLES, "photo"):
        assert sample_style(numpy_generator(1, "style"), kind).kind == kind
