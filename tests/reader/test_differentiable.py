"""The reader on tensors: the same readings as on finished frames, and a gradient that opens a mouth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from letstalk.errors import MissingAssetError
from letstalk.reader import samples
from letstalk.reader.differentiable import JITTER, DifferentiableReader
from letstalk.reader.network import to_network
from letstalk.reader.pool import Pool
from letstalk.reader.predict import FaceReader
from letstalk.reader.rendering import PoolSettings, RenderJob, render_pool


@pytest.fixture(scope="module")
def tensor_reader() -> DifferentiableReader:
    return DifferentiableReader.load()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Frames as uint8, as tensors, and their landmarks, normalised: four people from code alone, two frames each."""
    settings = PoolSettings(split="test", procedural=True, close_share=0.0, drawn_share=0.0, people_per_shard=4,
                            scenes_per_person=1, frames_per_scene=2)  # fmt: skip
    job = RenderJob(tmp_path_factory.mktemp("faces") / "pool", settings)
    render_pool(job, 1, 1, lambda _: None)
    records = [Pool(job.folder).record(index) for index in range(8)]
    frames = np.stack([record.picture for record in records])
    pixels = np.stack([record.landmarks for record in records])
    landmarks = torch.from_numpy((pixels + 0.5) * (2 / frames.shape[1]) - 1).float()
    return frames, to_network(torch.from_numpy(frames)), landmarks


def test_it_reads_what_the_reader_of_frames_reads(
    tensor_reader: DifferentiableReader, shipped_reader: FaceReader, faces: tuple
) -> None:
    frames, pictures, landmarks = faces
    with torch.no_grad():
        found = tensor_reader(pictures, landmarks)
    expected = shipped_reader.read(frames, track=False)
    both = (expected.confidence > 0.9) & (found.confidence.numpy() > 0.9)
    assert both.sum() >= 6
    # One look instead of two, and patches that OpenCV places to 1/32 of a pixel: alike, not equal.
    for values, wanted in (
        (found.gap.clamp(min=0), expected.mouth_gap), (found.width, expected.mouth_width),
        (found.lids.clamp(min=0), expected.lid_opening),
    ):  # fmt: skip
        error = np.abs(values.numpy() - wanted)[both]
        assert np.median(error) < 0.01 and error.max() < 0.08
    pixels = (found.landmarks.numpy() + 1) * (frames.shape[1] / 2) - 0.5
    assert np.abs(pixels - expected.landmarks)[both].mean() < 1.0


def test_another_size_and_a_shifted_guess_change_little(tensor_reader: DifferentiableReader, faces: tuple) -> None:
    _, pictures, landmarks = faces
    large = torch.nn.functional.interpolate(pictures, size=(512, 512), mode="bilinear", align_corners=False)
    with torch.no_grad():
        usual, twice = tensor_reader(pictures, landmarks), tensor_reader(large, landmarks)
        beside = tensor_reader(pictures, landmarks * 1.04 + 0.03)
        moved = tensor_reader(pictures, landmarks, torch.full((len(pictures), 4), 0.7))
    for other in (twice, beside, moved):
        assert (other.gap - usual.gap).abs().median() < 0.015
        assert (other.lids - usual.lids).abs().median() < 0.03


def test_a_step_along_the_gradient_opens_the_mouth(tensor_reader: DifferentiableReader, faces: tuple) -> None:
    """The gradient lies where the mouth is, and no weight of the reader gets one."""
    _, pictures, landmarks = faces
    pixels = pictures.clone().requires_grad_(True)
    before = tensor_reader(pixels, landmarks)
    before.gap.sum().backward()
    assert pixels.grad is not None and all(value.grad is None for value in tensor_reader.parameters())
    with torch.no_grad():
        after = tensor_reader(pictures + 0.01 * pixels.grad.sign(), landmarks)
    assert (after.gap > before.gap + 0.01).all()
    strength = pixels.grad.abs().sum(1)  # (n, S, S)
    for one, points in zip(strength, landmarks, strict=True):
        rows = (torch.arange(one.shape[0]) + 0.5) * 2 / one.shape[0] - 1
        eyes = points[tensor_reader.network.config.eyes[0]][:, 1].mean()
        assert one[rows < eyes].sum() < 0.02 * one.sum()


def test_jitter_is_what_training_used() -> None:
    assert (samples.DETAIL.shift, samples.DETAIL.shift, samples.DETAIL.log_scale, samples.DETAIL.angle) == JITTER


def test_patches_are_cut_as_for_frames(tensor_reader: DifferentiableReader, faces: tuple) -> None:
    """Same similarity, same pixels: against OpenCV, which rounds places to 1/32 of a pixel."""
    from letstalk.reader import geometry
    from letstalk.reader.differentiable import cut_patches

    frames, pictures, landmarks = faces
    network, place = tensor_reader.network, tensor_reader._place(landmarks)
    pixels = (landmarks.double().numpy() + 1) * (frames.shape[1] / 2) - 0.5
    places = geometry.place_of(pixels, network.mean_face.double().numpy(), network.config.stable)
    centres = torch.tensor([[0.1, 0.3]]).expand(len(frames), -1)
    for mirrored in (False, True):
        found = cut_patches(pictures, place, geometry.EYE, centres, mirrored)
        maps = geometry.patch_to_picture(places, geometry.EYE, centres.double().numpy(), mirrored)
        cut = np.stack([geometry.cut_patch(f, m, geometry.EYE) for f, m in zip(frames, maps, strict=True)])
        assert (found - to_network(torch.from_numpy(cut))).abs().mean() < 0.01


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match="reader train"):
        DifferentiableReader.load(tmp_path)
