"""How a trial is written in the ledger: the keys of its attributes, and the record they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from safr_study.home import Home
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    Replicate,
    Scores,
    TrialRecord,
    TrialState,
    from_plain,
)
from safr_study.records.run import Attempt
from safr_study.sampling.asha import Decision
from safr_study.sampling.fixed_trials import flat_settings
from safr_study.sampling.observations import EPOCH
from safr_study.settings import StudySpec, Value, trial_config

RUNG = "rung:"
"""Attribute of a trial, with the epoch's number: the scheduler's decision."""
THAW = "thaw:"
"""The same of a trial that was paused there: whether it went on or was stopped."""
ATTEMPT = "attempt"
"""Key of what a worker had taken for the trial: in a trial's report of an epoch, and of its end."""
LOST = "lost_seconds"
"""Attribute of a trial."""
_RUN = "run:"
"""Attribute of a study by an earlier version, with the trial's number: its MLflow run."""
_RUNS = "runs:"
"""Attribute of a study, with the number of a page: MLflow runs of so many trials by number. One
write for each trial would take longer than a large study's ranking."""
_PAGE = 500


def run_page(number: int) -> str:
    """The study's attribute that has the MLflow run of this trial."""
    return f"{_RUNS}{number // _PAGE}"


def run_of(of_study: Mapping[str, Any], number: int) -> str | None:
    """The MLflow run of a trial, from the study's attributes."""
    page: Mapping[str, str] = of_study.get(run_page(number), {})
    return page.get(str(number), of_study.get(f"{_RUN}{number}"))


def record_of(
    trial: FrozenTrial, number: int, of_study: Mapping[str, Any], home: Home | None = None
) -> TrialRecord:
    """A stored trial as a record.

    Args:
        trial: as Optuna has it.
        number: in its study, from 0.
        of_study: the study's attributes.
        home: where its checkpoints are, which may have been moved since; ``None``: not known.
    """
    attrs = trial.user_attrs
    checkpoint, scores = attrs.get("checkpoint"), attrs.get("scores")
    if checkpoint and home is not None:
        checkpoint = {**checkpoint, "uri": home.checkpoint(of_study["uid"], checkpoint["uri"])}
    failed = trial.state is optuna.trial.TrialState.FAIL
    state = TrialState.FAILED if failed else TrialState[trial.state.name]
    # One write says it all: a driver that dies after it has left nothing half-said.
    verdicts = {
        int(key.removeprefix(RUNG)): attrs.get(f"{THAW}{key.removeprefix(RUNG)}", value)
        for key, value in attrs.items()
        if key.startswith(RUNG)
    }
    against = {
        epoch: verdict
        for epoch, verdict in verdicts.items()
        if verdict not in (Decision.CONTINUE, Decision.PAUSE)
    }
    paused = [epoch for epoch, verdict in verdicts.items() if verdict == Decision.PAUSE]
    control_values = attrs.get("run_on_values")
    reports = [attrs[key] for key in sorted(attrs) if key.startswith(EPOCH)]
    told = [*(report.get(ATTEMPT) for report in reports), attrs.get(ATTEMPT)]
    return TrialRecord(
        number=number,
        state=state,
        parameters=attrs.get("parameters", {}),
        seed=attrs.get("seed", 0),
        baseline=attrs.get("baseline"),
        values=tuple(trial.values) if state is TrialState.COMPLETE else None,
        scores=Scores.from_plain(scores) if scores else None,
        checkpoint=from_plain(CheckpointRef, checkpoint) if checkpoint else None,
        epochs=tuple(
            from_plain(EpochReport, {k: v for k, v in report.items() if k != ATTEMPT})
            for report in reports
        ),
        failure=attrs.get("failure") if failed else None,
        stopped_at=min(against, default=None),
        paused_at=max(paused, default=None) if state is TrialState.RUNNING else None,
        control=Decision.CONTROL in against.values(),
        control_values=None if control_values is None else tuple(control_values),
        replicates=tuple(from_plain(Replicate, one) for one in attrs.get("replicates", ())),
        violations=tuple(attrs.get("violations", ())),
        seconds=attrs.get("seconds", 0.0),
        device=attrs.get("device"),
        node=attrs.get("node"),
        run_id=run_of(of_study, number),
        ended=None if trial.datetime_complete is None else trial.datetime_complete.timestamp(),
        attempts=_attempts(from_plain(Attempt, one) for one in told if one is not None),
        lost_seconds=attrs.get(LOST, 0.0),
    )


def _attempts(told: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """The last of what was told of each attempt, by number."""
    last: dict[int, Attempt] = {}
    for one in told:
        if one.number not in last or one.seconds >= last[one.number].seconds:
            last[one.number] = one
    return tuple(last[number] for number in sorted(last))


def varied(spec: StudySpec, values: Mapping[str, Value]) -> dict[str, Value | None]:
    """The settings by which trials differ, as the model gets them: nulls without VMASK.

    What a baseline alone sets is one of them.
    """
    config = trial_config(spec.train, dict(values), seed=spec.seed)
    resolved = flat_settings(config)
    fixed = spec.space.fixed
    own = [name for name, value in values.items() if name not in fixed or fixed[name] != value]
    names = dict.fromkeys(("vmask", "lambda_imp", "lambda_inter", *spec.space.parameters, *own))
    return {name: resolved[name] for name in names}
