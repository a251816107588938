"""Voice engines: their times against the sound, the same samples in any process. Skipped where an engine is missing."""

import hashlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import pytest

from letstalk.errors import InputError, LetsTalkError, MissingAssetError, SettingsError
from letstalk.synthetic.acting.performance import perform
from letstalk.synthetic.split import SPLITS
from letstalk.synthetic.voice import espeak, festival, flite, voices
from letstalk.synthetic.voice.clips import speech_clip
from letstalk.synthetic.voice.phonemes import segments
from letstalk.synthetic.voice.programs import run_engine
from letstalk.synthetic.voice.sentences import LANGUAGES, draw_sentences
from letstalk.synthetic.voice.speech import SILENCE, Phone, Speech, fill_silence
from letstalk.synthetic.voice.sync import measure_voice, offsets_ms
from letstalk.synthetic.voice.timing import SHIFTS, boundary_kind, correct_times
from letstalk.synthetic.voice.voices import VOICES, Voice, is_installed, speak, voice_named, voices_of

needs_espeak = pytest.mark.skipif(not espeak.is_available(), reason="espeak-ng is not installed")
needs_flite = pytest.mark.skipif(not flite.is_available(), reason="flite is not installed")
TEXT = "Papa moved five brave monkeys above the wooden bowl, and she feels fine."


@pytest.mark.skipif(os.environ.get("LETSTALK_REQUIRE_SPEECH") != "1", reason="no engine is required here")
def test_engines_are_here_where_they_are_required():
    """Or all that skips without them would be skipped in silence."""
    assert espeak.is_available() and flite.is_available()


def installed(name: str) -> Voice:
    voice = voice_named(name)
    if not is_installed(voice):
        pytest.skip(f"{name} is not installed")
    return voice


def fingerprint(name: str) -> str:
    speech = speak(TEXT, voice_named(name))
    return hashlib.sha256(speech.samples.tobytes() + repr(speech.phones).encode()).hexdigest()


@pytest.mark.parametrize("name", ["espeak:en-us+m1", "espeak:de+max", "flite:slt", "flite:kal", "festival:kal_diphone"])
def test_phones_cover_the_sound_and_pauses_are_silent(name):
    speech = speak(TEXT, installed(name))
    assert speech.samples.dtype == np.float32 and 2 < speech.duration_seconds < 8
    assert speech.phones[0].start_seconds == 0
    assert speech.phones[-1].end_seconds == pytest.approx(speech.duration_seconds)
    for before, after in pairwise(speech.phones):
        assert before.end_seconds == after.start_seconds and before.seconds > 0
    assert segments(speech.phones, speech.alphabet)
    loud = float(np.sqrt(np.mean(speech.samples**2)))
    for phone in speech.phones:
        middle = slice(int((phone.start_seconds + 0.03) * 16000), int((phone.end_seconds - 0.03) * 16000))
        if phone.symbol == SILENCE and phone.seconds > 0.1:
            assert float(np.sqrt(np.mean(speech.samples[middle] ** 2))) < 0.12 * loud


@needs_espeak
@needs_flite
def test_same_text_same_samples_in_any_process():
    names = ["espeak:en-us+m1", "espeak:fr+f2", "espeak:en-us+max", "flite:slt"] * 2
    here = [fingerprint(name) for name in names]
    assert here[:4] == here[4:] and len(set(here)) == 4
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(fingerprint, names)) == here


@needs_espeak
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_speaks_and_every_phone_has_a_mouth_shape(language):
    voice = voices_of("train", ("espeak",), (language,))[0]
    for sentence in draw_sentences(language, "train", 5, 4):
        speech = speak(sentence, voice)
        assert len(segments(speech.phones, speech.alphabet)) > 5
        assert np.abs(speech.samples).max() > 0.05


@needs_espeak
@pytest.mark.slow
def test_every_espeak_voice_of_the_list_exists():
    for voice in VOICES:
        if voice.engine == "espeak":
            assert speak("a", voice).duration_seconds > 0.05


def test_a_missing_engine_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingAssetError, match="apt-get install flite"):
        flite.speak("hello", "slt")
    with pytest.raises(MissingAssetError, match="festvox"):
        festival.speak("hello", "kal_diphone")
    monkeypatch.setattr(espeak, "is_available", lambda: False)
    with pytest.raises(MissingAssetError, match="apt-get install espeak-ng"):
        espeak.speak("hello", "en-us", "en")


@needs_espeak
def test_an_unknown_voice_is_an_error_not_another_voice():
    with pytest.raises(InputError, match="no voice"):
        espeak.speak("hello", "xx-nowhere", "en")
    with pytest.raises(SettingsError, match="no voice"):
        voice_named("flite:nobody")


