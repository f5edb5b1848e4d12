"""The honest target against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.curves import Curve, Pair, Vector
from benchmarks.executor import History
from benchmarks.honest import HonestTable, SomeSeeds
from benchmarks.replay import main
from benchmarks.searches import BASE, Setup, replay
from safr_study.errors import BadInput
from safr_study.records import TrialRecord, TrialState
from safr_study.settings import SchedulerConfig, TrainConfig
from safr_study.settings.space_files import find_space

TRAIN = TrainConfig(epochs=2, patience=2)
A, B, C, D = (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)
ENDS: dict[Pair | None, tuple[Vector, Vector]] = {
    None: ((62.0, 1.0), (58.0, 1.0)),
    A: ((60.0, 10.0), (60.0, 10.0)),
    B: ((70.0, 4.0), (70.0, 4.0)),
    C: ((55.0, 12.0), (55.0, 12.0)),
    # By luck the best of all in its first training, in truth behind A.
    D: ((69.0, 16.0), (49.0, 2.0)),
}
"""Accuracy and SRS of each setting's last epoch under two seeds."""


class Small:
    """Five settings of two epochs; the first is worse than the last by ten points in both."""

    name = "small"
    epochs = 2
    seeds = 2
    levels = (0.0, 1.0)
    reference: Vector = (50.0, 0.0)

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        accuracy, srs = ENDS[pair][seed]
        values = ((accuracy - 10.0, srs - 10.0), (accuracy, srs))
        return Curve(values, tuple((a + 1.0, s) for a, s in values), (0.7, accuracy / 100))


def honest() -> HonestTable:
    return HonestTable(Small(), TRAIN)


def trial(number: int, pair: Pair, values: Vector) -> TrialRecord:
    drawn = {"lambda_imp": pair[0], "lambda_inter": pair[1]}
    return TrialRecord(number, TrialState.COMPLETE, drawn, 0, values=values)


def test_a_training_is_the_truth_and_the_residual_of_a_row() -> None:
    # Rows: two of each setting. Those of D are 10 and 7 off its mean (59, 9), times sqrt(2).
    table = honest()
    assert table.seeds == 10
    lucky, unlucky = (table.curve(A, seed) for seed in (8, 9))
    high, low = (
        (60 + 10 * math.sqrt(2), 10 + 7 * math.sqrt(2)),
        (
            60 - 10 * math.sqrt(2),
            10 - 7 * math.sqrt(2),
        ),
    )
    assert lucky.values[1] == pytest.approx(high)
    assert unlucky.values[1] == pytest.approx(low)
    assert lucky.values[0] == pytest.approx((high[0] - 10, high[1] - 10))
    assert lucky.rung_values[1] == pytest.approx((high[0] + 1, high[1]))
    assert lucky.loss[1] == pytest.approx(0.6 + 0.1 * math.sqrt(2))
    # A setting that always ends alike has none.
    assert table.curve(A, 2).values[1] == pytest.approx((60.0, 10.0))


def test_residuals_have_the_variance_of_rows() -> None:
    # Unbiased: over many settings of one variance, n rows less their mean lose 1/n of it.
    class Noise(Small):
        levels = tuple(float(level) for level in range(24))
        seeds = 3

        def curve(self, pair: Pair | None, seed: int) -> Curve:
            place = [0, 0] if pair is None else [1 + int(pair[0]), int(pair[1])]
            x, y = np.random.default_rng([seed, *place]).normal(0.0, (2.0, 3.0)).tolist()
            return Curve(((x, y),), ((x, y),), (x,))

    table = HonestTable(Noise(), TrainConfig(epochs=1, patience=1))
    errors = np.array([r[0][0] for r in table._residuals])
    assert errors.std(axis=0) == pytest.approx((2.0, 3.0), rel=0.06)


def test_a_setting_is_worth_what_it_ends_with_on_average() -> None:
    table = honest()
    means = {pair: np.mean(ends, axis=0) for pair, ends in ENDS.items()}
    assert set(table.worths) == set(means)
    for pair, mean in means.items():
        assert table.worths[pair] == pytest.approx(mean)
    # The front: (60, 10), (70, 4) and (55, 12) over (50, 0).
    assert table.best == pytest.approx(5 * 12 + 5 * 10 + 10 * 4)


def test_a_search_is_judged_by_the_truth_of_the_front_that_it_sees() -> None:
    table = honest()
    history = History(table.reference, table.judge)
    history.trial_ended(trial(0, A, (60.0, 10.0)))
    history.trial_ended(trial(1, B, (70.0, 4.0)))
    assert history.worth == pytest.approx(10 * 10 + 10 * 4)
    # Not on the front that is seen: it counts for nothing, though in truth it is on it.
    history.trial_ended(trial(2, C, (54.0, 9.0)))
    assert history.worth == pytest.approx(140)
    # A lucky training hides A, and is worth what it is worth on average: (59, 9).
    history.trial_ended(trial(3, D, (69.0, 16.0)))
    assert history.worth == pytest.approx(9 * 9 + 11 * 4)
    # A search that sees through it may recommend others.
    wiser = History(table.reference, table.judge, recommends=True, recommended=lambda: [0, 1, 2])
    for one in history.complete:
        wiser.trial_ended(one)
    assert wiser.worth == pytest.approx(150)


def test_random_search_arrives_and_may_lose_what_it_had() -> None:
    setup = Setup(
        space=find_space("lambda"),
        train=TRAIN,
        scheduler=SchedulerConfig(),
        target="honest",
        cap=60,
        horizon=60,
    )
    first, again = (replay(Small(), BASE, 1, setup) for _ in range(2))
    assert first == again
    assert first.best == pytest.approx(150)
    shares = [share for _, share in first.steps]
    assert max(shares) <= 1 + 1e-9
    assert shares != sorted(shares)
    assert first.share(first.spent) == shares[-1]


def test_rows_are_taken_apart() -> None:
    one = SomeSeeds(Small(), (1,))
    assert (one.seeds, one.curve(D, 0)) == (1, Small().curve(D, 1))
    with pytest.raises(BadInput, match="two seeds"):
        _ = HonestTable(one, TRAIN).best
    for wrong in ((), (0, 0), (2,)):
        with pytest.raises(BadInput, match="rows"):
            SomeSeeds(Small(), wrong)


def test_the_command_refuses_one_row_and_replays_two(tmp_path: Path) -> None:
    given = ["--searches", "1", "--cap", "3", "--horizon", "0", "--methods", "random"]
    given += ["--kept", str(tmp_path / "kept.jsonl"), "--target", "honest", "--epochs", "2"]
    assert main([*given, "--rows", "1"]) == 2
    assert main([*given, "--rows", "0", "1"]) == 0
