"""How well is heard what moves a mouth: on voices that were never trained on, beside another talk's sound, and on real
recordings, of which only loudness is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_erosion
from torch import Tensor

from letstalk.synthetic.visemes import VISEME_INDEX
from letstalk.training.audio_task import AudioTask
from letstalk.training.codec_validation import correlation
from letstalk.training.talks import MOTION_NAMES, Talk
from letstalk.types import FPS, SAMPLES_PER_FRAME, seconds_for_frames

OPEN, SEAL, ROUND, SPREAD, STRESS = (
    MOTION_NAMES.index(name) for name in ("mouth-open", "lip-seal", "mouth-pursing", "mouth-retraction", "stress")
)
SEALED, SHUT_JAW, OPEN_JAW = 0.5, 0.2, 0.15  # a predicted contact, the jaw that allows one, a mouth that is seen open
SETTLED_FRAMES = 6  # a pause counts this long after the last sound and before the next
WIDE_VOWELS = tuple(VISEME_INDEX[name] for name in ("aa", "ae", "ah", "ao"))
MOST_LAG_FRAMES = 5
SHUFFLED = ("r_open", "r_seal", "r_round", "r_stress", "viseme_accuracy", "contact_recall")
PAUSE_DEPTH_DB = 30.0  # under a recording's loud frames


@dataclass(frozen=True)
class Reading:
    """What was heard in one talk, and the truth of it."""

    talk: Talk
    motion: np.ndarray  # (T, K)
    viseme: np.ndarray  # (T,)
    speaking: np.ndarray  # (T,) bool
    tokens_moved: float  # mean change of the tokens under a gain of 1/4 or 4, after the first second


def examine_talks(task: AudioTask, talks: Sequence[Talk], device: torch.device) -> dict[str, float]:
    """Figures over all talks; `_shuffled` ones pair each reading with the truth of the next talk that speaks.

    `r_` is Pearson's at lag 0, `lag_open` the lag (frames, + is late) at which openings agree best, `spread_open` the
    spread of the opening in speech relative to the truth's. Accuracies count frames in speech (visemes) or both classes
    alike (speaking). `silence_open` and `noise_open` are shares of frames with lips apart.
    """
    readings = [read_talk(task, talk, device) for talk in talks]
    spoken = [reading for reading in readings if reading.talk.speaking.any()]
    figures = _figures_of_pairs([(reading, reading.talk) for reading in spoken])
    shuffled = [(reading, spoken[(place + 1) % len(spoken)].talk) for place, reading in enumerate(spoken)]
    found = _figures_of_pairs(shuffled)
    figures |= {f"{name}_shuffled": found[name] for name in SHUFFLED}
    noises = [reading for reading in readings if not reading.talk.speaking.any()]
    if noises:
        figures["noise_open"] = float(np.mean(np.concatenate([_seen_open(reading.motion) for reading in noises])))
    figures["gain_change"] = float(np.mean([reading.tokens_moved for reading in readings]))
    return figures


@torch.no_grad()
def read_talk(task: AudioTask, talk: Talk, device: torch.device) -> Reading:
    samples = torch.from_numpy(talk.sound()).to(device)[None]
    tokens = task.encoder(samples)
    heard = task.heads(tokens)
    changed = [(task.encoder(samples * gain) - tokens)[:, FPS:].abs().mean() for gain in (0.25, 4.0)]
    return Reading(
        talk,
        heard.motion[0].cpu().numpy(),
        heard.viseme[0].argmax(-1).cpu().numpy(),
        (heard.speaking[0] > 0).cpu().numpy(),
        float(torch.stack(changed).mean()),
    )


def _figures_of_pairs(pairs: Sequence[tuple[Reading, Talk]]) -> dict[str, float]:
    motion = np.concatenate([reading.motion for reading, _ in pairs])
    truth = np.concatenate([talk.motion.astype(np.float32) for _, talk in pairs])
    viseme = np.concatenate([reading.viseme for reading, _ in pairs])
    true_viseme = np.concatenate([talk.viseme for _, talk in pairs])
    speaking = np.concatenate([reading.speaking for reading, _ in pairs])
    true_speaking = np.concatenate([talk.speaking for _, talk in pairs])
    sealed = (motion[:, SEAL] > SEALED) & (motion[:, OPEN] < SHUT_JAW)
    resting = settled(~true_speaking)
    recall, count = contact_recall(sealed, true_viseme)
    names = {"open": OPEN, "seal": SEAL, "round": ROUND, "spread": SPREAD, "stress": STRESS}
    figures = {f"r_{name}": _r(motion[:, index], truth[:, index]) for name, index in names.items()}
    return figures | {
        "spread_open": float(motion[true_speaking, OPEN].std() / truth[true_speaking, OPEN].std()),
        "lag_open": float(best_lag(motion[:, OPEN], truth[:, OPEN])),
        "viseme_accuracy": float((viseme == true_viseme)[true_speaking].mean()),
        "viseme_majority": float(np.bincount(true_viseme[true_speaking]).max() / true_speaking.sum()),
        "speaking_accuracy": float(np.mean([(speaking == true_speaking)[true_speaking == s].mean() for s in (0, 1)])),
        "contact_recall": recall,
        "num_contacts": float(count),
        "vowels_sealed": float(sealed[np.isin(true_viseme, WIDE_VOWELS)].mean()),
        "silence_open": float(_seen_open(motion)[resting].mean()),
    }  # fmt: skip


def contact_recall(sealed: np.ndarray, viseme: np.ndarray) -> tuple[float, int]:
    """Share of the m, b and p during which (or one frame before) the lips are sealed, and how many there are."""
    bilabial = np.concatenate([[False], viseme == VISEME_INDEX["p"], [False]])
    edges = np.flatnonzero(bilabial[1:] != bilabial[:-1])
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    met = [bool(sealed[max(0, first - 1) : end].any()) for first, end in runs]
    return float(np.mean(met)) if met else 0.0, len(runs)


def best_lag(found: np.ndarray, truth: np.ndarray) -> int:
    """Frames by which `found` comes after `truth` where they agree best, within MOST_LAG_FRAMES."""
    most, inside = MOST_LAG_FRAMES, slice(MOST_LAG_FRAMES, len(truth) - MOST_LAG_FRAMES)
    scores = [_r(np.roll(found, -lag)[inside], truth[inside]) for lag in range(-most, most + 1)]
    return int(np.argmax(scores)) - most


def settled(quiet: np.ndarray) -> np.ndarray:
    """(T,) bool: quiet for SETTLED_FRAMES on either side too; before the first frame and after the last it is quiet."""
    return np.asarray(binary_erosion(quiet, iterations=SETTLED_FRAMES, border_value=1), bool)


def _seen_open(motion: np.ndarray) -> np.ndarray:
    return (motion[:, OPEN] > OPEN_JAW) | (motion[:, SEAL] < SEALED)


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return correlation(torch.from_numpy(np.ascontiguousarray(a)), torch.from_numpy(np.ascontiguousarray(b)))


# Real recordings


def read_recordings(folder: Path) -> dict[str, np.ndarray]:
    """Name -> (n,) float32 at 16 kHz, of all sound files that libsndfile reads (flac, wav, mp3, ogg)."""
    import soundfile

    from letstalk.errors import InputError
    from letstalk.synthetic.voice.speech import to_16k_mono

    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() in (".flac", ".wav", ".mp3", ".ogg"):
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            found[path.stem] = to_16k_mono(samples.mean(1), rate_hz)
    if not found:
        raise InputError(f"{folder} holds no recordings.", "Give a folder of flac, wav, mp3 or ogg files.")
    return found


def examine_recording(task: AudioTask, samples: np.ndarray, device: torch.device) -> dict[str, float]:
    """`real_r_energy`: opening against the level of each frame. `_pause_open`: share of frames well inside pauses with
    lips apart. `_quiet_open` and `_spoken_open`: mean opening in frames 30 dB under the loud ones, and in the others.
    """
    heard = task.listen(torch.from_numpy(samples).to(device)[None])
    motion = heard.motion[0].cpu().numpy()
    level_db = frame_levels_db(samples, len(motion))
    loud = level_db > np.quantile(level_db, 0.9) - PAUSE_DEPTH_DB
    pauses = settled(~loud)
    floor = level_db.max() - 50
    return {
        "real_r_energy": _r(motion[:, OPEN], np.maximum(level_db, floor)),
        "real_pause_open": float(_seen_open(motion)[pauses].mean()) if pauses.any() else float("nan"),
        "real_pause_share": float(pauses.mean()),
        "real_quiet_open": float(motion[~loud, OPEN].mean()) if not loud.all() else float("nan"),
        "real_spoken_open": float(motion[loud, OPEN].mean()),
        "real_spoken_spread": float(motion[loud, OPEN].std()),
        "real_contacts_per_second": contacts_per_second(motion, loud),
    }


def contacts_per_second(motion: np.ndarray, loud: np.ndarray) -> float:
    """How often lips meet within speech; English has about 1.5 to 2.5 of m, b and p a second."""
    sealed = (motion[:, SEAL] > SEALED) & (motion[:, OPEN] < SHUT_JAW)
    begins = sealed[1:] & ~sealed[:-1] & loud[1:]
    return float(begins.sum() / max(seconds_for_frames(int(loud.sum())), 1e-9))


def frame_levels_db(samples: np.ndarray, num_frames: int) -> np.ndarray:
    padded = np.pad(samples, (0, num_frames * SAMPLES_PER_FRAME - len(samples))).reshape(num_frames, -1)
    return 10 * np.log10(np.mean(np.square(padded, dtype=np.float64), axis=1) + 1e-9)


def motion_statistics(talks: Sequence[Talk]) -> tuple[Tensor, Tensor]:
    """Mean and spread (K,) of every channel of motion over talks in which somebody speaks."""
    motion = np.concatenate([talk.motion for talk in talks if talk.speaking.any()]).astype(np.float32)
    return torch.from_numpy(motion.mean(0)), torch.from_numpy(motion.std(0)).clamp_min(1e-2)
