"""Stop, cancel, errors and kills: a finished file, or nothing, and never a thread or a partial file left."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from media_files import speech_like

from letstalk.errors import InputError, OutputError
from letstalk.media.audio import load_audio, write_wav
from letstalk.media.jobs import JobFolder, sweep_jobs
from letstalk.media.video import VideoSettings, VideoWriter
from letstalk.media.video_reader import VideoReader

FRAMES = np.zeros((120, 64, 64, 3), np.uint8)
SAMPLES = np.zeros(120 * 640, np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("LETSTALK_CACHE", str(folder))
    return folder


def files_under(*folders: Path) -> list[str]:
    return sorted(str(path) for folder in folders for path in folder.rglob("*") if path.is_file())


def assert_no_thread() -> None:
    assert not [thread for thread in threading.enumerate() if "encoder" in thread.name]


@pytest.mark.parametrize("num_frames", [0, 1, 2, 4, 5, 8, 9, 25, 33, 34, 100])
@pytest.mark.parametrize("hls", [False, True])
def test_cancel_at_any_frame_leaves_nothing(tmp_path, cache, num_frames, hls):
    with JobFolder.create(tmp_path / "jobs") as job:
        before = files_under(tmp_path, cache)
        settings = VideoSettings(hls=hls)
        writer = VideoWriter(tmp_path / "out.mp4", (64, 64), settings, job=job if hls else None)
        for i in range(num_frames):
            writer.write(FRAMES[i : i + 1], SAMPLES[:640])
        writer.abort()
        writer.abort()
        assert files_under(tmp_path, cache) == before
        assert writer.closed_segments() == []
    assert_no_thread()


def test_an_error_inside_the_block_leaves_nothing(tmp_path, cache):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer:
        writer.write(FRAMES[:30], SAMPLES[: 30 * 640])
        raise KeyboardInterrupt
    assert files_under(tmp_path, cache) == []
    assert_no_thread()


def test_leaving_the_block_unfinished_leaves_nothing(tmp_path, cache):
    with VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer:
        writer.write(FRAMES[:30], SAMPLES[: 30 * 640])
    assert files_under(tmp_path, cache) == []
    assert_no_thread()


@pytest.mark.parametrize("num_frames", [1, 7, 31])
def test_stop_gives_a_finished_file(tmp_path, cache, num_frames):
    with VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer:
        writer.write(FRAMES[:num_frames], SAMPLES[: num_frames * 640])
        result = writer.finish()
        assert writer.finish() is result
        writer.abort()
    assert files_under(tmp_path, cache) == [str(tmp_path / "out.mp4")]
    with VideoReader(result.path) as reader:
        assert len(list(reader.frames())) == num_frames == result.num_frames
    assert_no_thread()


def test_nothing_to_finish(tmp_path, cache):
    with VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer, pytest.raises(OutputError, match="no frame"):
        writer.finish()
    assert files_under(tmp_path, cache) == []
    assert_no_thread()


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    target = tmp_path / "out.mp4"
    target.write_bytes(b"old")
    with VideoWriter(target, (64, 64)) as writer:
        writer.write(FRAMES[:30], SAMPLES[: 30 * 640])
    assert target.read_bytes() == b"old"
    with VideoWriter(target, (64, 64)) as writer:
        writer.write(FRAMES[:30], SAMPLES[: 30 * 640])
        assert target.read_bytes() == b"old"
        writer.finish()
    assert target.stat().st_size > 1000


@pytest.mark.parametrize(
    "name", ["a b.mp4", "'\".mp4", "語音 🎙.mp4", "-x.mp4", "%05d.mp4", "file:x.mp4", "http:x.MP4", "n" * 196 + ".mp4"]
)
def test_target_names(tmp_path, cache, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with VideoWriter(Path(name), (64, 64)) as writer:
        writer.write(FRAMES[:3], SAMPLES[: 3 * 640])
        writer.finish()
    assert files_under(tmp_path, cache) == [str(tmp_path / name)]
    with VideoReader(name) as reader:
        assert reader.num_frames == 3 and reader.size == (64, 64)


def test_targets_that_cannot_be(tmp_path, cache):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "device.mp4").symlink_to("/dev/null")
    own = write_wav(tmp_path / "own.mp4", speech_like(1, 16_000)[:, 0])
    before = files_under(tmp_path, cache)
    bad = ["folder.mp4", "no/a.mp4", "file/a.mp4", "device.mp4", "a.avi", "a", "own.mp4", "n" * 300 + ".mp4", "a\0.mp4"]
    for name in bad:
        with pytest.raises(OutputError) as caught:
            VideoWriter(tmp_path / name, (64, 64), audio_source=own)
        assert caught.value.problem.endswith(".") and caught.value.advice.endswith("."), caught.value
    for place in ("/proc/a.mp4", "/sys/a.mp4"):
        if Path(place).parent.is_dir():
            with pytest.raises(OutputError):
                VideoWriter(Path(place), (64, 64))
    with pytest.raises(InputError):
        VideoWriter(tmp_path / "a.mp4", (64, 64), audio_source=tmp_path / "file")
    assert files_under(tmp_path, cache) == before and stat.S_ISCHR((tmp_path / "device.mp4").stat().st_mode)
    assert load_audio(own).duration_seconds == 1.0
    assert_no_thread()


def run_script(script: str, *arguments: Path, wait: bool = True) -> subprocess.Popen[str]:
    code = "import sys, time, numpy as np\nfrom pathlib import Path\n" + textwrap.dedent(script)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    if wait:
        process.wait(timeout=60)
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="no file-size limit there")
@pytest.mark.parametrize("limit", [0, 1_000, 40_000, 150_000])
@pytest.mark.parametrize("hls", [0, 1])
def test_full_disk(tmp_path, cache, limit, hls):
    """A file-size limit stands in for the full disk: root may write everywhere, but not past this."""
    process = run_script(
        f"""
        import resource, threading
        from letstalk.errors import OutputError
        from letstalk.media.jobs import JobFolder
        from letstalk.media.video import VideoSettings, VideoWriter
        noise = np.random.default_rng(0).integers(0, 255, (100, 128, 128, 3), np.uint8)
        job = JobFolder.create(Path(sys.argv[2])) if {hls} else None
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            target, settings = Path(sys.argv[1]) / "out.mp4", VideoSettings(hls=bool({hls}))
            with VideoWriter(target, (128, 128), settings, job=job) as writer:
                writer.write(noise, np.zeros(64_000, np.float32))
                writer.finish()
        except OutputError as error:
            print(error)
        print(len(threading.enumerate()))
        if job:
            assert [path.name for path in job.path.iterdir()] == ["owner.json"]
            job.remove()
        """,
        tmp_path,
        cache / "jobs",
    )
    sentence, threads = process.stdout.read().splitlines()
    assert "space" in sentence and threads == "1" and process.returncode == 0
    assert files_under(tmp_path, cache) == []


KILLED = """
from letstalk.media.jobs import JobFolder
from letstalk.media.video import VideoSettings, VideoWriter
job = JobFolder.create(Path(sys.argv[2]))
frames = np.random.default_rng(0).integers(0, 255, (50, 128, 128, 3), np.uint8)
with VideoWriter(Path(sys.argv[1]), (128, 128), VideoSettings(hls=True), job=job) as writer:
    while True:
        writer.write(frames, np.zeros(50 * 640, np.float32))
        if writer.closed_segments():
            print("running", flush=True)
