from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.errors import BadInput
from safr_study.settings import Resources
from safr_study.study.cluster import GPU_SHARE, NodeRoom, divide


def test_on_a_laptop_each_trial_has_one_core() -> None:
    allotment = divide(Resources(), [NodeRoom(8, 0)])
    assert (allotment.cpus_per_trial, allotment.gpus_per_trial) == (1, 0)
    assert allotment.max_concurrent == 8


def test_where_there_are_gpus_a_share_of_one_is_the_default() -> None:
    allotment = divide(Resources(), [NodeRoom(64, 2)])
    assert allotment.gpus_per_trial == GPU_SHARE
    assert allotment.max_concurrent == 2 / GPU_SHARE


def test_the_scarcer_resource_decides() -> None:
    assert divide(Resources(gpus_per_trial=0.25), [NodeRoom(3, 2)]).max_concurrent == 3
    assert divide(Resources(gpus_per_trial=1.0), [NodeRoom(64, 2)]).max_concurrent == 2
    assert divide(Resources(gpus_per_trial=0.0), [NodeRoom(64, 2)]).max_concurrent == 64


@given(
    cpus_per_trial=st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0, 3.5]),
    cpus=st.integers(4, 64),
    limit=st.none() | st.integers(1, 9),
)
def test_what_runs_at_once_fits(cpus_per_trial: float, cpus: int, limit: int | None) -> None:
    asked = Resources(cpus_per_trial=cpus_per_trial, max_concurrent=limit)
    allotment = divide(asked, [NodeRoom(cpus, 0)])
    used = allotment.max_concurrent * cpus_per_trial
    assert used <= cpus + 1e-6
    if limit is None:
        assert used + cpus_per_trial > cpus - 1e-6
    else:
        assert 1 <= allotment.max_concurrent <= limit


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Resources(cpus_per_trial=3), "cpus-per-trial"),
        (Resources(gpus_per_trial=0.5), "gpus-per-trial"),
    ],
)
def test_more_than_there_is_is_refused(asked: Resources, field: str) -> None:
    with pytest.raises(BadInput, match=f"{field}: .* more than the cluster's"):
        divide(asked, [NodeRoom(2, 0)])
