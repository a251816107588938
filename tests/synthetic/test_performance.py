"""What a face does while speaking, in silence and in rehearsal: laws that hold for every seed."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, replace
from multiprocessing import get_context

import numpy as np
import pytest

from letstalk.runtime import numpy_generator
from letstalk.synthetic.acting.contacts import count_contacts
from letstalk.synthetic.acting.performance import idle_performance, perform
from letstalk.synthetic.acting.rehearsal import random_performance
from letstalk.synthetic.acting.style import Style, sample_style
from letstalk.synthetic.controls import UNIT_INDEX, Performance
from letstalk.synthetic.visemes import SIL, VISEME_INDEX
from letstalk.synthetic.voice.speech import Phone, Speech, fill_silence
from letstalk.types import FPS

JAW, PURSING = UNIT_INDEX["mouth-open"], UNIT_INDEX["mouth-pursing"]
PHONES = [*"pbmfvtdsʃklɹwjhaɛiouəæ", "aɪ"]


def babble(seed: int, seconds: float = 8.0, shortest: float = 0.03) -> Speech:
    """Phones at random, faster than anybody speaks, with pauses; vowels sound, so that there is stress to find."""
    random = numpy_generator(seed, "babble")
    phones, now = [], 0.4
    while now < seconds - 1:
        if random.random() < 0.06:
            now += random.uniform(0.05, 1.0)
        length = random.uniform(shortest, 0.14)
        phones.append(Phone(now, now + length, str(random.choice(PHONES))))
        now += length
    samples = np.zeros(round(seconds * 16000), np.float32)
    for phone in phones:
        if phone.symbol[0] in "aɛiouəæ":
            part = slice(int(phone.start_seconds * 16000), int(phone.end_seconds * 16000))
            time = np.arange(part.stop - part.start) / 16000
            samples[part] = random.uniform(0.02, 0.3) * np.sin(2 * np.pi * random.uniform(90, 220) * time)
    return Speech(samples, fill_silence(phones, seconds))


def all_tracks(performance: Performance) -> list[np.ndarray]:
    return [getattr(performance, item.name) for item in fields(performance)]


def fingerprint(seed: int) -> bytes:
    performance = perform(babble(seed), 200, seed)
    return b"".join(track.tobytes() for track in [*all_tracks(performance), *all_tracks(random_performance(50, seed))])


def test_lips_meet_on_every_bilabial_even_in_the_fastest_speech():
    counts = [count_contacts(perform(babble(seed), 200, seed), babble(seed)) for seed in range(40)]
    total = counts[0]
    for count in counts[1:]:
        total = total + count
    assert total.num_bilabials > 200 and total.num_bilabials_closed >= 0.99 * total.num_bilabials
    assert total.num_labiodentals > 100 and total.num_labiodentals_met >= 0.9 * total.num_labiodentals
    assert total.num_silent_frames > 500 and total.num_silent_frames_closed >= 0.99 * total.num_silent_frames


def test_the_measure_of_contacts_can_fail():
    speech = babble(1)
    performance = perform(speech, 200, 1)
    open_mouth = replace(performance, lip_seal=0 * performance.lip_seal, lip_to_teeth=0 * performance.lip_to_teeth)
    count = count_contacts(open_mouth, speech)
    assert count.num_bilabials_closed == count.num_labiodentals_met == count.num_silent_frames_closed == 0
    assert count.num_bilabials > 0 and count.num_silent_frames > 0


@pytest.mark.parametrize("seed", range(12))
def test_tracks_are_finite_in_range_and_smooth(seed):
    performance = perform(babble(seed), 200, seed)
    for track in all_tracks(performance):
        assert len(track) == 200 and np.isfinite(track).all()
    assert performance.expression.min() >= -0.3 and performance.expression.max() <= 1
    for track in (performance.lip_seal, performance.lip_to_teeth, performance.lid_closure, performance.tongue):
        assert track.min() >= 0 and track.max() <= 1
    assert np.abs(performance.breath).max() <= 1
    assert np.abs(np.diff(performance.expression[:, JAW])).max() <= 7.5 / FPS + 0.02
    head_jerks = np.abs(np.diff(performance.head_rotation, n=2, axis=0))
    assert np.quantile(head_jerks, 0.99) < 0.018 and head_jerks.max() < 0.032  # 11 rad/s2, and 20 in a quick nod
    assert np.abs(np.diff(performance.head_translation, n=2, axis=0)).max() < 0.02
    assert np.abs(performance.head_rotation).max() < 0.65 and np.abs(performance.gaze).max() <= 0.6


def test_same_seed_same_arrays_in_four_processes():
    seeds = list(range(6))
    here = [fingerprint(seed) for seed in seeds]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        there = list(pool.map(fingerprint, seeds))
    assert here == there and len(set(here)) == len(seeds)


def test_rounding_is_prepared_before_its_sound_and_jaw_follows_the_vowel():
    phones = fill_silence(
        [Phone(0.4, 0.6, "s"), Phone(0.6, 0.68, "t"), Phone(0.68, 1.0, "u"), Phone(1.0, 1.4, "a")], 2.0
    )
    performance = perform(Speech(np.zeros(32000, np.float32), phones), 50, 1, Style())
    pursing, jaw = performance.expression[:, PURSING], performance.expression[:, JAW]
    assert pursing[int(0.64 * FPS)] > 0.35 * pursing.max()
    assert pursing[int(0.84 * FPS)] > 0.6 and pursing[int(1.25 * FPS)] < 0.25
    assert jaw[int(1.2 * FPS)] > 2.5 * jaw[int(0.84 * FPS)]


def test_a_held_vowel_stays_open():
    phones = fill_silence([Phone(0.5, 3.5, "a")], 4.0)
    jaw = perform(Speech(np.zeros(64000, np.float32), phones), 100, 2, Style()).expression[:, JAW]
    assert jaw[20:80].min() > 0.4 and jaw[95:].max() < 0.1


def test_visemes_are_those_that_sound():
    phones = fill_silence([Phone(0.5, 0.7, "b"), Phone(0.7, 1.0, "aɪ")], 1.5)
    performance = perform(Speech(np.zeros(24000, np.float32), phones), 45, 0)
    assert performance.viseme[int(0.6 * FPS)] == VISEME_INDEX["p"]
    assert performance.viseme[int(0.75 * FPS)] == VISEME_INDEX["aa"]
    assert (performance.viseme[[0, 30, 44]] == SIL).all()
    assert (performance.speaking == (performance.viseme != SIL)).all()


def test_loud_speech_opens_the_mouth_wider():
    speech = babble(4)
    louder = speech.samples.copy()
    louder[: len(louder) // 2] *= 4
    jaws = []
    for samples in (speech.samples, louder):
        mouth = perform(replace(speech, samples=np.clip(samples, -1, 1)), 200, 1, Style()).expression[:, JAW]
        jaws.append(mouth[:100].mean() / mouth[100:].mean())
    assert jaws[1] > 1.05 * jaws[0]


def test_idle_life_is_quiet_and_alive():
    for seed in range(8):
        idle = idle_performance(500, seed)
        assert (idle.lip_seal == 1).all() and idle.expression[:, JAW].max() < 0.02 and not idle.speaking.any()
        assert idle.head_rotation.std(axis=0).max() > 1e-4 and np.ptp(idle.breath) > 0.3
        assert idle.lid_closure.max() > 0.9
        assert np.abs(np.diff(idle.head_rotation, n=2, axis=0)).max() < 0.009


def test_blinks_come_at_human_rates_and_are_never_missed_by_a_frame():
    rates, depths = [], []
    for seed in range(30):
        closed = idle_performance(1500, seed).lid_closure[:, 0]
        starts = np.flatnonzero((closed[1:] > 0.5) & (closed[:-1] <= 0.5))
        rates.append(len(starts))
        depths += [closed[start : start + 6].max() for start in starts]
    assert 5 <= np.median(rates) <= 25 and min(rates) >= 3 and max(rates) <= 40
    assert np.mean(np.array(depths) > 0.95) > 0.75


def test_eyes_stay_on_their_target_while_the_head_turns():
    style = replace(sample_style(0), head_amplitude=2.0, eye_contact=1.0, facing=(0.0, 0.0, 0.0))
    performance = idle_performance(1500, 3, style)
    yaw = performance.head_rotation[:, 1]
    assert np.corrcoef(yaw, performance.gaze[:, 0])[0, 1] < -0.8
    assert np.abs(np.median(yaw + performance.gaze[:, 0])) < 0.02


def test_styles_span_still_to_lively():
    styles = [sample_style(seed) for seed in range(300)]
    amplitudes = [style.head_amplitude for style in styles]
    assert min(amplitudes) < 0.3 and max(amplitudes) > 1.8
    assert max(abs(style.facing[1]) for style in styles) > 0.3
    assert {style.mood for style in styles} >= {"neutral", "happy", "sad", "surprised", "serious"}
    assert all(8 <= style.blinks_per_minute <= 30 for style in styles)


def test_rehearsal_is_wider_than_speech_and_still_smooth():
    walks = [random_performance(250, seed) for seed in range(12)]
    jaw = np.concatenate([walk.expression[:, JAW] for walk in walks])
    yaw = np.concatenate([walk.head_rotation[:, 1] for walk in walks])
    assert np.quantile(jaw, 0.97) > 0.6 and np.quantile(np.abs(yaw), 0.97) > 0.4
    lids = np.concatenate([walk.lid_closure for walk in walks])
    assert (np.abs(lids[:, 0] - lids[:, 1]) > 0.8).any(), "somebody winks"
    for walk in walks:
        assert np.abs(np.diff(walk.head_rotation, n=2, axis=0)).max() < 0.05
        sealed = walk.lip_seal > 0.9
        assert sealed.any() and walk.expression[sealed, JAW].max() < 0.15
