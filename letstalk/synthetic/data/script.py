"""What is played in a clip: sound with its phones, and the performance that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import InputError, MissingAssetError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.performance import idle_performance, perform
from letstalk.synthetic.acting.rehearsal import random_performance
from letstalk.synthetic.controls import Performance
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, voices_for
from letstalk.synthetic.split import Split, names_of_split
from letstalk.synthetic.voice.alignment import read_alignment
from letstalk.synthetic.voice.augment import augment
from letstalk.synthetic.voice.clips import speech_clip
from letstalk.synthetic.voice.speech import Speech, cut, silent_speech
from letstalk.synthetic.voice.voices import is_installed, voice_named
from letstalk.types import SAMPLES_PER_FRAME, num_samples_for_frames

_AUGMENTATION_MARGIN = 1.4
SOUND_SUFFIXES = (".flac", ".wav", ".mp3", ".m4a", ".ogg")


@dataclass(frozen=True)
class Script:
    speech: Speech  # exactly 640 samples for each frame
    performance: Performance


def check_sources(settings: ClipSettings, split: Split) -> None:
    """Raises at once what `write_script` would raise in the midst of a data set: absent voices, useless recordings."""
    if not settings.has_speech:
        return
    if settings.recordings:
        for recording in names_of_split(settings.recordings, split):
            read_recording(Path(recording))
        return
    absent = [voice.name for voice in voices_for(settings, split) if not is_installed(voice)]
    if absent:
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        raise MissingAssetError(
            f"These voices are not installed: {', '.join(absent[:3])}{more}.",
            "Install their engines (espeak-ng, flite, festival), or choose among those that are installed.",
        )


def write_script(spec: ClipSpec) -> Script:
    """Raises `MissingAssetError` where the voice is not installed: another voice would be another clip."""
    silence = silent_speech(num_samples_for_frames(spec.num_frames))
    if spec.kind == "idle":
        return Script(silence, idle_performance(spec.num_frames, spec.performance_seed))
    if spec.kind == "random":
        return Script(silence, random_performance(spec.num_frames, spec.performance_seed))
    speech = _recorded(spec) if spec.kind == "recording" else _spoken(spec)
    return Script(speech, perform(speech, spec.num_frames, spec.performance_seed))


def _spoken(spec: ClipSpec) -> Speech:
    assert spec.speech is not None
    voice = voice_named(spec.speech.voice)
    assert voice.split == spec.split, f"{voice.name} belongs to {voice.split}"
    if spec.speech.augmentation_seed is None:
        return speech_clip(voice, spec.num_frames, spec.speech.sentence_seed)
    # Augmentation may speed the speech up: it starts from more than is needed.
    longer = speech_clip(voice, round(_AUGMENTATION_MARGIN * spec.num_frames), spec.speech.sentence_seed)
    return cut(augment(longer, spec.speech.augmentation_seed), 0, num_samples_for_frames(spec.num_frames))


def _recorded(spec: ClipSpec) -> Speech:
    """A window of the recording that `spec.recording` aligns; its sound lies beside it under the same name."""
    assert spec.recording is not None
    speech = read_recording(Path(spec.recording))
    num_samples = num_samples_for_frames(spec.num_frames)
    free = max(0, len(speech.samples) - num_samples)
    first = int(numpy_generator(spec.performance_seed, "window").integers(free + 1))
    return cut(speech, first // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME, num_samples)


def read_recording(alignment: Path) -> Speech:
    """An alignment file and the sound of the same name beside it (speech.txt and speech.flac, for instance)."""
    from letstalk.media.audio import load_audio
    from letstalk.media.files import check_input_file

    check_input_file(alignment, "alignment file")
    sounds = [path for suffix in SOUND_SUFFIXES if (path := alignment.with_suffix(suffix)).is_file()]
    if not sounds:
        raise InputError(
            f"There is no sound beside {alignment}.",
            f"Put it there as {alignment.stem} with {', '.join(SOUND_SUFFIXES)}.",
        )
    return read_alignment(alignment, load_audio(sounds[0]).samples)
