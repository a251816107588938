"""What a data set is made of, decided before anything is rendered.

`clip_spec` is a pure function of settings, split and index: any process on any machine that asks for clip 4711 gets the
same one, whoever renders its neighbours. Clips of one cast share their people, because a new person costs as much as a
second of video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np

from letstalk.errors import SettingsError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.pictures.stylise import STYLES
from letstalk.synthetic.split import Split, check_split, names_of_split, person_seed
from letstalk.synthetic.voice.voices import Voice, voice_named

Kind = Literal["speech", "idle", "random", "recording"]
MAX_PEOPLE_PER_CLIP = 4
_SEED_END = 2**62


@dataclass(frozen=True)
class ClipSettings:
    """Everything that decides the content of a data set; stored in its manifest.

    `voices` is an explicit list, never "what is installed": another machine must refuse rather than speak otherwise.
    """

    seed: int = 0
    size: int = 256  # pixels, square
    num_frames: int = 125
    procedural: bool = False  # people from code alone, without the asset pack
    people_per_clip: tuple[int, int] = (1, 2)  # fewest and most people who play the same performance
    clips_per_cast: int = 4  # clips in a row with the same people, in other light and before other backgrounds
    speech_share: float = 0.7
    idle_share: float = 0.1  # quiet life in silence; the rest is random expression without sound
    voices: tuple[str, ...] = ()  # names of voices.py; none means no speech
    recordings: tuple[str, ...] = ()  # alignment files beside their sound; they take the place of voices
    stylised_share: float = 0.15  # drawings instead of photographs
    augmented_share: float = 0.6  # of speech: pitch, room, noise, codec
    clean: bool = False  # pictures without sensor noise and compression

    def __post_init__(self) -> None:
        (fewest, most), top = self.people_per_clip, MAX_PEOPLE_PER_CLIP
        shares = (self.speech_share, self.idle_share, self.stylised_share, self.augmented_share)
        checks = {
            f"size {self.size} is not a multiple of 32 between 64 and 1024": self.size in range(64, 1025, 32),
            f"num_frames {self.num_frames} is not between 1 and 7500": 1 <= self.num_frames <= 7500,
            f"people_per_clip {fewest}-{most} is not within 1-{MAX_PEOPLE_PER_CLIP}": 1 <= fewest <= most <= top,
            f"clips_per_cast {self.clips_per_cast} is not between 1 and 1000": 1 <= self.clips_per_cast <= 1000,
            "a share is not between 0 and 1": all(0 <= share <= 1 for share in shares),
            "speech_share and idle_share exceed 1 together": self.speech_share + self.idle_share <= 1 + 1e-9,
            f"seed {self.seed} is negative": self.seed >= 0,
        }  # fmt: skip
        for name in self.voices:
            voice_named(name)  # refuses what is unknown
        wrong = [problem for problem, fine in checks.items() if not fine]
        if wrong:
            raise SettingsError(f"Clip settings: {'; '.join(wrong)}.", "Correct these values and try again.")

    @property
    def has_speech(self) -> bool:
        return bool(self.voices or self.recordings) and self.speech_share > 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return _from_json(cls, values)


@dataclass(frozen=True)
class SpeechSpec:
    voice: str
    sentence_seed: int
    augmentation_seed: int | None  # None: the voice as it is


@dataclass(frozen=True)
class Role:
    """One person of a clip, and the scene they are seen in."""

    person_seed: int
    scene_seed: int
    style: str  # "photo" or one of stylise.STYLES


@dataclass(frozen=True)
class ClipSpec:
    split: Split
    index: int
    kind: Kind
    performance_seed: int
    roles: tuple[Role, ...]  # all play the same performance, frame for frame
    num_frames: int
    size: int
    procedural: bool
    clean: bool = False
    speech: SpeechSpec | None = None  # for kind "speech"
    recording: str | None = None  # for kind "recording"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        parsed = dict(values)
        parsed["roles"] = tuple(Role(**role) for role in parsed["roles"])
        parsed["speech"] = SpeechSpec(**parsed["speech"]) if parsed["speech"] else None
        return cls(**parsed)


def _from_json(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """JSON knows no tuples and no classes; unknown keys come from another version and are refused."""
    unknown = set(values) - {item.name for item in fields(cls)}
    if unknown:
        raise SettingsError(f"Unknown settings: {', '.join(sorted(unknown))}.", "They were written by another version.")
    return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def clip_spec(settings: ClipSettings, split: Split, index: int) -> ClipSpec:
    """The one clip that these three decide."""
    assert index >= 0
    random = numpy_generator(settings.seed, "clip", check_split(split), index)
    kind = _draw_kind(settings, random)
    return ClipSpec(
        split=split,
        index=index,
        kind=kind,
        performance_seed=int(random.integers(_SEED_END)),
        roles=_draw_roles(settings, split, index, random),
        num_frames=settings.num_frames,
        size=settings.size,
        procedural=settings.procedural,
        clean=settings.clean,
        speech=_draw_speech(settings, split, random) if kind == "speech" else None,
        recording=_pick(names_of_split(settings.recordings, split), random) if kind == "recording" else None,
    )


def cast_number(settings: ClipSettings, index: int) -> int:
    """Clips with the same number have the same people."""
    return index // settings.clips_per_cast


def _draw_kind(settings: ClipSettings, random: np.random.Generator) -> Kind:
    """Where there is nothing to speak with, the share of speech goes to random expressions."""
    place = float(random.random())
    if place < settings.idle_share:
        return "idle"
    if place < settings.idle_share + settings.speech_share and settings.has_speech:
        return "recording" if settings.recordings else "speech"
    return "random"


def _draw_roles(settings: ClipSettings, split: Split, index: int, random: np.random.Generator) -> tuple[Role, ...]:
    fewest, most = settings.people_per_clip
    num_people = int(random.integers(fewest, most + 1))
    first = cast_number(settings, index) * most
    return tuple(
        Role(
            person_seed=person_seed(split, first + int(member)),
            scene_seed=int(random.integers(_SEED_END)),
            style=_draw_style(settings, random),
        )
        for member in random.permutation(most)[:num_people]
    )


def _draw_style(settings: ClipSettings, random: np.random.Generator) -> str:
    if random.random() >= settings.stylised_share:
        return "photo"
    shares = np.array(list(STYLES.values()))
    return str(random.choice(list(STYLES), p=shares / shares.sum()))


def _draw_speech(settings: ClipSettings, split: Split, random: np.random.Generator) -> SpeechSpec:
    return SpeechSpec(
        voice=_draw_voice(settings, split, random),
        sentence_seed=int(random.integers(_SEED_END)),
        augmentation_seed=int(random.integers(_SEED_END)) if random.random() < settings.augmented_share else None,
    )


def voices_for(settings: ClipSettings, split: Split) -> list[Voice]:
    """Those of the settings that may speak in a split; without any it cannot be rendered."""
    voices = sorted((v for v in map(voice_named, settings.voices) if v.split == split), key=lambda v: v.name)
    if not voices:
        raise SettingsError(f"None of the voices belongs to the split {split!r}.", "Add some; see voices.py.")
    return voices


def _draw_voice(settings: ClipSettings, split: Split, random: np.random.Generator) -> str:
    """First the engine, then the language, then the voice: espeak-ng alone has two hundred of them."""
    voices = voices_for(settings, split)
    engine = _pick(tuple(sorted({voice.engine for voice in voices})), random)
    language = _pick(tuple(sorted({voice.language for voice in voices if voice.engine == engine})), random)
    return _pick(tuple(v.name for v in voices if (v.engine, v.language) == (engine, language)), random)


def _pick(names: tuple[str, ...], random: np.random.Generator) -> str:
    return names[int(random.integers(len(names)))]
