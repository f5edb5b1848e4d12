"""The four searches that are compared, and one of them replayed over a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from plain_scores import a_deletion, made_scores
from run_results import run_result

from benchmarks.curves import Curve, Table, Vector, best_hypervolume, pair_of
from benchmarks.executor import History, Trainer, run_search
from benchmarks.honest import Judge, honest_table
from safr_study.records import EpochReport, Replicate
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask
from safr_study.settings import (
    CorpusSpec,
    SamplerName,
    SchedulerConfig,
    SchedulerName,
    SearchSpace,
    StudySpec,
    TrainConfig,
)

RowRule = Literal["trial", "study"]
"""Which of a pair's trainings a trial gets: drawn for each trial, or one seed for a whole study."""
Target = Literal["best", "honest"]
"""What a search is after: the hypervolume of the luckiest rows, or that of the settings which are
best on average (``honest.py``)."""

ARRIVAL: Mapping[Target, str] = {
    "best": "the hypervolume of its complete trials",
    "honest": "the hypervolume of what the settings on its front are worth on average (the front of"
    " its complete trials; of freeze-thaw the one that it recommends, if not said otherwise)",
}
"""What of a search is compared with the best."""
_ROWS_TRIED = 64
"""Trials in which every seed of a table is drawn at least once."""
WITHIN = 0.95
"""Of the table's best hypervolume: when a search has arrived."""


@dataclass(frozen=True, slots=True)
class Method:
    """One of the searches."""

    key: str
    title: str
    sampler: SamplerName
    scheduler: SchedulerName = "none"
    """What becomes of trials at rungs."""
    recommends: bool = False
    """Whether the front that it recommends is judged, in the place of the measured one."""


METHODS = (
    Method("random", "random search, full training", "random"),
    Method("tpe", "TPE", "tpe"),
    Method("tpe-asha", "TPE + MO-ASHA", "tpe", "mo-asha"),
    Method("gp-asha", "GP + MO-ASHA", "gp", "mo-asha"),
)
"""Those that are compared."""
BASE = METHODS[0]
RANDOM_ASHA = Method("random-asha", "random search + MO-ASHA", "random", "mo-asha")
"""The same draws as random search: what stopping alone does."""
FREEZE_THAW = Method("freeze-thaw", "freeze-thaw", "tpe", "freeze-thaw", recommends=True)
FREEZE_THAW_SEEN = replace(
    FREEZE_THAW, key="freeze-thaw-seen", title="freeze-thaw, measured front", recommends=False
)
"""The same searches, judged as those are that recommend nothing."""
ALL_METHODS = (*METHODS, RANDOM_ASHA, FREEZE_THAW, FREEZE_THAW_SEEN)


@dataclass(frozen=True, slots=True)
class Search:
    """How one search went."""

    method: str
    seed: int
    best: float
    """Hypervolume of all that it could have found."""
    steps: tuple[tuple[int, float], ...]
    """(epochs spent, share of ``best``) after each complete trial that changed it."""
    spent: int
    """Epochs in all, until it was ended."""
    cap: int
    """Epochs at which a search that has not arrived is given up."""
    states: dict[str, int]
    """How many trials ended in which state."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of ``to_plain``."""
        return cls(**{**plain, "steps": tuple((spent, share) for spent, share in plain["steps"])})

    @property
    def epochs(self) -> int | None:
        """Spent when it arrived; ``None``: it did not, within ``cap``."""
        return next((spent for spent, share in self.steps if share >= WITHIN), None)

    def share(self, spent: int) -> float:
        """Of the best hypervolume, after so many epochs."""
        return next((share for epochs, share in reversed(self.steps) if epochs <= spent), 0.0)


def study_spec(
    method: Method,
    seed: int,
    *,
    space: SearchSpace,
    train: TrainConfig,
    scheduler: SchedulerConfig,
    cap: int,
    corpus: CorpusSpec | None = None,
) -> StudySpec:
    """The study of a search: as many trials as fit into ``cap`` epochs."""
    return StudySpec(
        name=method.key,
        corpus=corpus or CorpusSpec(dataset="planted"),
        space=space,
        trials=cap,
        epoch_budget=cap,
        sampler=method.sampler,
        scheduler=scheduler.model_copy(update={"name": method.scheduler}),
        seed=seed,
        train=train,
    )


