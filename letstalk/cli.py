"""The `letstalk` command. Signatures are the interface; everything heavy is imported inside the commands."""

from __future__ import annotations

import errno
import io
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from letstalk.errors import LetsTalkError
from letstalk.version import VERSION

app = typer.Typer(
    name="letstalk",
    help="A portrait and speech in, a talking video of any length out, while it is being made.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
EXIT_USER_MISTAKE = 2
EXIT_STOPPED = 130  # as shells say of Ctrl-C


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; a user's mistake becomes two sentences on stderr and exit code 2, never a traceback."""
    logging.getLogger("xformers").setLevel(logging.ERROR)  # on a CPU it complains at length that it is no use
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a file may be named in a script that the terminal does not know
    try:
        complete_app()(args=list(arguments) if arguments is not None else None)
    except LetsTalkError as error:
        _refuse(error.problem, error.advice)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _refuse("There is no space left to write what was asked for.", "Free some space, or choose another disk.")
    except SystemExit as end:
        # Typer makes Ctrl-C in a command an exit without a word.
        if end.code == EXIT_STOPPED:
            print("letstalk: stopped.", file=sys.stderr)
        raise
    except KeyboardInterrupt:  # before a command began
        print("letstalk: stopped.", file=sys.stderr)
        sys.exit(EXIT_STOPPED)


def _refuse(problem: str, advice: str) -> NoReturn:
    print(f"letstalk: {problem}", file=sys.stderr)
    if advice:
        print(f"  {advice}", file=sys.stderr)
    sys.exit(EXIT_USER_MISTAKE)


@cache
def complete_app() -> typer.Typer:
    """The commands of this module and those of its parts, each under its own name."""
    from letstalk import cli_evaluate, cli_generate, cli_reader, cli_synth, cli_train

    app.command("generate")(cli_generate.generate)
    app.add_typer(cli_synth.app, name="synth")
    app.add_typer(cli_train.app, name="train")
    app.add_typer(cli_reader.app, name="reader")
    app.add_typer(cli_evaluate.app, name="evaluate")
    app.command("codec")(cli_evaluate.recode_video)
    return app


def show_version(wanted: bool) -> None:
    if wanted:
        print(VERSION)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A portrait and speech in, a talking video of any length out, while it is being made."""


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine has, what is missing and how to get it. Exit code 1 if the main job cannot run."""
    from letstalk.doctor import examine, exit_code

    findings = examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        marks = {"ok": "ok  ", "optional": "-   ", "missing": "MISS"}
        for finding in findings:
            print(f"{marks[finding.state]}  {finding.section:<9} {finding.name:<16} {finding.detail}")
            if finding.advice:
                print(f"{'':<33}-> {finding.advice}")
        print("Ready." if not exit_code(findings) else "Not ready: see the lines marked MISS.")
    raise typer.Exit(exit_code(findings))


@app.command()
def probe(
    file: Annotated[Path, typer.Argument(help="A picture, sound or video file.")],
    as_json: JsonOption = False,
) -> None:
    """Say what we see in a picture or sound file, before anything is generated from it."""
    from letstalk.media.files import quoted
    from letstalk.probe import probe_file

    report = probe_file(file)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
        return
    print(f"{quoted(Path(report.name))}: {report.kind}")
    for key, value in report.facts.items():
        print(f"  {key:<12} {value}")
    for note in report.notes:
        print(f"  note: {note}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the videos.")] = Path("out"),
    assets: Annotated[Path | None, typer.Option(help="Asset pack; without it the one in the cache folder.")] = None,
) -> None:
    """Let sample portraits talk; while there is no trained model here, render a talking person."""
    from letstalk.demo import run_demo

    for result in run_demo(out, assets):
        print(f"{result.video}: {result.duration_seconds:.1f} s, {result.person}")
