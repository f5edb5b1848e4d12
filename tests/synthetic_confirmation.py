"""Confirmations made of drawn right answers, for the tests of what counts or shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from plain_scores import a_deletion, made_scores
from synthetic_study import complete_trial

from safr_study.pareto import rank_study
from safr_study.records import CheckpointRef, Measure, StudyResult, TrialRecord
from safr_study.records.run import Answers, Measured, RunResult

Right = NDArray[np.bool_]
TEXTS = 40


def draw(rate: float, seed: int, texts: int = TEXTS) -> Right:
    """`[N]`: right answers at about this rate, in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=texts) < rate


def measured(full: Right, top: Right, *, split: str = "dev", saturated: bool = False) -> Measured:
    """Accuracy and SRS(30) of these answers."""
    accuracy, accuracy_top = 100.0 * float(full.mean()), 100.0 * float(top.mean())
    deletion = a_deletion(
        k=0.3,
        realised_share=0.3,
        accuracy_top=accuracy_top,
        srs=accuracy - accuracy_top,
        srs_se=1.0,
        dominant_share=0.99 if saturated else 0.5,
        saturated=saturated,
    )
    scores = made_scores(split, len(full), accuracy, 2.0, 50.0, 0.5, (deletion,))
    return Measured(
        scores, (accuracy, accuracy - accuracy_top), Answers.pack(full, {0.3: (top, None)})
    )


def run(
    trial: int,
    seed: int,
    full: Right,
    top: Right,
    *,
    saturated: bool = False,
    violations: tuple[float, ...] = (),
    checkpoint: CheckpointRef | None = None,
    test: tuple[Right, Right] | None = None,
) -> RunResult:
    """A finished run with these answers on dev, and on test if it was read."""
    return RunResult(
        trial=trial,
        seed=seed,
        dev=measured(full, top, saturated=saturated),
        checkpoint=checkpoint or CheckpointRef(f"/models/{trial}-{seed}", "a" * 64, 2),
        violations=violations,
        epochs=4,
        seconds=12.5,
        device="cpu",
        ended=f"2026-01-02T03:04:{seed:02d}+00:00",
        test=None if test is None else measured(*test, split="test"),
        test_read=None if test is None else "2026-01-03T00:00:00+00:00",
    )


def with_contrast(one: RunResult, dev: float, test: float) -> RunResult:
    """The run, measured with contrast(30) too."""
    assert one.dev is not None
    assert one.test is not None
    splits = {
        name: replace(
            split,
            scores=replace(
                split.scores, values={**split.scores.values, "contrast@30": Measure(value)}
            ),
        )
        for name, split, value in (("dev", one.dev, dev), ("test", one.test, test))
    }
    return replace(one, **splits)  # type: ignore[arg-type]


def drawn_runs(
    rates: Mapping[int, tuple[float, float]], seeds: Sequence[int], *, texts: int = TEXTS
) -> dict[tuple[int, int], RunResult]:
    """Runs by trial and seed; each trial has a rate of right answers, and one without the top."""
    found = {}
    for number, (full, top) in rates.items():
        for seed in seeds:
            one = 1000 * number + 10 * seed
            answers = (draw(full, one, texts), draw(top, one + 1, texts))
            on_test = (draw(full, one + 2, texts), draw(top, one + 3, texts))
            found[number, seed] = run(number, seed, *answers, test=on_test)
    return found


def searched(
    values: Mapping[int, tuple[float, float]],
    baselines: Mapping[int, str] | None = None,
    objectives: Sequence[str] = ("accuracy", "srs@30"),
) -> StudyResult:
    """A search that found these values, by trial number."""
    names = baselines or {}
    trials: list[TrialRecord] = [
        replace(complete_trial(number, *found, baseline=names.get(number)), run_id=f"run-{number}")
        for number, found in values.items()
    ]
    return rank_study("s1", "planted", objectives, (50.0, 0.0), trials, asked=len(trials))
