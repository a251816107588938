"""Laws that hold for every way in which portrait and sound can reach the clip."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tiny_talker import CHANNELS, COMBINATIONS, PLACES, SIDE, chunk, rows, tiny_talker
from torch import Tensor

from letstalk.models.attention import LinearAttention, SoftmaxAttention
from letstalk.models.block import Block
from letstalk.models.embeddings import patchify
from letstalk.models.sizes import TRANSFORMERS
from letstalk.models.transformer import TalkingTransformer

every_combination = pytest.mark.parametrize(("portrait_fusion", "audio_fusion"), COMBINATIONS)
both_attentions = pytest.mark.parametrize("spatial_attention", ["linear", "softmax"])
MODES = [("direct", "one-way"), ("siamese", "one-way"), ("symbiotic", "one-way"), ("symbiotic", "joint")]


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> bool:
    return bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1.0))


@every_combination
def test_nothing_is_said_before_training_and_everything_matters_after(portrait_fusion: str, audio_fusion: str) -> None:
    given = chunk()
    model = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion, stirred=False)
    assert torch.equal(model(**given), torch.zeros_like(given["latents"]))
    model = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion)
    said = model(**given)
    assert said.shape == given["latents"].shape and said.std() > 0.1
    for name, value in given.items():
        changed = model(**(given | {name: value.flip(0) * 0.9}))
        assert (changed - said).abs().max() > 1e-3, f"{name} has no influence"


@every_combination
def test_a_gradient_reaches_every_weight(portrait_fusion: str, audio_fusion: str) -> None:
    model = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion)
    given, half = chunk(batch=4), torch.tensor([True, True, False, True])
    controls_given = torch.rand(4, 3, 2) > 0.3
    said = model(**given, portrait_given=half, audio_given=half.flip(0), controls_given=controls_given)
    said.square().mean().backward()
    silent = [name for name, weights in model.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert not silent


@every_combination
def test_saved_in_pieces_and_loaded_is_the_same(portrait_fusion: str, audio_fusion: str, tmp_path) -> None:
    model = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion, delta_scale=[0.5, 1.0, 2.0])
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = TalkingTransformer.from_pretrained(tmp_path).eval()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    # Not bit-equal: weights of a mapped file lie at other addresses, and kernels take another path there.
    assert close(loaded(**chunk()), model(**chunk()))
    assert (loaded.config["portrait_fusion"], loaded.config["audio_fusion"]) == (portrait_fusion, audio_fusion)
    assert loaded.config["delta_scale"] == [0.5, 1.0, 2.0]


@every_combination
def test_batch_of_one_is_batch_of_many(portrait_fusion: str, audio_fusion: str) -> None:
    model, given = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion), chunk(batch=3)
    dropped = torch.tensor([True, False, True])
    together = model(**given, portrait_given=dropped)
    for row in range(3):
        alone = model(**rows(given, row, row + 1), portrait_given=dropped[row : row + 1])
        assert close(alone, together[row : row + 1])


@every_combination
def test_calls_in_between_change_nothing(portrait_fusion: str, audio_fusion: str) -> None:
    model = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion)
    first, other = chunk(seed=1), chunk(batch=1, frames=5, memory=0, seed=2)
    before = model(**first)
    cache = model.prepare_portrait(first["portrait"])
    model.train()(**other).sum().backward()
    model.eval()
    assert torch.equal(model(**first), before)
    del first["portrait"]
    assert torch.equal(model(**first, portrait_cache=cache), before)


@every_combination
@pytest.mark.parametrize("what", ["portrait", "audio"])
def test_what_is_dropped_has_no_influence_at_all(portrait_fusion: str, audio_fusion: str, what: str) -> None:
    model, given = tiny_talker(portrait_fusion=portrait_fusion, audio_fusion=audio_fusion), chunk()
    names = ["portrait"] if what == "portrait" else ["audio", "memory_audio"]
    other = given | {name: torch.full_like(given[name], float("nan")) for name in names}
    mask = {f"{what}_given": torch.tensor([False, True])}
    said, changed = model(**given, **mask), model(**other, **mask)
    assert torch.equal(said[0], changed[0])
    assert changed[1].isnan().any(), "the sample that kept it must depend on it"
    assert not close(said[0], model(**given)[0], 1e-3), "a null is not what was given"


@both_attentions
@pytest.mark.parametrize(("portrait_fusion", "symbiotic_mode"), MODES)
def test_a_prepared_portrait_and_memory_are_the_portrait_and_the_memory(
    portrait_fusion: str, symbiotic_mode: str, spatial_attention: str
) -> None:
    model = tiny_talker(
        portrait_fusion=portrait_fusion, symbiotic_mode=symbiotic_mode, spatial_attention=spatial_attention
    )
    given, kept = chunk(batch=3), torch.tensor([True, False, True])
    said = model(**given, portrait_given=kept)
    portrait = model.prepare_portrait(given.pop("portrait"), kept)
    memory = model.prepare_memory(portrait, given.pop("memory"), given.pop("memory_audio"), None,
                                  given.pop("memory_noise"))  # fmt: skip
    assert torch.equal(model(**given, portrait_cache=portrait, memory_cache=memory), said)
    # Batch comes first in every field, so rows of a cache are the cache of the rows.
    second = type(portrait)(*(field[1:2] for field in portrait))
    past = type(memory)(memory.keys[1:2], memory.values[1:2], None)
    assert close(model(**rows(given, 1, 2), portrait_cache=second, memory_cache=past), said[1:2])


def naive_spatial(block: Block, clip: Tensor, portrait: Tensor, shared: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The spatial step over [clip; portrait] in one sequence, by the full matrix of attention weights, in which the
    portrait's rows see no clip token. Written out again, in float64."""
    normed, gates = [], []
    for part, modulation in zip((clip, portrait), shared, strict=True):
        shift, scale, gate, *_ = (modulation.double() + block.table.double())[:, :, :, None].unbind(2)
        normed.append(F.layer_norm(part, part.shape[-1:], eps=1e-6) * scale + shift)
        gates.append(gate.expand_as(part))
    project, out, places = block.spatial.project, block.spatial.out, clip.shape[2]
    qkv = F.linear(torch.cat(normed, dim=2), project.qkv.weight.double()).unflatten(-1, project.heads)
    q, k, v = qkv.movedim(-3, 0).transpose(3, 4)  # (B, F, H, P + L, E) each
    q, k = (x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() for x in (q, k))
    if project.size is not None:
        q, k = q * project.size[0, :, None].double(), k * project.size[1, :, None].double()
    allowed = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool)
    allowed[places:, :places] = False
    if isinstance(block.spatial, LinearAttention):
        weights = (q.relu() @ k.relu().mT) * allowed
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-6)
    else:
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~allowed, float("-inf")).softmax(-1)
    assert out.bias is not None
    seen = F.linear((weights @ v).transpose(2, 3).flatten(-2), out.weight.double(), out.bias.double())
    after = torch.cat([clip, portrait], dim=2) + torch.cat(gates, dim=2) * seen
    return after[:, :, :places], after[:, :, places:]


