from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from plain_scores import deletion_at
from scipy import stats
from synthetic_confirmation import (
    Right,
    draw,
    drawn_runs,
    measured,
    run,
    searched,
    with_contrast,
)

from safr_study.features.confirm.output import confirmation_json, runs_table, trials_table
from safr_study.records.run import Answers, Measured, ReadingOfTest, RunResult
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation, confirmation, contributions

FOUND = {0: (70.0, 8.0), 1: (72.0, 6.0), 2: (80.0, 10.0), 3: (74.0, 25.0), 4: (78.0, 18.0)}
"""The search's values: 2, 4 and 3 are its front."""
BASELINES = {0: "no-vmask", 1: "vmask-only"}
RATES = {0: (0.7, 0.65), 1: (0.72, 0.6), 2: (0.78, 0.7), 3: (0.7, 0.45), 4: (0.6, 0.55)}
SEEDS = (1, 2, 3, 4, 5)


def found(seeds: tuple[int, ...] = SEEDS, **changes: object) -> Confirmation:
    runs = drawn_runs(RATES, seeds)
    runs |= changes.pop("runs", {})  # type: ignore[arg-type]
    return confirmation(searched(FOUND, BASELINES), runs, seeds, **changes)  # type: ignore[arg-type]


def dominated(point: tuple[float, ...], others: list[tuple[float, ...]]) -> bool:
    return any(
        all(b >= a for a, b in zip(point, other, strict=True)) and other != point
        for other in others
    )


def test_members_come_first_then_the_other_baselines() -> None:
    result = found()
    assert [one.trial.number for one in result.trials] == [2, 4, 3, 0, 1]
    assert [one.member for one in result.trials] == [True, True, True, False, False]
    assert [len(one.runs) for one in result.trials] == [5] * 5


def test_means_and_intervals_are_students_over_the_seeds() -> None:
    for one in found().trials:
        assert one.test
        for axis in range(2):
            for new, points in (
                (one.dev[axis], [done.values[axis] for done in one.runs]),
                (one.test[axis], [done.test.values[axis] for done in one.runs if done.test]),
            ):
                low, high = stats.t.interval(0.95, 4, np.mean(points), stats.sem(points))
                assert new.interval is not None
                assert new.interval.method == "student-t"
                assert new.mean == pytest.approx(np.mean(points))
                assert (new.interval.low, new.interval.high) == pytest.approx((low, high))
                assert new.interval.half == pytest.approx((high - low) / 2)


def test_the_front_of_the_means_is_that_of_brute_force() -> None:
    result = found()
    means = {one.trial.number: tuple(new.mean or 0.0 for new in one.dev) for one in result.trials}
    front = {n for n, point in means.items() if not dominated(point, list(means.values()))}
    assert {one.trial.number for one in result.trials if one.on_front} == front
    assert {ranked.trial.number for ranked in result.result.front} == front
    assert {one.trial.number for one in result.stayed} == front & {2, 3, 4}
    # Negative control: with these rates the front did change.
    assert front != {2, 3, 4}


def test_a_change_is_the_mean_minus_the_searchs_value() -> None:
    for one in found().trials:
        for axis, shift in enumerate(one.shifts):
            points = [done.values[axis] for done in one.runs]
            assert shift == pytest.approx(np.mean(points) - FOUND[one.trial.number][axis])


def exact_probabilities(tables: list[list[np.ndarray]]) -> list[float]:
    """P(not dominated) over every resample of 2 seeds and 3 texts: 4 x 27 of equal chance."""
    wins = np.zeros(len(tables[0]))
    cases = 0
    for seeds in product(range(2), repeat=2):
        for texts in product(range(3), repeat=3):
            cases += 1
            points = [
                tuple(
                    round(float(tables[axis][config][list(seeds)][:, list(texts)].mean()), 9)
                    for axis in range(len(tables))
                )
                for config in range(len(wins))
            ]
            wins += [not dominated(point, points) for point in points]
    return (wins / cases).tolist()


