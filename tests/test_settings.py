from pathlib import Path

import pytest

from letstalk.errors import SettingsError
from letstalk.settings import GenerationSettings, load_preset, preset_names, save_preset


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_loads_and_survives_a_round_trip(name: str, tmp_path: Path) -> None:
    preset = load_preset(name)
    assert preset.name == name
    save_preset(preset, tmp_path / "mine.yaml")
    assert load_preset(tmp_path / "mine.yaml") == preset


def test_there_is_a_preset() -> None:
    assert "mini" in preset_names()


def test_a_misspelt_setting_is_refused_with_the_right_name() -> None:
    with pytest.raises(SettingsError, match=r"unknown setting 'sed' \(did you mean 'seed'\?\)"):
        GenerationSettings.parse({"sed": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps: input should be greater than or equal to 1"),
        ({"guidance_audio": 99}, "less than or equal to 10"),
        ({"scheduler": "magic"}, "'euler', 'heun', 'dpm' or 'unipc'"),
        ({"size": 300}, "256 or 512"),
        ({"scheduler": "heun", "steps": 1}, "heun needs steps of 2 or more"),
        ({"seed": "seven"}, "seed: "),
    ],
)
def test_bounds_say_what_to_do(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        GenerationSettings.parse(values)


def test_changes_are_checked_too() -> None:
    settings = GenerationSettings(seed=3)
    assert settings.changed(steps=8, seed=None).steps == 8
    assert settings.changed(seed=None).seed == 3
    with pytest.raises(SettingsError):
        settings.changed(steps=-1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [x", "cannot be read as YAML"),
        ("- a\n- b", "holds no settings"),
        ("name: x\nsummary: y\nweights: z\nspeed: 3", "unknown setting 'speed'"),
        (
            "name: x\nsummary: y\nweights: z\ngeneration: {stepz: 3}",
            r"unknown setting 'generation.stepz' \(did you mean 'steps'\?\)",
        ),
    ],
)
def test_broken_preset_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_preset(path)


def test_unknown_preset_names_the_shipped_ones() -> None:
    with pytest.raises(SettingsError, match="mini"):
        load_preset("maxi")
