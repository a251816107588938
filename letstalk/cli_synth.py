"""`letstalk synth`: synthetic people as data sets, sheets, clips, samples and the frozen benchmark."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from letstalk.synthetic.acting.contacts import ContactCounts
    from letstalk.synthetic.data.clip_renderer import ClipRenderer
    from letstalk.synthetic.data.plan import ClipSettings
    from letstalk.synthetic.data.shards import Progress
    from letstalk.synthetic.voice.voices import Voice

app = typer.Typer(help="Synthetic talking people: render, look at them, measure them.", no_args_is_help=True)

AssetsOption = Annotated[
    Path | None, typer.Option("--assets", help="Asset pack; without it the one in the cache folder.")
]
ProceduralOption = Annotated[bool, typer.Option("--procedural", help="Plain people from code alone, without a pack.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes that render.")]


def show_progress(text: str, done: bool = False) -> None:
    """One line on stderr that is written over; on its own lines where nobody watches."""
    watched = sys.stderr.isatty()
    print(f"\r{text:<78}" if watched else text, end="\n" if done or not watched else "", file=sys.stderr, flush=True)


def clock(seconds: float | None) -> str:
    return "--:--" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def people(assets: Path | None, procedural: bool) -> ClipRenderer:
    from letstalk.synthetic.data.clip_renderer import cached_renderer

    return cached_renderer(assets, procedural)


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", help="Folder of the data set; an interrupted one is continued.")],
    clips: Annotated[int, typer.Option(min=1, help="How many clips in all.")] = 100,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 256,
    frames: Annotated[int, typer.Option(help="Frames of a clip, 25 a second.")] = 125,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another data set.")] = 0,
    workers: WorkersOption = 1,
    assets: AssetsOption = None,
    procedural: ProceduralOption = False,
    engines: Annotated[
        str, typer.Option(help="Voice engines: a list such as espeak,flite; 'installed'; or 'none' for no speech.")
    ] = "installed",
    recording: Annotated[
        list[Path] | None, typer.Option(help="Alignment file with its sound beside it, instead of voices; repeatable.")
    ] = None,
    most_people: Annotated[int, typer.Option(min=1, max=4, help="Who play the same performance, at most.")] = 2,
    pictures: Annotated[str, typer.Option(help="jpeg, webp or png.")] = "jpeg",
    quality: Annotated[int, typer.Option(help="Of jpeg and webp.")] = 95,
    clean: Annotated[bool, typer.Option(help="Without sensor noise and compression.")] = False,
) -> None:
    """Render a data set with labels into a folder. Stop it at any time; the same command goes on."""
    from letstalk.synthetic.data.packing import PictureCodec
    from letstalk.synthetic.data.plan import ClipSettings
    from letstalk.synthetic.data.shards import RenderJob, render_shards
    from letstalk.synthetic.split import check_split

    settings = ClipSettings(
        seed=seed, size=size, num_frames=frames, procedural=procedural, people_per_clip=(1, most_people), clean=clean,
        voices=() if recording else voice_names(engines), recordings=tuple(str(path) for path in recording or ()),
    )  # fmt: skip
    codec = PictureCodec(pictures, quality)  # type: ignore[arg-type]
    job = RenderJob(out, settings, check_split(split), clips, assets, codec, workers)
    _say_settings(settings)
    manifest = render_shards(job, _report_clips)
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    print(f"{manifest.num_clips} clips in {len(manifest.shards)} files, {num_bytes / 1e6:.0f} MB: {out}")
    print(f"content hash {manifest.content_hash}")


def voice_names(engines: str) -> tuple[str, ...]:
    """Names of all voices of the engines; 'installed' looks at this machine, and the manifest says what it found."""
    from letstalk.errors import SettingsError
    from letstalk.synthetic.voice.voices import ENGINES, VOICES, is_installed

    if engines == "none":
        return ()
    if engines == "installed":
        return tuple(voice.name for voice in VOICES if is_installed(voice))
    wanted = tuple(name.strip() for name in engines.split(","))
    unknown = set(wanted) - set(ENGINES)
    if unknown:
        raise SettingsError(f"There is no engine {unknown.pop()!r}.", f"Use {', '.join(ENGINES)}, installed or none.")
    return tuple(voice.name for voice in VOICES if voice.engine in wanted)


def _say_settings(settings: ClipSettings) -> None:
    if not settings.has_speech:
        print("No voices: nobody will speak. Install espeak-ng or flite, or give --recording.", file=sys.stderr)


def _report_clips(progress: Progress) -> None:
    done, total = progress.done_clips, progress.num_clips
    show_progress(f"{done}/{total} clips, {clock(progress.left_seconds)} left", done=done == total)


@app.command()
def check(
    seeds: Annotated[int, typer.Option(min=1, help="How many people.")] = 1000,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    size: Annotated[int, typer.Option(min=64, help="Side of the pictures in pixels.")] = 96,
    workers: WorkersOption = 1,
    assets: AssetsOption = None,
    procedural: ProceduralOption = False,
) -> None:
    """Render many people in a few poses each; exit code 1 on any error, NaN, hole or empty face."""
    from letstalk.synthetic.data.robustness import RobustnessReport, check_seeds

    reports = []
    for report in check_seeds(range(first, first + seeds), size, assets, procedural, workers):
        reports.append(report)
        if report.problems:
            show_progress(f"seed {report.seed}: {', '.join(report.problems)} {report.detail}", done=True)
        if len(reports) % max(1, seeds // 50) == 0 or len(reports) == seeds:
            show_progress(f"{len(reports)}/{seeds} people", done=len(reports) == seeds)
    result = RobustnessReport(tuple(reports))
    print(f"{seeds} seeds: {len(result.failed)} with a problem")
    for problem, count in sorted(result.counts.items()):
        print(f"  {problem:<14} {count}")
    raise typer.Exit(1 if result.failed else 0)


@app.command()
def sheet(
    out: Annotated[Path, typer.Option("--out", help="A .png or .jpg file.")],
    people_count: Annotated[int | None, typer.Option("--people", min=1, help="So many people.")] = None,
    visemes: Annotated[int | None, typer.Option(min=1, help="The 24 mouth shapes of so many people.")] = None,
    styles: Annotated[int | None, typer.Option(min=1, help="Every drawing style for so many people.")] = None,
    samples: Annotated[bool, typer.Option("--samples", help="The sample portraits.")] = False,
    first: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of one picture in pixels.")] = 192,
    columns: Annotated[int | None, typer.Option(min=1)] = None,
    assets: AssetsOption = None,
    procedural: ProceduralOption = False,
) -> None:
    """A contact sheet: --people 48, --visemes 3, --styles 4 or --samples."""
    from letstalk.errors import SettingsError
    from letstalk.media.image import save_image
    from letstalk.synthetic.data import sheets

    choices = {sheets.people_cells: people_count, sheets.viseme_cells: visemes, sheets.style_cells: styles}
    chosen = [(make, count) for make, count in choices.items() if count]
    if len(chosen) + samples != 1:
        raise SettingsError("A sheet shows one thing.", "Give one of --people, --visemes, --styles, --samples.")
    if samples:
        cells, wide = _sample_cells(assets, size), 4
    else:
        (make, count), wide = chosen[0], 8
        cells = make(people(assets, procedural), range(first, first + count), size, procedural)
        wide = 12 if visemes else wide
    save_image(out, sheets.contact_sheet(cells, columns or wide), quality=88)
    print(out)


def _sample_cells(assets: Path | None, size: int) -> list:
    from letstalk.synthetic.data.sample_tables import PORTRAITS
    from letstalk.synthetic.data.samples import sample_portrait
    from letstalk.synthetic.data.sheets import Cell
    from letstalk.synthetic.people.assets import load_assets

    pack = load_assets(assets)
    return [Cell(sample_portrait(pack, sample, size), f"{sample.name} {sample.number}") for sample in PORTRAITS]


@app.command()
def clip(
    out: Annotated[Path, typer.Option("--out", help="An .mp4 file.")],
    seed: Annotated[int, typer.Option(min=0, help="Of movement and place.")] = 0,
    person: Annotated[int | None, typer.Option(min=0, help="Seed of the person; --seed where left out.")] = None,
    seconds: Annotated[float, typer.Option(min=0.04, help="Length; that of the speech where there is one.")] = 6.0,
    text: Annotated[str | None, typer.Option(help="What is said.")] = None,
    voice: Annotated[str, typer.Option(help="Who says it, such as flite:slt or espeak:de+f3.")] = "flite:slt",
    alignment: Annotated[
        Path | None, typer.Option(help="Alignment file, its sound beside it under the same name, instead of --text.")
    ] = None,
    style: Annotated[str, typer.Option(help="photo, toon, painterly, pencil, ...")] = "photo",
    size: Annotated[int, typer.Option(min=64, help="Side in pixels.")] = 512,
    assets: AssetsOption = None,
    procedural: ProceduralOption = False,
) -> None:
    """One talking (or silent) person as a video with sound."""
    from letstalk.errors import SettingsError
    from letstalk.synthetic.data.film import FilmOrder, film_clip, spoken_text
    from letstalk.synthetic.data.script import read_recording

    if text and alignment:
        raise SettingsError("A clip says one thing.", "Give --text or --alignment.")
    speech = spoken_text(text, voice) if text else read_recording(alignment) if alignment else None
    order = FilmOrder(seed if person is None else person, seed, style, size, procedural)
    result = film_clip(people(assets, procedural), order, speech, seconds, out)
    print(f"{result.path}: {result.duration_seconds:.1f} s")


@app.command()
def assets(
    makehuman: Annotated[Path, typer.Option(help="Checkout of makehumancommunity/makehuman.")],
    makehuman_assets: Annotated[Path, typer.Option(help="Checkout of makehumancommunity/makehuman-assets, with LFS.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to; the cache folder where left out.")] = None,
) -> None:
    """Build the asset pack from the two public CC0 repositories; what is not CC0 is refused and named."""
    from letstalk.synthetic.people.assets import default_pack_path
    from letstalk.synthetic.people.pack_builder import build_pack

    target = out or default_pack_path()
    report = build_pack(makehuman, makehuman_assets, target)
    for name, reason in sorted(report.refused.items()):
        print(f"refused {name}: {reason}")
    print(f"{len(report.taken)} taken, {len(report.refused)} refused, {target.stat().st_size / 1e6:.1f} MB: {target}")


@app.command()
def samples(
    out: Annotated[Path, typer.Option("--out", help="The assets folder, or any other.")],
    assets: AssetsOption = None,
) -> None:
    """Render the sample portraits and recordings that ship with the project, with SOURCES.md."""
    from letstalk.synthetic.data.sample_tables import PORTRAITS, SPEECH
    from letstalk.synthetic.data.samples import write_samples
    from letstalk.synthetic.people.assets import load_assets

    for path in write_samples(out, load_assets(assets), PORTRAITS, SPEECH):
        print(path)


@app.command()
def benchmark(
    out: Annotated[Path, typer.Option("--out", help="A new folder; an existing exam is never replaced.")],
    workers: WorkersOption = 2,
    skip: Annotated[list[int] | None, typer.Option(help="Number of a test person to leave out; repeatable.")] = None,
    crf: Annotated[float | None, typer.Option(help="Quality of the videos on x264's scale; lower is better.")] = None,
    assets: AssetsOption = None,
) -> None:
    """Build the frozen exam: 24 held-out people, ten with a second performer, at most 8 MB."""
    from letstalk.synthetic.data.benchmark_build import MOST_BYTES, BenchmarkPlan, build_benchmark

    plan = BenchmarkPlan(skipped_people=tuple(sorted(skip or ())))
    plan = plan if crf is None else replace(plan, crf=crf)
    report = build_benchmark(
        out, plan, assets, workers, lambda done, total: show_progress(f"{done}/{total} performances", done == total)
    )
    quality = sorted(report.video_psnr_db.values())
    print(f"{len(quality)} clips, {report.num_bytes / 1e6:.2f} MB of {MOST_BYTES / 1e6:.0f}: {report.folder}")
    median = quality[len(quality) // 2]
    print(f"videos against what was rendered: {quality[0]:.1f} to {quality[-1]:.1f} dB, median {median:.1f} dB")
    print(f"hash {report.hash}")


@app.command()
def sync(
    sentences: Annotated[int, typer.Option(min=1, help="How many for each voice.")] = 12,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    voices: Annotated[str, typer.Option(help="Names parted by commas; one of each installed speaker by default.")] = "",
) -> None:
    """Phone labels against closures, frication and pauses in the sound, for each voice."""
    from letstalk.synthetic.voice.sync import measure_voice

    speakers = measured_voices(voices)
    print(f"{'voice':<36}{'boundary':<18}{'measured':>12}{'median ms':>11}{'10 %':>8}{'90 %':>8}")
    for voice in speakers:
        for row in measure_voice(voice, sentences, seed):
            measured = f"{row.num_measured}/{row.num_boundaries}"
            print(
                f"{row.voice:<36}{row.kind:<18}{measured:>12}{row.median_ms:>11.1f}{row.low_ms:>8.1f}{row.high_ms:>8.1f}"
            )


@app.command()
def lips(
    count: Annotated[int, typer.Option("--people", min=1, help="How many faces.")] = 6,
    seconds: Annotated[float, typer.Option(min=1, help="Of speech for each face and voice.")] = 20.0,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    voices: Annotated[str, typer.Option(help="Names parted by commas; one of each installed engine by default.")] = "",
    assets: AssetsOption = None,
    procedural: ProceduralOption = False,
) -> None:
    """How often the lips of real faces meet on m b p and rest closed in silence, and lips meet teeth on f v."""
    from letstalk.synthetic.data.lips import CLOSED_GAP, measure_lips
    from letstalk.types import FPS

    speakers = measured_voices(voices)
    renderer = people(assets, procedural)
    faces = (renderer.person(seed + number, procedural).person for number in range(count))
    print(f"closed: opening under {CLOSED_GAP:.0%} of the distance of the eyes")
    print(f"{'person':>8}  {'voice':<30}{'m b p closed':>16}{'f v on teeth':>16}{'silence closed':>18}{'widest':>9}")
    total = None
    for row in measure_lips(faces, speakers, round(seconds * FPS), seed):
        print(f"{row.person_seed:>8}  {row.voice:<30}{contact_cells(row.counts)}{row.largest_gap:>9.2f}")
        total = row.counts if total is None else total + row.counts
    assert total is not None
    print(f"{'':>8}  {'all':<30}{contact_cells(total)}")


def contact_cells(counts: ContactCounts) -> str:
    pairs = (
        (counts.num_bilabials_closed, counts.num_bilabials, 16),
        (counts.num_labiodentals_met, counts.num_labiodentals, 16),
        (counts.num_silent_frames_closed, counts.num_silent_frames, 18),
    )
    return "".join(f"{f'{met}/{all_} {met / all_:.0%}' if all_ else '-':>{width}}" for met, all_, width in pairs)


def measured_voices(names: str) -> list[Voice]:
    """The voices of these names; else one of each speaker that is installed (of espeak-ng, one of each language)."""
    from letstalk.errors import MissingAssetError
    from letstalk.synthetic.voice.voices import VOICES, is_installed, voice_named

    if names:
        return [voice_named(name.strip()) for name in names.split(",")]
    chosen: dict[tuple[str, str], Voice] = {}
    for voice in VOICES:
        speaker = voice.language if voice.engine == "espeak" else voice.speaker
        if (voice.engine, speaker) not in chosen and is_installed(voice):
            chosen[voice.engine, speaker] = voice
    if not chosen:
        raise MissingAssetError("No voice engine is installed.", "Install espeak-ng or flite.")
    return list(chosen.values())
