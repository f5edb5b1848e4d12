from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic_study import trial

from safr_study.records import TrialState
from safr_study.records.cost import Spending, cost_of
from safr_study.records.run import Attempt
from safr_study.render.cost import cost_json, cost_sentence

HOUR = 3600.0


def test_the_work_of_a_study_is_told_apart_by_what_became_of_it() -> None:
    done = replace(
        trial(0, state=TrialState.COMPLETE),
        attempts=(Attempt(0, HOUR, 2.0, 0.25, 7.2e6), Attempt(1, HOUR / 2, 2.0, 0.25)),
        lost_seconds=HOUR / 10,
    )
    stopped = replace(trial(1, state=TrialState.PRUNED), attempts=(Attempt(0, HOUR, 1.0, 0.0),))
    # Of an earlier version: what is known of it.
    failed = replace(trial(2, state=TrialState.FAILED), seconds=HOUR / 4, device="cuda:0")
    begun = trial(3, epochs=2)
    cost = cost_of([done, stopped, failed, begun], cpus=4.0, gpus=0.5)
    assert cost.complete == Spending(3.0, 0.375, 2.0, 2.0)
    assert cost.stopped == Spending(1.0)
    assert cost.failed == Spending(1.0, 0.125)
    assert cost.unfinished.core_hours == pytest.approx(4.0 * (2.625 + 2.75) / HOUR)
    assert cost.repeated == Spending(pytest.approx(0.2), pytest.approx(0.025))
    total = cost.total
    assert total.core_hours == pytest.approx(5.2 + cost.unfinished.core_hours)
    assert (total.kwh, total.metered_core_hours) == (2.0, 2.0)
    assert cost_json(cost)["total"]["gpu_hours"] == pytest.approx(0.525)
    assert cost_sentence(cost) == (
        "Cost: 5.21 core-hours, 0.525 GPU-hours, 2 kWh (known of 38 % of the core-hours), of these "
        "1 for trials stopped early, 1 for failed ones, 0.2 for work done again"
    )


def test_a_study_without_trials_has_cost_nothing_and_no_energy_is_not_zero() -> None:
    nothing = cost_of([], cpus=1.0, gpus=0.0)
    assert nothing.total == Spending()
    assert nothing.total.kwh is None
    assert cost_sentence(nothing) == "Cost: 0 core-hours"
