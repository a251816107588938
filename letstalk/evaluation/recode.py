"""A video through the autoencoder: encoded, decoded with a reference picture, written with its own sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from letstalk.errors import InputError
from letstalk.evaluation.coder import BATCH, Coder
from letstalk.evaluation.picture_quality import psnr_db
from letstalk.evaluation.report import mean_of
from letstalk.media.container import SoundFile
from letstalk.media.face import FaceFinder, frame_portrait
from letstalk.media.files import check_target
from letstalk.media.framing import take_crop
from letstalk.media.image import load_image
from letstalk.media.video import SUFFIXES, VideoWriter
from letstalk.media.video_reader import VideoReader
from letstalk.types import FPS, SAMPLES_PER_FRAME, Framing


@dataclass(frozen=True)
class Recoding:
    """What to do. `as_is` takes square pictures whole; otherwise the face is found and framed, in the video once."""

    reference: Path
    video: Path
    target: Path
    size: int = 256
    as_is: bool = False
    drive: bool = False  # move the reference by the video's change since its first frame, whoever is in it


@dataclass(frozen=True)
class Recoded:
    """What came of it; PSNR in dB against the video, nan where the reference was driven instead of rebuilt."""

    path: Path
    num_frames: int
    psnr_db: float
    static_copy_db: float  # of the reference shown in place of every frame
    notes: tuple[str, ...]


def recode(coder: Coder, finder: FaceFinder, wish: Recoding) -> Recoded:
    """Works through the video a few frames at a time, in constant memory. Nothing is left behind when it fails."""
    check_target(wish.target, [wish.reference, wish.video], SUFFIXES)
    coder.model.check_size(wish.size)
    reference, notes = _reference(wish, finder)
    guide = coder.guide(reference[None])
    static, made_db = [], []
    with VideoReader(wish.video) as reader:
        sound, samples, said = _sound(reader, wish.video)
        with VideoWriter(wish.target, (wish.size, wish.size), audio_source=sound) as writer:
            first = None
            for frames, more in _framed(reader, wish, finder):
                notes += more
                latents = coder.encode(frames)
                first = latents[:1] if first is None else first
                wanted = guide.latents[:, 0] + latents - first if wish.drive else latents
                made = coder.decode(wanted, guide)
                begin = writer.num_frames * SAMPLES_PER_FRAME
                writer.write(made, _exactly(samples[begin:], len(made) * SAMPLES_PER_FRAME))
                if not wish.drive:
                    made_db += psnr_db(made, frames).tolist()
                    static += psnr_db(np.broadcast_to(reference, frames.shape), frames).tolist()
            result = writer.finish()
    return Recoded(result.path, result.num_frames, mean_of(made_db), mean_of(static), (*notes, *said, *result.notes))


def _reference(wish: Recoding, finder: FaceFinder) -> tuple[np.ndarray, tuple[str, ...]]:
    """(size, size, 3) uint8 and what is to be said of it."""
    image = load_image(wish.reference)
    if wish.as_is:
        return _whole(image.pixels, wish.size, wish.reference), image.notes
    portrait = frame_portrait(image, finder.find(image.pixels), wish.size)
    return portrait.crop, portrait.notes


def _framed(reader: VideoReader, wish: Recoding, finder: FaceFinder) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """Pieces (n, size, size, 3) of the video; the face of the first frame frames them all, so that nothing jitters."""
    framing: Framing | None = None
    piece: list[np.ndarray] = []
    notes: tuple[str, ...] = ()
    for frame in reader.frames():
        if wish.as_is:
            piece.append(_whole(frame, wish.size, wish.video))
        else:
            if framing is None:
                portrait = frame_portrait(frame, finder.find(frame), wish.size)
                framing, notes = portrait.framing, tuple(f"Video: {note}" for note in portrait.notes)
            piece.append(take_crop(frame, framing))
        if len(piece) == BATCH:
            yield np.stack(piece), notes
            piece, notes = [], ()
    if piece:
        yield np.stack(piece), notes


def _whole(picture: np.ndarray, size: int, path: Path) -> np.ndarray:
    from PIL import Image

    height, width = picture.shape[:2]
    if height != width:
        raise InputError(f"{path.name} is {width} x {height}, not square.", "Leave --as-is out: the face is framed.")
    if height == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS))


def _sound(reader: VideoReader, video: Path) -> tuple[Path | None, np.ndarray, tuple[str, ...]]:
    """(file whose own sound is taken over, mono 16 kHz samples, notes).

    Sound that does not begin with the pictures is re-timed, which only the 16 kHz samples can be.
    """
    audio = reader.audio()
    if audio is None:
        return None, np.zeros(0, np.float32), ("The video has no sound; silence was written.",)
    with SoundFile(video) as file:
        together = abs(file.lead_seconds) <= 1 / FPS
    return (video if together else None), audio.samples, audio.notes


def _exactly(samples: np.ndarray, count: int) -> np.ndarray:
    """Cut, or filled with silence: a video's sound seldom ends with its last picture."""
    return np.pad(samples[:count], (0, max(0, count - len(samples))))
