from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.pareto import rank_study
from safr_study.records import (
    EpochReport,
    LossTerms,
    StudyResult,
    TrialRecord,
    TrialState,
    to_plain,
)
from safr_study.render.rungs import RungReport, rung_lines, rung_reports, rung_rows

OBJECTIVES = ("accuracy", "sufficiency@20")
"""The second is minimised."""
REFERENCE = (50.0, 100.0)
Values = tuple[float, float]


def trial(
    number: int,
    rungs: dict[int, Values],
    end: Values | None = None,
    *,
    stopped_at: int | None = None,
    control: bool = False,
    baseline: str | None = None,
    violation: float = 0.0,
) -> TrialRecord:
    """A trial measured at some epochs; complete if it has an end and was not to be stopped."""
    complete = end is not None and stopped_at is None
    pruned = TrialState.RUNNING if stopped_at is None else TrialState.PRUNED
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE if complete else pruned,
        parameters={},
        seed=0,
        baseline=baseline,
        values=end if complete else None,
        epochs=tuple(
            EpochReport(
                epoch=epoch,
                train=LossTerms(1.0, 1.0, None, None),
                dev_accuracy=60.0,
                dev_loss=0.7,
                gate_openness=None,
                mean_norm=1.0,
                best=False,
                seconds=1.0,
                objectives=rungs.get(epoch),
            )
            for epoch in range(1, max(rungs, default=0) + 2)
        ),
        stopped_at=stopped_at,
        control=control,
        control_values=end if control else None,
        violations=(violation,),
    )


def report(*trials: TrialRecord, rungs: tuple[int, ...] = (2,)) -> tuple[RungReport, ...]:
    result = rank_study("s", "sst2", OBJECTIVES, REFERENCE, trials, len(trials))
    return rung_reports(replace(result, rungs=rungs))


STUDY = (
    trial(0, {2: (60, 60), 6: (66, 52)}, (70, 50), baseline="no-vmask"),
    trial(1, {2: (62, 50), 6: (67, 45)}, (68, 40)),
    trial(2, {2: (61, 70)}, stopped_at=2),
    trial(3, {2: (55, 65), 6: (60, 44)}, (65, 30), stopped_at=2, control=True),
    trial(4, {2: (56, 66), 6: (57, 66)}, (58, 65), stopped_at=2, control=True),
    trial(5, {2: (64, 55), 6: (60, 60)}, stopped_at=6),
    trial(6, {2: (63, 55), 6: (64, 50)}),
    trial(7, {2: (58, 62), 6: (59, 61)}, stopped_at=2, control=True),
)


def test_what_was_decided_at_each_rung() -> None:
    first, second = report(*STUDY, rungs=(2, 6))
    # All but the baseline; at the second neither the stopped one nor the run-ons.
    assert (first.rung, first.judged, first.stopped, first.ran_on) == (2, 7, 1, 3)
    assert (second.rung, second.judged, second.stopped, second.ran_on) == (6, 3, 1, 0)
    # Trials 0, 1, 3 and 4 have an end; run-on 7 is still on its way.
    assert (first.ended, second.ended) == (4, 4)


def test_what_the_run_ons_would_have_added_by_hand() -> None:
    first, second = report(*STUDY, rungs=(2, 6))
    # Without: (20, 50) and (18, 60) above the reference. Trial 3 is at (15, 70): 15 x 10 more.
    # Trial 4 is dominated.
    assert (first.run_ons_ended, first.front_missed) == (2, 1)
    assert first.hypervolume_missed == pytest.approx(150.0)
    assert (second.run_ons_ended, second.front_missed, second.hypervolume_missed) == (0, None, None)


def test_run_ons_that_are_complete_cost_what_they_would_have_cost_unranked() -> None:
    complete = [
        replace(one, state=TrialState.COMPLETE, values=one.control_values, control_values=None)
        if one.control_values is not None
        else one
        for one in STUDY
    ]
    assert report(*complete, rungs=(2, 6)) == report(*STUDY, rungs=(2, 6))


def test_a_run_on_that_breaks_a_constraint_is_no_regret() -> None:
    broken = replace(STUDY[3], violations=(0.5,))
    (first,) = report(*(broken if one.number == 3 else one for one in STUDY))
    assert (first.run_ons_ended, first.front_missed, first.hypervolume_missed) == (1, 0, 0.0)
    assert first.ended == 4
    # A complete one that breaks it is on no front either, and hides no run-on.
    hiding = trial(8, {2: (70, 10)}, (90, 5), violation=1.0)
    assert report(*STUDY, hiding)[0].front_missed == 1