def test_the_probability_of_the_front_is_that_of_every_resample() -> None:
    answers: dict[int, list[tuple[list[int], list[int]]]] = {
        0: [([1, 1, 0], [1, 0, 0]), ([1, 0, 0], [0, 0, 0])],
        1: [([1, 1, 1], [1, 1, 0]), ([0, 1, 0], [0, 1, 0])],
        2: [([1, 0, 1], [0, 0, 1]), ([1, 1, 0], [0, 0, 0])],
    }
    runs = {
        (number, seed): run(number, seed, np.array(full, bool), np.array(top, bool))
        for number, rows in answers.items()
        for seed, (full, top) in enumerate(rows, start=1)
    }
    result = confirmation(searched({n: (70.0 + n, 20.0 - n) for n in answers}), runs, (1, 2))
    by_number = {one.trial.number: one for one in result.trials}
    full = [np.array([row[0] for row in answers[n]], float) for n in answers]
    srs = [full[n] - np.array([row[1] for row in answers[n]], float) for n in answers]
    for number, exact in enumerate(exact_probabilities([full, srs])):
        share = by_number[number].front_probability
        # 10,000 resamples: four standard errors.
        assert share == pytest.approx(exact, abs=4 * 0.5 / 100)
    assert len({round(one.front_probability or 0, 2) for one in result.trials}) == 3


def test_from_ten_seeds_the_texts_are_drawn_too() -> None:
    seeds = tuple(range(1, 11))
    result = found(seeds)
    methods = {new.interval.method for one in result.trials for new in one.dev if new.interval}
    assert methods == {"crossed bootstrap"}
    # An objective without an answer for each text has no such interval.
    bare = {
        key: replace(one, dev=replace(one.dev, answers=Answers(40, one.dev.answers.full)))
        for key, one in drawn_runs(RATES, seeds).items()
        if one.dev is not None
    }
    kinds = ("accuracy", "comprehensiveness@30")
    by_hand = confirmation(searched(FOUND, BASELINES, kinds), bare, seeds)
    for one in by_hand.trials:
        assert [new.interval.method for new in one.dev if new.interval] == [
            "crossed bootstrap",
            "student-t",
        ]
        assert one.front_probability is not None


def test_a_trial_with_a_failed_run_is_shown_but_not_confirmed() -> None:
    failed = RunResult(2, 3, ended="2026-01-01T00:00:00+00:00", failure="it diverged")
    result = found(runs={(2, 3): failed})
    one = result.trials[0]
    assert one.ranked is None
    assert one.front_probability is None
    assert not one.on_front
    assert (len(one.finished), one.failures) == (4, (failed,))
    assert one.dev[0].mean == pytest.approx(np.mean([done.values[0] for done in one.finished]))
    assert result.failures == (failed,)
    others = [ranked.trial.number for ranked in result.result.ranked]
    assert sorted(others) == [0, 1, 3, 4]


def test_a_trial_whose_runs_are_not_all_there_is_not_confirmed() -> None:
    runs = drawn_runs(RATES, SEEDS)
    del runs[3, 5]
    result = confirmation(searched(FOUND, BASELINES), runs, SEEDS)
    assert [one.trial.number for one in result.trials if one.ranked is None] == [3]


@pytest.mark.parametrize(("violations", "kept"), [((-2.0, 1.0), True), ((-1.0, 2.0), False)])
def test_constraints_are_judged_by_their_means(violations: tuple[float, float], kept: bool) -> None:
    runs = {
        (2, seed): run(2, seed, draw(0.8, seed), draw(0.5, seed + 9), violations=(miss,))
        for seed, miss in zip((1, 2), violations, strict=True)
    }
    result = found((1, 2), runs=runs)
    assert (result.trials[0].ranked is not None) is kept
    assert result.trials[0].violations == pytest.approx((np.mean(violations),))


def test_one_saturated_run_bars_a_trial_from_being_the_choice() -> None:
    clear = {(2, seed): run(2, seed, draw(0.99, seed), draw(0.05, seed + 9)) for seed in SEEDS}
    chosen = found(runs=clear).result.choice
    assert chosen is not None
    assert chosen.trial.number == 2
    one = run(2, 4, draw(0.99, 4), draw(0.05, 13), saturated=True)
    collapsed = {**clear, (2, 4): one}
    result = found(runs=collapsed)
    assert result.trials[0].saturated == 1
    assert result.result.choice is None


