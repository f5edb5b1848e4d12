"""Whether MLflow has of a study what its ledger has: value by value, each once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.settings import StudySpec

EPOCH_VALUES = {
    "train/loss": lambda report: report.train.total,
    "train/cross_entropy": lambda report: report.train.cross_entropy,
    "train/importance": lambda report: report.train.importance,
    "train/interaction": lambda report: report.train.interaction,
    "train/vmask_information": lambda report: report.train.vmask_information,
    "dev/accuracy": lambda report: report.dev_accuracy,
    "dev/loss": lambda report: report.dev_loss,
    "gate/openness": lambda report: report.gate_openness,
    "embedding/mean_norm": lambda report: report.mean_norm,
    "effective/importance": lambda report: report.effective_importance,
    "effective/interaction": lambda report: report.effective_interaction,
    "effective/information": lambda report: report.effective_information,
    "time/epoch_seconds": lambda report: report.seconds,
}
_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.RUNNING: "KILLED",
}


@dataclass
class Compared:
    """What was looked at."""

    runs: int = 0
    points: int = 0
    """Of epochs, in the ledger."""
    missing: int = 0
    different: int = 0
    doubled: int = 0
    """Points, or runs, that are there more than once."""

    def __add__(self, other: Compared) -> Compared:
        mine, theirs = vars(self), vars(other)
        return Compared(**{name: mine[name] + theirs[name] for name in mine})


def compare(client: MlflowClient, uid: str, spec: StudySpec, trials: list[TrialRecord]) -> Compared:
    """Every value of every epoch, the objectives, the states and the settings."""
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = list(client.search_runs(ids, f"tags.`safr.uid` = '{uid}'", max_results=1000))
    children = [run for run in runs if run.data.tags["safr.kind"] == "trial"]
    parents = [run for run in runs if run.data.tags["safr.kind"] == "study"]
    found = Compared(runs=len(runs))
    by_number = {int(run.data.tags["safr.trial"]): run for run in children}
    found.doubled += len(children) - len(by_number) + max(0, len(parents) - 1)
    found.missing += len({trial.number for trial in trials} - set(by_number)) + (not parents)
    for trial in trials:
        if trial.number in by_number:
            run = by_number[trial.number]
            _compare_epochs(client, run, spec, trial, found)
            _compare_end(run, spec, trial, found)
            found.different += run.data.tags["mlflow.parentRunId"] != parents[0].info.run_id
    return found


def _compare_epochs(
    client: MlflowClient, run: Any, spec: StudySpec, trial: TrialRecord, found: Compared
) -> None:
    for key, expected in _expected(spec, trial).items():
        points = client.get_metric_history(run.info.run_id, key)
        there = {point.step: point.value for point in points}
        found.points += len(expected)
        found.doubled += len(points) - len(there)
        found.missing += len(expected.keys() - there.keys())
        found.different += len(there.keys() - expected.keys())
        found.different += sum(there[step] != expected[step] for step in expected if step in there)


def _expected(spec: StudySpec, trial: TrialRecord) -> dict[str, dict[int, float]]:
    expected: dict[str, dict[int, float]] = {}
    for report in trial.epochs:
        for key, value in _values(spec, report).items():
            if value is not None:
                expected.setdefault(key, {})[report.epoch] = value
    return expected


def _values(spec: StudySpec, report: EpochReport) -> dict[str, float | None]:
    at_rung = zip(spec.objectives, report.objectives or (), strict=False)
    rung: dict[str, float | None] = {f"rung/{one.key}": value for one, value in at_rung}
    return rung | {key: value(report) for key, value in EPOCH_VALUES.items()}


def _compare_end(run: Any, spec: StudySpec, trial: TrialRecord, found: Compared) -> None:
    metrics = run.data.metrics
    if trial.state is TrialState.COMPLETE:
        keys = [f"objective/{objective.key}" for objective in spec.objectives]
        values = tuple(metrics.get(key) for key in keys)
        found.missing += sum(value is None for value in values)
        found.different += values != trial.values
        found.missing += "pareto_rank" not in metrics
        found.different += trial.scores is not None and (
            metrics.get("dev/best_accuracy") != trial.scores.accuracy
        )
    found.different += run.info.status != _STATUS[trial.state]
    found.different += run.data.tags["safr.state"] != str(trial.state)
