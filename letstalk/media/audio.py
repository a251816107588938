"""Speech in: any sound file, or a live source, becomes mono float32 at 16 kHz.

Samples are counted, never the duration that a container claims. What was odd about a file is said in `Audio.notes`.
"""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame

from letstalk.errors import InputError
from letstalk.media.container import MAX_RATE_HZ, MIN_RATE_HZ, Resampler, SoundFile
from letstalk.media.files import atomic_target, quoted
from letstalk.media.loudness import LoudnessMeter, frame_levels_db, voice_from_levels
from letstalk.types import FPS, SAMPLE_RATE_HZ, SAMPLES_PER_FRAME, Audio

MAX_CHANNELS = 64


@dataclass(frozen=True)
class AudioInfo:
    """What is in a sound file, measured by decoding all of it."""

    path: Path
    container: str
    codec: str
    rate_hz: int
    num_channels: int
    duration_seconds: float
    loudness_lufs: float  # BS.1770 integrated, of the 16 kHz mono mix; -inf for silence
    peak: float  # of the original samples, 1 = full scale; floats may lie above
    clipped_share: float  # of the original samples, at full scale
    speech_share: float  # of the 25 fps frames, by `voice_from_levels`
    notes: tuple[str, ...] = ()


def load_audio(path: Path | str, *, max_seconds: float | None = None) -> Audio:
    """All of a file's sound, or its first `max_seconds`, as mono 16 kHz in [-1, 1].

    Raises `InputError` for anything that is no sound file, has no sound in it or is cut short
    (`SoundFile.check_complete`).
    """
    path = Path(path)
    limit = None if max_seconds is None else max(1, round(max_seconds * SAMPLE_RATE_HZ))
    # A bytearray grows in place, so that hours of sound never lie in memory twice as a list of blocks and its sum
    # would.
    buffer = bytearray()
    with SoundFile(path) as file:
        was_cut = False
        for block in file.blocks(SAMPLE_RATE_HZ, "mono"):
            buffer += np.clip(block[0], -1.0, 1.0).tobytes()
            if limit is not None and len(buffer) > 4 * limit:
                del buffer[4 * limit :]
                was_cut = True
                break
        if not was_cut:
            file.check_complete()
        if not buffer:
            raise InputError(f"{quoted(path)} is too short to be heard.", "Choose a longer recording.")
        notes = file.notes() + _lead_notes(file)
    if was_cut:
        notes += (f"Only the first {max_seconds:g} s are used.",)
    return Audio(np.frombuffer(buffer, dtype=np.float32), source=path, notes=notes)


def _lead_notes(file: SoundFile) -> tuple[str, ...]:
    if abs(file.lead_seconds) <= 1 / FPS:
        return ()
    early_or_late = "after" if file.lead_seconds > 0 else "before"
    seconds = abs(file.lead_seconds)
    return (f"The sound starts {seconds:.2f} s {early_or_late} the pictures; the speech was taken from its own start.",)


def decode_blocks(path: Path | str, block_samples: int) -> Iterator[np.ndarray]:
    """A file's sound as (block_samples,) float32 blocks at 16 kHz, the last one shorter, in constant memory.

    The same samples as `load_audio`. A file that turns out to be cut short raises `InputError` after its last block.
    """
    assert block_samples > 0, block_samples
    with SoundFile(Path(path)) as file:
        pieces = (np.clip(piece[0], -1.0, 1.0) for piece in file.blocks(SAMPLE_RATE_HZ, "mono"))
        yield from in_blocks(pieces, block_samples)
        file.check_complete()


def in_blocks(pieces: Iterable[np.ndarray], block_samples: int) -> Iterator[np.ndarray]:
    """The same samples, along the first axis, in blocks of one length; the last one is shorter."""
    waiting: list[np.ndarray] = []
    num_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        num_waiting += len(piece)
        if num_waiting < block_samples:
            continue
        joined = np.concatenate(waiting)
        num_whole = num_waiting - num_waiting % block_samples
        yield from joined[:num_whole].reshape(-1, block_samples, *joined.shape[1:])
        waiting, num_waiting = [joined[num_whole:]], num_waiting - num_whole
    if num_waiting:
        yield np.concatenate(waiting)