"""


def other_filesystem() -> Path | None:
    place = Path("/dev/shm")
    return place if place.is_dir() and os.access(place, os.W_OK) else None


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_killed_job_is_swept_and_a_living_one_is_not(tmp_path, elsewhere):
    import tempfile

    if elsewhere and (other_filesystem() is None or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev):  # noqa: PTH116
        pytest.skip("only one filesystem here")
    with tempfile.TemporaryDirectory(dir=other_filesystem() if elsewhere else tmp_path) as name:
        root, folder = Path(name) / "jobs", tmp_path / "videos"
        folder.mkdir()
        process = run_script(KILLED, folder / "out.mp4", root, wait=False)
        try:
            assert process.stdout.readline() == "running\n"
            (job,) = root.iterdir()
            assert sweep_jobs(root) == [] and job.is_dir()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        left = list(folder.iterdir())
        assert len(left) == (1 if elsewhere else 0) and all(path.name.startswith(".letstalk-") for path in left)
        with JobFolder.create(root) as mine:
            assert list(root.iterdir()) == [mine.path] and list(folder.iterdir()) == [] and not job.exists()


def test_target_on_another_filesystem(tmp_path, monkeypatch):
    place = other_filesystem()
    if place is None or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("only one filesystem here")
    import tempfile

    with tempfile.TemporaryDirectory(dir=place) as name:
        monkeypatch.setenv("LETSTALK_CACHE", name)
        with VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer:
            writer.write(FRAMES, SAMPLES)
            assert len(list(tmp_path.iterdir())) == 1
        assert files_under(tmp_path, Path(name)) == []
        with VideoWriter(tmp_path / "out.mp4", (64, 64)) as writer:
            writer.write(FRAMES, SAMPLES)
            writer.finish()
        assert files_under(tmp_path, Path(name)) == [str(tmp_path / "out.mp4")]
