"""Talks: sound and what the mouth does with it, without a picture. Hours of them cost minutes.

A folder holds `talks.json` and one safetensors file for each talk. A talk is a function of settings and number; what
lies there is kept, so a killed job goes on and more may be asked for later. Every talk is spoken with the same plain
temperament: what an audio encoder learns is the part of the motion that the sound decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from letstalk.errors import InputError, SettingsError
from letstalk.runtime import CancelToken, numpy_generator
from letstalk.synthetic.acting.emphasis import syllables
from letstalk.synthetic.acting.motion import frame_seconds, pulse
from letstalk.synthetic.acting.performance import perform
from letstalk.synthetic.acting.style import Style
from letstalk.synthetic.controls import EXPRESSION_UNITS
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, clip_spec
from letstalk.synthetic.data.script import check_sources, write_script
from letstalk.synthetic.data.workers import in_workers
from letstalk.synthetic.split import Split, check_split
from letstalk.synthetic.visemes import MOUTH_UNITS
from letstalk.synthetic.voice.noises import not_speech
from letstalk.synthetic.voice.speech import Speech, silent_speech
from letstalk.synthetic.voice.syllables import spoken_syllables
from letstalk.training.films import load_arrays, read_index, save_arrays, write_index
from letstalk.types import num_samples_for_frames

TALK_INDEX_NAME = "talks.json"
TALK_FORMAT = 1
PLAIN = Style(mood_strength=0.0, head_amplitude=0.0, beat_amplitude=0.0, brow_amplitude=0.0)
MOTION_NAMES: tuple[str, ...] = (
    *(EXPRESSION_UNITS[unit] for unit in MOUTH_UNITS),
    "tongue-raised", "tongue-forward", "lip-seal", "lip-to-teeth", "stress",
)  # fmt: skip
STRESS_RISE_SECONDS, STRESS_FALL_SECONDS = 0.12, 0.2
_PCM_SCALE = 32767.0


@dataclass(frozen=True)
class TalkSettings:
    """What decides the content of all talks of a folder. Without voices, nonsense syllables are spoken."""

    seed: int = 0
    num_frames: int = 500
    voices: tuple[str, ...] = ()
    noise_share: float = 0.1  # talks in which nobody talks: rooms, music, knocks, silence
    augmented_share: float = 0.6

    def __post_init__(self) -> None:
        self.clips()

    def clips(self) -> ClipSettings:
        return ClipSettings(
            seed=self.seed, num_frames=self.num_frames, speech_share=1 - self.noise_share, idle_share=self.noise_share,
            voices=self.voices, augmented_share=self.augmented_share,
        )  # fmt: skip


@dataclass(frozen=True)
class Talk:
    """T frames."""

    samples: np.ndarray  # (640 T,) int16
    motion: np.ndarray  # (T, len(MOTION_NAMES)) float16
    viseme: np.ndarray  # (T,) int16, index into visemes.VISEME_NAMES: what sounds in the middle of the frame
    speaking: np.ndarray  # (T,) bool

    @property
    def num_frames(self) -> int:
        return len(self.motion)

    def sound(self, first: int = 0, end: int | None = None) -> np.ndarray:
        """Samples [first, end) as float32 in -1..1; without numbers all."""
        return self.samples[first:end].astype(np.float32) / _PCM_SCALE


def make_talk(settings: TalkSettings, split: Split, number: int) -> Talk:
    """The one talk that settings, split and number decide."""
    spec = clip_spec(settings.clips(), split, number)
    if spec.kind == "idle":
        silence = silent_speech(num_samples_for_frames(spec.num_frames))
        random = numpy_generator(spec.performance_seed, "not speech")
        return _played(silence, spec, not_speech(len(silence.samples), random))
    speech = spoken_syllables(spec.num_frames, spec.performance_seed) if spec.kind == "random" else _speech(spec)
    return _played(speech, spec, speech.samples)


def _speech(spec: ClipSpec) -> Speech:
    return write_script(spec).speech


def _played(speech: Speech, spec: ClipSpec, sound: np.ndarray) -> Talk:
    """`sound` takes the place of the speech's own, for the ear alone."""
    performance = perform(speech, spec.num_frames, spec.performance_seed, PLAIN)
    mouth = (
        performance.expression[:, MOUTH_UNITS], performance.tongue, performance.lip_seal[:, None],
        performance.lip_to_teeth[:, None], stress_track(speech, spec.num_frames)[:, None],
    )  # fmt: skip
    return Talk(
        samples=np.rint(np.clip(sound, -1, 1) * _PCM_SCALE).astype(np.int16),
        motion=np.concatenate(mouth, axis=1).astype(np.float16),
        viseme=performance.viseme,
        speaking=performance.speaking,
    )


def stress_track(speech: Speech, num_frames: int) -> np.ndarray:
    """(num_frames,) 0..1: a hump on every syllable that stands out, as high as it does. Brows and nods follow it."""
    seconds = frame_seconds(num_frames)
    track = np.zeros(num_frames)
    for syllable in syllables(speech):
        hump = pulse(seconds, syllable.middle_seconds, STRESS_RISE_SECONDS, STRESS_FALL_SECONDS)
        track = np.maximum(track, syllable.prominence * hump)
    return track


@dataclass(frozen=True)
class TalkJob:
    folder: Path
    settings: TalkSettings
    split: Split
    num_talks: int
    num_workers: int = 1

    def __post_init__(self) -> None:
        check_split(self.split)
        if self.num_talks < 1 or self.num_workers < 1:
            raise SettingsError("Talks and workers are counted from 1.", "Give a number of at least 1.")

    def header(self) -> dict[str, Any]:
        """What all talks of a folder have in common; their number may grow."""
        return {"format": TALK_FORMAT, "split": self.split, "settings": asdict(self.settings)}


def make_talks(job: TalkJob, cancel: CancelToken | None = None) -> Iterator[int]:
    """Makes what is missing and yields the number of each talk when its file is there. Refuses absent voices first."""
    check_sources(job.settings.clips(), job.split)
    write_index(job.folder, TALK_INDEX_NAME, job.header())
    missing = [number for number in range(job.num_talks) if not talk_path(job.folder, number).is_file()]
    cancel = cancel or CancelToken()
    for number in in_workers(partial(_write_talk, job), missing, job.num_workers):
        yield number
        cancel.check()


def _write_talk(job: TalkJob, number: int) -> int:
    talk = make_talk(job.settings, job.split, number)
    save_arrays(talk_path(job.folder, number), vars(talk), {})
    return number


def talk_path(folder: Path, number: int) -> Path:
    return folder / f"talk-{number:06d}.safetensors"


def load_talks(folder: Path, most: int | None = None) -> list[Talk]:
    """All talks of a folder (or the first `most`), in memory: 115 MB an hour."""
    read_index(folder, TALK_INDEX_NAME)
    paths = sorted(folder.glob("talk-*.safetensors"))[:most]
    if not paths:
        raise InputError(f"{folder} holds no talks yet.", "Make some: letstalk train talks.")
    return [Talk(**load_arrays(path)[0]) for path in paths]
