from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.cluster.ray_cluster import GPU_SHARE, NodeRoom, divide
from safr_study.errors import BadInput
from safr_study.settings import Resources


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


def test_a_trial_is_on_one_node_and_what_is_left_of_several_makes_none() -> None:
    rooms = [NodeRoom(3, 0), NodeRoom(3, 0), NodeRoom(1, 0)]
    allotment = divide(Resources(cpus_per_trial=2), rooms)
    assert (allotment.max_concurrent, allotment.nodes) == (2, 2)
    with pytest.raises(BadInput, match="cpus-per-trial: 4 is more than any node's 3"):
        divide(Resources(cpus_per_trial=4), rooms)


def test_a_share_is_of_one_gpu() -> None:
    # 0.4 twice on each: the two fifths that are left of each make no third.
    assert divide(Resources(gpus_per_trial=0.4), [NodeRoom(64, 2)]).max_concurrent == 4
    assert divide(Resources(gpus_per_trial=1 / 3), [NodeRoom(64, 2)]).max_concurrent == 6
    assert divide(Resources(gpus_per_trial=2), [NodeRoom(64, 5)]).max_concurrent == 2


def test_where_some_nodes_have_gpus_trials_run_on_those_alone() -> None:
    rooms = [NodeRoom(8, 0), NodeRoom(2, 1), NodeRoom(16, 1)]
    allotment = divide(Resources(), rooms)
    assert allotment.gpus_per_trial == GPU_SHARE
    assert (allotment.max_concurrent, allotment.nodes) == (2 + 4, 2)
    on_cpus = divide(Resources(gpus_per_trial=0), rooms)
    assert (on_cpus.max_concurrent, on_cpus.nodes) == (26, 3)


def test_gpus_and_cpus_on_different_nodes_hold_no_trial() -> None:
    with pytest.raises(BadInput, match=r"gpus-per-trial: no node has .*--gpus-per-trial 0"):
        divide(Resources(), [NodeRoom(8, 0), NodeRoom(0, 1)])


def test_the_sentence_names_the_nodes() -> None:
    two = divide(Resources(), [NodeRoom(2, 0), NodeRoom(2, 0)])
    assert two.sentence() == "4 trials at once on 2 nodes, each with 1 CPU"