def test_the_typical_run_is_the_one_nearest_to_the_means() -> None:
    def at(seed: int, right: int, lost: int) -> RunResult:
        full = np.arange(40) < right
        return run(2, seed, full, full & (np.arange(40) < right - lost))

    # Means 20 and 10; the sd of the second is larger, so 2 off there is nearer than 2 off here.
    runs = {
        (2, 1): at(1, 18, 10),
        (2, 2): at(2, 20, 6),
        (2, 3): at(3, 20, 12),
        (2, 4): at(4, 22, 12),
    }
    (one, *_) = found((1, 2, 3, 4), runs=runs).trials
    points = np.array([done.values for done in one.runs])
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    assert one.typical is one.runs[int((scaled**2).sum(axis=1).argmin())]
    assert one.typical.seed == 3
    same = {(2, seed): at(seed, 20, 10) for seed in (1, 2)}
    (one, *_) = found((1, 2), runs=same).trials
    assert one.typical is one.runs[0]


def test_a_minimised_objective_keeps_its_value_and_its_direction() -> None:
    values = {0: (80.0, 30.0), 1: (80.0, 10.0)}
    runs = {}
    for number, rate in ((0, 0.1), (1, 0.4)):
        for seed in (1, 2):
            # The second value stands for sufficiency: lower is better.
            full, top = draw(0.8, seed), draw(rate, 50 * number + seed)
            runs[number, seed] = run(number, seed, full, top)
    result = confirmation(searched(values, objectives=("accuracy", "sufficiency@30")), runs, (1, 2))
    means = {one.trial.number: one.dev[1].mean for one in result.trials}
    front = [one.trial.number for one in result.trials if one.on_front]
    assert front == [min(means, key=lambda number: means[number] or 0.0)]


@pytest.mark.parametrize("name", ["accuracy", "srs@30", "srs_excess@30"])
def test_the_mean_contribution_of_a_text_is_the_objective(name: str) -> None:
    full, top = draw(0.8, 1), draw(0.5, 2)
    random = np.stack([draw(0.7, seed) for seed in range(7)])
    answers = Answers.pack(full, {0.3: (top, random)})
    value = {
        "accuracy": 100 * full.mean(),
        "srs@30": 100 * (full.mean() - top.mean()),
        "srs_excess@30": 100 * (random.mean() - top.mean()),
    }[name]
    table = contributions(Objective(name=name), answers)
    assert table is not None
    assert table.shape == (40,)
    assert table.mean() == pytest.approx(value)


@pytest.mark.parametrize("name", ["contrast@30", "mean_capacity.ffn1_pre", "kendall_tau"])
def test_what_is_not_made_of_kept_answers_has_no_contributions(name: str) -> None:
    answers = Answers.pack(draw(0.8, 1), {0.3: (draw(0.5, 2), None)})
    assert contributions(Objective(name=name), answers) is None
    assert contributions(Objective(name="srs_excess@30"), answers) is None


def test_test_numbers_are_shown_only_where_all_models_were_measured() -> None:
    runs = drawn_runs(RATES, SEEDS)
    runs[2, 1] = replace(runs[2, 1], test=None, test_read=None)
    result = confirmation(searched(FOUND, BASELINES), runs, SEEDS)
    assert [bool(one.test) for one in result.trials] == [False, True, True, True, True]
    assert (result.dev_texts, result.test_texts) == (40, 40)


def test_an_objective_that_is_undefined_on_test_is_no_number() -> None:
    runs = drawn_runs(RATES, (1, 2))
    for seed in (1, 2):
        one = runs[2, seed]
        assert one.test is not None
        runs[2, seed] = replace(one, test=replace(one.test, values=(70.0, None)))
    (first, *_) = confirmation(searched(FOUND, BASELINES), runs, (1, 2)).trials
    assert first.test[0].mean == 70.0
    assert (first.test[1].mean, first.test[1].interval) == (None, None)


