"""A confirmation in MLflow: a child run for each new training, and versions to be defended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from safr_study.errors import ServiceUnreachable
from safr_study.records import Provenance, RegisteredModel, TrialRecord, TrialState
from safr_study.records.metric_values import measured_metrics
from safr_study.records.run import RunResult
from safr_study.render.model_card import CardEstimate
from safr_study.settings import StudySpec
from safr_study.tracking import entries
from safr_study.tracking.entries import Measure
from safr_study.tracking.registry import (
    CONFIRMED_TAG,
    make_model,
    model_name,
    role_holders,
    set_aliases,
    versions_of,
)
from safr_study.tracking.runs import TrackedRun, experiment_name, find_runs, one_of_each
from safr_study.tracking.store import Store
from safr_study.tracking.versions import CardFacts, create_version, update_version
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial, Estimate

KIND = "confirm"
"""Of the child runs; also the folder of the files in the study's run."""
SEED_TAG = "safr.seed"

Key = tuple[int, int]
"""Trial number and seed."""


def track_confirmation(
    store: Store,
    found: Confirmation,
    *,
    uid: str,
    spec: StudySpec,
    provenance: Provenance,
    files: Sequence[Path] = (),
) -> dict[Key, str]:
    """Write each run as a child of the study's run; what is there already is not written again.

    Args:
        store: where the study was tracked.
        found: the confirmation.
        uid: the key of the study in its runs.
        spec: the study's settings.
        provenance: of runs that are not there yet.
        files: tables and pictures, to keep with the study's run.

    Returns:
        MLflow's run by trial number and seed.

    Raises:
        ServiceUnreachable: the tracking server does not do its work, or does not know the study.
    """
    with store.answering():
        experiment = store.client.get_experiment_by_name(experiment_name(found.dataset))
        studies = (
            find_runs(store.client, experiment.experiment_id, uid, "study") if experiment else []
        )
        if experiment is None or not studies:
            raise ServiceUnreachable(
                f"tracking: {store.shown_uri} has no run of study {found.study!r}; give the server "
                "that the search used, or repeat the search's command, which writes it there"
            )
        found_runs = find_runs(store.client, experiment.experiment_id, uid, KIND)
        keys = (
            (int(run.data.tags[entries.TRIAL_TAG]), int(run.data.tags[SEED_TAG]))
            for run in found_runs
        )
        known = one_of_each(store.client, zip(keys, found_runs, strict=True))
        for file in files:
            store.client.log_artifact(studies[0].info.run_id, str(file), KIND)
        ids = {}
        for one in found.trials:
            for run in one.runs:
                key = (run.trial, run.seed)
                fresh = key not in known
                if fresh:
                    tags = {
                        entries.STUDY_TAG: found.study,
                        entries.UID_TAG: uid,
                        entries.KIND_TAG: KIND,
                        entries.TRIAL_TAG: str(run.trial),
                        entries.PARENT_TAG: studies[0].info.run_id,
                        SEED_TAG: str(run.seed),
                        "dataset": found.dataset,
                        **entries.filter_tags(spec),
                        **entries.provenance_tags(provenance),
                    }
                    known[key] = store.client.create_run(
                        experiment.experiment_id,
                        start_time=_milliseconds(run) - round(1000 * run.seconds),
                        tags=tags,
                        run_name=f"{entries.run_name(found.study, one.trial)} seed {run.seed}",
                    )
                _update(TrackedRun(store.client, known[key], fresh=fresh), one.trial, run, spec)
                ids[key] = known[key].info.run_id
    return ids


