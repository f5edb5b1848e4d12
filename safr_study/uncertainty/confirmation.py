"""What a confirmation found: means and intervals over new seeds, and what is left of the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from safr_study.pareto import rank_as_in
from safr_study.records import RankedTrial, StudyResult, TrialRecord, TrialState
from safr_study.records.run import Answers, Measured, ReadingOfTest, RunResult
from safr_study.records.study import binding
from safr_study.settings import Constraint, Objective, beside_objectives
from safr_study.uncertainty.bootstrap import Values
from safr_study.uncertainty.intervals import Interval
from safr_study.uncertainty.summary import SeedValues, front_chances, summarise

SHOWN_SEEDS = 3
"""Seeds from which people are shown an interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One objective of one trial over the new seeds."""

    mean: float | None
    """``None`` where no run has a value."""
    interval: Interval | None = None
    """95 %; ``None`` for fewer than two values."""

    @property
    def shown(self) -> Interval | None:
        """The interval, where it is worth showing: over two seeds it is 13 spreads, or nothing."""
        enough = self.interval is not None and len(self.interval.points) >= SHOWN_SEEDS
        return self.interval if enough else None


@dataclass(frozen=True, slots=True)
class ConfirmedTrial:
    """A trial of the search, and what the new seeds say of it."""

    trial: TrialRecord
    """Trial as the search left it."""
    runs: tuple[RunResult, ...]
    """Those of the asked seeds that have ended, by seed."""
    member: bool
    """Whether it was on the search's first front."""
    dev: tuple[Estimate, ...]
    """Estimates of each objective, in the study's order."""
    test: tuple[Estimate, ...]
    """Estimates on test; empty where the test set was not read for all of its models."""
    dev_beside: tuple[Estimate, ...] = ()
    """Estimates of each metric of `Confirmation.beside` on dev."""
    test_beside: tuple[Estimate, ...] = ()
    """The same on test; empty as `test` is."""
    ranked: RankedTrial | None = None
    """Trial ranked by its means, among all that are confirmed; ``None``: it is not."""
    front_probability: float | None = None
    """Share of resamples of seeds and texts in which it is not dominated; ``None`` as above."""

    @property
    def search(self) -> tuple[float, ...]:
        """The search's own objectives: what it was selected, or not selected, on."""
        assert self.trial.values is not None
        return self.trial.values

    @property
    def on_front(self) -> bool:
        """Whether no other confirmed trial dominates its means."""
        return self.ranked is not None and self.ranked.on_front

    @property
    def failures(self) -> tuple[RunResult, ...]:
        """Runs that failed."""
        return tuple(run for run in self.runs if run.failure is not None)

    @property
    def finished(self) -> tuple[RunResult, ...]:
        """Runs with numbers."""
        return tuple(run for run in self.runs if run.failure is None)

    @property
    def saturated(self) -> int:
        """Runs whose SRS measures a collapsed prediction."""
        return sum(run.saturated for run in self.runs)

    @property
    def violations(self) -> tuple[float, ...]:
        """Violations of the space's constraints: means over the new seeds."""
        columns = zip(*(run.violations for run in self.finished), strict=True)
        return tuple(math.fsum(column) / len(self.finished) for column in columns)

    @property
    def shifts(self) -> tuple[float | None, ...]:
        """Amount by which each mean differs from the search's own value."""
        pairs = zip(self.dev, self.search, strict=True)
        return tuple(None if new.mean is None else new.mean - old for new, old in pairs)

    @property
    def typical(self) -> RunResult | None:
        """The run nearest to the means on dev, each objective in units of its sd over the seeds.

        It represents the setting: it was not chosen for being lucky. Ties go to the first seed.
        """
        if not self.finished:
            return None
        points = np.array([run.values for run in self.finished])
        spread = points.std(axis=0)
        away = np.divide(points - points.mean(axis=0), spread, where=spread > 0, out=0 * points)
        return self.finished[int((away**2).sum(axis=1).round(9).argmin())]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A study's first front and baselines under new seeds."""

    study: str
    dataset: str
    objectives: tuple[Objective, ...]
    seeds: tuple[int, ...]
    trials: tuple[ConfirmedTrial, ...]
    """Members of the search's front first, in its order, then the other baselines."""
    result: StudyResult
    """The confirmed trials ranked by their means."""
    dev_texts: int
    test_texts: int
    """0: there is no test set, or it was not read."""
    readings: tuple[ReadingOfTest, ...] = ()
    """Every time that the test set was read for this study."""
    beside: tuple[Objective, ...] = ()
    """Metrics that some trial has a mean of, beside the objectives; they choose nothing."""
    more_seeds: int = 0
    """Number of seeds finished in the ledger beyond those asked for."""

    @property
    def members(self) -> tuple[ConfirmedTrial, ...]:
        """Trials of the search's first front."""
        return tuple(one for one in self.trials if one.member)

    @property
    def stayed(self) -> tuple[ConfirmedTrial, ...]:
        """Members that are on the front of the means too."""
        return tuple(one for one in self.members if one.on_front)

    @property
    def failures(self) -> tuple[RunResult, ...]:
        """All runs that failed."""
        return tuple(run for one in self.trials for run in one.failures)


