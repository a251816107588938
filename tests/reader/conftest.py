"""A small pool of people made from code alone, and a reader with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from letstalk.reader.network import ReaderNetwork
from letstalk.reader.pool import Pool
from letstalk.reader.predict import FaceReader
from letstalk.reader.rendering import PoolSettings, RenderJob, render_pool
from letstalk.reader.train import new_network
from letstalk.synthetic.controls import LANDMARK_NAMES

SMALL = PoolSettings(procedural=True, size=128, people_per_shard=2, scenes_per_person=2, frames_per_scene=4)


@pytest.fixture(scope="session")
def pool_job(tmp_path_factory: pytest.TempPathFactory) -> RenderJob:
    job = RenderJob(tmp_path_factory.mktemp("reader") / "pool", SMALL)
    render_pool(job, num_shards=2, num_processes=1, report=lambda _: None)
    return job


@pytest.fixture(scope="session")
def pool(pool_job: RenderJob) -> Pool:
    return Pool(pool_job.folder)


@pytest.fixture(scope="session")
def network(pool: Pool) -> ReaderNetwork:
    return new_network(pool, LANDMARK_NAMES).eval()


@pytest.fixture(scope="session")
def random_reader(network: ReaderNetwork) -> FaceReader:
    return FaceReader(network)


@pytest.fixture(scope="session")
def shipped_reader() -> FaceReader:
    return FaceReader.load()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"
