"""What a user may set, with bounds that say what to do, and presets as YAML files.

Everything from outside (command line, app, REST, files) goes through these classes once; inside, values are trusted.
Unknown keys are refused: a misspelt setting must never be dropped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from letstalk.errors import SettingsError
from letstalk.runtime import resource_dir

Scheduler = Literal["euler", "heun", "dpm", "unipc"]
Idle = Literal["alive", "still"]
MAX_SEED = 2**63 - 1


class StrictModel(BaseModel):
    """Frozen, and deaf to no key: whatever it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], origin: str = "settings") -> Self:
        """Like the constructor, with one readable `SettingsError` for all that is wrong."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SettingsError(
                f"{origin}: " + "; ".join(_readable(item, cls) for item in error.errors()),
                "Correct these values and try again.",
            ) from error

    def changed(self, **changes: Any) -> Self:
        """A checked copy with some values changed; `None` leaves a value as it is."""
        kept = {key: value for key, value in changes.items() if value is not None}
        return type(self).parse({**self.model_dump(), **kept})


class GenerationSettings(StrictModel):
    """How one video is made. The defaults are those of the shipped model."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED, description="same seed, same pixels")] = 0
    size: Annotated[Literal[256, 512], Field(description="side of the generated square in pixels")] = 256
    steps: Annotated[int, Field(ge=1, le=250, description="sampling steps; 4 is usual, more is slower")] = 4
    scheduler: Annotated[Scheduler, Field(description="sampler")] = "euler"
    guidance_portrait: Annotated[float, Field(ge=0, le=10, description="1 costs no extra pass")] = 1.0
    guidance_audio: Annotated[float, Field(ge=0, le=10, description="higher opens the mouth wider")] = 2.0
    chunk_frames: Annotated[int, Field(ge=1, le=64, description="frames made at a time; fewer start sooner")] = 16
    first_chunk_frames: Annotated[int, Field(ge=1, le=64, description="frames of the first chunk, to start sooner")] = 8
    memory_frames: Annotated[int, Field(ge=0, le=64, description="earlier frames that a chunk sees")] = 8
    motion_strength: Annotated[float, Field(ge=0, le=2, description="scales head and face motion; 1 as learned")] = 1.0
    idle: Annotated[Idle, Field(description="what the face does in silence")] = "alive"
    full_frame: Annotated[bool, Field(description="paste the face back into the whole picture")] = False

    @model_validator(mode="after")
    def _steps_fit_scheduler(self) -> Self:
        if self.scheduler == "heun" and self.steps < 2:
            raise ValueError("scheduler heun needs steps of 2 or more; use euler for a single step")
        return self


class Preset(StrictModel):
    """A named point of departure: which weights, and which settings they were trained for."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: str
    weights: Annotated[str, Field(description="folder under letstalk/weights, or a path")]
    generation: GenerationSettings = GenerationSettings()


def preset_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in resource_dir("presets").glob("*.yaml")))


def load_preset(name_or_path: str | Path) -> Preset:
    """A shipped preset by its name, or a user's own YAML file by its path."""
    text = str(name_or_path)
    path = Path(text) if text.endswith((".yaml", ".yml")) else resource_dir("presets") / f"{text}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"There is no preset {text!r}.", f"Shipped presets: {', '.join(preset_names())}; or give a .yaml file."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path.name} cannot be read as YAML.", f"Reason: {str(error).splitlines()[0]}.") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path.name} holds no settings.", "A preset is a list of `key: value` lines.")
    return Preset.parse(values, origin=path.name)


def save_preset(preset: Preset, path: Path) -> None:
    path.write_text(yaml.safe_dump(preset.model_dump(), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _readable(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One sentence from one pydantic error: the key, what is wrong, and the bound or the choices."""
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown setting {where!r}{_suggestion(item['loc'], model)}"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if not where:
        return message
    return f"{where}: {message} (got {item['input']!r})"


def _suggestion(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The nearest name among those of the model in which the unknown key stands."""
    import difflib

    *outer, key = map(str, location)
    fields = model.model_fields
    for name in outer:
        fields = getattr(getattr(fields.get(name), "annotation", None), "model_fields", {})
    close = difflib.get_close_matches(key, list(fields), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
