from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.cluster.slots import GPU_SHARE, NodeCapacity, plan_slots
from safr_study.errors import BadInput
from safr_study.settings import Resources


def test_on_a_laptop_each_trial_has_one_core() -> None:
    slots = plan_slots(Resources(), [NodeCapacity(8, 0)])
    assert (slots.cpus_per_trial, slots.gpus_per_trial) == (1, 0)
    assert slots.max_concurrent == 8


def test_where_there_are_gpus_a_share_of_one_is_the_default() -> None:
    slots = plan_slots(Resources(), [NodeCapacity(64, 2)])
    assert slots.gpus_per_trial == GPU_SHARE
    assert slots.max_concurrent == 2 / GPU_SHARE


def test_the_scarcer_resource_decides() -> None:
    assert plan_slots(Resources(gpus_per_trial=0.25), [NodeCapacity(3, 2)]).max_concurrent == 3
    assert plan_slots(Resources(gpus_per_trial=1.0), [NodeCapacity(64, 2)]).max_concurrent == 2
    assert plan_slots(Resources(gpus_per_trial=0.0), [NodeCapacity(64, 2)]).max_concurrent == 64


@given(
    cpus_per_trial=st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1.0, 2.0, 3.5]),
    cpus=st.integers(4, 64),
    limit=st.none() | st.integers(1, 9),
)
def test_what_runs_at_once_fits(cpus_per_trial: float, cpus: int, limit: int | None) -> None:
    asked = Resources(cpus_per_trial=cpus_per_trial, max_concurrent=limit)
    slots = plan_slots(asked, [NodeCapacity(cpus, 0)])
    used = slots.max_concurrent * cpus_per_trial
    assert used <= cpus + 1e-6
    if limit is None:
        assert used + cpus_per_trial > cpus - 1e-6
    else:
        assert 1 <= slots.max_concurrent <= limit


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (Resources(cpus_per_trial=3), "cpus-per-trial"),
        (Resources(gpus_per_trial=0.5), "gpus-per-trial"),
    ],
)
def test_more_than_there_is_is_refused(asked: Resources, field: str) -> None:
    with pytest.raises(BadInput, match=f"{field}: .* more than the cluster's"):
        plan_slots(asked, [NodeCapacity(2, 0)])


def test_a_trial_is_on_one_node_and_what_is_left_of_several_makes_none() -> None:
    rooms = [NodeCapacity(3, 0), NodeCapacity(3, 0), NodeCapacity(1, 0)]
    slots = plan_slots(Resources(cpus_per_trial=2), rooms)
    assert (slots.max_concurrent, slots.nodes) == (2, 2)
    with pytest.raises(BadInput, match="cpus-per-trial: 4 is more than any node's 3"):
        plan_slots(Resources(cpus_per_trial=4), rooms)


def test_a_share_is_of_one_gpu() -> None:
    # 0.4 twice on each: the two fifths that are left of each make no third.
    assert plan_slots(Resources(gpus_per_trial=0.4), [NodeCapacity(64, 2)]).max_concurrent == 4
    assert plan_slots(Resources(gpus_per_trial=1 / 3), [NodeCapacity(64, 2)]).max_concurrent == 6
    assert plan_slots(Resources(gpus_per_trial=2), [NodeCapacity(64, 5)]).max_concurrent == 2


def test_where_some_nodes_have_gpus_trials_run_on_those_alone() -> None:
    rooms = [NodeCapacity(8, 0), NodeCapacity(2, 1), NodeCapacity(16, 1)]
    slots = plan_slots(Resources(), rooms)
    assert slots.gpus_per_trial == GPU_SHARE
    assert (slots.max_concurrent, slots.nodes) == (2 + 4, 2)
    on_cpus = plan_slots(Resources(gpus_per_trial=0), rooms)
    assert (on_cpus.max_concurrent, on_cpus.nodes) == (26, 3)


def test_gpus_and_cpus_on_different_nodes_hold_no_trial() -> None:
    with pytest.raises(BadInput, match=r"gpus-per-trial: no node has .*--gpus-per-trial 0"):
        plan_slots(Resources(), [NodeCapacity(8, 0), NodeCapacity(0, 1)])


def test_the_sentence_names_the_nodes() -> None:
    two = plan_slots(Resources(), [NodeCapacity(2, 0), NodeCapacity(2, 0)])
    assert two.sentence() == "4 trials at once on 2 nodes, each with 1 CPU"