def resample_stream(blocks: Iterable[np.ndarray], rate_hz: int, channels: int) -> Iterator[np.ndarray]:
    """Live blocks at `rate_hz` in, mono float32 blocks at 16 kHz out, as soon as they are there.

    A block is (n,) or (n, channels), float in [-1, 1] or signed integer or uint8. The samples that come out do not
    depend on how the input was cut; values that are not finite become silence. The input is pulled one block at a
    time.
    """
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ or not 1 <= channels <= MAX_CHANNELS:
        raise InputError(
            f"Sound with {channels} channels at {rate_hz} Hz cannot be used.", "Send 16 to 48 kHz, mono or stereo."
        )
    resampler = Resampler(SAMPLE_RATE_HZ, "mono")
    for block in blocks:
        mono = _mono_float(np.asarray(block), channels)
        if not len(mono):
            continue
        frame = AudioFrame.from_ndarray(mono[None], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for piece in resampler.push(frame):
            yield np.clip(piece[0], -1.0, 1.0)
    for piece in resampler.flush():
        yield np.clip(piece[0], -1.0, 1.0)


def _mono_float(block: np.ndarray, channels: int) -> np.ndarray:
    if block.shape[1:] != (channels,) and not (block.ndim == 1 and channels == 1):
        raise InputError(
            f"A block of shape {block.shape} does not hold {channels} channels.", "Send (samples, channels)."
        )
    if block.dtype == np.uint8:
        values = (block.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(block.dtype, np.signedinteger):
        values = block.astype(np.float32) / -float(np.iinfo(block.dtype).min)
    elif np.issubdtype(block.dtype, np.floating):
        values = np.nan_to_num(block.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    else:
        raise InputError(f"Samples of type {block.dtype} cannot be used.", "Send float32 or int16.")
    return np.ascontiguousarray(values if values.ndim == 1 else values.mean(axis=1))


def probe_audio(path: Path | str) -> AudioInfo:
    """Decodes a whole file in constant memory and says what is in it; refuses what `load_audio` refuses."""
    path = Path(path)
    meter = LoudnessMeter(SAMPLE_RATE_HZ)
    levels: list[np.ndarray] = []
    with SoundFile(path) as file:
        pieces = (np.clip(piece[0], -1.0, 1.0) for piece in file.blocks(SAMPLE_RATE_HZ, "mono"))
        for block in in_blocks(pieces, 250 * SAMPLES_PER_FRAME):
            meter.push(block)
            levels.append(frame_levels_db(block))
        file.check_complete()
        voiced = voice_from_levels(np.concatenate(levels or [np.zeros(1)]))
        return AudioInfo(
            path=path,
            container=file.container_name,
            codec=file.codec_name,
            rate_hz=file.rate_hz,
            num_channels=file.num_channels,
            duration_seconds=file.num_samples / file.rate_hz,
            loudness_lufs=meter.integrated_lufs(),
            peak=file.peak,
            clipped_share=file.num_full_scale / max(1, file.num_values),
            speech_share=float(voiced.mean()),
            notes=file.notes() + _lead_notes(file),
        )


def write_wav(path: Path | str, samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> Path:
    """16-bit PCM from float samples in [-1, 1], (n,) or (n, channels); the file appears only when it is complete."""
    path = Path(path)
    assert samples.ndim in (1, 2) and np.issubdtype(samples.dtype, np.floating), (samples.shape, samples.dtype)
    with atomic_target(path) as partial, partial.open("wb") as raw, wave.open(raw, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for start in range(0, len(samples), 1 << 20):
            block = np.nan_to_num(samples[start : start + (1 << 20)], nan=0.0, posinf=1.0, neginf=-1.0)
            file.writeframesraw(np.round(np.clip(block, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return path