def trials_to_confirm(searched: StudyResult) -> tuple[TrialRecord, ...]:
    """The front in its order, then the complete baselines that are not on it, by number."""
    front = {ranked.trial.number: ranked.trial for ranked in searched.front}
    named = (trial for trial in searched.trials if trial.baseline is not None)
    rest = (t for t in named if t.state is TrialState.COMPLETE and t.number not in front)
    return (*front.values(), *sorted(rest, key=lambda trial: trial.number))


def confirmation(
    searched: StudyResult,
    runs: Mapping[tuple[int, int], RunResult],
    seeds: Sequence[int],
    *,
    readings: Sequence[ReadingOfTest] = (),
) -> Confirmation:
    """What the runs of these seeds say.

    A trial is confirmed when all of its seeds have finished and the means keep the constraints;
    any other is shown with what it has, and takes no part in the front of the means.

    Args:
        searched: what the search found; its first front and baselines are confirmed.
        runs: by trial number and seed; those of other trials or seeds are passed over.
        seeds: new ones, shared by all trials.
        readings: of the test set.
    """
    objectives = tuple(Objective(name=name) for name in searched.objectives)
    members = {ranked.trial.number for ranked in searched.front}
    beside = tuple(
        metric
        for metric in beside_objectives(objectives)
        if any(run.dev and run.dev.value_of(metric.name) is not None for run in runs.values())
    )
    constraints = [Constraint.parse_text(text) for text in searched.constraints]
    wanted, trials = trials_to_confirm(searched), []
    for trial in wanted:
        trial_runs = [
            replace(run, violations=binding(trial, constraints, run.violations))
            for seed in seeds
            if (run := runs.get((trial.number, seed))) is not None
        ]
        ended = [run for run in trial_runs if run.failure is None]
        on_dev = [run.dev for run in ended if run.dev is not None]
        on_test = [run.test for run in ended if run.test is not None]
        tested = on_test if len(on_test) == len(ended) else []
        trials.append(
            ConfirmedTrial(
                trial=trial,
                runs=tuple(trial_runs),
                member=trial.number in members,
                dev=_estimates(_series(objectives, on_dev)),
                test=_estimates(_series(objectives, tested)) if tested else (),
                dev_beside=_estimates(_beside_series(beside, on_dev)),
                test_beside=_estimates(_beside_series(beside, tested)) if tested else (),
            )
        )
    confirmed = [
        one
        for one in trials
        if len(one.finished) == len(seeds) and all(miss <= 0 for miss in one.violations)
    ]
    ranking = rank_as_in(searched, [_as_trial(one) for one in confirmed])
    ranking = replace(ranking, asked=len(trials))
    places = {ranked.trial.number: ranked for ranked in ranking.ranked}
    shares = _front_probabilities(confirmed, objectives)
    return Confirmation(
        study=searched.name,
        dataset=searched.dataset,
        objectives=objectives,
        seeds=tuple(seeds),
        trials=tuple(
            replace(
                one,
                ranked=places.get(one.trial.number),
                front_probability=shares.get(one.trial.number),
            )
            for one in trials
        ),
        result=ranking,
        dev_texts=_texts(trials, lambda run: run.dev),
        test_texts=_texts(trials, lambda run: run.test),
        readings=tuple(readings),
        beside=beside,
        more_seeds=_more_seeds(wanted, runs, seeds),
    )


