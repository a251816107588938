"""Contact sheets: many small pictures with a caption under each, to judge people, mouths and styles by eye."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from letstalk.synthetic.acting.performance import idle_performance
from letstalk.synthetic.controls import LANDMARK_INDEX, Performance, still_performance
from letstalk.synthetic.data.clip_renderer import ClipRenderer
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.renderer import Renderer
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.pictures.stylise import STYLES
from letstalk.synthetic.visemes import MOUTH_UNITS, TONGUE_CHANNELS, VISEMES, target_matrix

_PAPER, _INK = (245, 245, 242), (40, 40, 40)


@dataclass(frozen=True)
class Cell:
    picture: np.ndarray  # (height, width, 3) uint8 RGB
    caption: str = ""


def contact_sheet(cells: Sequence[Cell], columns: int, gap_px: int = 4) -> np.ndarray:
    """All cells row by row as one picture (height, width, 3) uint8. Pictures must be of one size."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = cells[0].picture.shape[:2]
    assert all(cell.picture.shape == (height, width, 3) for cell in cells), "all cells have one size"
    font_px = max(9, min(16, width // 12)) if any(cell.caption for cell in cells) else 0
    line_px = round(font_px * 1.5)
    rows = -(-len(cells) // columns)
    size = (columns * (width + gap_px) + gap_px, rows * (height + line_px + gap_px) + gap_px)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(font_px) if font_px else None
    for place, cell in enumerate(cells):
        left = gap_px + place % columns * (width + gap_px)
        top = gap_px + place // columns * (height + line_px + gap_px)
        sheet.paste(Image.fromarray(cell.picture), (left, top))
        if font and cell.caption:
            text = _fitted(cell.caption, width, lambda words: draw.textlength(words, font))
            draw.text((left + 2, top + height + 1), text, _INK, font)
    return np.asarray(sheet).copy()


def _fitted(text: str, width_px: int, measure) -> str:  # noqa: ANN001
    """The beginning of the text that fits into one line."""
    while text and measure(text) > width_px - 4:
        text = text[:-1]
    return text


def people_cells(renderer: ClipRenderer, seeds: Iterable[int], size_px: int, procedural: bool = False) -> list[Cell]:
    """Each person as one moment of quiet life, photographed in the scene of the same seed."""
    return [_portrait(renderer, seed, seed, "photo", size_px, procedural) for seed in seeds]


def style_cells(renderer: ClipRenderer, seeds: Iterable[int], size_px: int, procedural: bool = False) -> list[Cell]:
    """Each person in every style, a row of len(STYLES) + 1 cells for each."""
    return [
        replace(_portrait(renderer, seed, seed, style, size_px, procedural), caption=f"{seed} {style}")
        for seed in seeds
        for style in ("photo", *STYLES)
    ]


def viseme_cells(renderer: ClipRenderer, seeds: Iterable[int], size_px: int, procedural: bool = False) -> list[Cell]:
    """Each person's lower face in all mouth shapes, a row of len(VISEMES) cells for each."""
    cells = []
    performance = viseme_performance()
    for seed in seeds:
        prepared = renderer.person(seed, procedural)
        scene = sample_scene(seed, prepared.person, style="photo", lighting="studio")
        scene = replace(scene, finish=replace(scene.finish, noise=0.0, jpeg_quality=0, blur_px=0.0))
        drawer = Renderer(prepared, scene, 3 * size_px)
        for index, viseme in enumerate(VISEMES):
            frame = drawer.draw(pose_vertices(prepared.person, performance, index), 0)
            points = frame.screen[prepared.person.landmark_vertices, :2]
            cells.append(Cell(_lower_face(frame.picture, points, size_px), viseme.name))
    return cells


def viseme_performance() -> Performance:
    """One frame for each of VISEMES, held as if nothing came before or after."""
    performance = still_performance(len(VISEMES))
    targets = target_matrix()
    performance.expression[:, MOUTH_UNITS] = targets[:, : len(MOUTH_UNITS)]
    performance.tongue[:] = np.clip(targets[:, TONGUE_CHANNELS], 0, 1)
    sealed = np.array([viseme.seals_lips or viseme.name == "sil" for viseme in VISEMES])
    on_teeth = np.array([viseme.lip_on_teeth for viseme in VISEMES])
    return replace(performance, lip_seal=sealed.astype(np.float32), lip_to_teeth=on_teeth.astype(np.float32))


def _portrait(
    renderer: ClipRenderer, person_seed: int, scene_seed: int, style: str, size_px: int, procedural: bool
) -> Cell:
    prepared = renderer.person(person_seed, procedural)
    performance = idle_performance(2, person_seed)
    performance = replace(performance, lid_closure=np.zeros_like(performance.lid_closure))  # never in a blink
    scene = sample_scene(scene_seed, prepared.person, style=style)
    drawn = Renderer(prepared, scene, size_px).draw(pose_vertices(prepared.person, performance, 1), 1)
    return Cell(drawn.picture, describe(prepared.person))


def describe(person: Person) -> str:
    """A few words for a caption: seed, gender, age and hair, as far as they are known."""
    labels = person.labels
    words = [str(person.seed)]
    if "gender" in labels:
        words.append(f"{'m' if float(labels['gender']) > 0.5 else 'f'}{float(labels['age']):.0f}")
    words += [str(labels[name]) for name in ("hair", "beard", "glasses") if labels.get(name, "none") != "none"]
    return " ".join(words)


def _lower_face(picture: np.ndarray, landmarks: np.ndarray, size_px: int) -> np.ndarray:
    """A square from the bridge of the nose to below the chin, at `size_px`."""
    import cv2

    bridge, chin = (landmarks[LANDMARK_INDEX[name]] for name in ("nose_bridge", "chin"))
    side = 1.15 * float(np.linalg.norm(chin - bridge))
    corner = 0.5 * (bridge + chin) + (0.0, 0.05 * side) - 0.5 * side
    scale = size_px / side
    matrix = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    return cv2.warpAffine(picture, matrix, (size_px, size_px), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
