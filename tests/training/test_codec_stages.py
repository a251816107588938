from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from letstalk.errors import SettingsError
from letstalk.training.codec_stages import STAGE_TABLES, Stage, StagePlan, learning_rate, standard_stages
from letstalk.training.codec_task import weighted_total


def test_geometry_comes_before_pictures_and_pushes_alone() -> None:
    stages = standard_stages()
    first_painting = next(index for index, stage in enumerate(stages) if stage.paints)
    assert first_painting > 0 and not any(stage.joint for stage in stages[: first_painting + 1])
    assert all("pixels" not in stage.weights for stage in stages[:first_painting])
    assert stages[-1].joint and [stage.size for stage in stages] == sorted(stage.size for stage in stages)


@pytest.mark.parametrize("name", STAGE_TABLES)
def test_every_table_covers_the_whole_run(name: str) -> None:
    plan = StagePlan.named(name)
    seen = [plan.at(progress / 200)[0].name for progress in range(201)]
    assert list(dict.fromkeys(seen)) == [stage.name for stage in plan.stages]
    assert plan.at(0.0)[1] == 0 and plan.at(1.0)[1] == 1
    assert all(0 <= plan.at(progress / 200)[1] <= 1 for progress in range(201))


def test_one_stage_alone_lasts_the_whole_run() -> None:
    plan = StagePlan.named("standard", only="lips")
    assert {plan.at(progress / 10)[0].name for progress in range(11)} == {"lips"}


def test_a_run_may_begin_in_the_middle() -> None:
    plan = StagePlan.named("standard", since="pictures")
    names = [stage.name for stage in standard_stages()]
    assert [stage.name for stage in plan.stages] == names[names.index("pictures") :] and plan.at(0.0)[1] == 0


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="standard"):
        StagePlan.named("standart")
    with pytest.raises(SettingsError, match="lips"):
        StagePlan.named("standard", only="lip")


def test_rate_warms_up_and_falls() -> None:
    stage = standard_stages()[0]
    rates = [learning_rate(stage, step / 1000, step) for step in range(1000)]
    top = max(rates)
    assert rates[0] < 0.05 * top and rates.index(top) < 60
    assert abs(rates[-1] / stage.learning_rate - 1 / 3) < 0.01
    assert all(a >= b for a, b in pairwise(rates[60:]))


def test_total_is_the_weighted_sum_of_what_the_stage_names() -> None:
    stage = Stage("s", 1.0, 128, {"a": 2.0, "b": 0.5}, 1e-3)
    found = {"a": torch.tensor(3.0), "b": torch.tensor(4.0), "only looked at": torch.tensor(99.0)}
    assert weighted_total(found, stage) == 8.0
    with pytest.raises(AssertionError, match="b"):
        weighted_total({"a": torch.tensor(3.0)}, stage)
