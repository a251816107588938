"""Attention backends: each computes the same, and one that is not there is said and replaced."""

from __future__ import annotations

import logging

import pytest
import torch
from diffusers.models import attention_dispatch
from test_fusion import close
from tiny_talker import chunk, tiny_talker

from letstalk.errors import SettingsError
from letstalk.models.backends import BackendChoice, SoftmaxKernel
from letstalk.models.transformer import TalkingTransformer

LOGGER = "letstalk.models.backends"


def choices(model: TalkingTransformer) -> set[BackendChoice]:
    return {module.choice for module in model.modules() if isinstance(module, SoftmaxKernel)}


def test_absent_xformers_falls_back_to_native_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(attention_dispatch, "_CAN_USE_XFORMERS_ATTN", False)
    model = tiny_talker()
    before = model(**chunk())
    with caplog.at_level(logging.WARNING, LOGGER):
        model.set_attention_backend("xformers")
    (line,) = caplog.messages
    assert line.startswith("Attention backend xformers is not usable here") and line.endswith("using native.")
    assert "\n" not in line
    assert choices(model) == {BackendChoice("native", "native")}
    assert torch.equal(model(**chunk()), before)


def test_a_kernel_that_fails_only_when_called_falls_back_too(caplog: pytest.LogCaptureFixture) -> None:
    """xformers, flash and flex accept a model on a CPU; their kernels may not. What is set must compute."""
    model = tiny_talker()
    before = model(**chunk())
    for backend in ("xformers", "flash", "sage", "_native_cudnn"):
        model.set_attention_backend(backend)
        assert close(model(**chunk()), before), backend
    assert any("not usable here" in line for line in caplog.messages)


def test_another_backend_computes_the_same() -> None:
    model, given = tiny_talker(spatial_attention="softmax"), chunk(memory=3)
    valid = torch.tensor([[False, True, True], [True, True, True]])
    before = model(**given, memory_valid=valid)
    active = attention_dispatch._AttentionBackendRegistry.get_active_backend()[0]
    model.set_attention_backend("_native_math")
    assert choices(model) == {BackendChoice("_native_math", "_native_math")}
    assert close(model(**given, memory_valid=valid), before)
    assert attention_dispatch._AttentionBackendRegistry.get_active_backend()[0] == active, "others keep theirs"
    model.reset_attention_backend()
    assert choices(model) == {BackendChoice("native", "native")}


def test_masks_go_to_native_where_the_backend_knows_none(caplog: pytest.LogCaptureFixture) -> None:
    """torch's own flash kernel is asked for by name here: it computes, but only without a mask."""
    model, given = tiny_talker(), chunk(memory=3)
    valid = torch.tensor([[False, True, True], [True, True, True]])
    before = model(**given, memory_valid=valid), model(**given)
    with caplog.at_level(logging.WARNING, LOGGER):
        model.set_attention_backend("_native_flash")
    assert caplog.messages == ["Attention backend _native_flash knows no masks: native is used where memory has gaps."]
    assert choices(model) == {BackendChoice("_native_flash", "native")}
    assert close(model(**given, memory_valid=valid), before[0]) and close(model(**given), before[1])


def test_unknown_backends_are_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"Unknown attention backend 'turbo'.*xformers"):
        tiny_talker().set_attention_backend("turbo")
