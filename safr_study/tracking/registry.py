"""Front members as versions of a registered model, and the aliases that point at them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Literal

from safr_study.data import slugify
from safr_study.errors import BadInput
from safr_study.records import (
    RankedTrial,
    RegisteredModel,
    StudyResult,
    TrialRecord,
)
from safr_study.settings import Objective, StudySpec
from safr_study.tracking.entries import TRIAL_TAG
from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import Store
from safr_study.tracking.versions import (
    CardFacts,
    create_version,
    make_model,
    pages,
    versions_of,
)

Role = Literal["knee", "best-accuracy", "best-srs"]
ROLES: tuple[Role, ...] = ("knee", "best-accuracy", "best-srs")
MODEL_PREFIX = "safr-"
CONFIRMED_TAG = "confirmed_seeds"
"""Of a version that a confirmation registered: how many seeds stand behind its means."""


def model_name(dataset: str) -> str:
    """The registered model of a data set: ``safr-sst2``, ``safr-planted-redundant``."""
    return MODEL_PREFIX + slugify(dataset)


def register_front(
    store: Store,
    result: StudyResult,
    *,
    uid: str,
    spec: StudySpec,
    promote: bool = False,
) -> list[RegisteredModel]:
    """Register the front's checkpoints as model versions and set the study's aliases.

    Doing it again makes no second version of a trial; a longer study only adds to it. Once a
    confirmation has moved the study's aliases to its own versions they stay there: what one seed
    says does not take them back.

    Args:
        store: registry and artifacts.
        result: the ranked study.
        uid: the key of the study in its runs.
        spec: the study's settings.
        promote: move the bare aliases too; without it they move only for a data set's first study.

    Returns:
        The versions of the front, in its order; then those of a confirmation that hold aliases.

    Raises:
        BadInput: a front member has no checkpoint or no run.
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    name = model_name(result.dataset)
    with store.answering():
        make_model(store, name)
        before = versions_of(store, name)
        known = {
            (version.tags.get("uid"), version.tags.get("trial")): version
            for version in before
            if CONFIRMED_TAG not in version.tags
        }
        numbers: dict[int, str] = {}
        run_ids: dict[int, str] = {}
        for ranked in result.front:
            trial = ranked.trial
            version = known.get((uid, str(trial.number)))
            if version is None:
                if not run_ids:
                    run_ids = _run_ids(store, result.dataset, uid)
                run_id = run_ids.get(trial.number)
                numbers[trial.number] = _register(
                    store, name, ranked, result, uid=uid, spec=spec, run_id=run_id
                )
            else:
                numbers[trial.number] = version.version
        _refresh_fronts(store, [v for v in known.values() if v.tags.get("uid") == uid], result)
        holders = _confirmed_holders(before, result.name, uid) or {
            role: numbers[trial.number] for role, trial in role_holders(result).items()
        }
        set_aliases(store, name, holders, study=result.name, uid=uid, bare=promote)
        versions = {version.version: version for version in versions_of(store, name)}
    shown = dict.fromkeys([*numbers.values(), *holders.values()])
    return [versions[number] for number in shown]


def list_models(store: Store) -> list[RegisteredModel]:
    """All versions of all models of safr-study: by name, newest first.

    Raises:
        ServiceUnreachable: the tracking server does not do its work.
    """
    with store.answering():
        names = sorted(
            model.name
            for model in pages(store.client.search_registered_models)
            if model.name.startswith(MODEL_PREFIX)
        )
        return [version for name in names for version in versions_of(store, name)]


def _run_ids(store: Store, dataset: str, uid: str) -> dict[int, str]:
    """The runs of a study's trials, by number."""
    experiment = store.client.get_experiment_by_name(experiment_name(dataset))
    if experiment is None:
        return {}
    runs = find_runs(store.client, experiment.experiment_id, uid, "trial")
    return {int(run.data.tags[TRIAL_TAG]): run.info.run_id for run in runs}


