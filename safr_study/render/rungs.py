"""Decisions of early stopping, the rungs' agreement with the end, and the cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safr_study.pareto import rank_as_in
from safr_study.records import StudyResult, TrialRecord, TrialState, to_plain
from safr_study.settings import Objective

Pair = tuple[tuple[float, ...], tuple[float, ...]]
"""A trial's objectives at a rung, and at its end."""
CHANCE_TAU = 0.1
"""Rank correlation up to which a rung's order is hardly better than chance."""
ENOUGH = 10
"""Trials from which on that is worth a word: Kendall's tau of 10 has a standard error of 0.25."""


@dataclass(frozen=True, slots=True)
class RungCorrelation:
    """Agreement of an objective's order at a rung with that at the end."""

    objective: str
    tau: float | None
    """Kendall's tau-b, in [-1, 1]; ``None`` with fewer than two trials, or where all are equal."""
    n: int
    """Trials with both values."""


@dataclass(frozen=True, slots=True)
class RungReport:
    """One rung of a study.

    The correlations are over trials that reached their end, so over those that did well at the
    rungs and a sample of the others: with few run-ons they say little about the stopped.
    """

    rung: int
    """Rung in epochs."""
    judged: int
    """Trials about which a verdict was given: no baselines, and no run-ons of an earlier rung."""
    stopped: int
    """Number of those that ended here."""
    ran_on: int
    """Number of those that were to be stopped and became controls."""
    ended: int
    """Trials measured at the rung that reached their end, baselines and run-ons included."""
    correlations: tuple[RungCorrelation, ...]
    """One per objective, in the study's order."""
    run_ons_ended: int
    """Run-ons of this rung that reached their end and keep every constraint."""
    front_missed: int | None
    """Number of those that would be on the study's front, had they counted; ``None``: no run-on
    has ended."""
    hypervolume_missed: float | None
    """Hypervolume that they would have added to the front, in its unit; at least 0; likewise."""


def rung_reports(result: StudyResult) -> tuple[RungReport, ...]:
    """A report on each rung of a study."""
    reports, trials = [], result.trials
    # Ranking takes its time in a large study, and only run-ons are compared with it.
    ended = {trial.number for trial in trials if trial.control and _end_of(trial) is not None}
    others = [trial for trial in trials if trial.number not in ended]
    reached = rank_as_in(result, others).hypervolume if ended else 0.0
    for rung in result.rungs:
        here = [trial for trial in trials if trial.stopped_at == rung]
        run_ons = [
            replace(trial, state=TrialState.COMPLETE, values=_end_of(trial))
            for trial in here
            if trial.number in ended and trial.feasible
        ]
        front_missed, hypervolume_missed = None, None
        if run_ons:
            counted = rank_as_in(result, [*others, *run_ons])
            numbers = {trial.number for trial in run_ons}
            front_missed = sum(ranked.trial.number in numbers for ranked in counted.front)
            hypervolume_missed = max(0.0, counted.hypervolume - reached)
        pairs = _pairs(trials, rung)
        reports.append(
            RungReport(
                rung=rung,
                judged=sum(_judged(trial, rung) for trial in trials),
                stopped=sum(not trial.control for trial in here),
                ran_on=sum(trial.control for trial in here),
                ended=len(pairs),
                correlations=tuple(
                    _correlation(name, place, pairs) for place, name in enumerate(result.objectives)
                ),
                run_ons_ended=len(run_ons),
                front_missed=front_missed,
                hypervolume_missed=hypervolume_missed,
            )
        )
    return tuple(reports)


def rung_rows(reports: Iterable[RungReport]) -> list[dict[str, int | float | None]]:
    """A row of plain values per rung, for a table.

    Keys: the fields of a `RungReport`; in the place of its correlations one ``tau_KEY`` per
    objective by its `Objective.key`.
    """

    def columns(report: RungReport) -> Iterator[tuple[str, Any]]:
        taus = {f"tau_{Objective(name=one.objective).key}": one.tau for one in report.correlations}
        for name, value in to_plain(report).items():
            yield from taus.items() if name == "correlations" else ((name, value),)

    return [dict(columns(report)) for report in reports]


def rung_lines(result: StudyResult) -> list[str]:
    """One sentence for each rung at which a trial was to be stopped."""
    lines = []
    for report in rung_reports(result):
        if not report.stopped + report.ran_on:
            continue
        taus = [
            f"{Objective(name=one.objective).label} {one.tau:.2f}"
            for one in report.correlations
            if one.tau is not None
        ]
        agrees = f"; rank correlation with the end: {', '.join(taus)} (n = {report.ended})"
        cost = (
            f"; of {report.run_ons_ended} that ran on, {report.front_missed} would be on the front"
            if report.run_ons_ended
            else ""
        )
        lines.append(
            f"Epoch {report.rung}: {report.judged} trials judged, {report.stopped} stopped, "
            f"{report.ran_on} told to run on{agrees if taus else ''}{cost}.{_doubt(report)}"
        )
    return lines


def _doubt(report: RungReport) -> str:
    """A sentence where a rung stopped trials by an order that is not that of the end."""
    labels = [
        Objective(name=one.objective).label
        for one in report.correlations
        if one.tau is not None and one.n >= ENOUGH and one.tau <= CHANCE_TAU
    ]
    if not labels:
        return ""
    return (
        f" Its order by {' and '.join(labels)} did not foretell the end; a search with "
        "--scheduler none stops nobody."
    )


def _at_rung(trial: TrialRecord, rung: int) -> tuple[float, ...] | None:
    return next((epoch.objectives for epoch in trial.epochs if epoch.epoch == rung), None)


def _end_of(trial: TrialRecord) -> tuple[float, ...] | None:
    """Objectives at the end of a trial that reached it, ranked or not."""
    return trial.control_values or trial.values


def _judged(trial: TrialRecord, rung: int) -> bool:
    if trial.baseline is not None or _at_rung(trial, rung) is None:
        return False
    return trial.stopped_at is None or rung <= trial.stopped_at


def _pairs(trials: Iterable[TrialRecord], rung: int) -> list[Pair]:
    pairs = []
    for trial in trials:
        start = _at_rung(trial, rung)
        end = _end_of(trial)
        if start is not None and end is not None:
            pairs.append((start, end))
    return pairs


def _correlation(name: str, place: int, pairs: Sequence[Pair]) -> RungCorrelation:
    both = [(start[place], end[place]) for start, end in pairs]
    both = [pair for pair in both if not any(map(math.isnan, pair))]
    if len(both) < 2:
        return RungCorrelation(name, None, len(both))
    from scipy.stats import kendalltau  # slow to import, and a study without rungs needs it not

    tau = float(kendalltau(*zip(*both, strict=True)).statistic)
    return RungCorrelation(name, None if math.isnan(tau) else tau, len(both))
