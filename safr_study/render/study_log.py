"""The log of a study: what happened when, as its ledger tells it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.records.warnings import study_warnings, trial_warnings
from safr_study.render.history import hypervolume_history
from safr_study.settings import Objective

_UNKNOWN = "-" * 20
"""Placeholder of a time that was not recorded."""


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
    members = [*(ranked.trial for ranked in result.ranked), *result.unranked]
    trials = {trial.number: trial for trial in members}
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
    shown = (
        f"{Objective(name=name).label} {value:.2f}"
        for name, value in zip(result.objectives, trial.values or (), strict=False)
    )
    return f"is complete: {', '.join(shown)}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
