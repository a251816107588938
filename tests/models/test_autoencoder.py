"""Laws of the reference-guided autoencoder, on the real class at small width."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
import torch

from letstalk.errors import InputError, LetsTalkError
from letstalk.models.autoencoder import ReferenceAutoencoder


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    """Smooth random pictures in -1..1."""
    generator = torch.Generator().manual_seed(seed)
    size = shape[-1]
    coarse = torch.rand(*shape[:-2], 8, 8, generator=generator) * 2 - 1
    flat = torch.nn.functional.interpolate(coarse.flatten(0, -4), size=(size, size), mode="bilinear")
    return flat.unflatten(0, shape[:-3])


@pytest.mark.parametrize("size", [128, 256, 512])
def test_untrained_it_returns_the_reference_bit_for_bit(fresh_codec: ReferenceAutoencoder, size: int) -> None:
    reference, target = pictures(1, 1, 3, size, size), pictures(2, 3, size, size, seed=1)
    with torch.no_grad():
        decoded = fresh_codec(target, reference)
    assert torch.equal(decoded.pictures, reference[:, 0].expand(2, -1, -1, -1))
    assert torch.equal(decoded.warped, decoded.pictures)
    assert not decoded.motions[0].flow64.any()


def test_latents_of_the_reference_give_back_the_reference_untrained(fresh_codec: ReferenceAutoencoder) -> None:
    reference = pictures(3, 1, 3, 256, 256)
    with torch.no_grad():
        guide = fresh_codec.encode_references(reference)
        assert torch.equal(guide.latents[:, 0], fresh_codec.encode(reference[:, 0]))
        assert torch.equal(fresh_codec.decode(guide.latents[:, 0], guide).pictures, reference[:, 0])


def test_shipped_widths_keep_the_copy_exact_and_the_budget() -> None:
    model = ReferenceAutoencoder().eval()
    reference = pictures(1, 2, 3, 256, 256)
    with torch.no_grad():
        one = model(reference[:, 1], reference[:, :1])
    assert torch.equal(one.pictures, reference[:, 0])
    assert model.encode(reference[:, 0]).shape == (1, 16, 8, 8) and model.spatial_factor == 32
    assert sum(value.numel() for value in model.parameters()) <= 5_000_000


def test_shipped_widths_cost_what_two_cores_can_pay() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = ReferenceAutoencoder().eval()
    with torch.no_grad():
        guide = model.encode_references(pictures(1, 1, 3, 256, 256))
        latents = guide.latents[:, 0]
        with FlopCounterMode(display=False) as decoding:
            model.decode(latents, guide)
        with FlopCounterMode(display=False) as encoding:
            model.encode(pictures(1, 3, 128, 128))
    assert decoding.get_total_flops() < 2.65e9
    assert encoding.get_total_flops() < 0.46e9


def test_order_of_references_does_not_matter(stirred_codec: ReferenceAutoencoder) -> None:
    references, target = pictures(2, 3, 3, 128, 128), pictures(2, 3, 128, 128, seed=4)
    with torch.no_grad():
        results = [stirred_codec(target, references[:, list(order)]).pictures for order in permutations(range(3))]
    assert all((result - results[0]).abs().max() < 1e-5 for result in results[1:])


def test_a_reference_given_twice_counts_once(stirred_codec: ReferenceAutoencoder) -> None:
    reference, target = pictures(1, 1, 3, 128, 128), pictures(1, 3, 128, 128, seed=4)
    with torch.no_grad():
        once = stirred_codec(target, reference).pictures
        twice = stirred_codec(target, reference.expand(-1, 2, -1, -1, -1)).pictures
    assert (once - twice).abs().max() < 1e-4


def test_second_reference_is_really_used(stirred_codec: ReferenceAutoencoder) -> None:
    references, target = pictures(1, 2, 3, 128, 128), pictures(1, 3, 128, 128, seed=4)
    with torch.no_grad():
        one, two = stirred_codec(target, references[:, :1]), stirred_codec(target, references)
    assert (one.pictures - two.pictures).abs().mean() > 0.01
    assert torch.allclose(two.shares.sum(1), torch.ones(1, 64, 64), atol=1e-5)


def test_frames_one_by_one_equal_frames_in_a_batch(stirred_codec: ReferenceAutoencoder) -> None:
    reference, targets = pictures(1, 1, 3, 256, 256), pictures(4, 3, 256, 256, seed=2)
    with torch.no_grad():
        guide = stirred_codec.encode_references(reference)
        latents = stirred_codec.encode(targets)
        together = stirred_codec.decode(latents, guide).pictures
        for index in range(4):
            alone = stirred_codec.encode(targets[index : index + 1])
            assert torch.allclose(alone, latents[index : index + 1], atol=1e-5)
            assert torch.allclose(stirred_codec.decode(alone, guide).pictures[0], together[index], atol=1e-4)


def test_latents_mean_the_same_at_every_size(stirred_codec: ReferenceAutoencoder) -> None:
    large = pictures(1, 3, 512, 512)
    with torch.no_grad():
        latents = [
            stirred_codec.encode(torch.nn.functional.interpolate(large, size=(s, s), mode="area"))
            for s in (128, 256, 512)
        ]
    spread = latents[1].std()
    assert torch.allclose(latents[1], latents[2], atol=1e-5)
    assert (latents[0] - latents[1]).abs().mean() < 0.1 * spread


def test_the_small_picture_has_the_motion_of_the_large_one(stirred_codec: ReferenceAutoencoder) -> None:
    reference, target = pictures(1, 1, 3, 256, 256), pictures(1, 3, 256, 256, seed=3)
    with torch.no_grad():
        guide = stirred_codec.encode_references(reference)
        large = torch.nn.functional.interpolate(reference[:, 0], size=(512, 512), mode="bilinear")[:, None]
        latents = stirred_codec.encode(target)
        fine = stirred_codec.decode(latents, guide._replace(pixels=large))
        coarse = stirred_codec.decode(latents, guide)
    assert fine.pictures.shape[-1] == 512 and torch.equal(fine.motions[0].flow64, coarse.motions[0].flow64)


def test_a_large_head_begins_as_the_small_one(stirred_codec: ReferenceAutoencoder) -> None:
    """Untrained it returns the large reference; begun, its picture averaged down is the small picture."""
    heads = stirred_codec.synthesis.heads
    with torch.no_grad():
        stirred_codec.motion.flow64.weight *= 0.1  # steep random flows are read differently on every grid
        heads["512"].weight.zero_()
        stirred_codec.synthesis.begin_head(512)
        reference, target = pictures(1, 1, 3, 512, 512), pictures(2, 3, 512, 512, seed=1)
        half = torch.nn.functional.avg_pool2d(reference[0], 2)[None]
        latents = stirred_codec.encode(target)
        large = stirred_codec.decode(latents, stirred_codec.encode_references(reference))
        small = stirred_codec.decode(latents, stirred_codec.encode_references(half))
    for name in ("pictures", "keep"):
        found, expected = torch.nn.functional.avg_pool2d(getattr(large, name), 2), getattr(small, name)
        assert (found - expected).abs().mean() < 2e-3
    painted = (small.pictures - small.warped).abs().mean()
    assert painted > 0.1  # there was something to take over
    trained = heads["512"].weight.clone()
    with torch.no_grad():
        heads["256"].weight += 1
        stirred_codec.synthesis.begin_head(512)
    assert torch.equal(heads["512"].weight, trained), "what has been learnt is not begun again"


def test_heads_on_different_trunks_do_not_follow_each_other(fresh_codec: ReferenceAutoencoder) -> None:
    with pytest.raises(AssertionError, match="trunks"):
        fresh_codec.synthesis.begin_head(256)


def trained_parts(model: ReferenceAutoencoder, *, stop: bool) -> set[str]:
    """Names of the children that a loss on the picture alone gives a gradient."""
    model.train().zero_grad()
    references, target = pictures(2, 2, 3, 256, 256), pictures(2, 3, 256, 256, seed=1)
    guide = model.encode_references(references)
    latents = model.encode(target)
    decoded = model.decode(latents, guide, stop_motion_gradient=stop)
    (decoded.pictures - target).abs().mean().backward()
    return {
        name for name, part in model.named_children()
        if any(value.grad is not None and bool(value.grad.any()) for value in part.parameters())
    }  # fmt: skip


def test_pictures_push_on_motion_only_when_they_may(stirred_codec: ReferenceAutoencoder) -> None:
    assert trained_parts(stirred_codec, stop=True) == {"texture", "synthesis"}
    assert trained_parts(stirred_codec, stop=False) == {"encoder", "texture", "motion", "synthesis"}


def test_saved_equals_loaded(stirred_codec: ReferenceAutoencoder, tmp_path: Path) -> None:
    stirred_codec.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = ReferenceAutoencoder.from_pretrained(tmp_path)
    target, reference = pictures(1, 3, 128, 128), pictures(1, 1, 3, 128, 128, seed=9)
    with torch.no_grad():
        # The numbers are the same; the CPU's kernels may still add them in another order at another place in memory.
        assert torch.allclose(loaded(target, reference).pictures, stirred_codec(target, reference).pictures, atol=1e-4)
    for name, value in stirred_codec.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert loaded.encoder_hash() == stirred_codec.encoder_hash()


def test_frozen_latents_have_statistics_and_a_name(stirred_codec: ReferenceAutoencoder, tmp_path: Path) -> None:
    with pytest.raises(LetsTalkError, match="no statistics"):
        stirred_codec.normalise(torch.zeros(1, 8, 8, 8))
    stirred_codec.freeze_latents(torch.linspace(-1, 1, 8), torch.linspace(0.5, 2, 8), version=3)
    stirred_codec.half().save_pretrained(tmp_path)
    loaded = ReferenceAutoencoder.from_pretrained(tmp_path, dtype=torch.float32)
    loaded.check_latents()
    latents = torch.randn(2, 8, 8, 8)
    assert torch.allclose(loaded.denormalise(loaded.normalise(latents)), latents, atol=1e-5)
    assert loaded.normalise(loaded.config.latents_mean[0] * torch.ones(1, 8, 8, 8))[0, 0].abs().max() < 1e-5
    with torch.no_grad():
        next(loaded.encoder.parameters()).add_(1)
    with pytest.raises(LetsTalkError, match="do not belong"):
        loaded.check_latents()


def test_other_sizes_are_refused_with_a_sentence(fresh_codec: ReferenceAutoencoder) -> None:
    with pytest.raises(InputError, match="no size 64"):
        fresh_codec.encode(torch.zeros(1, 3, 64, 64))


def test_bf16_stays_close_to_float32(stirred_codec: ReferenceAutoencoder) -> None:
    reference, target = pictures(1, 1, 3, 256, 256), pictures(1, 3, 256, 256, seed=3)
    with torch.no_grad():
        whole = stirred_codec(target, reference).pictures
        half = stirred_codec.to(torch.bfloat16)(target.bfloat16(), reference.bfloat16()).pictures
    assert (whole - half.float()).abs().mean() < 0.02
