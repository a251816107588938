"""The commands, end to end on a small pool: train for seconds, measure, read a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from letstalk.cli_reader import app
from letstalk.errors import InputError
from letstalk.reader.network import ReaderNetwork
from letstalk.reader.pool import Pool
from letstalk.reader.rendering import RenderJob


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def weights(network: ReaderNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    network.save(folder)
    return folder


def test_training_writes_weights_and_says_where_it_goes_on(pool_job: RenderJob, run_folder: Path):
    words = ("train", "--pool", pool_job.folder, "--out", run_folder, "--threads", 1, "--dtype", "float32")
    assert "from step 0" in run(*words, "--minutes", 0.01)
    assert (run_folder / "weights" / "reader.safetensors").is_file()
    assert "resumed at step" in run(*words, "--minutes", 0.01)


def test_evaluate_prints_the_bound_and_every_change(pool_job: RenderJob, weights: Path):
    words = ("evaluate", "--pool", pool_job.folder, "--weights", weights, "--frames", 10)
    assert "mean face, constant gap" in run(*words)
    results = json.loads(run(*words, "--json"))
    blind = results["mean face, constant gap"]
    assert blind["found"] == 1 and 0 < blind["landmarks"] < 1 and blind["gap"] > 0
    assert "JPEG quality 20" in results


def test_reading_a_picture_gives_numbers_and_an_overlay(pool: Pool, weights: Path, tmp_path: Path):
    Image.fromarray(pool.record(0).picture).save(tmp_path / "face.png")
    words = ("read", tmp_path / "face.png", "--weights", weights)
    rows = json.loads(run(*words, "--json", "--overlay", tmp_path / "seen.png"))
    assert len(rows) == 1 and np.array(rows[0]["landmarks"]).shape == (41, 2)
    assert Image.open(tmp_path / "seen.png").size == (1024, 512)
    assert "gap" in run(*words)


def test_what_cannot_be_read_is_a_sentence(weights: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError):
        CliRunner().invoke(
            app, ["read", str(tmp_path / "notes.txt"), "--weights", str(weights)], catch_exceptions=False
        )
