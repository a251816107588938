import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from letstalk import runtime
from letstalk.errors import Cancelled, SettingsError
from letstalk.runtime import CancelToken, RuntimePlan, numpy_generator, pick_device, pick_dtype, torch_generator


def test_unknown_device_and_dtype_say_what_to_use() -> None:
    with pytest.raises(SettingsError, match="auto, cpu"):
        pick_device("tpu")
    with pytest.raises(SettingsError, match="bfloat16"):
        pick_dtype(torch.device("cpu"), "int4")
    with pytest.raises(SettingsError, match="float16"):
        pick_dtype(torch.device("cpu"), "float16")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"avx512_bf16"}, torch.bfloat16), ({"amx_bf16"}, torch.bfloat16), ({"avx2", "avx512f"}, torch.float32)],
)
def test_cpu_takes_bf16_only_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, flags: set, expected: torch.dtype
) -> None:
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset(flags))
    assert pick_dtype(torch.device("cpu")) == expected


def test_plan_is_fixed_applied_and_stored() -> None:
    before = torch.get_num_threads()
    plan = RuntimePlan.choose("cpu", "float32", num_threads=1)
    try:
        assert plan.apply() == (torch.device("cpu"), torch.float32)
        assert torch.get_num_threads() == 1
        assert RuntimePlan(**plan.to_dict()) == plan
    finally:
        torch.set_num_threads(before)
    with pytest.raises(SettingsError):
        RuntimePlan.choose("cpu", num_threads=0)


def test_free_cores_are_at_least_one_and_at_most_all(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    assert 1 <= runtime.num_free_cores(0.01) <= runtime.num_usable_cores()
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: [100.0] * 256)
    assert runtime.num_free_cores() == 1
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: [0.0] * 256)
    assert runtime.num_free_cores() == runtime.num_usable_cores()


def test_a_user_without_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LETSTALK_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert runtime.cache_dir().is_absolute() and len(runtime.face_model_dirs()) >= 2


def test_streams_of_random_numbers_are_independent() -> None:
    hair = numpy_generator(7, "hair").random(4)
    np.testing.assert_array_equal(hair, numpy_generator(7, "hair").random(4))
    assert not np.allclose(hair, numpy_generator(7, "skin").random(4))
    assert not np.allclose(hair, numpy_generator(8, "hair").random(4))
    assert not np.allclose(numpy_generator(7, "a", 1).random(4), numpy_generator(7, "a", 2).random(4))
    assert not np.allclose(numpy_generator(7, "ab").random(4), numpy_generator(7, "a", "b").random(4))
    assert not np.allclose(numpy_generator(7, "a", 0).random(4), numpy_generator(7, "a").random(4))
    assert not np.allclose(numpy_generator(7).random(4), numpy_generator(7, 0).random(4))
    assert torch.equal(torch.randn(3, generator=torch_generator(5)), torch.randn(3, generator=torch_generator(5)))


def test_cancel_raises_and_stop_does_not() -> None:
    token = CancelToken()
    token.check()
    token.stop()
    token.check()
    assert token.stopped and not token.cancelled
    worker = threading.Thread(target=token.cancel)
    worker.start()
    worker.join()
    with pytest.raises(Cancelled):
        token.check()


def test_two_networks_share_the_threads() -> None:
    def split(num_threads: int, wanted: bool | None) -> tuple[int, bool]:
        plan, together = RuntimePlan("cpu", "float32", num_threads).side_by_side(wanted)
        return plan.num_threads, together

    assert [split(1, None), split(2, None), split(4, None)] == [(1, False), (1, True), (2, True)]
    assert [split(2, False), split(1, True)] == [(2, False), (1, True)]
