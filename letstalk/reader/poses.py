"""Faces for the training pool: frames that have nothing to do with one another.

Speech shows the mouths that matter most; the others are drawn freely, so that no reading can lean on what usually goes
together: any mouth with any eyes, any head pose, lips that meet and lips that nearly meet.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from letstalk.synthetic.controls import Performance

SPOKEN_SHARE, WALKED_SHARE = 0.4, 0.2  # of frames from speech and from `random_performance`; the rest is free
CONSONANTS = (
    *("b", "ch", "d", "dh", "f", "g", "hh", "jh", "k", "l", "m", "m", "m", "n", "ng", "p", "p"),
    *("r", "s", "sh", "t", "th", "v", "w", "y", "z", "zh"),
)
VOWELS = ("aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw")


def mixed_poses(rng: np.random.Generator, num_frames: int) -> Performance:
    """`num_frames` frames from all three sources; half of the spoken ones with a head turned freely."""
    kinds = rng.random(num_frames)
    spoken = int((kinds < SPOKEN_SHARE).sum())
    walked = int((kinds < SPOKEN_SHARE + WALKED_SHARE).sum()) - spoken
    parts = [free_poses(rng, num_frames - spoken - walked), _walked(rng, walked), babble(rng, spoken)]
    performance = _joined([part for part in parts if part.num_frames])
    turned = np.where(rng.random((num_frames, 1)) < 0.5, head_turns(rng, num_frames), performance.head_rotation)
    return replace(performance, head_rotation=turned.astype(np.float32))


def babble(rng: np.random.Generator, num_frames: int) -> Performance:
    """Frames out of talk without words: consonants and vowels in turn, at the pace of speech, with pauses."""
    from letstalk.synthetic.acting.performance import perform
    from letstalk.synthetic.voice.speech import Phone, Speech, fill_silence

    if not num_frames:
        return _nothing()
    phones, now = [], float(rng.uniform(0, 0.5))
    while now < 4.0:
        for symbols in (CONSONANTS, VOWELS):
            length = float(rng.uniform(0.05, 0.16))
            phones.append(Phone(now, now + length, str(rng.choice(symbols))))
            now += length
        if rng.random() < 0.1:
            now += float(rng.uniform(0.2, 0.8))
    num_samples = 64_000
    speech = Speech(np.zeros(num_samples, np.float32), fill_silence(phones, num_samples / 16_000), "arpabet")
    return _picked(rng, perform(speech, 100, int(rng.integers(2**40))), num_frames)


def _walked(rng: np.random.Generator, num_frames: int) -> Performance:
    from letstalk.synthetic.acting.rehearsal import random_performance

    if not num_frames:
        return _nothing()
    return _picked(rng, random_performance(100, int(rng.integers(2**40))), num_frames)


def _nothing() -> Performance:
    from letstalk.synthetic.controls import still_performance

    return still_performance(0)


def _picked(rng: np.random.Generator, performance: Performance, num_frames: int) -> Performance:
    rows = rng.choice(performance.num_frames, num_frames, replace=False)
    return replace(performance, **{item.name: getattr(performance, item.name)[rows] for item in fields(performance)})


def _joined(parts: list[Performance]) -> Performance:
    names = [item.name for item in fields(parts[0])]
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def free_poses(rng: np.random.Generator, num_frames: int) -> Performance:
    """Frames that have nothing to do with one another: a third with closed lips, a sixth with nearly closed ones, a
    quarter with a smile.
    """
    from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX, still_performance

    still = still_performance(num_frames)
    amount = rng.gamma(0.5, 0.35, (num_frames, len(EXPRESSION_UNITS)))
    amount *= rng.random(amount.shape) < rng.uniform(0.05, 0.35, (num_frames, 1))
    amount[:, UNIT_INDEX["mouth-open"]] = rng.choice([0.0, 1.0], num_frames, p=[0.25, 0.75]) * rng.beta(
        1.1, 2.2, num_frames
    )
    kind = rng.random(num_frames)
    seal = np.select([kind < 0.33, kind < 0.5], [1.0, rng.uniform(0.6, 1.0, num_frames)], 0.0)
    amount = np.where(kind[:, None] > 0.75, smiles(rng, num_frames), amount)
    lids = np.where(rng.random((num_frames, 1)) < 0.2, 1.0, rng.beta(1, 4, (num_frames, 1)))
    wink = rng.random((num_frames, 2)) < 0.05
    return replace(
        still,
        expression=np.minimum(amount, 1.0).astype(np.float32),
        lip_seal=seal.astype(np.float32),
        lip_to_teeth=(rng.random(num_frames) < 0.07).astype(np.float32) * (seal == 0),
        lid_closure=np.where(wink, 1.0, lids * np.ones(2)).astype(np.float32),
        tongue=rng.beta(0.5, 2.0, (num_frames, 2)).astype(np.float32),
        gaze=(rng.normal(0, 1, (num_frames, 2)) * [0.25, 0.15]).clip(-0.6, 0.6).astype(np.float32),
        head_rotation=head_turns(rng, num_frames),
    )


def smiles(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Expression weights (num_frames, num_units) of faces that show their teeth, as people in photographs do."""
    from letstalk.synthetic.controls import EXPRESSION_UNITS, UNIT_INDEX

    most = {
        "mouth-corner-puller": 1.0, "mouth-part-later": 0.6, "mouth-upward-retraction": 0.45,
        "mouth-depression-retraction": 0.35, "mouth-retraction": 0.4, "mouth-open": 0.25,
        "eye-left-slit": 0.5, "eye-right-slit": 0.5,
    }  # fmt: skip
    amount, strength = np.zeros((num_frames, len(EXPRESSION_UNITS))), rng.uniform(0.2, 1, num_frames)
    for name, weight in most.items():
        amount[:, UNIT_INDEX[name]] = weight * strength * rng.uniform(0, 1, num_frames)
    amount[:, UNIT_INDEX["mouth-corner-puller"]] += 0.3 * (1 - amount[:, UNIT_INDEX["mouth-corner-puller"]])
    return amount


def head_turns(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """(num_frames, 3) radians: mostly small, now and then as far as a portrait goes."""
    wide = rng.choice([0.4, 1.0, 1.8], (num_frames, 1), p=[0.3, 0.4, 0.3])
    turns = rng.normal(0, 1, (num_frames, 3)) * [0.16, 0.24, 0.13] * wide
    return turns.clip(-0.65, 0.65).astype(np.float32)
