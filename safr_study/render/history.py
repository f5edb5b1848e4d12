"""A study over time: its hypervolume after each of its trials, and its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from safr_study.pareto import rank_as_in
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.records.study import HistoryPoint
from safr_study.records.warnings import study_warnings, trial_warnings
from safr_study.render.verdict import verdict
from safr_study.settings import Objective

if TYPE_CHECKING:
    import pandas as pd

_ENDED = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED}
_UNKNOWN = "-" * 20
"""Placeholder of a time that was not recorded."""


def hypervolume_history(result: StudyResult) -> tuple[HistoryPoint, ...]:
    """The study's hypervolume after each of its trials, in the order in which they ended.

    Trials whose time is not recorded come last, by number. The epochs of trials that have not
    ended are not counted.
    """
    trials = [trial for trial in result.trials if trial.state in _ENDED]
    points: list[HistoryPoint] = []
    front: list[TrialRecord] = []
    epochs = 0
    for count, trial in enumerate(sorted(trials, key=_when), start=1):
        # Who is dominated once stays so: the front is all that has to be kept.
        so_far = rank_as_in(result, [*front, trial])
        front = [ranked.trial for ranked in so_far.front]
        epochs += len(trial.epochs) * max(1, len(trial.replicates))
        points.append(HistoryPoint(trial.number, trial.ended, count, epochs, so_far.hypervolume))
    return tuple(points)


def history_table(history: Sequence[HistoryPoint]) -> pd.DataFrame:
    """One row for each trial that ended; the columns are those of a `HistoryPoint`."""
    import pandas as pd  # slow to import, and most who read a study make no table

    return pd.DataFrame(list(history), columns=[field.name for field in fields(HistoryPoint)])


def study_log(result: StudyResult, *, command: str, began: float | None) -> str:
    """One line per trial in the order in which they ended, with what it changed.

    It is made of the ledger, so the log of a study that was interrupted, or was written again, is
    whole. Times are UTC.

    Args:
        result: the study.
        command: that resumes it.
        began: when its first trial was begun, in seconds since the epoch.
    """
    return "\n".join(_lines(result, command, began)) + "\n"


def _lines(result: StudyResult, command: str, began: float | None) -> Iterator[str]:
    yield f"study {result.name} on {result.dataset}: {result.asked} trials asked for"
    yield f"$ {command}"
    yield f"{_time(began)} the first trial begins"
    trials = {trial.number: trial for trial in result.trials}
    before = 0.0
    for point in hypervolume_history(result):
        trial = trials.pop(point.trial)
        grown = point.hypervolume - before
        before = point.hypervolume
        yield (
            f"{_time(point.ended)} trial {trial.number} ({trial.label}) {_end(trial, result)}, "
            f"{len(trial.epochs)} epochs, {trial.seconds:.1f} s"
            + (f"; hypervolume {before:.4g} (+{grown:.4g})" if grown > 0 else "")
        )
        yield from (f"{'':20} {said}" for said in trial_warnings(trial))
    for trial in trials.values():
        yield f"{_UNKNOWN} trial {trial.number} ({trial.label}) is {trial.state}"
    if (found := verdict(result)) is not None:
        yield found
    yield (
        f"the front has {len(result.front)} of {len(result.ranked)} ranked trials; hypervolume "
        f"{result.hypervolume:.6g}"
    )
    yield from study_warnings(ranked.trial for ranked in result.ranked)


def _end(trial: TrialRecord, result: StudyResult) -> str:
    if trial.state is TrialState.FAILED:
        return f"failed: {trial.failure}"
    if trial.state is TrialState.PRUNED:
        return "ran on after it was to be stopped" if trial.control else "was stopped early"
    values = trial.values or ()  # noqa: PD011 (a record, not a DataFrame)
    pairs = zip(result.objectives, values, strict=False)
    shown = (f"{Objective(name=name).label} {value:.2f}" for name, value in pairs)
    ran_on = " after it was to be stopped" if trial.control else ""
    return f"is complete{ran_on}: {', '.join(shown)}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _when(trial: TrialRecord) -> tuple[bool, float, int]:
    return trial.ended is None, trial.ended or 0.0, trial.number
