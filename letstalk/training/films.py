"""Films to learn speaking from: one person in one place who talks for ten seconds, with sound, labels and stills.

A folder holds `films.json` and one safetensors file for each film. A film is a function of settings and number, files
appear complete or not at all, and what lies there is kept: a killed job goes on, and more films may be asked for later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError, OutputError, SettingsError
from letstalk.runtime import CancelToken, numpy_generator
from letstalk.synthetic.acting.performance import idle_performance, perform
from letstalk.synthetic.acting.rehearsal import random_performance
from letstalk.synthetic.controls import EXPRESSION_UNITS, Performance
from letstalk.synthetic.data.clip_renderer import ClipRenderer, cached_renderer, play
from letstalk.synthetic.data.packing import PictureCodec, decode_picture, join_bytes
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, clip_spec
from letstalk.synthetic.data.script import Script, check_sources, write_script
from letstalk.synthetic.data.workers import in_workers
from letstalk.synthetic.pictures.labels import FrameLabels
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.split import Split, check_split
from letstalk.synthetic.voice.speech import Phone
from letstalk.synthetic.voice.syllables import spoken_syllables
from letstalk.training.pair_clips import frame_readings, normalise_places
from letstalk.types import FPS

INDEX_NAME = "films.json"
FILM_FORMAT = 1
STILL_GAP_FRAMES = FPS  # stills come from a track of their own, a second apart
# What a control called "expression" scales: the face without what speech does to the mouth.
FACE_UNITS = tuple(
    place
    for place, name in enumerate(EXPRESSION_UNITS)
    if name.startswith(("eyebrows", "eye-")) or name == "mouth-corner-puller"
)
_PCM_SCALE = 32767.0


@dataclass(frozen=True)
class FilmSettings:
    """What decides the content of all films of a folder. Without voices, nonsense syllables are spoken."""

    seed: int = 0
    # Pixels. Lips are read from 128 as from 256 (r .99), at half the time of rendering; lids of small faces less well.
    size: int = 128
    num_frames: int = 250
    num_stills: int = 6  # the same person and place in other poses; half calm, half with wide expressions
    procedural: bool = False
    voices: tuple[str, ...] = ()
    idle_share: float = 0.06  # silent all through
    stylised_share: float = 0.15
    augmented_share: float = 0.6

    def __post_init__(self) -> None:
        if self.num_stills < 2:
            raise SettingsError("A film needs at least two stills.", "Give num_stills of 2 or more.")
        self.clips()

    def clips(self) -> ClipSettings:
        """The clips that films are made of: one person each, nobody in two of them."""
        return ClipSettings(
            seed=self.seed, size=self.size, num_frames=self.num_frames, procedural=self.procedural,
            people_per_clip=(1, 1), clips_per_cast=1, speech_share=1 - self.idle_share, idle_share=self.idle_share,
            voices=self.voices, stylised_share=self.stylised_share, augmented_share=self.augmented_share,
        )  # fmt: skip


@dataclass(frozen=True)
class Film:
    """T frames and K stills of one person. Places are normalised (-1..1), readings in the order of READING_NAMES."""

    pictures: np.ndarray  # (T, S, S, 3) uint8
    stills: np.ndarray  # (K, S, S, 3) uint8
    landmarks: np.ndarray  # (T + K, NUM_LANDMARKS, 2) float32: frames, then stills
    readings: np.ndarray  # (T + K, num_readings) float32
    samples: np.ndarray  # (640 T,) int16
    viseme: np.ndarray  # (T,) int16
    speaking: np.ndarray  # (T,) bool
    face: np.ndarray  # (T, len(FACE_UNITS)) float16: weights of brows, lids and smile
    phones: tuple[Phone, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)  # alphabet, voice, text, person

    @property
    def num_frames(self) -> int:
        return len(self.pictures)


ARRAYS = ("landmarks", "readings", "samples", "viseme", "speaking", "face")


def render_film(renderer: ClipRenderer, settings: FilmSettings, split: Split, number: int) -> Film:
    """The one film that settings, split and number decide."""
    spec = clip_spec(settings.clips(), split, number)
    script = _script(spec)
    role = spec.roles[0]
    prepared = renderer.person(role.person_seed, spec.procedural)
    scene = sample_scene(role.scene_seed, prepared.person, style=role.style)
    pictures, labels = play(prepared, scene, script.performance, spec.size)
    stills, still_labels = play(prepared, scene, still_poses(settings.num_stills, spec.performance_seed), spec.size)
    speech = script.speech
    return Film(
        pictures=pictures,
        stills=stills,
        samples=np.rint(np.clip(speech.samples, -1, 1) * _PCM_SCALE).astype(np.int16),
        viseme=script.performance.viseme,
        speaking=script.performance.speaking,
        face=script.performance.expression[:, FACE_UNITS].astype(np.float16),
        phones=speech.phones,
        about={"alphabet": speech.alphabet, "voice": speech.voice, "text": speech.text, "person": role.person_seed},
        **_label_arrays([*labels, *still_labels], spec.size),
    )


def _script(spec: ClipSpec) -> Script:
    """Without a voice the plan knows only random faces, which no sound explains: syllables take their place."""
    if spec.kind != "random":
        return write_script(spec)
    speech = spoken_syllables(spec.num_frames, spec.performance_seed)
    return Script(speech, perform(speech, spec.num_frames, spec.performance_seed))


def still_poses(count: int, seed: int) -> Performance:
    """`count` frames a second apart, in turn of somebody calm and of wide expressions with turned heads."""
    seconds = -(-count // 2)
    other = int(numpy_generator(seed, "stills").integers(2**62))  # another mood than the film's
    calm = idle_performance(seconds * STILL_GAP_FRAMES, other)
    wide = random_performance(seconds * STILL_GAP_FRAMES, other)
    places = np.arange(seconds) * STILL_GAP_FRAMES + STILL_GAP_FRAMES // 2

    def in_turn(name: str) -> np.ndarray:
        pair = np.stack([getattr(calm, name)[places], getattr(wide, name)[places]], axis=1)
        return pair.reshape(-1, *pair.shape[2:])[:count]

    return Performance(**{item.name: in_turn(item.name) for item in fields(Performance)})


def _label_arrays(labels: list[FrameLabels], size: int) -> dict[str, np.ndarray]:
    return {
        "landmarks": normalise_places(np.stack([label.landmarks for label in labels]), size),
        "readings": np.stack([frame_readings(label) for label in labels]),
    }


# Files


@dataclass(frozen=True)
class FilmJob:
    folder: Path
    settings: FilmSettings
    split: Split
    num_films: int
    assets: Path | None = None  # unused by procedural people
    num_workers: int = 1

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.num_films < 1 or self.num_workers < 1:
            raise SettingsError("Films and workers are counted from 1.", "Give a number of at least 1.")

    def header(self) -> dict[str, Any]:
        """What all films of a folder have in common; their number may grow."""
        settings = {**asdict(self.settings), "voices": _digest(",".join(self.settings.voices))}
        return {"format": FILM_FORMAT, "split": self.split, "settings": settings}


def film_path(folder: Path, number: int) -> Path:
    return folder / f"film-{number:06d}.safetensors"


def render_films(job: FilmJob, cancel: CancelToken | None = None) -> Iterator[int]:
    """Renders what is missing and yields the number of each film when its file is there."""
    check_sources(job.settings.clips(), job.split)
    write_index(job.folder, INDEX_NAME, job.header())
    missing = [number for number in range(job.num_films) if not film_path(job.folder, number).is_file()]
    cancel = cancel or CancelToken()
    for number in in_workers(partial(_write_film, job), missing, job.num_workers):
        yield number
        cancel.check()


def _write_film(job: FilmJob, number: int) -> int:
    renderer = cached_renderer(job.assets, job.settings.procedural)
    save_film(film_path(job.folder, number), render_film(renderer, job.settings, job.split, number))
    return number


def save_film(path: Path, film: Film) -> None:
    """Pictures as JPEG of full colour resolution and high quality; the rest exact. Same film, same bytes."""
    codec = PictureCodec()
    frames, ends = join_bytes([codec.encode(picture) for picture in (*film.pictures, *film.stills)])
    tensors = {name: getattr(film, name) for name in ARRAYS} | {"frames": frames, "frame_ends": ends}
    about = {**film.about, "phones": film.phones, "num_frames": film.num_frames}
    save_arrays(path, tensors, about)


def load_film(path: Path) -> Film:
    tensors, about = load_arrays(path)
    frames, ends = tensors.pop("frames"), tensors.pop("frame_ends")
    pictures = np.stack([decode_picture(frames[a:b]) for a, b in pairwise([0, *map(int, ends)])])
    count, phones = about.pop("num_frames"), about.pop("phones")
    return Film(
        pictures=pictures[:count], stills=pictures[count:], phones=tuple(Phone(*phone) for phone in phones),
        about=about, **tensors,
    )  # fmt: skip


def save_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """One safetensors file, complete or not at all; `about` is whatever JSON can hold."""
    from safetensors.numpy import save

    # A single key: the order of several would differ from run to run.
    data = save(arrays, metadata={"about": json.dumps(about)})
    unfinished = path.with_name(f".{path.name}.partial")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}).", "Free space, or choose another.") from error


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {})["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118  no dictionary
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is damaged ({error}).", "Delete it and run the same command again.") from error


def write_index(folder: Path, name: str, header: dict[str, Any]) -> None:
    """Begins a folder, or goes on in one that was begun with the same header."""
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            differing = [key for key, value in _plain(header).items() if read_index(folder, name).get(key) != value]
            if differing:
                raise OutputError(f"{folder} was begun with another {differing[0]}.", "Choose an empty folder.")
            return
        path.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}).", "Choose another folder.") from error


def read_index(folder: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{folder} has no readable {name}.", "Give the folder that was made for this.") from error


def film_numbers(folder: Path) -> list[int]:
    """Numbers of the films that are there, rising."""
    read_index(folder, INDEX_NAME)
    return sorted(int(path.stem.removeprefix("film-")) for path in folder.glob("film-*.safetensors"))


def _plain(header: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON."""
    return json.loads(json.dumps(header))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
