from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.glimpses import Glimpses
from letstalk.reader.network import ReaderNetwork
from letstalk.synthetic.controls import LANDMARK_NAMES


@pytest.fixture(scope="module")
def glimpses() -> Glimpses:
    """The shipped reader's."""
    from letstalk.reader.differentiable import DifferentiableReader

    found = Glimpses(LANDMARK_NAMES)
    found.take_over(DifferentiableReader.load().network)
    return found.eval()


def face(glimpses: Glimpses, scale: float = 0.4, shift: float = 0.0) -> torch.Tensor:
    """The mean face's landmarks, (1, K, 2) normalised."""
    return glimpses.mean_face[None] * scale + shift


def textures(number: int, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(number, 3, 40, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic")


def test_what_is_read_moves_with_the_face(glimpses: Glimpses) -> None:
    """The same picture, 16 pixels further on, with key points that moved along."""
    pictures, points = textures(1), face(glimpses)
    moved = points + torch.tensor([16 / 128, 0.0])
    with torch.no_grad():
        here = glimpses(pictures, points)
        there = glimpses(pictures.roll(16, dims=3), moved)
        elsewhere = glimpses(pictures, moved)
    assert here.shape == (1, glimpses.num_values)
    assert (here - there).abs().max() < 1e-3 < 0.1 < (here - elsewhere).abs().max()


def test_only_mouth_and_eyes_are_looked_at(glimpses: Glimpses) -> None:
    pictures, points = textures(1), face(glimpses)
    other = pictures.clone()
    other[:, :, :60], other[:, :, :, :40], other[:, :, :, -40:] = 0.0, 0.0, 0.0
    with torch.no_grad():
        assert torch.equal(glimpses(pictures, points), glimpses(other, points))


def test_rows_do_not_see_one_another_and_key_points_are_not_pulled(glimpses: Glimpses) -> None:
    pictures = textures(3).requires_grad_(True)
    points = face(glimpses).repeat(3, 1, 1).requires_grad_(True)
    found = glimpses(pictures, points)
    with torch.no_grad():
        assert torch.allclose(found[1:2], glimpses(pictures[1:2], points[1:2]), atol=1e-4)
    found.square().sum().backward()
    assert points.grad is None and pictures.grad is None  # patches are cut without a gradient
    assert glimpses.mouth.stem[0].weight.grad is not None


def test_a_reader_of_other_landmarks_is_refused() -> None:
    network = ReaderNetwork(replace(Glimpses(LANDMARK_NAMES).names, landmark_names=LANDMARK_NAMES[::-1]))
    with pytest.raises(AssertionError):
        Glimpses(LANDMARK_NAMES).take_over(network)


def test_it_says_nothing_until_it_is_asked_and_then_in_every_precision(glimpses: Glimpses) -> None:
    small = {
        "latent_channels": 4,
        "num_landmarks": len(LANDMARK_NAMES),
        "encoder_widths": (8, 8, 8, 8),
        "texture_widths": (4, 8, 8),
        "motion_widths": (8, 8, 8, 8),
        "motion_depths": (1, 1, 1, 1),
        "synthesis_widths": (8, 8, 8, 4),
        "geometry_width": 8,
        "picture_sizes": (128, 256),
    }
    without = ReferenceAutoencoder(**small).eval()
    codec = ReferenceAutoencoder(**small, glimpse_landmarks=LANDMARK_NAMES).eval()
    assert codec.encoder.glimpses is not None
    codec.encoder.glimpses.load_state_dict(glimpses.state_dict())
    codec.load_state_dict(without.state_dict(), strict=False)
    pictures = textures(2)
    with torch.no_grad():
        assert torch.equal(codec.encode(pictures), without.encode(pictures))
        torch.nn.init.normal_(codec.encoder.tell.weight, std=0.1, generator=torch.Generator().manual_seed(0))
        exact = codec.encode(pictures)
        assert (exact - without.encode(pictures)).abs().max() > 0.1
        rough = codec.to(torch.bfloat16).encode(pictures.bfloat16())
    assert (rough.float() - exact).abs().mean() < 0.1 * exact.abs().mean() + 0.02
