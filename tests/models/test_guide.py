from __future__ import annotations

import torch

from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.models.guide import LandmarkGuide
from letstalk.models.warp import sample

REACHES = (0.05, 0.05, 0.2, 0.2)  # two lips, two cheeks
FACE = torch.tensor([[[0.0, 0.30], [0.0, 0.36], [-0.4, 0.2], [0.4, 0.2]]])


def at(flow: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return sample(flow, points.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)


def test_nothing_moves_where_no_landmark_does() -> None:
    assert torch.equal(LandmarkGuide(REACHES)(FACE, FACE, 16), torch.zeros(1, 2, 16, 16))


def test_a_shift_of_all_is_a_shift_near_all_and_none_far_away() -> None:
    shift = torch.tensor([0.1, -0.05])
    flow = LandmarkGuide(REACHES)(FACE, FACE + shift, 64)
    assert (at(flow, FACE) - shift).abs().max() < 0.005
    assert at(flow, torch.tensor([[[-0.95, -0.95], [0.95, -0.9]]])).abs().max() < 1e-3


def test_lips_part_although_cheeks_stand_still() -> None:
    """The target's mouth is closed, the reference's open: content comes from above and from below."""
    opened = FACE.clone()
    opened[0, 0, 1] -= 0.03
    opened[0, 1, 1] += 0.03
    upper, lower, left, right = at(LandmarkGuide(REACHES)(FACE, opened, 64), FACE)[0, :, 1]
    assert upper < -0.01 and lower > 0.01
    assert max(left.abs(), right.abs()) < 1e-3


def test_rows_do_not_see_one_another_and_everything_learns() -> None:
    draw = torch.Generator().manual_seed(0)
    target, reference = torch.rand(2, 3, 4, 2, generator=draw) - 0.5
    target.requires_grad_(True)
    reference.requires_grad_(True)
    guide = LandmarkGuide(REACHES)
    flow = guide(target, reference, 32)
    assert torch.allclose(flow[1:2], guide(target[1:2], reference[1:2], 32), atol=1e-6)
    flow.square().sum().backward()
    for value in (target, reference, guide.log_reach, guide.log_weight):
        assert value.grad is not None and value.grad.abs().sum() > 0


def test_landmarks_of_the_latents_lead_the_motion() -> None:
    codec = ReferenceAutoencoder(
        latent_channels=4, num_landmarks=4, landmark_reaches=REACHES, encoder_widths=(8, 8, 8, 8),
        texture_widths=(4, 8, 8), motion_widths=(8, 8, 8, 8), motion_depths=(1, 1, 1, 1),
        synthesis_widths=(8, 8, 8, 4), geometry_width=8, picture_sizes=(128,),
    ).eval()  # fmt: skip
    draw = torch.Generator().manual_seed(1)
    torch.nn.init.normal_(codec.geometry.out.weight, std=0.1, generator=draw)
    pictures = torch.rand(2, 3, 128, 128, generator=draw) * 2 - 1
    with torch.no_grad():
        guide = codec.encode_references(pictures[:1, None])
        own, other = codec.encode(pictures).split(1)
        assert torch.equal(codec.decode(own, guide).pictures, pictures[:1])
        found = codec.predict_motion(other, guide)
        places = [codec.read_geometry(latents).landmarks for latents in (other, own)]
    assert codec.guide is not None and found.flow64.abs().max() > 0.01
    assert torch.allclose(found.flow64, codec.guide(*places, 64), atol=1e-6)