def tau_b(xs: list[float], ys: list[float]) -> float | None:
    """Pair by pair."""
    pairs = list(combinations(zip(xs, ys, strict=True), 2))
    signs = [((a > c) - (a < c), (b > d) - (b < d)) for (a, b), (c, d) in pairs]
    concordance = sum(x * y for x, y in signs)
    untied = math.prod(sum(abs(sign[axis]) for sign in signs) for axis in (0, 1))
    return concordance / math.sqrt(untied) if untied else None


@given(st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 4), max_size=9), st.integers(0, 9))
def test_correlations_equal_a_count_of_pairs(rows: list[tuple[float, ...]], run_ons: int) -> None:
    trials = [
        trial(
            number,
            {2: (row[0], row[1])},
            (row[2], row[3]),
            stopped_at=2 if number < run_ons else None,
            control=number < run_ons,
        )
        for number, row in enumerate(rows)
    ]
    stopped = trial(99, {2: (1.0, 2.0)}, stopped_at=2)
    unmeasured = trial(98, {}, (1.0, 2.0))
    (found,) = report(*trials, stopped, unmeasured)
    for place, one in enumerate(found.correlations):
        expected = tau_b([row[place] for row in rows], [row[2 + place] for row in rows])
        assert one.objective == OBJECTIVES[place]
        assert one.n == found.ended == len(rows)
        assert one.tau == (None if expected is None else pytest.approx(expected))


def test_a_value_that_is_no_number_is_left_out_of_its_correlation() -> None:
    rows = [(1.0, math.nan), (2.0, 1.0), (3.0, 2.0)]
    (found,) = report(*(trial(n, {2: row}, (row[0], 10.0 - n)) for n, row in enumerate(rows)))
    assert [(one.tau, one.n) for one in found.correlations] == [(pytest.approx(1.0), 3), (-1.0, 2)]


def test_no_trials_and_no_rungs() -> None:
    (empty,) = report()
    assert (empty.judged, empty.ended, empty.hypervolume_missed) == (0, 0, None)
    assert [one.tau for one in empty.correlations] == [None, None]
    assert report(*STUDY, rungs=()) == ()


def test_rows_are_plain_and_say_nothing_where_nothing_is_known() -> None:
    reports = report(*STUDY, rungs=(2, 6))
    rows = rung_rows(reports)
    assert json.loads(json.dumps(rows)) == rows
    assert json.loads(json.dumps(to_plain(reports[0])))["rung"] == 2
    assert rows[0] == {
        "rung": 2,
        "judged": 7,
        "stopped": 1,
        "ran_on": 3,
        "ended": 4,
        "tau_accuracy": pytest.approx(reports[0].correlations[0].tau),
        "tau_sufficiency_20": pytest.approx(reports[0].correlations[1].tau),
        "run_ons_ended": 2,
        "front_missed": 1,
        "hypervolume_missed": pytest.approx(150.0),
    }
    assert rows[1]["front_missed"] is rows[1]["hypervolume_missed"] is None


def test_objectives_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rung_reports(StudyResult("s", "sst2", OBJECTIVES, (1.0,), 0.0, (), STUDY, rungs=(2,)))


@pytest.mark.parametrize(
    ("ended", "ascending", "doubted"),
    [
        (10, False, True),
        (10, True, False),
        (9, False, False),
    ],
)
def test_a_rung_whose_order_is_not_that_of_the_end_is_doubted(
    ended: int, ascending: bool, doubted: bool
) -> None:
    """The order by accuracy is turned round, or kept; that by the second objective is kept."""
    trials = [
        trial(n, {2: (60.0 + n if ascending else 60.0 - n, 50.0 - n)}, (70.0 + n, 40.0 - n))
        for n in range(ended)
    ]
    trials.append(trial(ended, {2: (40.0, 90.0)}, stopped_at=2))
    result = rank_study("s", "sst2", OBJECTIVES, REFERENCE, trials, ended + 1)
    (line,) = rung_lines(replace(result, rungs=(2,)))
    sentence = "Its order by accuracy did not foretell the end; a search with --scheduler none"
    assert (sentence in line) is doubted
