"""What training sees: truth that stays true through mirrors, patches and every change of appearance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from letstalk.errors import MissingAssetError
from letstalk.reader import augment, geometry, patterns
from letstalk.reader.batches import BatchMaker, BatchSettings, to_tensors
from letstalk.reader.network import FinderNet, ReaderNetwork
from letstalk.reader.pool import Pool
from letstalk.reader.rendering import PoolSettings, RenderJob, render_pool, render_shard
from letstalk.reader.samples import finder_truth, mirror
from letstalk.runtime import numpy_generator
from letstalk.synthetic.controls import MIRRORED_LANDMARKS

SETTINGS = BatchSettings(faces=4, canvases=3)


@pytest.fixture(scope="module")
def maker(pool: Pool, network: ReaderNetwork) -> BatchMaker:
    return BatchMaker(pool, network.config, network.mean_face.double().numpy(), SETTINGS)


def test_a_shard_is_a_function_of_its_settings(pool_job: RenderJob):
    again = render_shard(pool_job.settings, 1)
    stored = Pool(pool_job.folder).shards[1]
    np.testing.assert_array_equal(again.pictures, stored.pictures)
    np.testing.assert_array_equal(again.landmarks, stored.landmarks)


def test_a_pool_does_not_mix_settings(pool_job: RenderJob):
    other = RenderJob(pool_job.folder, PoolSettings(procedural=True, seed=9))
    with pytest.raises(MissingAssetError, match="other settings"):
        render_pool(other, 1, 1, lambda _: None)


def test_the_pool_has_closed_and_open_mouths_and_turned_heads(pool: Pool):
    gap, rotation = pool.column("gap"), pool.column("rotation").astype(float)
    assert (gap < 0.02).mean() > 0.15 and (gap > 0.08).mean() > 0.15
    assert np.abs(geometry.rotation_angles(rotation)[:, 1]).max() > 0.25


def test_mirrored_names_agree_with_the_generator(network: ReaderNetwork):
    np.testing.assert_array_equal(network.config.mirrored, MIRRORED_LANDMARKS)


def test_two_mirrors_change_nothing(pool: Pool):
    record = pool.record(0)
    twice = mirror(mirror(record, MIRRORED_LANDMARKS), MIRRORED_LANDMARKS)
    for name in ("picture", "landmarks", "visible", "lid_opening", "gaze", "rotation", "background"):
        np.testing.assert_allclose(getattr(twice, name), getattr(record, name), atol=1e-9, err_msg=name)


def test_the_same_step_gives_the_same_batch_and_another_step_another(maker: BatchMaker):
    first, again, other = maker[7], maker[7], maker[8]
    for key, value in first.items():
        np.testing.assert_array_equal(value, again[key], err_msg=key)
    assert not np.array_equal(first["face"], other["face"])


def test_each_frame_comes_once_in_each_round(pool: Pool, network: ReaderNetwork):
    maker = BatchMaker(pool, network.config, network.mean_face.double().numpy(), BatchSettings(faces=len(pool)))
    assert sorted(maker._indices(0)) == sorted(maker._indices(1)) == list(range(len(pool)))
    assert list(maker._indices(0)) != list(maker._indices(1))


def test_points_of_patches_lie_where_the_patch_shows_them(maker: BatchMaker, pool: Pool):
    """Cutting the eye and mouth out of a picture that is black but for its landmarks finds bright pixels there."""
    record = pool.record(2)
    marked = np.zeros_like(record.picture)
    for x, y in np.round(record.landmarks).astype(int):
        if 0 <= x < marked.shape[1] and 0 <= y < marked.shape[0]:
            marked[y, x] = 255
    rng = numpy_generator(0, "points")
    sample = maker.maker.make(rng, type(record)(**{**vars(record), "picture": marked}), SETTINGS.parts)
    for patch, points in (
        (sample["mouth"], sample["mouth_points"]),
        (sample["eyes"][0], sample["eye_points"][0]),
        (sample["eyes"][1], sample["eye_points"][1]),
    ):
        for x, y in np.round(points).astype(int):
            if 2 <= x < patch.shape[1] - 2 and 2 <= y < patch.shape[0] - 2:
                assert patch[y - 2 : y + 3, x - 2 : x + 3].max() > 60


def test_batches_become_tensors_in_range(maker: BatchMaker):
    batch = to_tensors(maker[0], torch.device("cpu"))
    assert batch["face"].shape == (4, 3, 128, 128) and batch["eyes"].shape == (4, 2, 3, 32, 48)
    assert float(batch["mouth"].min()) >= -1 and float(batch["mouth"].max()) <= 1
    assert batch["canvas"].shape[0] == SETTINGS.canvases


@pytest.mark.parametrize("seed", range(12))
def test_no_change_of_appearance_breaks_a_picture(seed: int, pool: Pool):
    rng = numpy_generator(seed, "appearance")
    changed = augment.appearance(rng, pool.record(1).picture, augment.Noise(rng))
    assert changed.shape == (128, 128, 3) and changed.dtype == np.uint8


def test_backdrops_differ_and_occluders_cover_only_a_part(pool: Pool):
    rng = numpy_generator(1, "patterns")
    stock = patterns.Backdrops(rng, count=4, size=64)
    one, other = stock.draw(rng, 48), stock.draw(rng, 48)
    assert one.shape == (48, 48, 3) and not np.array_equal(one, other)
    picture = pool.record(0).picture
    covered = patterns.occlude(rng, picture, np.array([64.0, 64.0]), 20.0, one)
    changed = (covered != picture).any(-1).mean()
    assert 0 < changed < 0.7


def test_the_finder_is_told_centre_and_size():
    place = geometry.upright(np.array([[61.0, 100.0]]), np.array([24.0]))
    truth = finder_truth(place)["finder_truth"]
    rows, columns = np.nonzero(truth[0])
    assert len(rows) >= 1
    for row, column in zip(rows, columns, strict=True):
        x = (column + 0.5 + truth[1, row, column]) * FinderNet.STRIDE - 0.5
        y = (row + 0.5 + truth[2, row, column]) * FinderNet.STRIDE - 0.5
        np.testing.assert_allclose([x, y], [61, 100], atol=1e-3)
        assert np.exp(truth[3, row, column]) * FinderNet.TYPICAL_SIZE == pytest.approx(24, rel=1e-4)
    assert not finder_truth(np.zeros((0, 2, 3)))["finder_truth"].any()