def test_metrics_beside_the_objectives_are_those_that_were_measured() -> None:
    assert found().beside == ()
    runs = drawn_runs(RATES, (1, 2))
    for seed, dev, test in ((1, 10.0, 7.0), (2, 14.0, 4.0)):
        runs[2, seed] = with_contrast(runs[2, seed], dev, test)
    # One run of two is no mean, as where an earlier version measured the other.
    runs[3, 1] = with_contrast(runs[3, 1], 1.0, 2.0)
    result = confirmation(searched(FOUND, BASELINES), runs, (1, 2))
    assert [metric.name for metric in result.beside] == ["contrast@30"]
    first, _, half, *_ = result.trials
    low, high = stats.t.interval(0.95, 1, 12.0, stats.sem([10.0, 14.0]))
    (on_dev,), (on_test,) = first.dev_beside, first.test_beside
    assert on_dev.interval is not None
    assert (on_dev.mean, on_test.mean) == (12.0, 5.5)
    assert on_dev.interval.ends == pytest.approx((low, high))
    assert [one.mean for one in (*half.dev_beside, *half.test_beside)] == [None, None]
    table, document = trials_table(result), confirmation_json(result)
    of_first = runs_table(result).query("trial == 2")
    assert of_first["dev_contrast_30"].tolist() == [10.0, 14.0]
    assert of_first["test_contrast_30"].tolist() == [7.0, 4.0]
    assert table["contrast_30_mean"].tolist()[0] == 12.0
    assert table["test_contrast_30_high"].tolist()[0] == on_test.interval.high  # type: ignore[union-attr]
    assert document["trials"][0]["beside"]["test"]["contrast@30"]["points"] == [7.0, 4.0]
    assert confirmation_json(found())["trials"][0]["beside"] is None


def test_fewer_seeds_than_are_there_are_the_first_of_them() -> None:
    runs = drawn_runs(RATES, SEEDS)
    result = confirmation(searched(FOUND, BASELINES), runs, (1, 2, 3))
    assert [done.seed for done in result.trials[0].runs] == [1, 2, 3]
    assert result.more_seeds == 2
    del runs[0, 4]
    assert confirmation(searched(FOUND, BASELINES), runs, (1, 2, 3)).more_seeds == 0


def test_nothing_is_known_before_the_first_run() -> None:
    result = confirmation(searched(FOUND, BASELINES), {}, (1, 2))
    assert result.result.ranked == ()
    assert [one.dev[0].mean for one in result.trials] == [None] * 5
    assert result.trials[0].typical is None
    assert result.dev_texts == 0


def test_tables_and_json_hold_the_numbers() -> None:
    reading = ReadingOfTest("2026-01-03T00:00:00+00:00", ((2, 1),), {"knee": 2})
    result = found(readings=[reading])
    table, runs, document = trials_table(result), runs_table(result), confirmation_json(result)
    assert table["trial"].tolist() == [2, 4, 3, 0, 1]
    assert runs.shape[0] == 25
    for row, one in zip(document["trials"], result.trials, strict=True):
        interval = one.dev[1].interval
        assert interval is not None
        assert row["dev"]["srs@30"]["low"] == interval.low
        assert row["dev"]["srs@30"]["search"] == FOUND[one.trial.number][1]
        assert row["dev"]["srs@30"]["points"] == [done.values[1] for done in one.runs]
        (line,) = table[table["trial"] == one.trial.number].to_dict("records")
        assert line["srs_30_mean"] == one.dev[1].mean
        assert line["srs_30_change"] == one.shifts[1]
        assert line["test_accuracy_high"] == row["test"]["accuracy"]["high"]
        assert "answers" not in row["runs"][0]["dev"]
    assert document["front_before"] == [2, 4, 3]
    assert document["test_readings"][0]["chosen"] == {"knee": 2}
    assert document["stayed"] == len(result.stayed)


def test_the_helpers_numbers_are_those_of_their_answers() -> None:
    full: Right = np.array([True, True, False, False])
    top: Right = np.array([True, False, False, False])
    made: Measured = measured(full, top)
    assert made.values == (50.0, 25.0)
    assert deletion_at(made.scores, 0.3).srs == 25.0
