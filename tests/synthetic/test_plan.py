"""What a data set is made of: a pure function of settings, split and index, and no overlap between splits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from letstalk.errors import SettingsError
from letstalk.synthetic.data.plan import ClipSettings, ClipSpec, cast_number, clip_spec
from letstalk.synthetic.split import SPLITS, names_of_split, person_seed, split_of_person, split_of_text
from letstalk.synthetic.voice.voices import VOICES as ALL_VOICES

VOICES = tuple(voice.name for voice in ALL_VOICES)
SETTINGS = ClipSettings(voices=VOICES, people_per_clip=(1, 4), num_frames=8, size=64)


def test_people_are_never_shared_between_splits() -> None:
    seeds = {split: [person_seed(split, number) for number in range(5000)] for split in SPLITS}
    for split in SPLITS:
        assert len(set(seeds[split])) == 5000
        assert {split_of_person(seed) for seed in seeds[split]} == {split}
    assert not set(seeds["train"]) & set(seeds["test"])
    assert not set(seeds["validation"]) & (set(seeds["train"]) | set(seeds["test"]))


def test_thousands_of_clips_share_no_person_and_no_voice() -> None:
    people: dict[str, set[int]] = {}
    voices: dict[str, set[str]] = {}
    for split in SPLITS:
        specs = [clip_spec(SETTINGS, split, index) for index in range(2000)]
        people[split] = {role.person_seed for spec in specs for role in spec.roles}
        voices[split] = {spec.speech.voice for spec in specs if spec.speech}
        assert voices[split] == {voice.name for voice in ALL_VOICES if voice.split == split} or split == "train"
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not people[first] & people[second]
        assert not voices[first] & voices[second]


@pytest.mark.parametrize("count", [3, 4, 8, 34, 100])
def test_every_split_gets_a_recording_and_all_are_used(count: int) -> None:
    names = [f"recording {number}" for number in range(count)]
    parts = [names_of_split(names, split) for split in SPLITS]
    assert all(parts) and sorted(sum(parts, ())) == sorted(names)
    assert len(parts[0]) >= count / 3


def test_the_folder_of_a_recording_does_not_choose_its_split() -> None:
    names = [f"recording {number}.txt" for number in range(9)]
    for split in SPLITS:
        moved = names_of_split([f"/elsewhere/{name}" for name in names], split)
        assert moved == tuple(f"/elsewhere/{name}" for name in names_of_split(names, split))


def test_too_few_recordings_or_voices_are_refused_for_held_out_splits() -> None:
    assert names_of_split(["one"], "train") == ("one",)
    with pytest.raises(SettingsError, match="three"):
        names_of_split(["one", "two"], "test")
    with pytest.raises(SettingsError, match="test"):
        only_training = replace(SETTINGS, voices=("flite:slt",), speech_share=1.0, idle_share=0.0)
        clip_spec(only_training, "test", 0)


def test_a_sentence_belongs_to_one_split_whatever_its_spelling() -> None:
    assert split_of_text("Five brave monkeys.") == split_of_text("  five brave MONKEYS! ")
    counts = dict.fromkeys(SPLITS, 0)
    for number in range(3000):
        counts[split_of_text(f"sentence number {number}")] += 1
    assert 0.75 < counts["train"] / 3000 < 0.85
    assert 0.07 < counts["test"] / 3000 < 0.13


def test_a_spec_is_a_pure_function_and_survives_json() -> None:
    for index in range(300):
        spec = clip_spec(SETTINGS, "train", index)
        assert spec == clip_spec(SETTINGS, "train", index)
        assert ClipSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert ClipSettings.from_dict(json.loads(json.dumps(SETTINGS.to_dict()))) == SETTINGS


def test_a_cast_shares_its_people_but_not_its_scenes() -> None:
    specs = [clip_spec(SETTINGS, "train", index) for index in range(400)]
    scenes = [role.scene_seed for spec in specs for role in spec.roles]
    assert len(set(scenes)) == len(scenes)
    casts: dict[int, set[int]] = {}
    for spec in specs:
        people = [role.person_seed for role in spec.roles]
        assert len(set(people)) == len(people), "nobody plays beside themselves"
        casts.setdefault(cast_number(SETTINGS, spec.index), set()).update(people)
    members = [seed for cast in casts.values() for seed in cast]
    assert len(set(members)) == len(members), "two casts share a person"
    assert max(map(len, casts.values())) <= 4


def test_other_seeds_give_other_clips() -> None:
    first, second = clip_spec(SETTINGS, "train", 0), clip_spec(replace(SETTINGS, seed=1), "train", 0)
    assert first.performance_seed != second.performance_seed
    assert clip_spec(SETTINGS, "test", 0).performance_seed != first.performance_seed


def test_shares_are_kept() -> None:
    settings = replace(SETTINGS, speech_share=0.5, idle_share=0.2, stylised_share=0.25)
    specs = [clip_spec(settings, "train", index) for index in range(2000)]
    kinds = [spec.kind for spec in specs]
    assert abs(kinds.count("speech") / 2000 - 0.5) < 0.05
    assert abs(kinds.count("idle") / 2000 - 0.2) < 0.05
    stylised = [role.style != "photo" for spec in specs for role in spec.roles]
    assert abs(sum(stylised) / len(stylised) - 0.25) < 0.04


def test_without_voices_nobody_speaks() -> None:
    silent = replace(SETTINGS, voices=())
    assert {clip_spec(silent, "train", index).kind for index in range(300)} == {"idle", "random"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 100},
        {"num_frames": 0},
        {"people_per_clip": (3, 2)},
        {"people_per_clip": (1, 5)},
        {"speech_share": 1.2},
        {"speech_share": 0.8, "idle_share": 0.5},
        {"clips_per_cast": 0},
        {"seed": -1},
        {"voices": ("flite:nobody",)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        replace(SETTINGS, **wrong)


def test_settings_of_another_version_are_refused() -> None:
    with pytest.raises(SettingsError, match="hats"):
        ClipSettings.from_dict({**SETTINGS.to_dict(), "hats": 3})
