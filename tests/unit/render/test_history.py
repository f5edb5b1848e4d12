from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.features.study_base.files import write_files
from safr_study.pareto import rank_study
from safr_study.records import EpochReport, LossTerms, Replicate, StudyResult, TrialRecord
from safr_study.records import TrialState as State
from safr_study.records.study import HistoryPoint
from safr_study.render.history import history_table, hypervolume_history

REFERENCE = (3, 2)
EPOCH = EpochReport(1, LossTerms(1.0, 1.0, None, None), 60.0, 0.6, None, 1.0, True, 1.0)


def trial(
    number: int,
    values: tuple[int, int] | None,
    *,
    ended: float | None = None,
    epochs: int = 1,
    state: State = State.COMPLETE,
) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=state,
        parameters={},
        seed=0,
        values=values,
        epochs=(EPOCH,) * epochs,
        ended=ended,
    )


def study(
    trials: list[TrialRecord], objectives: tuple[str, ...] = ("accuracy", "srs@30")
) -> StudyResult:
    return rank_study("s", "planted", objectives, REFERENCE, trials, asked=len(trials))


def cells(points: list[tuple[int, int]]) -> int:
    """The area by brute force: unit squares below some point, beyond the reference."""
    return sum(
        any(x < a and y < b for a, b in points)
        for x in range(REFERENCE[0], 12)
        for y in range(REFERENCE[1], 12)
    )


values = st.tuples(st.integers(0, 11), st.integers(0, 11))
ended_trials = st.lists(
    st.tuples(
        st.sampled_from([State.COMPLETE, State.COMPLETE, State.PRUNED, State.FAILED]),
        values,
        st.integers(0, 4),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(ended_trials, st.randoms(use_true_random=False))
def test_it_is_the_area_of_all_that_had_ended_by_then(
    given_trials: list[tuple[State, tuple[int, int], int]], shuffle: object
) -> None:
    times = [float(place) for place in range(len(given_trials))]
    shuffle.shuffle(times)  # type: ignore[attr-defined]
    trials = [
        trial(n, point if state is State.COMPLETE else None, ended=t, epochs=e, state=state)
        for n, ((state, point, e), t) in enumerate(zip(given_trials, times, strict=True))
    ]
    result = study([*trials, trial(99, None, state=State.RUNNING, epochs=7)])
    history = hypervolume_history(result)
    in_order = sorted(trials, key=lambda one: one.ended or 0.0)
    for count, point in enumerate(history, start=1):
        so_far = in_order[:count]
        points = [one.values for one in so_far if one.values is not None]
        assert point.hypervolume == pytest.approx(cells(points))  # type: ignore[arg-type]
        assert point.epochs == sum(len(one.epochs) for one in so_far)
        assert (point.trial, point.trials) == (so_far[-1].number, count)
    assert len(history) == len(trials)
    if history:
        assert history[-1].hypervolume == pytest.approx(result.hypervolume)


def test_trials_without_a_time_come_last_by_number() -> None:
    trials = [trial(0, (5, 5)), trial(1, (6, 6)), trial(2, (4, 4), ended=9.0)]
    assert [point.trial for point in hypervolume_history(study(trials))] == [2, 0, 1]


def test_a_minimised_objective_grows_downwards() -> None:
    trials = [trial(0, (2, 5), ended=1.0), trial(1, (1, 5), ended=2.0)]
    result = study(trials, ("sufficiency@20", "accuracy"))
    assert [point.hypervolume for point in hypervolume_history(result)] == [3.0, 6.0]


def test_every_seed_of_a_trial_is_paid_for() -> None:
    seeds = tuple(Replicate(seed, (5.0, 5.0)) for seed in range(3))
    one = TrialRecord(
        0, State.COMPLETE, {}, 0, values=(5, 5), epochs=(EPOCH,) * 4, replicates=seeds
    )
    assert hypervolume_history(study([one]))[0].epochs == 12


def test_the_table_says_it_exactly(tmp_path: Path) -> None:
    points = (HistoryPoint(1, 0.1 + 0.2, 1, 4, 1 / 3), HistoryPoint(0, None, 2, 9, 2.5))
    write_files(tmp_path, {"history.csv": history_table(points)})
    with (tmp_path / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["hypervolume"]) for row in rows] == [1 / 3, 2.5]
    assert [row["ended"] for row in rows] == [repr(0.1 + 0.2), ""]
    assert list(rows[0]) == ["trial", "ended", "trials", "epochs", "hypervolume"]
