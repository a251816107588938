"""`letstalk train`: the same functions that a bare GPU machine starts with `python -m letstalk.training...`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from letstalk.errors import SettingsError

app = typer.Typer(help="Train the models from synthetic people.", no_args_is_help=True)


@app.callback()
def common() -> None:
    """Train the models from synthetic people."""


@app.command()
def codec(
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, state, log and sheets.")],
    preset: Annotated[str, typer.Option(help="Model family member; mini is the one that ships.")] = "mini",
    minutes: Annotated[float | None, typer.Option(min=0.01, help="End by the clock ...")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="... or by steps.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights to begin with.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in the folder.")] = False,
    plan: Annotated[str, typer.Option(help="Stages: standard, large (512), decoder (frozen latents).")] = "standard",
    stage: Annotated[str | None, typer.Option(help="Only this stage of the table.")] = None,
    rows: Annotated[int, typer.Option(min=2, help="Pairs in a step at 128.")] = 16,
    fewer_rows: Annotated[int, typer.Option(min=2, help="Pairs in a step at larger sizes.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the networks.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that render.")] = 1,
    clips_per_step: Annotated[float, typer.Option(min=0, help="How fast the pool of clips is refreshed.")] = 0.25,
    capacity: Annotated[int, typer.Option(min=1, help="Clips in the pool.")] = 128,
    assets: Annotated[Path | None, typer.Option(help="Asset pack; without it the one in the cache folder.")] = None,
    procedural: Annotated[bool, typer.Option("--procedural", help="Plain people from code alone.")] = False,
    voices: Annotated[str, typer.Option(help="Voices, comma-separated; none means random faces.")] = "",
    portraits: Annotated[Path | None, typer.Option(help="Pictures to drive for a look; never trained on.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another run.")] = 0,
) -> None:
    """Train the reference-guided autoencoder. Stop it at any time; --resume goes on."""
    from letstalk.training.codec import CodecTrainer
    from letstalk.training.codec_settings import CodecTraining

    if preset != "mini":
        raise SettingsError(f"There is no codec preset {preset!r}.", "Use mini.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = CodecTraining(
        out=out, minutes=minutes, steps=steps, init=init, resume=resume, plan=plan, stage=stage, rows=rows,
        fewer_rows=fewer_rows, threads=threads, workers=workers, clips_per_step=clips_per_step, capacity=capacity,
        assets=assets, procedural=procedural, voices=tuple(name for name in voices.split(",") if name),
        portraits=portraits, device=device, seed=seed,
    )  # fmt: skip
    CodecTrainer(settings).run()


@app.command()
def films(
    out: Annotated[Path, typer.Option("--out", help="Folder of the films; an interrupted one is continued.")],
    number: Annotated[int, typer.Option("--films", min=1, help="How many in all.")] = 400,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    frames: Annotated[int, typer.Option(min=50, help="Frames of a film, 25 a second.")] = 250,
    engines: Annotated[
        str, typer.Option(help="Voice engines: a list; 'installed'; or 'none' for nonsense syllables.")
    ] = "installed",
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    assets: Annotated[Path | None, typer.Option(help="Asset pack; without it the one in the cache folder.")] = None,
    procedural: Annotated[bool, typer.Option("--procedural", help="Plain people from code alone.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other films.")] = 0,
) -> None:
    """Render films of people who talk, for `letstalk train latents`. Stop it at any time; the same command goes on."""
    from letstalk.cli_synth import voice_names
    from letstalk.synthetic.split import check_split
    from letstalk.training.films import FilmJob, FilmSettings, render_films

    settings = FilmSettings(seed=seed, num_frames=frames, procedural=procedural, voices=voice_names(engines))
    for rendered in render_films(FilmJob(out, settings, check_split(split), number, assets, workers)):
        typer.echo(f"film {rendered + 1} of {number}")


@app.command()
def talks(
    out: Annotated[Path, typer.Option("--out", help="Folder of the talks; an interrupted one is continued.")],
    number: Annotated[int, typer.Option("--talks", min=1, help="How many in all, 20 s each.")] = 900,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    engines: Annotated[
        str, typer.Option(help="Voice engines: a list; 'installed'; or 'none' for nonsense syllables.")
    ] = "installed",
    workers: Annotated[int, typer.Option(min=1, help="Processes that speak.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other talks.")] = 0,
) -> None:
    """Speak talks with the motion of a mouth, without pictures, for `letstalk train audio`."""
    from letstalk.cli_synth import voice_names
    from letstalk.synthetic.split import check_split
    from letstalk.training.talks import TalkJob, TalkSettings, make_talks

    settings = TalkSettings(seed=seed, voices=voice_names(engines))
    for made in make_talks(TalkJob(out, settings, check_split(split), number, workers)):
        typer.echo(f"talk {made + 1} of {number}")


@app.command()
def audio(
    talks_folders: Annotated[list[Path], typer.Option("--talks", help="Folder of talks; may be given several times.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, state and log.")],
    validation: Annotated[Path | None, typer.Option(help="Talks of voices that are never trained on.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Real speech to measure on; never trained on.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="End by the clock ...")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="... or by steps.")] = None,
    init: Annotated[Path | None, typer.Option(help="Audio encoder to begin with.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in the folder.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="Windows in a step.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another run.")] = 0,
) -> None:
    """Pre-train the audio encoder on talks. Stop it at any time; --resume goes on."""
    from letstalk.runtime import CancelToken
    from letstalk.training.audio import AudioTrainer
    from letstalk.training.audio_settings import AudioTraining
    from letstalk.training.run import stopped_by_signals

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = AudioTraining(
        out=out, talks=tuple(map(str, talks_folders)), validation=validation, recordings=recordings, minutes=minutes,
        steps=steps, init=init, resume=resume, rows=rows, threads=threads, device=device, seed=seed,
    )  # fmt: skip
    cancel = CancelToken()
    trainer = AudioTrainer(settings)
    with stopped_by_signals(cancel):
        trainer.run(cancel)


@app.command()
def latents(
    films_folder: Annotated[Path, typer.Option("--films", help="Folder of films.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of their latents; an interrupted one is continued.")],
    codec_folder: Annotated[
        Path | None, typer.Option("--codec", help="Finished autoencoder; without it the shipped one.")
    ] = None,
    views: Annotated[int, typer.Option(min=1, help="The film as it is, and in other framings and looks.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Processes that encode.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other views.")] = 0,
) -> None:
    """Encode films for `letstalk train transformer`. Stop it at any time; the same command goes on."""
    from letstalk.training.latent_films import LatentJob, LatentSettings, encode_films

    settings = LatentSettings(seed=seed, num_views=views)
    for encoded in encode_films(LatentJob(films_folder, codec_folder, out, settings, workers)):
        typer.echo(f"film {encoded + 1}")


LatentsOption = Annotated[Path, typer.Option("--latents", help="Films to learn from, encoded.")]
HeldOutOption = Annotated[Path | None, typer.Option("--validation", help="Encoded films of people never trained on.")]
CodecOption = Annotated[Path | None, typer.Option("--codec", help="Their autoencoder; without it the shipped one.")]


@app.command()
def transformer(
    out: Annotated[Path, typer.Option("--out", help="Folder of weights, state, log and sheets.")],
    latents_folder: LatentsOption,
    validation: HeldOutOption = None,
    codec_folder: CodecOption = None,
    preset: Annotated[str, typer.Option(help="mini, the one that ships, or fusion, a quarter of it.")] = "mini",
    portrait_fusion: Annotated[str, typer.Option(help="direct, siamese or symbiotic.")] = "symbiotic",
    audio_fusion: Annotated[str, typer.Option(help="direct, siamese or symbiotic.")] = "direct",
    minutes: Annotated[float | None, typer.Option(min=0.01, help="End by the clock ...")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="... or by steps.")] = None,
    init: Annotated[
        Path | None, typer.Option(help="Folder with transformer/ and audio_encoder/ to begin with.")
    ] = None,
    audio_init: Annotated[Path | None, typer.Option(help="Pre-trained audio encoder.")] = None,
    freeze_audio: Annotated[bool, typer.Option("--freeze-audio", help="Leave the audio encoder as it is.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the state in the folder.")] = False,
    most_films: Annotated[int | None, typer.Option("--films", min=1, help="Only the first so many.")] = None,
    rows: Annotated[int, typer.Option(min=1, help="Windows in a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Highest, of the transformer.")] = 6e-4,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the networks.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another run.")] = 0,
) -> None:
    """Train the talking transformer on latents. Stop it at any time; --resume goes on."""
    from letstalk.runtime import CancelToken
    from letstalk.training.run import stopped_by_signals
    from letstalk.training.talker import TalkerTrainer
    from letstalk.training.talker_settings import TalkerTraining

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = TalkerTraining(
        out=out, latents=latents_folder, validation=validation, codec=codec_folder, size=preset,
        portrait_fusion=portrait_fusion, audio_fusion=audio_fusion, minutes=minutes, steps=steps, init=init,
        audio_init=audio_init, freeze_audio=freeze_audio, resume=resume, films=most_films, rows=rows,
        learning_rate=learning_rate, threads=threads, device=device, seed=seed,
    )  # fmt: skip
    cancel = CancelToken()
    trainer = TalkerTrainer(settings)
    with stopped_by_signals(cancel):
        trainer.run(cancel)


@app.command()
def fusions(
    out: Annotated[Path, typer.Option("--out", help="Folder of five models, each in a folder of its own.")],
    latents_folder: LatentsOption,
    audio_init: Annotated[Path, typer.Option(help="Trained audio encoder, which all of them share.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="For all five together.")],
    validation: HeldOutOption = None,
    codec_folder: CodecOption = None,
    rows: Annotated[int, typer.Option(min=1, help="Windows in a step.")] = 16,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the networks.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another study.")] = 0,
) -> None:
    """Train the five fusion schemes small, one after another. Stop it at any time; the same command goes on."""
    from letstalk.runtime import CancelToken
    from letstalk.training.fusion_study import train_fusions
    from letstalk.training.run import stopped_by_signals
    from letstalk.training.talker_settings import TalkerTraining

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    base = TalkerTraining(
        out=out, latents=latents_folder, validation=validation, codec=codec_folder, minutes=minutes,
        audio_init=audio_init, freeze_audio=True, rows=rows, threads=threads, device=device, seed=seed,
    )  # fmt: skip
    cancel = CancelToken()
    with stopped_by_signals(cancel):
        for name, figures in train_fusions(base, cancel):
            heard = ", ".join(f"{key} {figures[key]:.3f}" for key in ("mouth_r", "mouth_spread") if key in figures)
            typer.echo(f"{name}: {heard}")
