"""Augmentation: another sound, the same times, the same for the same seed; on sound made here, without an engine."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from letstalk.synthetic.voice import channel, voicing
from letstalk.synthetic.voice.augment import AugmentSettings, augment, change_speed
from letstalk.synthetic.voice.speech import Phone, Speech, fill_silence
from letstalk.synthetic.voice.sync import offsets_ms

RATE = 16000


def buzz(pitch_hz: float = 150.0, seconds: float = 4.0) -> Speech:
    """Vowels (harmonics under two formants), closures and hiss in turn: pitch, formants and edges are known."""
    random = np.random.default_rng(0)
    time = np.arange(int(seconds * RATE)) / RATE
    voice = np.zeros(len(time))
    for harmonic in range(1, int(7000 / pitch_hz)):
        hertz = harmonic * pitch_hz
        level = np.exp(-(((hertz - 600) / 250) ** 2)) + 0.4 * np.exp(-(((hertz - 1800) / 300) ** 2)) + 0.003
        voice += level * np.sin(2 * np.pi * hertz * time + random.uniform(0, 6))
    voice *= 0.2 / np.abs(voice).max()
    hiss = np.diff(random.standard_normal(len(time) + 1)) * 0.05
    samples, phones = np.zeros(len(time)), []
    for start in np.arange(0.2, seconds - 0.6, 0.5):
        for begin, end, symbol, sound in (
            (0.0, 0.2, "a", voice), (0.2, 0.3, "p", None), (0.3, 0.4, "a", voice), (0.4, 0.5, "s", hiss),
        ):  # fmt: skip
            phones.append(Phone(start + begin, start + end, symbol))
            part = slice(int((start + begin) * RATE), int((start + end) * RATE))
            if sound is not None:
                samples[part] = sound[part]
    return Speech(samples.astype(np.float32), fill_silence(phones, seconds))


def pitch_of(samples: np.ndarray) -> float:
    piece = samples[int(0.22 * RATE) : int(0.38 * RATE)].astype(float)
    correlation = np.correlate(piece, piece, "full")[len(piece) - 1 :]
    low, high = RATE // 320, RATE // 80
    return RATE / (low + np.argmax(correlation[low:high]))


def formant_of(samples: np.ndarray) -> float:
    piece = samples[int(0.22 * RATE) : int(0.38 * RATE)].astype(float)
    power = np.abs(np.fft.rfft(piece * np.hanning(len(piece)))) ** 2
    hertz = np.fft.rfftfreq(len(piece), 1 / RATE)
    inside = (hertz > 300) & (hertz < 1100)
    return float(np.sum(hertz[inside] * power[inside]) / np.sum(power[inside]))


def edge_offsets(speech: Speech, kinds: tuple[str, ...] = ("closure", "frication_start")) -> np.ndarray:
    found = offsets_ms(speech)
    return np.array([offset for kind in kinds for offset in found[kind] if offset is not None])


def test_the_test_sound_is_what_it_claims():
    speech = buzz()
    assert pitch_of(speech.samples) == pytest.approx(150, rel=0.02) and formant_of(speech.samples) == pytest.approx(
        600, rel=0.05
    )
    assert len(edge_offsets(speech)) >= 10 and np.abs(edge_offsets(speech)).max() < 6


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.15, 1.3])
def test_pitch_moves_alone(factor):
    speech = buzz()
    changed = voicing.change_voice(speech.samples, factor, 1.0)
    assert len(changed) == len(speech.samples)
    assert pitch_of(changed) == pytest.approx(150 * factor, rel=0.03)
    assert formant_of(changed) == pytest.approx(600, rel=0.12)
    assert np.abs(np.median(edge_offsets(replace(speech, samples=changed)))) < 8


@pytest.mark.parametrize("factor", [0.87, 1.15])
def test_formants_move_alone(factor):
    speech = buzz(110.0)
    changed = voicing.change_voice(speech.samples, 1.0, factor)
    assert pitch_of(changed) == pytest.approx(110, rel=0.02)
    assert formant_of(changed) / formant_of(speech.samples) == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_takes_the_phones_along(factor):
    speech = buzz()
    faster = change_speed(speech, factor)
    assert faster.duration_seconds == pytest.approx(speech.duration_seconds / factor, rel=0.01)
    assert faster.phones[-1].end_seconds == pytest.approx(faster.duration_seconds)
    assert pitch_of(faster.samples) == pytest.approx(150, rel=0.03)
    assert np.abs(np.median(edge_offsets(faster))) < 8
    stale = replace(faster, phones=fill_silence(speech.phones, faster.duration_seconds))
    # The same sound with the old times is far off, so the check above means something.
    assert len(edge_offsets(stale)) < 4 or np.abs(edge_offsets(stale)).max() > 20


def test_nothing_in_the_channel_moves_time():
    speech = buzz()
    random = np.random.default_rng(1)
    for changed in (
        channel.equalise(speech.samples, random, 9.0),
        channel.in_room(speech.samples, random, 0.25),
        channel.with_noise(speech.samples, random, 30.0),
        channel.clip_peaks(speech.samples, 0.02),
    ):
        assert len(changed) == len(speech.samples) and changed.dtype == np.float32
        # Only where hiss begins: reverberation fills closures, as in any room.
        offsets = edge_offsets(replace(speech, samples=changed), ("frication_start",))
        assert len(offsets) >= 5 and np.abs(np.median(offsets)) < 8


def test_noise_has_the_asked_level():
    speech = buzz()
    for seed in range(10):
        noisy = channel.with_noise(speech.samples, np.random.default_rng(seed), 10.0)
        ratio = 10 * np.log10(np.mean(speech.samples**2) / np.mean((noisy - speech.samples) ** 2))
        assert 8 < ratio < 12


def test_every_codec_changes_and_keeps_the_voice():
    speech = buzz()
    seen = set()
    for seed in range(20):
        coded = channel.through_codec(speech.samples, np.random.default_rng(seed))
        assert len(coded) == len(speech.samples) and np.isfinite(coded).all()
        assert not np.array_equal(coded, speech.samples)
        assert np.corrcoef(coded, speech.samples)[0, 1] > 0.5
        seen.add(coded.tobytes())
    assert len(seen) >= 10


def test_augmentation_is_decided_by_its_seed_and_stays_in_range():
    speech = buzz()
    everything = AugmentSettings(1, 1, 1, 1, 1, 1, 1)
    results = [augment(speech, seed, everything) for seed in range(12)]
    for seed, result in enumerate(results):
        assert np.array_equal(augment(speech, seed, everything).samples, result.samples)
        assert np.isfinite(result.samples).all() and np.abs(result.samples).max() < 1
        assert result.samples.dtype == np.float32 and len(result.phones) == len(speech.phones)
        assert all(before.end_seconds == after.start_seconds for before, after in pairwise(result.phones))
        assert result.phones[-1].end_seconds == pytest.approx(result.duration_seconds)
    assert len({result.samples.tobytes() for result in results}) == 12


def test_nothing_and_silence_survive():
    for num_samples in (0, 1, 300, 16000):
        silence = Speech(np.zeros(num_samples, np.float32), fill_silence((), num_samples / RATE))
        for seed in range(10):
            result = augment(silence, seed, AugmentSettings(1, 1, 1, 1, 1, 1, 1))
            assert np.isfinite(result.samples).all() and np.abs(result.samples).max(initial=0) < 1


def test_noise_is_heard_where_nobody_speaks():
    quiet = np.zeros(16000, np.float32)
    heard = [np.abs(channel.with_noise(quiet, np.random.default_rng(seed), 20.0)).max() > 1e-4 for seed in range(20)]
    assert sum(heard) >= 12  # all kinds but babble, which is made of the speech itself
