"""The demo: two sample portraits speak, or, while there is no trained model, a synthetic person does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from letstalk.errors import MissingAssetError
from letstalk.runtime import resource_dir
from letstalk.types import FPS, num_samples_for_frames

MOST_SECONDS = 8.0
MODEL = "mini"
# Portrait and what it says.
_SCENES = (("grace", "en-welcome"), ("otto-painted", "es-saludo"))
_PERSON_NUMBER = 1002  # of the test split: never in training


@dataclass(frozen=True)
class DemoResult:
    video: Path
    duration_seconds: float
    person: str  # in words: who is seen, and why


def run_demo(out: Path, assets: Path | None = None) -> list[DemoResult]:
    """Writes videos into a folder: of the trained model where it is there, else `demo.mp4` of a synthetic person.

    An asset pack that is asked for by name means the synthetic person, too.
    """
    from letstalk.engine.find import PIPELINE_FILE
    from letstalk.media.files import output_error

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(out, error) from error
    model = resource_dir("weights") / MODEL
    if assets is None and (model / PIPELINE_FILE).is_file():
        return _let_portraits_talk(model, out)
    return [_render_person(out, assets)]


def _let_portraits_talk(model: Path, out: Path) -> list[DemoResult]:
    from letstalk.engine.film import FilmOptions, film
    from letstalk.media.audio import load_audio
    from letstalk.media.video import VideoWriter
    from letstalk.pipeline import LetsTalkPipeline
    from letstalk.runtime import RuntimePlan
    from letstalk.settings import load_preset

    plan, overlap = RuntimePlan.choose().side_by_side()
    device, dtype = plan.apply()
    pipeline = LetsTalkPipeline.from_pretrained(model, dtype=dtype).place(device, dtype)
    results = []
    for portrait, recording in _SCENES:
        speech = load_audio(_sample("speech", recording, ".flac"), max_seconds=MOST_SECONDS)
        session = pipeline.session(_sample("portraits", portrait, ".png"), load_preset(MODEL).generation)
        with VideoWriter(out / f"demo-{portrait}.mp4", session.frame_shape, audio_source=speech.source) as writer:
            made = film(session, speech, writer, options=FilmOptions(overlap=overlap))
        said = f"{portrait} says {recording} (real-time factor {made.real_time_factor:.2f})"
        results.append(DemoResult(made.video.path, made.video.duration_seconds, said))
    return results


def _render_person(out: Path, assets: Path | None) -> DemoResult:
    """A person from the asset pack where there is one, a procedural one elsewhere."""
    from letstalk.synthetic.data.clip_renderer import ClipRenderer
    from letstalk.synthetic.data.film import FilmOrder, film_clip
    from letstalk.synthetic.data.script import read_recording
    from letstalk.synthetic.split import person_seed
    from letstalk.synthetic.voice.speech import cut

    speech = read_recording(_sample("speech", _SCENES[0][1], ".txt"))
    speech = cut(speech, 0, min(len(speech.samples), num_samples_for_frames(round(MOST_SECONDS * FPS))))
    pack, person = _pack(assets)
    seed = person_seed("test", _PERSON_NUMBER)
    order = FilmOrder(person_seed=seed, seed=seed, size=512, procedural=pack is None)
    result = film_clip(ClipRenderer(pack), order, speech, MOST_SECONDS, out / "demo.mp4")
    return DemoResult(result.path, result.duration_seconds, person)


def _sample(kind: str, name: str, suffix: str) -> Path:
    """The shipped sample of that name, or the first one of its kind."""
    folder = resource_dir("assets") / kind
    found = sorted(folder.glob(f"*{suffix}"), key=lambda path: (path.stem != name, path.name))
    if not found:
        what = {"speech": "recordings", "portraits": "portraits"}[kind]
        raise MissingAssetError(
            f"There are no sample {what} in {folder}.",
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
