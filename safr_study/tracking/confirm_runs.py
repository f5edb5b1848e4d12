"""A confirmation in MLflow: a child run for each new training, and versions to be defended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from safr_study.errors import ServiceUnreachable
from safr_study.records import RegisteredModel, TrialRecord, TrialState
from safr_study.records.metric_values import measured_metrics
from safr_study.records.run import RunKey, RunResult
from safr_study.render.model_card import ModelCard
from safr_study.tracking import entries
from safr_study.tracking.registry import (
    CONFIRMED_TAG,
    StudyAliases,
    make_model,
    model_name,
    role_holders,
    set_aliases,
    version_tags,
    versions_of,
)
from safr_study.tracking.runs import RunsOfKind, study_runs
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import TrackedStudy, start_of, write_record
from safr_study.tracking.versions import create_version, update_version
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial, Estimate

KIND = "confirm"
"""Kind of the child runs; also the folder of the files in the study's run."""
SEED_TAG = "safr.seed"


def track_confirmation(
    store: Store, found: Confirmation, study: TrackedStudy, files: Sequence[Path] = ()
) -> dict[RunKey, str]:
    """Write each run as a child of the study's run; what is there already is not written again.

    Args:
        store: where the study was tracked.
        found: the confirmation.
        study: the study; its provenance is that of runs that are not there yet.
        files: tables and pictures, to keep with the study's run.

    Returns:
        MLflow's run by trial number and seed.

    Raises:
        ServiceUnreachable: the tracking server does not do its work, or does not know the study.
    """
    client = store.client
    runs: RunsOfKind[RunKey] = RunsOfKind(client, KIND, _key)
    with store.translated_errors():
        studies = study_runs(store, found.dataset, study.uid, "study")
        if not studies:
            raise ServiceUnreachable(
                f"tracking: {store.shown_uri} has no run of study {found.study!r}; give the server "
                "that the search used, or repeat the search's command, which writes it there"
            )
        parent = studies[0].info.run_id
        runs.read(studies[0].info.experiment_id, study.uid)
        for file in files:
            client.log_artifact(parent, str(file), KIND)
        for trial, run in [(one.trial, run) for one in found.trials for run in one.runs]:
            record = _record(trial, run)
            tracked = runs.get_or_make(
                (run.trial, run.seed),
                name=f"{entries.run_name(found.study, trial)} seed {run.seed}",
                started=start_of(record),
                tags={
                    **study.tags(KIND),
                    entries.TRIAL_TAG: str(run.trial),
                    entries.PARENT_TAG: parent,
                    SEED_TAG: str(run.seed),
                },
            )
            tags = {} if run.test_read is None else {"test_read": run.test_read}
            write_record(tracked, record, study.spec, tags=tags, metrics=_test_metrics(run, record))
    return {key: tracked.run_id for key, tracked in runs}


def _key(tags: Mapping[str, str]) -> RunKey:
    return int(tags[entries.TRIAL_TAG]), int(tags[SEED_TAG])


def register_confirmed(
    store: Store, found: Confirmation, study: TrackedStudy, run_ids: Mapping[RunKey, str]
) -> list[RegisteredModel]:
    """Register a model of each member of the confirmed front, and move the study's aliases to them.

    The model of a trial is that of its typical run, the one nearest to the means on dev. It was
    not chosen for its luck, neither by the search nor among the new seeds, so the means and
    intervals in the version's tags are what its user may expect of such a model. Doing it again
    makes no second version of a run.

    Args:
        store: registry and artifacts.
        found: the confirmation.
        study: the study.
        run_ids: from `track_confirmation`.

    Returns:
        The versions of the confirmed front, in its order.

    Raises:
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    name = model_name(found.dataset)
    by_number = {one.trial.number: one for one in found.trials}
    numbers: dict[int, str] = {}
    with store.translated_errors():
        make_model(store, name)
        existing = {
            (version.tags.get("trial"), version.tags.get("seed")): version.version
            for version in versions_of(store, name)
            if version.tags.get("uid") == study.uid and CONFIRMED_TAG in version.tags
        }
        for ranked in found.result.front:
            one = by_number[ranked.trial.number]
            run = one.typical
            assert run is not None
            record = _record(one.trial, run)
            card = ModelCard(name, found.study, record, found.objectives, one, found.result)
            tags = version_tags(record, found.dataset, study.uid, study.spec)
            tags |= _confirmed_tags(found, one, run)
            number = existing.get((tags["trial"], tags["seed"]))
            if number is None:
                number = create_version(store, card, run_ids[run.trial, run.seed], tags)
            else:
                update_version(store, card, number, tags)
            numbers[run.trial] = number
        holders = {role: numbers[t.number] for role, t in role_holders(found.result).items()}
        names = StudyAliases(found.study, study.uid, study.earlier)
        set_aliases(store, name, holders, names, bare=False)
        versions = {version.version: version for version in versions_of(store, name)}
    return [versions[number] for number in numbers.values()]


def _record(trial: TrialRecord, run: RunResult) -> TrialRecord:
    """The trial as this run of it is."""
    return replace(
        trial,
        seed=run.seed,
        state=TrialState.COMPLETE if run.failure is None else TrialState.FAILED,
        values=run.values,
        scores=None if run.dev is None else run.dev.scores,
        checkpoint=run.checkpoint,
        epochs=(),
        failure=run.failure,
        seconds=run.seconds,
        device=run.device,
        replicates=(),
        ended=datetime.fromisoformat(run.ended).timestamp(),
    )


def _test_metrics(run: RunResult, record: TrialRecord) -> list[Metric]:
    at = entries.milliseconds(record.ended) or 0
    measured = [] if run.test is None else measured_metrics(run.test.scores)
    return [Metric(f"test/{m.name.replace('@', '_')}", m.value, at, 0) for m in measured]


def _confirmed_tags(found: Confirmation, one: ConfirmedTrial, run: RunResult) -> dict[str, str]:
    """Means and intervals that a confirmed version stands for, next to the model's own values."""
    tags = {
        "seed": str(run.seed),
        "front": "0",
        CONFIRMED_TAG: str(len(one.finished)),
        "front_probability": _text(one.front_probability),
    }
    for axis, objective in enumerate(found.objectives):
        tags |= _estimate_tags(objective.key, one.dev[axis])
        if one.test and run.test is not None:
            tags[f"test_{objective.key}"] = _text(run.test.values[axis])
            tags |= _estimate_tags(f"test_{objective.key}", one.test[axis])
    return tags


def _estimate_tags(key: str, new: Estimate) -> dict[str, str]:
    ends = (None, None) if new.interval is None else (new.interval.low, new.interval.high)
    named = {"mean": new.mean, "low": ends[0], "high": ends[1]}
    return {f"{key}_{name}": _text(value) for name, value in named.items()}


def _text(value: Any) -> str:
    return "" if value is None else repr(float(value))
