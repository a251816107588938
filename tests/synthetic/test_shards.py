"""Rendering into files: stop it anywhere, go on, and the bytes are the same; then read any part of any clip."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from letstalk.errors import Cancelled, InputError, OutputError, SettingsError
from letstalk.runtime import CancelToken
from letstalk.synthetic.data.clip_renderer import render_clip
from letstalk.synthetic.data.packing import PictureCodec
from letstalk.synthetic.data.plan import ClipSettings
from letstalk.synthetic.data.shards import MANIFEST_NAME, Manifest, Progress, RenderJob, ShardReader, render_shards

SETTINGS = ClipSettings(size=64, num_frames=3, procedural=True, people_per_clip=(1, 2), clips_per_cast=2)


def job(folder: Path, **changes: object) -> RenderJob:
    return replace(RenderJob(folder, SETTINGS, "train", num_clips=5, pictures=PictureCodec("png")), **changes)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    render_shards(job(folder))
    return folder


def test_reading_gives_what_was_rendered(rendered: Path) -> None:
    reader = ShardReader(rendered, verify=True)
    assert len(reader) == 5 and [spec.index for spec in reader.specs] == list(range(5))
    for number in (4, 0):
        stored, fresh = reader[number], render_clip(reader.specs[number])
        assert stored.spec == fresh.spec
        assert np.array_equal(stored.load().frames, fresh.frames)
        assert np.array_equal(stored.frame(stored.num_people - 1, 2), fresh.frames[-1, 2])
        for name, array in fresh.labels.arrays().items():
            assert np.array_equal(getattr(stored.labels, name), array), name
        assert np.array_equal(stored.performance.expression, fresh.performance.expression)
        assert np.abs(stored.speech.samples - fresh.speech.samples).max() <= 1 / 32767
        assert stored.speech.phones == fresh.speech.phones
        for found, expected in zip(stored.flow(0, 2, 0), fresh.flow(0, 2, 0), strict=True):
            assert np.array_equal(found, expected)


def test_an_interrupted_job_goes_on_to_the_same_hash(tmp_path: Path, rendered: Path) -> None:
    token, seen = CancelToken(), []

    def stop_after_one(progress: Progress) -> None:
        seen.append(progress)
        token.cancel()

    with pytest.raises(Cancelled):
        render_shards(job(tmp_path), stop_after_one, token)
    assert [progress.done_clips for progress in seen] == [2]
    # As if the process was killed in the middle of a shard and of a line.
    (tmp_path / ".letstalk-0123456789abcdef.partial").write_bytes(b"half a shard")
    with (tmp_path / MANIFEST_NAME).open("a") as manifest:
        manifest.write('{"name": "shard-000001.safetensors", "sha')
    first = (tmp_path / "shard-000000.safetensors").stat().st_mtime_ns

    seen.clear()
    result = render_shards(job(tmp_path), seen.append)
    assert [progress.num_kept for progress in seen] == [2, 2] and seen[-1].done_clips == 5
    assert (tmp_path / "shard-000000.safetensors").stat().st_mtime_ns == first, "finished work was done again"
    assert result.content_hash == Manifest.read(rendered).content_hash
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [MANIFEST_NAME, *(f"shard-{n:06d}.safetensors" for n in range(3))]


def test_several_workers_give_the_same_hash(tmp_path: Path, rendered: Path) -> None:
    result = render_shards(job(tmp_path, num_workers=2))
    assert result.content_hash == Manifest.read(rendered).content_hash
    assert (tmp_path / MANIFEST_NAME).read_text() == (rendered / MANIFEST_NAME).read_text()


def test_more_clips_can_be_added(tmp_path: Path, rendered: Path) -> None:
    render_shards(job(tmp_path, num_clips=3))  # the second shard is half full
    result = render_shards(job(tmp_path))
    assert result.num_clips == 5 and result.content_hash == Manifest.read(rendered).content_hash


def test_damaged_and_missing_shards_are_rendered_again(tmp_path: Path, rendered: Path) -> None:
    render_shards(job(tmp_path))
    damaged, missing = tmp_path / "shard-000000.safetensors", tmp_path / "shard-000002.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-10] ^= 1
    damaged.write_bytes(data)
    missing.unlink()
    with pytest.raises(InputError, match="missing"):
        ShardReader(tmp_path)
    assert render_shards(job(tmp_path)).content_hash == Manifest.read(rendered).content_hash
    assert len(ShardReader(tmp_path, verify=True)) == 5


def test_a_changed_shard_is_noticed(tmp_path: Path) -> None:
    render_shards(job(tmp_path, num_clips=2))
    path = tmp_path / "shard-000000.safetensors"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="not as it was rendered"):
        ShardReader(tmp_path, verify=True)


def test_a_folder_keeps_its_settings(tmp_path: Path) -> None:
    render_shards(job(tmp_path, num_clips=2))
    for other in ({"settings": replace(SETTINGS, seed=1)}, {"split": "test"}, {"pictures": PictureCodec("jpeg")}):
        with pytest.raises(OutputError, match="other settings"):
            render_shards(job(tmp_path, **other))


def test_the_manifest_says_what_was_rendered(rendered: Path) -> None:
    header, *shards = [json.loads(line) for line in (rendered / MANIFEST_NAME).read_text().splitlines()]
    assert header["split"] == "train" and ClipSettings.from_dict(header["settings"]) == SETTINGS
    assert [len(shard["clips"]) for shard in shards] == [2, 2, 1]
    for shard in shards:
        assert (rendered / shard["name"]).stat().st_size == shard["num_bytes"]


def test_small_pictures_take_small_files(tmp_path: Path, rendered: Path) -> None:
    render_shards(job(tmp_path, pictures=PictureCodec("jpeg", 80)))
    sizes = [sum(path.stat().st_size for path in folder.glob("*.safetensors")) for folder in (tmp_path, rendered)]
    assert sizes[0] < sizes[1]
    lossy, exact = ShardReader(tmp_path)[0].frames(0), ShardReader(rendered)[0].frames(0)
    assert 0 < np.abs(lossy.astype(int) - exact).mean() < 8


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        job(tmp_path, num_clips=0)
    with pytest.raises(InputError, match="no rendered clips"):
        ShardReader(tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OutputError):
        render_shards(job(blocked))
