"""What ships in assets/portraits and assets/speech: people and recordings of our own, from fixed tables.

The people are of the test split, so no model of this project was trained on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from letstalk.synthetic.controls import UNIT_INDEX, Performance, still_performance
from letstalk.synthetic.data.packing import encode_flac
from letstalk.synthetic.people.assets import AssetPack
from letstalk.synthetic.people.identity import make_person
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.camera import Camera, aim
from letstalk.synthetic.pictures.renderer import PreparedPerson, Renderer
from letstalk.synthetic.pictures.scene import Scene, sample_scene
from letstalk.synthetic.split import person_seed
from letstalk.synthetic.voice.alignment import write_alignment
from letstalk.synthetic.voice.speech import Speech, join, silent_speech
from letstalk.synthetic.voice.voices import speak, voice_named
from letstalk.types import SAMPLE_RATE_HZ

PORTRAIT_PX = 512
_FIRST_PERSON = 1000  # of the test split: the exam has those before
_OVERSAMPLING = 2  # rendered larger and reduced: these are looked at closely
_PEAK = 0.7
_SOURCES = """# Where these files come from

Everything in this folder was rendered by this project and may be used under its licence (Apache-2.0). Nobody in it
exists, and no recording of a person is in it.

- Portraits and benchmark videos: rendered by `letstalk/synthetic` from assets of MakeHuman
  (www.makehumancommunity.org), which are CC0 1.0; renderings carry no claim. Credit, given gladly: the MakeHuman team
  and the authors of its assets.
- Speech: spoken by {engines}. The words are our own. Each .txt holds the alignment: start, end and phone of every
  sound, as the voice engine gave them.

| file | made from |
|---|---|
{rows}
"""


@dataclass(frozen=True)
class PortraitSample:
    """`number` chooses the person within the test split; named traits are fixed, the seed gives the rest."""

    name: str
    number: int
    traits: dict[str, object]
    style: str = "photo"
    lighting: str = "studio"
    background: str = "studio"
    smile: float = 0.2  # 0..0.5
    yaw: float = 0.0  # radians that the head is turned, + to the character's left
    scene_number: int = 0

    @property
    def seed(self) -> int:
        return person_seed("test", _FIRST_PERSON + self.number)


@dataclass(frozen=True)
class SpeechSample:
    """`parts` are sentences, and pauses in seconds between them."""

    name: str
    voice: str
    parts: tuple[str | float, ...]
    rate: float = 1.0
    pitch: float = 1.0

    @property
    def text(self) -> str:
        return " ".join(part for part in self.parts if isinstance(part, str))


def sample_portrait(pack: AssetPack, sample: PortraitSample, size_px: int = PORTRAIT_PX) -> np.ndarray:
    """(size, size, 3) uint8: a quiet face that looks into the camera."""
    import cv2

    person = make_person(pack, sample.seed, {"hat": "none", **sample.traits})
    drawn = Renderer(PreparedPerson(person), _portrait_scene(person, sample), _OVERSAMPLING * size_px)
    frame = drawn.draw(pose_vertices(person, _portrait_pose(sample), 0))
    return cv2.resize(frame.picture, (size_px, size_px), interpolation=cv2.INTER_AREA)


def _portrait_scene(person: Person, sample: PortraitSample) -> Scene:
    """The light and place of the table, seen straight on, without noise and compression."""
    scene = sample_scene(sample.seed + sample.scene_number, person, style=sample.style, lighting=sample.lighting)
    rotation, position = aim(person, yaw=0.0, pitch=0.03, roll=0.0, focal=2.6, face_share=0.5)
    finish = replace(scene.finish, noise=0.0, jpeg_quality=0, blur_px=0.0, vignette=0.1, saturation=1.0, contrast=0.3)
    camera = Camera(rotation, position, 2.6, (0.5, 0.46))
    return replace(scene, camera=camera, finish=finish, background=sample.background)


def _portrait_pose(sample: PortraitSample) -> Performance:
    pose = still_performance()
    pose.expression[:, UNIT_INDEX["mouth-corner-puller"]] = sample.smile
    for side in ("left", "right"):
        pose.expression[:, UNIT_INDEX[f"eye-{side}-slit"]] = 0.3 * sample.smile
        pose.expression[:, UNIT_INDEX[f"eyebrows-{side}-up"]] = 0.15
    pose.head_rotation[:, 1] = sample.yaw
    pose.gaze[:, 0] = -sample.yaw  # the eyes stay on the camera
    return pose


def sample_speech(sample: SpeechSample) -> Speech:
    """Raises `MissingAssetError` when the voice is not installed."""
    voice = voice_named(sample.voice)
    pieces = [
        speak(part, voice, sample.rate, sample.pitch)
        if isinstance(part, str)
        else silent_speech(round(part * SAMPLE_RATE_HZ))
        for part in sample.parts
    ]
    speech = join(pieces)
    return replace(speech, samples=(speech.samples * (_PEAK / np.abs(speech.samples).max())).astype(np.float32))


def write_samples(
    folder: Path, pack: AssetPack, portraits: Iterable[PortraitSample], speech: Iterable[SpeechSample]
) -> Iterator[Path]:
    """Writes portraits/*.png, speech/*.flac with an alignment (*.txt) beside each, SOURCES.md; yields each path."""
    from letstalk.media.files import atomic_target, output_error
    from letstalk.media.image import save_image

    portraits, speech = tuple(portraits), tuple(speech)
    try:
        for name in ("portraits", "speech"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for portrait in portraits:
            yield save_image(folder / "portraits" / f"{portrait.name}.png", sample_portrait(pack, portrait))
        for sample in speech:
            spoken = sample_speech(sample)
            path = folder / "speech" / f"{sample.name}.flac"
            with atomic_target(path) as partial:
                partial.write_bytes(encode_flac(spoken.samples))
            with atomic_target(path.with_suffix(".txt")) as partial:
                write_alignment(partial, spoken)
            yield path
        with atomic_target(folder / "SOURCES.md") as partial:
            partial.write_text(sources_text(portraits, speech), encoding="utf-8")
    except OSError as error:
        raise output_error(folder, error) from error
    yield folder / "SOURCES.md"


def sources_text(portraits: tuple[PortraitSample, ...], speech: tuple[SpeechSample, ...]) -> str:
    """SOURCES.md: where each file comes from and who is to be credited."""
    engines = {
        "flite": "flite (CMU Speech Group, BSD-style licence)",
        "espeak": "espeak-ng (a GPL-3.0 program; the sound that it makes is not covered by its licence)",
        "festival": "festival (CSTR Edinburgh, MIT-style licence)",
    }
    used = sorted({voice_named(sample.voice).engine for sample in speech})
    rows = [f"| portraits/{p.name}.png | person {p.seed}, {p.style} |" for p in portraits]
    rows += [f"| speech/{s.name}.flac, .txt | voice {s.voice}: {s.text} |" for s in speech]
    credits = "; ".join(engines[engine] for engine in used)
    return _SOURCES.format(engines=credits, rows="\n".join(rows))
