from __future__ import annotations

import pytest
import torch

from letstalk.flow.frame_noise import frame_noise

SHAPE = (4, 4, 4)


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_noise_of_a_frame_does_not_know_its_chunk(correlation: float) -> None:
    whole = frame_noise(5, 0, 40, SHAPE, correlation=correlation)
    assert whole.shape == (40, *SHAPE) and whole.dtype == torch.float32
    for lengths in ([8, 16, 16], [1] * 40, [39, 1]):
        first, pieces = 0, []
        for count in lengths:
            pieces.append(frame_noise(5, first, count, SHAPE, correlation=correlation))
            first += count
        assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(frame_noise(5, 17, 3, SHAPE, correlation=correlation), whole[17:20])


def test_frames_and_seeds_differ() -> None:
    frames = frame_noise(5, 0, 3, SHAPE)
    assert not torch.equal(frames[0], frames[1])
    assert not torch.equal(frames, frame_noise(6, 0, 3, SHAPE))
    assert not torch.equal(frames, frame_noise(5 + 2**40, 0, 3, SHAPE))
    assert frame_noise(2**63 - 1, 90_000, 1, SHAPE).isfinite().all()
    assert frame_noise(5, 0, 0, SHAPE).shape == (0, *SHAPE)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_it_is_standard_normal_with_the_correlation_asked_for(correlation: float) -> None:
    noise = torch.stack([frame_noise(seed, 100, 12, (64,), correlation=correlation) for seed in range(60)])
    pairs = noise.permute(0, 2, 1).reshape(-1, 12)  # 3840 draws of 12 frames
    assert float(pairs.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(pairs.std()) == pytest.approx(1.0, abs=0.03)
    others = torch.corrcoef(pairs.T)[~torch.eye(12, dtype=torch.bool)]
    torch.testing.assert_close(others, torch.full_like(others, correlation), rtol=0, atol=0.06)
