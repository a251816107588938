from __future__ import annotations

from dataclasses import replace

import torch

from letstalk.training.appearance import (
    AppearanceSettings,
    Draw,
    change_look,
    degrade,
    jpeg_like,
    swap_backgrounds,
)
from letstalk.training.augment import AugmentSettings, augment
from letstalk.training.batch import PairBatch
from letstalk.training.codec_stages import standard_stages

ALWAYS = AppearanceSettings(
    background_share=1, grey_share=0, tone_share=1, posterise_share=0.5, sharpen_share=1, blur_share=1, noise_share=1,
    jpeg_share=1, shrink_share=1,
)  # fmt: skip
LATENT = (8, 8, 8)


def draw(seed: int = 0) -> Draw:
    return Draw(torch.Generator().manual_seed(seed), torch.device("cpu"))


def test_a_look_is_the_same_in_all_frames_of_a_row(pairs: PairBatch) -> None:
    same = pairs.pictures[:, :1].expand(-1, 3, -1, -1, -1).contiguous()
    changed = change_look(same, ALWAYS, draw())
    assert torch.allclose(changed[:, 0], changed[:, 1], atol=1e-5)
    assert torch.allclose(changed[:, 0], changed[:, 2], atol=1e-5)
    assert (changed - same).abs().mean() > 0.05
    rows = (changed - same).abs().mean((1, 2, 3, 4))
    assert rows.std() > 1e-3  # rows look different


def test_a_capture_is_not(pairs: PairBatch) -> None:
    same = pairs.pictures[:1, 0].expand(3, -1, -1, -1).contiguous()
    worn = degrade(same, ALWAYS, draw())
    assert (worn[0] - worn[1]).abs().mean() > 1e-3
    assert worn.abs().max() <= 1


def test_backgrounds_leave_the_person_alone(pairs: PairBatch) -> None:
    swapped = swap_backgrounds(pairs, ALWAYS, draw())
    person = pairs.person.expand_as(pairs.pictures) > 0.5
    assert torch.equal(swapped.pictures[person], pairs.pictures[person])
    assert (swapped.pictures[~person] - pairs.pictures[~person]).abs().mean() > 0.1
    behind = ~(person[:, 0] | person[:, 1])
    assert torch.allclose(swapped.pictures[:, 0][behind], swapped.pictures[:, 1][behind], atol=1e-5)


def test_jpeg_rounds_more_the_coarser_it_is(pairs: PairBatch) -> None:
    pictures = pairs.pictures[:, 0]
    errors = [float((jpeg_like(pictures, torch.full((4,), c)) - pictures).abs().mean()) for c in (1e-4, 0.5, 2.0)]
    assert errors[0] < 1e-3 < errors[1] < errors[2] < 0.2


def test_one_step_one_augmentation(pairs: PairBatch) -> None:
    stage = standard_stages()[0]

    def made(seed: int) -> torch.Tensor:
        return augment(pairs, AugmentSettings(), stage, LATENT, torch.Generator().manual_seed(seed)).views

    assert torch.equal(made(1), made(1)) and not torch.equal(made(1), made(2))


def test_truth_has_the_look_but_not_the_wear(pairs: PairBatch) -> None:
    stage = replace(standard_stages()[0], clean_share=0.0)
    settings = AugmentSettings(appearance=ALWAYS)
    given = augment(pairs, settings, stage, LATENT, torch.Generator().manual_seed(0))
    assert given.views.shape == given.batch.pictures.shape
    assert (given.views - given.batch.pictures).abs().mean() > 1e-3
    clean = augment(pairs, settings, replace(stage, clean_share=1.0), LATENT, torch.Generator().manual_seed(0))
    assert torch.equal(clean.views, clean.batch.pictures)


def test_bytes_become_floats_in_range(pairs: PairBatch) -> None:
    packed = replace(
        pairs,
        pictures=((pairs.pictures + 1) * 127.5).to(torch.uint8),
        person=(pairs.person * 255).to(torch.uint8),
        visibility=(pairs.visibility * 255).to(torch.uint8),
        head=(pairs.head * 255).to(torch.uint8),
        flow=pairs.flow.half(),
    )
    found = packed.as_floats()
    assert (found.pictures - pairs.pictures).abs().max() < 0.01 and found.flow.dtype == torch.float32
    assert torch.equal(found.visibility, pairs.visibility) and found.as_floats() is found