def register_confirmed(
    store: Store, found: Confirmation, *, uid: str, spec: StudySpec, run_ids: Mapping[Key, str]
) -> list[RegisteredModel]:
    """Register a model of each member of the confirmed front, and move the study's aliases to them.

    The model of a trial is that of its typical run, the one nearest to the means on dev. It was
    not chosen for its luck, neither by the search nor among the new seeds, so the means and
    intervals in the version's tags are what its user may expect of such a model. Doing it again
    makes no second version of a run.

    Args:
        store: registry and artifacts.
        found: the confirmation.
        uid: the key of the study in its runs.
        spec: the study's settings.
        run_ids: from `track_confirmation`.

    Returns:
        The versions of the confirmed front, in its order.

    Raises:
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    name = model_name(found.dataset)
    by_number = {one.trial.number: one for one in found.trials}
    with store.answering():
        make_model(store, name)
        known = {
            (version.tags.get("trial"), version.tags.get("seed")): version.version
            for version in versions_of(store, name)
            if version.tags.get("uid") == uid and CONFIRMED_TAG in version.tags
        }
        numbers = {}
        for ranked in found.result.front:
            one = by_number[ranked.trial.number]
            run = one.typical
            assert run is not None
            assert run.checkpoint is not None
            tags = _version_tags(found, one, run, uid=uid, spec=spec)
            facts = _card_facts(name, found, one, run)
            number = known.get((tags["trial"], tags["seed"]))
            if number is None:
                run_id = run_ids[run.trial, run.seed]
                number = create_version(store, facts, run.checkpoint, run_id, tags)
            else:
                update_version(store, facts, number, run.checkpoint, tags)
            numbers[run.trial] = number
        holders = {role: numbers[t.number] for role, t in role_holders(found.result).items()}
        set_aliases(store, name, holders, study=found.study, uid=uid, bare=False)
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
    )


def _update(tracked: TrackedRun, trial: TrialRecord, run: RunResult, spec: StudySpec) -> None:
    record = _record(trial, run)
    tags = entries.trial_tags(record, spec, None)
    if run.test_read is not None:
        tags["test_read"] = run.test_read
    tracked.update(
        ended=_milliseconds(run),
        status="FINISHED" if run.failure is None else "FAILED",
        params=entries.trial_params(record, spec),
        tags=tags,
        measures=[
            *entries.final_measures(record, spec, _milliseconds(run)),
            *_test_measures(run),
        ],
    )


def _test_measures(run: RunResult) -> list[Measure]:
    if run.test is None:
        return []
    return [
        Measure(f"test/{metric.name.replace('@', '_')}", metric.value, 0, _milliseconds(run))
        for metric in measured_metrics(run.test.scores)
    ]


def _version_tags(
    found: Confirmation, one: ConfirmedTrial, run: RunResult, *, uid: str, spec: StudySpec
) -> dict[str, str]:
    """What the version is: the model's own values, and the means that it stands for."""
    assert run.checkpoint is not None
    tags = {
        "study": found.study,
        "uid": uid,
        "trial": str(run.trial),
        "seed": str(run.seed),
        "label": one.trial.label,
        "dataset": found.dataset,
        "preset": spec.train.preset,
        "saturated": json.dumps(run.saturated),
        "sha256": run.checkpoint.sha256,
        "epoch": str(run.checkpoint.epoch),
        "front": "0" if one.on_front else "",
        CONFIRMED_TAG: str(len(one.finished)),
        "front_probability": _text(one.front_probability),
    }
    for setting in ("lambda_imp", "lambda_inter"):
        if setting in one.trial.parameters:
            tags[setting] = json.dumps(one.trial.parameters[setting])
    for axis, objective in enumerate(found.objectives):
        tags[objective.key] = repr(run.values[axis])
        tags |= _estimate_tags(objective.key, one.dev[axis])
        if one.test and run.test is not None:
            tags[f"test_{objective.key}"] = _text(run.test.values[axis])
            tags |= _estimate_tags(f"test_{objective.key}", one.test[axis])
    return tags


def _card_facts(name: str, found: Confirmation, one: ConfirmedTrial, run: RunResult) -> CardFacts:
    estimates = [
        CardEstimate(
            split,
            objective.label,
            objective.measure.unit,
            estimate.interval.mean,
            estimate.interval.low,
            estimate.interval.high,
        )
        for split, of in (("dev", one.dev), ("test", one.test))
        for objective, estimate in zip(found.objectives, of, strict=False)
        if estimate.interval is not None
    ]
    return CardFacts(
        name,
        found.study,
        _record(one.trial, run),
        found.objectives,
        tuple(estimates),
        len(one.finished),
    )


def _estimate_tags(key: str, new: Estimate) -> dict[str, str]:
    ends = (None, None) if new.interval is None else (new.interval.low, new.interval.high)
    named = {"mean": new.mean, "low": ends[0], "high": ends[1]}
    return {f"{key}_{name}": _text(value) for name, value in named.items()}


def _text(value: Any) -> str:
    return "" if value is None else repr(float(value))


def _milliseconds(run: RunResult) -> int:
    """When the run ended, since 1970."""
    return round(1000 * datetime.fromisoformat(run.ended).timestamp())