def _register(
    store: Store,
    name: str,
    ranked: RankedTrial,
    result: StudyResult,
    *,
    uid: str,
    spec: StudySpec,
    run_id: str | None,
) -> str:
    trial = ranked.trial
    if trial.checkpoint is None or run_id is None:
        absent = "checkpoint" if trial.checkpoint is None else "MLflow run"
        raise BadInput("trial", f"{trial.number} of {result.name} has no {absent} to register")
    tags = {
        "study": result.name,
        "uid": uid,
        "trial": str(trial.number),
        "label": trial.label,
        "dataset": result.dataset,
        "preset": spec.train.preset,
        "saturated": json.dumps(trial.saturated),
        "sha256": trial.checkpoint.sha256,
        "epoch": str(trial.checkpoint.epoch),
        "front": str(ranked.front),
    }
    for setting in ("lambda_imp", "lambda_inter"):
        if setting in trial.parameters:
            tags[setting] = json.dumps(trial.parameters[setting])
    for objective, value in zip(result.objectives, trial.values or (), strict=False):
        tags[Objective.named(objective).key] = repr(value)
    facts = CardFacts(name, result.name, trial, tuple(Objective(name=n) for n in result.objectives))
    return create_version(store, facts, trial.checkpoint, run_id, tags)


def _refresh_fronts(store: Store, versions: Sequence[RegisteredModel], result: StudyResult) -> None:
    """A study that went on may have pushed earlier members off its front."""
    fronts = {str(ranked.trial.number): str(ranked.front) for ranked in result.ranked}
    for version in versions:
        front = fronts.get(version.tags["trial"])
        if front is not None and front != version.tags.get("front"):
            store.client.set_model_version_tag(version.name, version.version, "front", front)


def role_holders(result: StudyResult) -> dict[Role, TrialRecord]:
    """Which front member has which role; a saturated one is best in accuracy at most."""
    sound = [ranked.trial for ranked in result.front if not ranked.trial.saturated]
    candidates: dict[Role, TrialRecord | None] = {
        "knee": next((r.trial for r in result.front if r.knee and r.trial in sound), None),
        "best-accuracy": _best([ranked.trial for ranked in result.front], result, "accuracy"),
        "best-srs": _best(sound, result, "srs"),
    }
    return {role: trial for role, trial in candidates.items() if trial is not None}


def _best(trials: Sequence[TrialRecord], result: StudyResult, metric: str) -> TrialRecord | None:
    """The first of the best in the first objective whose name begins like this."""
    axes = [i for i, name in enumerate(result.objectives) if name.startswith(metric)]
    complete = [(trial.values[axes[0]], trial) for trial in trials if trial.values and axes]
    return max(complete, key=lambda pair: pair[0])[1] if complete else None


def set_aliases(
    store: Store,
    name: str,
    holders: Mapping[Role, str],
    *,
    study: str,
    uid: str,
    bare: bool,
) -> None:
    """Let a study's aliases point at these versions; a role without a holder loses its alias.

    Args:
        store: the registry.
        name: of the registered model.
        holders: version number by role.
        study: its name.
        uid: its key.
        bare: move the bare aliases too; without it only those that no other study has.
    """
    versions = versions_of(store, name)
    prefix = _alias_prefix(study, versions)
    current = {alias: version for version in versions for alias in version.aliases}
    owners = {current[role].tags.get("uid") for role in ROLES if role in current}
    names: list[tuple[str, Role]] = [(f"{prefix}-{role}", role) for role in ROLES]
    if bare or owners <= {uid}:
        names += [(role, role) for role in ROLES]
    for alias, role in names:
        number = holders.get(role)
        if number is None:
            if alias in current and current[alias].tags.get("uid") == uid:
                store.client.delete_registered_model_alias(name, alias)
        elif alias not in current or current[alias].version != number:
            store.client.set_registered_model_alias(name, alias, number)


def _confirmed_holders(
    versions: Sequence[RegisteredModel], study: str, uid: str
) -> dict[Role, str]:
    """The versions of a confirmation that have the study's aliases; empty before the first."""
    prefix = _alias_prefix(study, versions)
    return {
        role: version.version
        for version in versions
        if version.tags.get("uid") == uid and CONFIRMED_TAG in version.tags
        for role in ROLES
        if f"{prefix}-{role}" in version.aliases
    }


def _alias_prefix(study: str, versions: Sequence[RegisteredModel]) -> str:
    """The study's name as MLflow takes it in an alias, which has no dots.

    ``a.b`` and ``a-b`` would meet: where another study has the aliases, a short hash is added.
    """
    plain = study.replace(".", "-")
    taken = any(
        f"{plain}-{role}" in version.aliases and version.tags.get("study") != study
        for version in versions
        for role in ROLES
    )
    return f"{plain}-{hashlib.sha256(study.encode()).hexdigest()[:6]}" if taken else plain
