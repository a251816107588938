"""One person on video with sound, written frame by frame: no longer clip needs more memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from letstalk.errors import SettingsError
from letstalk.synthetic.acting.performance import perform
from letstalk.synthetic.data.clip_renderer import ClipRenderer
from letstalk.synthetic.people.posing import pose_vertices
from letstalk.synthetic.pictures.renderer import Renderer
from letstalk.synthetic.pictures.scene import sample_scene
from letstalk.synthetic.pictures.stylise import STYLES
from letstalk.synthetic.voice.speech import Speech, cut, silent_speech
from letstalk.synthetic.voice.voices import speak, voice_named
from letstalk.types import FPS, SAMPLES_PER_FRAME, num_frames_for_samples, num_samples_for_frames

if TYPE_CHECKING:
    from letstalk.media.video import VideoResult


@dataclass(frozen=True)
class FilmOrder:
    person_seed: int
    seed: int  # of movement, light and place
    style: str = "photo"
    size: int = 512
    procedural: bool = False

    def __post_init__(self) -> None:
        if self.style != "photo" and self.style not in STYLES:
            raise SettingsError(f"There is no style {self.style!r}.", f"Use photo, {', '.join(STYLES)}.")
        if self.size % 2:
            raise SettingsError(f"Size {self.size} is odd.", "Videos have even sides.")


def spoken_text(text: str, voice: str) -> Speech:
    """Raises `SettingsError` for an unknown voice and `MissingAssetError` for one that is not installed."""
    return speak(text, voice_named(voice))


def film_clip(
    renderer: ClipRenderer, order: FilmOrder, speech: Speech | None, seconds: float, target: Path
) -> VideoResult:
    """All of the speech, or `seconds` of quiet life without one, as an MP4."""
    from letstalk.media.video import VideoWriter

    speech = speech or silent_speech(num_samples_for_frames(max(1, round(seconds * FPS))))
    num_frames = num_frames_for_samples(len(speech.samples))
    speech = cut(speech, 0, num_samples_for_frames(num_frames))
    performance = perform(speech, num_frames, order.seed)
    prepared = renderer.person(order.person_seed, order.procedural)
    scene = sample_scene(order.seed, prepared.person, style=order.style)
    # The video's own encoder compresses; doing it twice only blurs.
    scene = replace(scene, finish=replace(scene.finish, jpeg_quality=0))
    drawer = Renderer(prepared, scene, order.size)
    with VideoWriter(target, (order.size, order.size)) as writer:
        for index in range(num_frames):
            picture = drawer.draw(pose_vertices(prepared.person, performance, index), index).picture
            sound = speech.samples[index * SAMPLES_PER_FRAME : (index + 1) * SAMPLES_PER_FRAME]
            writer.write(picture[None], np.ascontiguousarray(sound))
        return writer.finish()