def search(
    spec: StudySpec,
    method: Method,
    trainer: Trainer,
    *,
    best: float,
    reference: Vector,
    workers: int,
    folder: Path,
    horizon: int = 0,
    judge: Judge | None = None,
) -> Search:
    """Run one search until it arrives, and then to the horizon.

    Args:
        spec: of ``study_spec``.
        method: which it is.
        trainer: trains its trials.
        best: hypervolume of all that can be found.
        reference: of the hypervolume.
        workers: trials at once.
        folder: for the trials' states.
        horizon: epochs that are spent at least, for the picture.
        judge: of its complete trials; ``None``: the hypervolume of their values.
    """
    history = History(reference, judge, method.recommends)
    cap = spec.epoch_budget or 0

    def enough(seen: History) -> bool:
        # A front that others see as it is can get worse again.
        arrived = any(worth >= WITHIN * best for _, worth in seen.steps)
        return seen.epochs >= (min(horizon, cap) if arrived else cap)

    run_search(spec, trainer, history, workers=workers, folder=folder, enough=enough)
    return Search(
        method=method.key,
        seed=spec.seed,
        best=best,
        steps=tuple((epochs, volume / best) for epochs, volume in history.steps if epochs <= cap),
        spent=history.epochs,
        cap=cap,
        states=history.states,
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """What all searches over a table share."""

    space: SearchSpace
    train: TrainConfig
    scheduler: SchedulerConfig
    workers: int = 2
    rule: RowRule = "trial"
    target: Target = "best"
    cap: int = 192
    """In full trainings."""
    horizon: int = 0
    """In full trainings."""


def replay(table: Table, method: Method, seed: int, setup: Setup) -> Search:
    """One search over a table.

    The best is that of the very rows that its trials can be given, so that no search can do better,
    and all methods under one seed are measured against the same. A pair can be drawn again and
    again; a model without VMASK is trained by the baselines alone, once each. With the honest
    target it is the hypervolume of what all settings are worth on average.
    """
    judge: Judge | None = None
    if setup.target == "honest":
        honest = honest_table(table, setup.train)
        table, best, judge = honest, honest.best, honest.judge
    else:
        given = [row_seed(setup.rule, seed, number, table.seeds) for number in range(_ROWS_TRIED)]
        bare = [b.values.get("vmask") is False for b in setup.space.baselines]
        best = best_hypervolume(
            table,
            setup.train,
            seeds=sorted(set(given)),
            without_vmask=[row for row, without in zip(given, bare, strict=False) if without],
        )
    spec = study_spec(
        method,
        seed,
        space=setup.space,
        train=setup.train,
        scheduler=setup.scheduler,
        cap=setup.cap * setup.train.epochs,
    )
    return search(
        spec,
        method,
        Lookup(table, setup.rule),
        best=best,
        reference=table.reference,
        workers=setup.workers,
        folder=Path("nothing-is-written-here"),
        horizon=setup.horizon * setup.train.epochs,
        judge=judge,
    )


def row_seed(rule: RowRule, seed: int, number: int, seeds: int) -> int:
    """Which training of a pair a trial gets: decided by study seed and trial number alone."""
    if rule == "study":
        return seed % seeds
    return int(np.random.SeedSequence([seed, number, 0x726F77]).generate_state(1)[0]) % seeds


class Lookup:
    """A trainer that looks its epochs up in a table."""

    def __init__(self, table: Table, rule: RowRule) -> None:
        self._table = table
        self._rule: RowRule = rule
        self._done: dict[int, int] = {}

    def step(self, task: RunTask) -> EpochReport | RunResult:
        curve = self._curve(task)
        reports = curve.reports(task.train, task.rungs)
        done = self._done.get(task.number, 0)
        self._done[task.number] = done + 1
        if done < len(reports):
            return reports[done]
        return finished(curve.end(task.train), reports)

    def _curve(self, task: RunTask) -> Curve:
        weights = task.train.penalties
        pair = pair_of(
            weights.lambda_imp if task.train.shape.vmask else None,
            weights.lambda_inter,
            self._table.levels,
        )
        seed = row_seed(self._rule, task.train.seed, task.number, self._table.seeds)
        curve = self._table.curve(pair, seed)
        # Without a number of texts a rung is measured on all of dev.
        return curve if task.rung_texts else replace(curve, rung_values=curve.values)


def finished(values: Vector, reports: Sequence[EpochReport]) -> RunResult:
    """The end of a trial of which nothing but its objectives is known."""
    deletion = a_deletion(0.3, 0.3, values[0] - values[1], values[1], 0.0)
    return run_result(
        Replicate(0, values),
        scores=made_scores("dev", 1, values[0], 0.0, 50.0, math.log(2), (deletion,)),
        epochs=len(reports),
        seconds=float(len(reports)),
        device="table",
    )
