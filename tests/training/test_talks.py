"""Talks are functions of their number, fit their sound, and a folder of them can be interrupted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import InputError, MissingAssetError, OutputError
from letstalk.runtime import numpy_generator
from letstalk.synthetic.visemes import SIL, VISEME_INDEX
from letstalk.synthetic.voice import voices
from letstalk.synthetic.voice.noises import not_speech
from letstalk.training.talks import MOTION_NAMES, TalkJob, TalkSettings, load_talks, make_talk, make_talks, talk_path

SETTINGS = TalkSettings(num_frames=150, noise_share=0.0)  # nonsense syllables, which need no engine


def column(name: str) -> int:
    return MOTION_NAMES.index(name)


def test_a_talk_is_decided_by_its_number_and_fits_its_sound() -> None:
    talk, same, other = (make_talk(SETTINGS, "train", number) for number in (3, 3, 4))
    for name, value in vars(talk).items():
        np.testing.assert_array_equal(value, getattr(same, name))
    assert not np.array_equal(talk.samples, other.samples)
    assert len(talk.samples) == 640 * talk.num_frames == 640 * 150
    assert talk.motion.shape == (150, len(MOTION_NAMES)) and len(talk.viseme) == len(talk.speaking) == 150
    np.testing.assert_array_equal(talk.speaking, talk.viseme != SIL)


def test_lips_meet_in_m_b_p_and_in_pauses_and_the_jaw_opens_in_vowels() -> None:
    talks = [make_talk(SETTINGS, "train", number) for number in range(4)]
    motion, viseme = (np.concatenate([getattr(talk, name) for talk in talks]) for name in ("motion", "viseme"))
    seal, jaw = motion[:, column("lip-seal")], motion[:, column("mouth-open")]
    middle_of_m = (viseme == VISEME_INDEX["p"]) & (np.roll(viseme, 1) == viseme)
    assert seal[middle_of_m].mean() > 0.6 and seal[viseme == VISEME_INDEX["aa"]].mean() < 0.3
    assert jaw[viseme == VISEME_INDEX["aa"]].mean() > 0.3 > jaw[viseme == VISEME_INDEX["p"]].mean()
    stress = motion[:, column("stress")]
    assert 0.3 < stress.max() <= 1 and stress[viseme == SIL].mean() < 0.1


def test_in_noise_nobody_speaks() -> None:
    talk = make_talk(TalkSettings(num_frames=100, noise_share=1.0), "train", 1)
    assert not talk.speaking.any() and np.abs(talk.samples).max() > 10
    assert (talk.motion[:, column("lip-seal")] == 1).all()
    assert float(np.abs(talk.motion[:, column("mouth-open")]).max()) < 0.02


def test_noises_are_of_many_kinds_and_levels() -> None:
    sounds = [not_speech(32_000, numpy_generator(seed)) for seed in range(24)]
    assert all(sound.dtype == np.float32 and len(sound) == 32_000 and np.abs(sound).max() < 1 for sound in sounds)
    levels = np.array([20 * np.log10(np.sqrt(np.mean(sound**2)) + 1e-9) for sound in sounds])
    assert (levels < -100).sum() >= 1, "silence is among them"
    assert np.ptp(levels[levels > -100]) > 15


def test_a_folder_goes_on_where_it_stopped_and_keeps_to_its_settings(tmp_path: Path) -> None:
    assert list(make_talks(TalkJob(tmp_path, SETTINGS, "train", 2))) == [0, 1]
    kept = talk_path(tmp_path, 0).read_bytes()
    talk_path(tmp_path, 1).unlink()
    assert list(make_talks(TalkJob(tmp_path, SETTINGS, "train", 3))) == [1, 2]
    assert talk_path(tmp_path, 0).read_bytes() == kept
    loaded = load_talks(tmp_path)
    assert len(loaded) == 3
    np.testing.assert_array_equal(loaded[2].motion, make_talk(SETTINGS, "train", 2).motion)
    assert float(np.abs(loaded[0].sound()).max()) <= 1
    with pytest.raises(OutputError, match="settings"):
        list(make_talks(TalkJob(tmp_path, TalkSettings(seed=1), "train", 3)))


def test_empty_and_wrong_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"talks\.json"):
        load_talks(tmp_path)


def test_an_absent_engine_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices.espeak, "is_available", lambda: False)
    job = TalkJob(tmp_path / "new", TalkSettings(voices=("espeak:en-us+m1",)), "train", 1)
    with pytest.raises(MissingAssetError, match="not installed"):
        list(make_talks(job))
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(not voices.espeak.is_available(), reason="espeak-ng is not installed")
def test_an_engine_speaks_sentences_of_its_split() -> None:
    settings = TalkSettings(num_frames=100, noise_share=0.0, voices=("espeak:en-us+m1", "espeak:en-us+m8"))
    talk = make_talk(settings, "train", 0)
    assert 0.3 < talk.speaking.mean() < 1
    level = np.abs(talk.sound()).reshape(100, 640).mean(1)
    assert level[talk.speaking].mean() > 3 * level[~talk.speaking].mean()
