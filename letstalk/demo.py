"""The demo: until the engine exists, the main job is a synthetic person who says a shipped recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import MissingAssetError
from letstalk.runtime import resource_dir
from letstalk.types import FPS, num_samples_for_frames

MOST_SECONDS = 8.0
_SAMPLE = "en-welcome"
_PERSON_NUMBER = 1002  # of the test split: never in training


@dataclass(frozen=True)
class DemoResult:
    video: Path
    duration_seconds: float
    person: str  # in words: who is seen, and why


def run_demo(out: Path, assets: Path | None = None) -> DemoResult:
    """Writes `demo.mp4` into a folder: a person from the asset pack where there is one, a procedural one elsewhere."""
    from letstalk.media.files import output_error
    from letstalk.synthetic.data.clip_renderer import ClipRenderer
    from letstalk.synthetic.data.film import FilmOrder, film_clip
    from letstalk.synthetic.data.script import read_recording
    from letstalk.synthetic.split import person_seed
    from letstalk.synthetic.voice.speech import cut

    speech = read_recording(_sample_alignment())
    speech = cut(speech, 0, min(len(speech.samples), num_samples_for_frames(round(MOST_SECONDS * FPS))))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(out, error) from error
    pack, person = _pack(assets)
    seed = person_seed("test", _PERSON_NUMBER)
    order = FilmOrder(person_seed=seed, seed=seed, size=512, procedural=pack is None)
    result = film_clip(ClipRenderer(pack), order, speech, MOST_SECONDS, out / "demo.mp4")
    return DemoResult(result.path, result.duration_seconds, person)


def _sample_alignment() -> Path:
    folder = resource_dir("assets") / "speech"
    found = [path for path in sorted(folder.glob("*.txt")) if path.stem == _SAMPLE] or sorted(folder.glob("*.txt"))
    if not found:
        raise MissingAssetError(
            f"There are no sample recordings in {folder}.",
            "Clone or install the project again, or run `letstalk synth samples`.",
        )
    return found[0]


def _pack(assets: Path | None):  # noqa: ANN202
    """The pack that is asked for or in the cache; a pack that was named must be there."""
    from letstalk.synthetic.people.assets import load_assets

    try:
        return load_assets(assets), "a person made from the asset pack"
    except MissingAssetError:
        if assets is not None:
            raise
        return (
            None,
            "a plain person made from code alone: there is no asset pack here (see `letstalk synth assets --help`)",
        )