def test_voices_are_many_and_no_speaker_is_in_two_splits():
    assert len({voice.name for voice in VOICES}) == len(VOICES)
    assert len(voices_of("train", ("espeak",))) >= 30
    speakers = {
        split: {voice.speaker.partition("+")[2] or voice.speaker for voice in voices_of(split)} for split in SPLITS
    }
    assert not (speakers["train"] & speakers["validation"] or speakers["train"] & speakers["test"])
    assert not speakers["validation"] & speakers["test"]
    for split in SPLITS:
        assert {voice.language for voice in voices_of(split)} == set(LANGUAGES)
    assert set(SHIFTS) <= {*voices.ENGINES, *(voice.name for voice in VOICES)}


def test_known_edges_are_measured_where_they_are():
    """A tone, silence, then hiss: the measure must find edges that were put there, and find them moved."""
    seconds, rate = 1.2, 16000
    time = np.arange(int(seconds * rate)) / rate
    random = np.random.default_rng(0)
    tone, hiss = 0.3 * np.sin(2 * np.pi * 200 * time), 0.1 * random.standard_normal(len(time))
    samples = np.where(time < 0.4, tone, np.where(time < 0.6, 0.0, np.where(time < 0.9, tone, hiss))).astype(np.float32)
    phones = [Phone(0, 0.4, "a"), Phone(0.4, 0.6, "p"), Phone(0.6, 0.9, "a"), Phone(0.9, 1.2, "s")]
    found = offsets_ms(Speech(samples, fill_silence(phones, seconds)))
    assert found["closure"][0] == pytest.approx(0, abs=6) and found["frication_start"][0] == pytest.approx(0, abs=6)
    late = [
        Phone(p.start_seconds + 0.03 * (i > 0), p.end_seconds + 0.03 * (i < 3), p.symbol) for i, p in enumerate(phones)
    ]
    moved = offsets_ms(Speech(samples, fill_silence(late, seconds)))
    assert moved["closure"][0] == pytest.approx(found["closure"][0] - 30, abs=1)


def test_corrections_keep_order_and_coverage():
    phones = fill_silence(
        [Phone(0.1, 0.14, "ah"), Phone(0.14, 0.17, "p"), Phone(0.17, 0.3, "iy"), Phone(0.3, 0.4, "s")], 0.6
    )
    fixed = correct_times(phones, "arpabet", "flite:slt")
    assert all(before.end_seconds == after.start_seconds for before, after in pairwise(fixed))
    assert all(phone.seconds > 0 for phone in fixed) and fixed != phones
    assert correct_times(phones, "arpabet", "recording") == phones
    assert boundary_kind(phones[1], phones[2], "arpabet") == "closure"


@pytest.mark.parametrize("name", ["espeak:en-us+m1", "espeak:es+f2", "flite:slt", "flite:rms", "festival:kal_diphone"])
def test_labels_stand_within_ten_milliseconds_of_the_sound(name):
    results = [result for result in measure_voice(installed(name), 12, seed=1) if result.num_measured >= 12]
    assert "closure" in {result.kind for result in results} and len(results) >= 3
    for result in results:
        assert abs(result.median_ms) <= 10, result


@needs_flite
def test_a_shifted_voice_would_be_noticed():
    speech = speak(TEXT, voice_named("flite:slt"))
    late = [Phone(p.start_seconds + 0.03, p.end_seconds + 0.03, p.symbol) for p in speech.phones]
    moved = replace(speech, phones=fill_silence(late, speech.duration_seconds))
    found = [offset for kind in offsets_ms(moved).values() for offset in kind if offset is not None]
    assert np.median(found) < -18


@needs_flite
def test_clips_have_their_length_and_their_pauses():
    voice = voice_named("flite:slt")
    for seed in range(4):
        clip = speech_clip(voice, 200, seed)
        assert len(clip.samples) == 200 * 640 and clip.phones[-1].end_seconds == pytest.approx(8.0)
        assert clip.phones[0].symbol == SILENCE and clip.phones[0].seconds >= 0.08
        assert np.abs(clip.samples).max() < 1 and clip.text
        assert perform(clip, 200, seed).speaking.any()
    again, other = speech_clip(voice, 200, 3), speech_clip(voice, 200, 4)
    assert (again.samples == clip.samples).all() and not np.array_equal(other.samples, clip.samples)


def test_an_engine_that_hangs_is_stopped_and_told_of() -> None:
    with pytest.raises(LetsTalkError, match="snail did not answer"):
        run_engine("snail", [sys.executable, "-c", "import time; time.sleep(60)"], timeout_seconds=0.2)
    done = run_engine("echo", [sys.executable, "-c", "import sys; print(sys.stdin.read()); sys.exit(3)"], b"words")
    assert done.returncode == 3 and done.stdout.strip() == b"words"