def contributions(objective: Objective, answers: Answers) -> Values | None:
    """What each text adds to an objective, `[M]`, percentage points: their mean is its value.

    ``None`` for an objective whose texts were not kept: those that are not made of right answers,
    and contrast.
    """
    whole = answers.whole().astype(np.float64)
    if objective.name == "accuracy":
        return 100.0 * whole
    if objective.k is None or objective.metric not in ("srs", "srs_excess"):
        return None
    top = answers.without_top(objective.k).astype(np.float64)
    if objective.metric == "srs":
        return 100.0 * (whole - top)
    drawn = answers.without_random(objective.k)
    return None if drawn is None else 100.0 * (drawn - top)


def _estimates(series: Sequence[SeedValues | None]) -> tuple[Estimate, ...]:
    """Each metric of one trial on one split over the seeds."""
    intervals = summarise({axis: one for axis, one in enumerate(series) if one is not None})
    return tuple(
        Estimate(None)
        if one is None
        else Estimate(math.fsum(one.values) / len(one.values), intervals[axis])
        for axis, one in enumerate(series)
    )


def _series(
    objectives: Sequence[Objective], measured: Sequence[Measured]
) -> list[SeedValues | None]:
    """Each objective under the seeds; ``None`` where one of them has no value of it."""
    series: list[SeedValues | None] = []
    for axis, objective in enumerate(objectives):
        known = [value for one in measured if (value := one.values[axis]) is not None]
        rows = [contributions(objective, one.answers) for one in measured]
        texts = [row for row in rows if row is not None]
        table = np.stack(texts) if texts and len(texts) == len(rows) else None
        complete = known and len(known) == len(measured)
        series.append(SeedValues(known, table=table) if complete else None)
    return series


def _beside_series(
    metrics: Sequence[Objective], measured: Sequence[Measured]
) -> list[SeedValues | None]:
    """Each metric beside the objectives under the seeds; ``None`` where a value is missing."""
    columns = [[one.value_of(metric.name) for one in measured] for metric in metrics]
    known = [[value for value in column if value is not None] for column in columns]
    return [SeedValues(one) if one and len(one) == len(measured) else None for one in known]


def _as_trial(one: ConfirmedTrial) -> TrialRecord:
    """The trial with the means as its objectives; saturated where one of its runs is."""
    worst = next((run for run in one.runs if run.saturated), one.typical)
    assert worst is not None
    assert worst.dev is not None
    return replace(
        one.trial,
        values=tuple(new.mean for new in one.dev if new.mean is not None),
        scores=worst.dev.scores,
        violations=one.violations,
        checkpoint=None if one.typical is None else one.typical.checkpoint,
        run_id=None,
    )


def _front_probabilities(
    confirmed: Sequence[ConfirmedTrial], objectives: Sequence[Objective]
) -> dict[int, float]:
    """Probabilities by trial number: one crossed bootstrap of seeds and dev texts for all."""
    series = [
        _series(objectives, [run.dev for run in one.finished if run.dev is not None])
        for one in confirmed
    ]
    chances = front_chances(
        [[one for one in trial if one is not None] for trial in series],
        [objective.maximise for objective in objectives],
        _texts(confirmed, lambda run: run.dev),
    )
    return dict(zip((one.trial.number for one in confirmed), chances, strict=True))


def _texts(trials: Sequence[ConfirmedTrial], of: Callable[[RunResult], Measured | None]) -> int:
    splits = (of(run) for one in trials for run in one.finished)
    return next((measured.answers.examples for measured in splits if measured is not None), 0)


def _more_seeds(
    trials: Sequence[TrialRecord],
    runs: Mapping[tuple[int, int], RunResult],
    seeds: Sequence[int],
) -> int:
    """Seeds beyond the asked ones that all the trials have finished."""
    others = sorted({seed for _, seed in runs} - set(seeds))
    finished = {key for key, run in runs.items() if run.failure is None}
    complete = [finished >= {(trial.number, seed) for trial in trials} for seed in others]
    return [*complete, False].index(False)