@both_attentions
def test_the_cached_state_is_the_one_way_branch_run_jointly(spatial_attention: str) -> None:
    """Through all blocks: portrait tokens in one sequence with the clip's, seeing only themselves at noise level 0."""
    model, given = tiny_talker(spatial_attention=spatial_attention), chunk(batch=2, frames=3)
    cache = model.prepare_portrait(given["portrait"])
    portrait = cache.tokens.double()[:, None].expand(-1, 3, -1, -1)
    clip = torch.randn(2, 3, PLACES, 16)
    shared = torch.randn(2, 3, 6, 16)
    clean = model.modulation(F.silu(model.time(torch.zeros(1, 1)))).unflatten(-1, (6, -1))
    fast, slow = clip, clip.double()
    for depth, block in enumerate(model.stack):
        assert isinstance(block.spatial, LinearAttention | SoftmaxAttention)
        spatial, _ = block.modulations(shared)
        fast, _ = block.look_around(fast, spatial, block.portrait.elsewhere(cache.guides[:, depth]))
        slow, portrait = naive_spatial(block, slow, portrait, (shared, clean))
        assert close(fast.double(), slow), f"block {depth}"


def test_jointly_symbiotic_portrait_and_clip_change_each_other() -> None:
    model, given = tiny_talker(symbiotic_mode="joint"), chunk(batch=1)
    cache = model.prepare_portrait(given["portrait"])
    assert cache.guides.numel() == 0
    one_way = tiny_talker(symbiotic_mode="one-way")
    one_way.load_state_dict(copy.deepcopy(model.state_dict()))  # the schemes have no weights of their own
    assert not close(model(**given), one_way(**given), 1e-3)


def test_the_portrait_enters_at_three_places() -> None:
    """The fusion's tokens, the clip's own tokens, the reference frame in time; each alone changes the result."""
    model, given = tiny_talker(), chunk(batch=1)
    mine, other = (
        model.prepare_portrait(given.pop("portrait")),
        model.prepare_portrait(torch.randn(1, CHANNELS, SIDE, SIDE)),
    )
    memory = {"memory": given.pop("memory"), "memory_audio": given.pop("memory_audio")}
    given.pop("memory_noise")
    remembered = model.prepare_memory(mine, **memory)
    said = model(**given, portrait_cache=mine, memory_cache=remembered)
    fused = model(**given, portrait_cache=mine._replace(guides=other.guides), memory_cache=remembered)
    entered = model(**given, portrait_cache=mine._replace(reference=other.reference), memory_cache=remembered)
    keys, values = remembered.keys.clone(), remembered.values.clone()
    theirs = model.prepare_memory(other, **memory)
    keys[:, :, 0], values[:, :, 0] = theirs.keys[:, :, 0], theirs.values[:, :, 0]
    sunk = model(**given, portrait_cache=mine, memory_cache=remembered._replace(keys=keys, values=values))
    for changed in (fused, entered, sunk):
        assert (changed - said).abs().max() > 1e-3


def test_sizes_keep_their_promise() -> None:
    def millions(**config) -> float:
        with torch.device("meta"):
            model = TalkingTransformer(**config)
        return sum(weights.numel() for weights in model.parameters()) / 1e6

    assert 6 < millions(**TRANSFORMERS["mini"]) <= 8
    fusion = {
        pair: millions(**TRANSFORMERS["fusion"], portrait_fusion=pair[0], audio_fusion=pair[1]) for pair in COMBINATIONS
    }
    assert all(1 < size < 2.4 for size in fusion.values()), fusion
    shipped = [pair for pair in COMBINATIONS if pair[1] == "direct" or pair[0] == "symbiotic"]
    assert len(shipped) == 5 and all(fusion[pair] <= 2.0 for pair in shipped)  # 4 MB in half precision


def test_patches_are_cells_of_the_grid() -> None:
    latents = torch.arange(16.0).view(1, 1, 4, 4)
    assert patchify(latents, 2)[0, 1].tolist() == [2, 3, 6, 7]
