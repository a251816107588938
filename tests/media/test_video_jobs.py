import json
import os
import time
from pathlib import Path

import pytest

from letstalk.errors import OutputError
from letstalk.media.jobs import OWNER_FILE, JobFolder, sweep_jobs


def make_dead(job: JobFolder, **changes) -> None:
    """As after a kill and a restart of the machine: the same process number now belongs to another process."""
    owner = json.loads((job.path / OWNER_FILE).read_text())
    (job.path / OWNER_FILE).write_text(json.dumps(owner | {"started": "another boot 1"} | changes))


def test_lifetime(tmp_path):
    with JobFolder.create(tmp_path / "a" / "b") as job:
        (job.path / "deep").mkdir()
        (job.path / "deep" / "file").write_text("x")
        assert sweep_jobs(tmp_path / "a" / "b") == []
    assert list((tmp_path / "a" / "b").iterdir()) == []
    assert sweep_jobs(tmp_path / "nowhere") == []


def test_default_root_follows_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LETSTALK_CACHE", str(tmp_path))
    with JobFolder.create() as job:
        assert job.path.parent == tmp_path / "jobs"


def test_reused_process_number_counts_as_dead(tmp_path):
    dead, alive = JobFolder.create(tmp_path), JobFolder.create(tmp_path)
    make_dead(dead)
    assert sweep_jobs(tmp_path) == [dead.path]
    assert list(tmp_path.iterdir()) == [alive.path]


def test_the_next_job_sweeps_what_a_dead_one_left(tmp_path):
    dead = JobFolder.create(tmp_path)
    make_dead(dead)
    with JobFolder.create(tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine.path]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times do not come from a settable clock here")
def test_a_clock_that_is_set_buries_nobody(tmp_path, monkeypatch):
    import psutil

    with JobFolder.create(tmp_path) as job:
        monkeypatch.setattr(psutil.Process, "create_time", lambda self: 0.0)
        assert sweep_jobs(tmp_path) == [] and job.path.is_dir()


def test_a_root_that_is_a_file_says_how_to_choose_another(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LETSTALK_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="set LETSTALK_CACHE"):
        JobFolder.create()


def test_recorded_files_go_too_but_nothing_else(tmp_path):
    root, videos = tmp_path / "jobs", tmp_path / "videos"
    videos.mkdir()
    partial, precious = videos / ".letstalk-12ab.partial", videos / "holiday.mp4"
    for file in (partial, precious):
        file.write_text("x")
    job = JobFolder.create(root)
    job.record(partial)
    make_dead(job, outside=[str(partial), str(precious), str(videos)])  # an owner file is data, not an order
    sweep_jobs(root)
    assert list(videos.iterdir()) == [precious]


def test_what_is_not_understood_stays(tmp_path):
    other_machine, broken, bare = (JobFolder.create(tmp_path) for _ in range(3))
    make_dead(other_machine, machine="elsewhere")
    (broken.path / OWNER_FILE).write_text("{")
    (bare.path / OWNER_FILE).unlink()
    (tmp_path / "note.txt").write_text("x")
    assert sweep_jobs(tmp_path) == [] and len(list(tmp_path.iterdir())) == 4


def test_half_born_folders_go_when_they_are_old(tmp_path):
    young, old = tmp_path / ".new-1", tmp_path / ".new-2"
    young.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    sweep_jobs(tmp_path)
    assert young.exists() and not old.exists()


def test_root_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError):
        JobFolder.create(tmp_path / "file" / "jobs")
