from __future__ import annotations

from pathlib import Path

import pytest
import torch

from letstalk.errors import InputError
from letstalk.models.autoencoder import ReferenceAutoencoder
from letstalk.training import checkpoints
from letstalk.training.codec import new_codec
from letstalk.training.ema import WeightAverage


def test_shipped_weights_lie_in_small_pieces(tmp_path: Path) -> None:
    model = new_codec()
    checkpoints.save_weights(model, tmp_path / "ema")
    pieces = list((tmp_path / "ema").glob("*.safetensors"))
    assert pieces and all(piece.stat().st_size < 9_000_000 for piece in pieces)
    assert next(model.parameters()).dtype == torch.float32  # the trained model is left as it is
    loaded = ReferenceAutoencoder.from_pretrained(tmp_path / "ema")
    assert loaded.encoder_hash() == model.encoder_hash()
    other = new_codec(seed=1)
    checkpoints.load_weights(other, tmp_path / "ema")
    assert all(torch.equal(a.half(), b.half()) for a, b in zip(other.parameters(), model.parameters(), strict=True))


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights"):
        checkpoints.read_weights(tmp_path)
    with pytest.raises(InputError, match="no state"):
        checkpoints.load_state(tmp_path / "state")


def test_an_optimiser_goes_on_where_it_was(tmp_path: Path) -> None:
    def trained(steps: int, layer: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> torch.nn.Linear:
        for step in range(steps):
            optimizer.zero_grad()
            layer(torch.full((1, 3), 1.0 + step)).square().sum().backward()
            optimizer.step()
        return layer

    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), 1e-2)
    trained(3, layer, optimizer)
    checkpoints.save_state(tmp_path / "state", checkpoints.optimizer_tensors("main", optimizer), {"step": 3})
    twin = torch.nn.Linear(3, 2)
    twin.load_state_dict(layer.state_dict())
    again = torch.optim.AdamW(twin.parameters(), 1e-2)
    tensors, numbers = checkpoints.load_state(tmp_path / "state")
    checkpoints.restore_optimizer("main", again, tensors)
    assert numbers == {"step": 3}
    assert torch.equal(trained(2, layer, optimizer).weight, trained(2, twin, again).weight)


def test_a_failure_while_saving_keeps_the_last_state(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    checkpoints.save_state(folder, {"x": torch.ones(2)}, {"step": 1})
    with pytest.raises(TypeError):
        checkpoints.save_state(folder, {"x": torch.zeros(2)}, {"step": object()})
    tensors, numbers = checkpoints.load_state(folder)
    assert numbers["step"] == 1 and torch.equal(tensors["x"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_a_state_put_aside_is_found(tmp_path: Path) -> None:
    checkpoints.save_state(tmp_path / "state", {"x": torch.ones(1)}, {"step": 7})
    (tmp_path / "state").rename(tmp_path / "state.old")
    assert checkpoints.load_state(tmp_path / "state")[1]["step"] == 7


def test_the_average_follows_and_settles() -> None:
    layer = torch.nn.Linear(2, 2, bias=False)
    average = WeightAverage(layer, decay=0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.update(layer)
    first = (average.model.weight - start).mean()
    assert 0.5 < first < 1  # early updates count much
    for _ in range(100):
        average.update(layer)
    assert torch.allclose(average.model.weight, layer.weight, atol=1e-3)
    assert not average.model.weight.requires_grad
