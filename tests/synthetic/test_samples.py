"""The tables of samples: varied, held out, in three languages, and written with their sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from letstalk.runtime import resource_dir
from letstalk.synthetic.acting.performance import idle_performance
from letstalk.synthetic.data import samples
from letstalk.synthetic.data.benchmark_build import BenchmarkPlan
from letstalk.synthetic.data.lips import lip_gaps
from letstalk.synthetic.data.packing import decode_flac
from letstalk.synthetic.data.sample_tables import PORTRAITS, SPEECH
from letstalk.synthetic.people.procedural import procedural_person
from letstalk.synthetic.split import split_of_person
from letstalk.synthetic.voice.alignment import read_alignment
from letstalk.synthetic.voice.speech import SILENCE
from letstalk.synthetic.voice.voices import is_installed, voice_named


def test_portraits_are_varied_and_held_out() -> None:
    assert len(PORTRAITS) == 16 and len({sample.name for sample in PORTRAITS}) == 16
    assert {split_of_person(sample.seed) for sample in PORTRAITS} == {"test"}
    in_exam = {role.person_seed for spec in BenchmarkPlan().specs() for role in spec.roles}
    assert not in_exam & {sample.seed for sample in PORTRAITS}
    assert sum(sample.style != "photo" for sample in PORTRAITS) == 3
    assert {sample.traits["ancestry"] for sample in PORTRAITS} == {"african", "asian", "caucasian"}
    genders = [sample.traits["gender"] for sample in PORTRAITS]
    assert 6 <= sum(gender == 1.0 for gender in genders) <= 10
    ages = [float(str(sample.traits["age"])) for sample in PORTRAITS]
    assert min(ages) < 25 and max(ages) > 60


def test_speech_is_in_three_languages_and_has_long_silences() -> None:
    assert len(SPEECH) == 8 and len({voice_named(sample.voice).language for sample in SPEECH}) == 3
    assert any(sum(part >= 4.0 for part in sample.parts if isinstance(part, float)) >= 3 for sample in SPEECH)


def test_the_sources_name_every_file() -> None:
    text = samples.sources_text(PORTRAITS, SPEECH)
    assert all(sample.name in text for sample in (*PORTRAITS, *SPEECH))
    assert "CC0" in text and "flite" in text and "espeak-ng" in text and "Apache-2.0" in text


def test_samples_are_written_with_their_alignment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    welcome = SPEECH[0]
    if not is_installed(voice_named(welcome.voice)):
        pytest.skip(f"{welcome.voice} is not installed")
    monkeypatch.setattr(samples, "make_person", lambda pack, seed, traits: procedural_person(seed))
    written = list(samples.write_samples(tmp_path, None, PORTRAITS[:1], [welcome]))  # type: ignore[arg-type]
    assert [path.name for path in written] == [f"{PORTRAITS[0].name}.png", f"{welcome.name}.flac", "SOURCES.md"]
    sound = decode_flac((tmp_path / "speech" / f"{welcome.name}.flac").read_bytes())
    assert 3.0 < len(sound) / 16_000 < 6.0 and np.abs(sound).max() == pytest.approx(0.7, abs=0.01)
    aligned = read_alignment(tmp_path / "speech" / f"{welcome.name}.txt", sound)
    sounding = [phone for phone in aligned.phones if phone.symbol != SILENCE]
    assert len(sounding) > 20 and aligned.alphabet == "arpabet"


def test_lips_rest_closed_in_quiet_life() -> None:
    """And a turned head does not change what is measured."""
    performance = idle_performance(20, 3)
    gaps = lip_gaps(procedural_person(3), performance)
    assert gaps.shape == (20,) and gaps.max() < 0.02


def test_shipped_samples_are_complete() -> None:
    folder = resource_dir("assets")
    assert {path.stem for path in (folder / "portraits").glob("*.png")} == {sample.name for sample in PORTRAITS}
    for sample in SPEECH:
        sound = decode_flac((folder / "speech" / f"{sample.name}.flac").read_bytes())
        assert 3 <= len(sound) / 16_000 <= 60
        read_alignment(folder / "speech" / f"{sample.name}.txt", sound)
    assert (folder / "SOURCES.md").is_file()
