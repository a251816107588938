"""Do the lips of real faces meet? The opening between them is measured on the posed mesh, person by person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.contacts import ContactCounts, count_contacts
from letstalk.synthetic.acting.performance import perform
from letstalk.synthetic.controls import Performance
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.person import Person
from letstalk.synthetic.pictures.labels import opening
from letstalk.synthetic.voice.clips import speech_clip
from letstalk.synthetic.voice.voices import Voice

CLOSED_GAP = 0.02  # of the distance of the eyes


@dataclass(frozen=True)
class LipResult:
    voice: str
    person_seed: int
    counts: ContactCounts
    largest_gap: float  # of the distance of the eyes: a mouth that never opens closes every time too


def lip_gaps(person: Person, performance: Performance) -> np.ndarray:
    """(num_frames,) opening of the lips in distances of the eyes, as `FrameLabels.mouth_gap`."""
    head_turns_nothing = np.zeros_like(performance.head_rotation)
    still = Performance(**{**vars(performance), "head_rotation": head_turns_nothing})
    up = np.array([0.0, 1.0, 0.0])
    vertices = np.empty_like(person.mesh.vertices)
    gaps = []
    for index in range(still.num_frames):
        pose_vertices(person, still, index, vertices)
        gaps.append(opening(person.rig.lips, vertices, up) / person.eye_distance)
    return np.array(gaps)


def measure_lips(people: Iterable[Person], voices: list[Voice], num_frames: int, seed: int) -> Iterator[LipResult]:
    """Each person speaks one clip with each voice."""
    for number, person in enumerate(people):
        for voice in voices:
            clip_seed = int(numpy_generator(seed, "lips", voice.name, number).integers(2**62))
            speech = speech_clip(voice, num_frames, clip_seed)
            performance = perform(speech, num_frames, clip_seed)
            gaps = lip_gaps(person, performance)
            counts = count_contacts(performance, speech, gaps < CLOSED_GAP)
            yield LipResult(voice.name, person.seed, counts, float(gaps.max()))
