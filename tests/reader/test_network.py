"""The networks: shapes, laws at the start, size, saving, and that they can learn at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from letstalk.errors import MissingAssetError, SettingsError
from letstalk.reader.batches import BatchMaker, BatchSettings, to_tensors
from letstalk.reader.losses import WEIGHTS, all_terms, total
from letstalk.reader.network import HeatMapPoints, ReaderConfig, ReaderNetwork
from letstalk.reader.pool import Pool
from letstalk.reader.predict import FaceReader
from letstalk.reader.train import Trainer, TrainSettings, new_network, train
from letstalk.runtime import torch_generator
from letstalk.synthetic.controls import LANDMARK_NAMES

CPU = torch.device("cpu")


def test_heat_map_points_are_where_the_map_peaks():
    """One hot cell of stride 4 covers pixels 4c..4c+3: its centre is at 4c + 1.5."""
    points = HeatMapPoints(1, 1, stride=4)
    torch.nn.init.constant_(points.maps.weight, 1.0)
    features = torch.zeros(1, 1, 8, 12)
    features[0, 0, 2, 5] = 100.0
    torch.testing.assert_close(points(features).places.detach(), torch.tensor([[[4 * 5 + 1.5, 4 * 2 + 1.5]]]))


def test_rotations_are_rotations_and_start_as_the_identity(network: ReaderNetwork):
    rotation = network.face(torch.randn(3, 3, 128, 128, generator=torch_generator(0))).rotation
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(rotation, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=0)


def test_a_mirrored_mouth_reads_the_same(network: ReaderNetwork):
    patches = torch.rand(3, 3, 64, 96, generator=torch_generator(2)) * 2 - 1
    one, other = network.read_mouths(patches), network.read_mouths(patches.flip(-1))
    torch.testing.assert_close(one.gap, other.gap)
    left = [network.config.landmark_names[point] for point in network.config.mouth].index("mouth_corner_left")
    right = [network.config.landmark_names[point] for point in network.config.mouth].index("mouth_corner_right")
    torch.testing.assert_close(one.places[:, left, 0], 95 - other.places[:, right, 0], atol=1e-3, rtol=0)


def test_all_weights_fit_into_three_megabytes(network: ReaderNetwork, tmp_path: Path):
    network.save(tmp_path)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 3_000_000


def test_saved_weights_read_the_same(network: ReaderNetwork, tmp_path: Path, pool: Pool):
    network.save(tmp_path)
    loaded = FaceReader.load(tmp_path)
    picture = pool.record(0).picture[None]
    one = FaceReader(network).read(picture, boxes=np.array([20, 20, 100, 110]))
    two = loaded.read(picture, boxes=np.array([20, 20, 100, 110]))
    np.testing.assert_allclose(one.landmarks, two.landmarks, atol=0.1)
    assert loaded.config == network.config


def test_missing_weights_are_a_sentence(tmp_path: Path):
    with pytest.raises(MissingAssetError, match="letstalk reader train"):
        FaceReader.load(tmp_path)


def test_every_loss_has_a_weight_and_gives_gradients(network: ReaderNetwork, pool: Pool):
    fresh = new_network(pool, LANDMARK_NAMES, seed=1)
    maker = BatchMaker(pool, fresh.config, fresh.mean_face.double().numpy(), BatchSettings(faces=4, canvases=4))
    terms = all_terms(fresh, to_tensors(maker[0], CPU))
    assert terms.keys() == WEIGHTS.keys()
    total(terms).backward()
    without = [name for name, parameter in fresh.named_parameters() if parameter.grad is None]
    assert not without


def small_settings(steps: int) -> TrainSettings:
    return TrainSettings(
        minutes=60, max_steps=steps, warmup_steps=2, log_every_steps=2, batches=BatchSettings(faces=4, canvases=2)
    )


def test_resumed_training_goes_on_with_the_same_weights_and_batches(pool: Pool, run_folder: Path):
    """Four steps at once, and two steps, a save, a new process' worth of objects, and two more: the same weights."""

    class Stopped(Trainer):
        @property
        def finished(self) -> bool:
            return self.progress.step >= 2

    at_once = Trainer(run_folder / "a", new_network(pool, LANDMARK_NAMES), small_settings(4), CPU)
    train(at_once, pool, torch.float32)
    train(Stopped(run_folder / "b", new_network(pool, LANDMARK_NAMES), small_settings(4), CPU), pool, torch.float32)
    again = Trainer(run_folder / "b", new_network(pool, LANDMARK_NAMES, seed=5), small_settings(4), CPU)
    assert again.resume() and again.progress.step == 2
    train(again, pool, torch.float32)
    assert again.progress.step == at_once.progress.step == 4
    for name, value in at_once.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name)
    FaceReader.load(run_folder / "b" / "weights")


def test_another_network_is_not_resumed(pool: Pool, run_folder: Path):
    trainer = Trainer(run_folder, new_network(pool, LANDMARK_NAMES), small_settings(1), CPU)
    train(trainer, pool, torch.float32)
    fewer = ReaderNetwork(ReaderConfig(LANDMARK_NAMES))
    del fewer.eye
    fewer.eye = torch.nn.Identity()
    with pytest.raises(SettingsError, match="another network"):
        Trainer(run_folder, fewer, small_settings(1), CPU).resume()


@pytest.mark.slow
def test_the_networks_learn_a_small_pool(pool: Pool, run_folder: Path):
    """Two minutes on sixteen frames: points, gaps and places must all come far below their start."""
    trainer = Trainer(run_folder, new_network(pool, LANDMARK_NAMES), TrainSettings(
        minutes=60, max_steps=250, warmup_steps=20, batches=BatchSettings(faces=16, canvases=8)), CPU)  # fmt: skip
    maker = BatchMaker(pool, trainer.network.config, trainer.network.mean_face.double().numpy(),
                       trainer.settings.batches)  # fmt: skip
    batch = to_tensors(maker[10_000], CPU)
    before = {name: float(value) for name, value in all_terms(trainer.network, batch).items()}
    train(trainer, pool, torch.float32)
    after = {name: float(value) for name, value in all_terms(trainer.averaged(), batch).items()}
    for name in ("face.points", "mouth.points", "eye.points", "mouth.gap", "finder.score"):
        assert after[name] < 0.6 * before[name], (name, before[name], after[name])
