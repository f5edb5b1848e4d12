"""Front members as versions of a registered model, and the aliases that point at them."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.objects import local_copy
from safr_study.records import (
    CheckpointRef,
    RankedTrial,
    RegisteredModel,
    StudyResult,
    TrialRecord,
)
from safr_study.settings import Objective, StudySpec
from safr_study.tracking.entries import TRIAL_TAG
from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import Store

if TYPE_CHECKING:
    from safr_study.report.model_card import CardEstimate

Role = Literal["knee", "best-accuracy", "best-srs"]
ROLES: tuple[Role, ...] = ("knee", "best-accuracy", "best-srs")
MODEL_PREFIX = "safr-"
FILES_TAG = "safr.files"
"""JSON of the SHA-256 of every file that is pulled, by its path in the logged model."""
LOGGED_TAG = "safr.model_id"
"""Of a version: its logged model, which MLflow's database does not keep beside it."""
CONFIRMED_TAG = "confirmed_seeds"
"""Of a version that a confirmation registered: how many seeds stand behind its means."""
_WEIGHTS_SUFFIX = ".safetensors"
_DESCRIPTION = 5000
"""Characters that MLflow's database keeps of a version's description."""
_VERSION_TRIES = 5
_VERSION_WAIT = (0.1, 1.0)
"""Seconds."""
_SAME_NUMBER = "Model Version creation error"


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
            for model in _pages(store.client.search_registered_models)
            if model.name.startswith(MODEL_PREFIX)
        )
        return [version for name in names for version in versions_of(store, name)]


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a flat folder, by name.

    Raises:
        CorruptCheckpoint: it is missing, or holds anything but plain files and one weights file.
    """
    if not folder.is_dir():
        raise CorruptCheckpoint("checkpoint", f"{folder} is missing; train the trial again")
    files = sorted(folder.iterdir())
    if not all(file.is_file() and not file.is_symlink() for file in files):
        raise CorruptCheckpoint("checkpoint", f"{folder} holds more than plain files")
    digests = {}
    for file in files:
        with file.open("rb") as stream:
            digests[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    weights_digest(digests, str(folder))
    return digests


def weights_digest(digests: Mapping[str, str], where: str) -> str:
    """The digest of the one weights file among the files of a checkpoint.

    Raises:
        CorruptCheckpoint: there is none, or more than one.
    """
    weights = [digest for name, digest in digests.items() if name.endswith(_WEIGHTS_SUFFIX)]
    if len(weights) != 1:
        raise CorruptCheckpoint(
            "checkpoint", f"{where} has {len(weights)} {_WEIGHTS_SUFFIX} files, not 1"
        )
    return weights[0]


def _run_ids(store: Store, dataset: str, uid: str) -> dict[int, str]:
    """The runs of a study's trials, by number."""
    experiment = store.client.get_experiment_by_name(experiment_name(dataset))
    if experiment is None:
        return {}
    runs = find_runs(store.client, experiment.experiment_id, uid, "trial")
    return {int(run.data.tags[TRIAL_TAG]): run.info.run_id for run in runs}


def make_model(store: Store, name: str) -> None:
    """Make a registered model where there is none of this name."""
    try:
        store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            store.client.create_registered_model(name)
        except MlflowException as late:
            # Another study of this data set may have made it just now.
            if late.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def versions_of(store: Store, name: str) -> list[RegisteredModel]:
    """The versions of a model, newest first; empty for an unknown model."""
    try:
        model = store.client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    # MLflow leaves the aliases of searched versions out.
    aliases: dict[str, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    found = [
        RegisteredModel(
            name,
            str(version.version),
            tuple(sorted(aliases.get(str(version.version), ()))),
            dict(version.tags),
            version.run_id or None,
        )
        for version in _pages(store.client.search_model_versions, f"name = '{name}'")
    ]
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def _pages(search: Any, *query: str) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(*query, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


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


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a version's card says beside what its checkpoint knows of itself."""

    model: str
    """Name of the registered model."""
    study: str
    trial: TrialRecord
    """With the scores of this very model."""
    objectives: tuple[Objective, ...]
    estimates: tuple[CardEstimate, ...] = ()
    """Of a confirmation."""
    seeds: int = 0
    """Behind the estimates."""

    @property
    def who(self) -> str:
        """Whose model it is, for errors."""
        seed = f" under seed {self.trial.seed}" if self.estimates else ""
        return f"trial {self.trial.number}{seed}"


def create_version(
    store: Store,
    facts: CardFacts,
    checkpoint: CheckpointRef,
    run_id: str,
    tags: Mapping[str, str],
) -> str:
    """Log a checkpoint as a model of its run and make it a version; its number.

    Args:
        store: registry and artifacts.
        facts: for the model's card.
        checkpoint: its files are verified first.
        run_id: that gets the model.
        tags: of the version, beside the list of its files.

    Raises:
        CorruptCheckpoint: it is not what it was when it was written.
    """
    # Slow to import, and only who registers needs it.
    from safr_study.tracking.logged import log_model

    with local_copy(checkpoint.uri) as folder:
        digests = file_digests(folder)
        if weights_digest(digests, checkpoint.uri) != checkpoint.sha256:
            raise CorruptCheckpoint(
                "checkpoint", f"{checkpoint.uri} has other weights than those of {facts.who}"
            )
        card = _card(facts, folder)
        model = log_model(
            store, run_id, folder, name=f"{facts.model}-{facts.trial.number}", tags=tags, card=card
        )
    all_tags = {**tags, FILES_TAG: _files_tag(digests, card), LOGGED_TAG: model.model_id}
    for left in reversed(range(_VERSION_TRIES)):
        try:
            version = store.client.create_model_version(
                facts.model,
                # Not models:/ID: MLflow's database would look for that in the process's default
                # store.
                source=model.artifact_location,
                run_id=run_id,
                model_id=model.model_id,
                tags=all_tags,
                description=_shortened(card),
            )
            break
        except MlflowException as error:
            # Studies that end at once draw the same number; MLflow itself tries thrice.
            if not left or _SAME_NUMBER not in str(error):
                raise
            time.sleep(random.uniform(*_VERSION_WAIT))
    number = str(version.version)
    # As MLflow's own registration does: the model's page links to its version.
    link = json.dumps([{"name": facts.model, "version": number}])
    store.client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": link})
    return number


def update_version(
    store: Store, facts: CardFacts, number: str, checkpoint: CheckpointRef, tags: Mapping[str, str]
) -> None:
    """Renew what is said of a version whose model stays as it is: its tags and its card."""
    from safr_study.tracking.logged import replace_card

    client = store.client
    model_id = client.get_model_version(facts.model, number).tags.get(LOGGED_TAG)
    if model_id is not None:
        with local_copy(checkpoint.uri) as folder:
            card = _card(facts, folder)
            digests = file_digests(folder)
        replace_card(store, model_id, card)
        client.update_model_version(facts.model, number, _shortened(card))
        tags = {**tags, FILES_TAG: _files_tag(digests, card)}
    for key, value in tags.items():
        client.set_model_version_tag(facts.model, number, key, value)


def _card(facts: CardFacts, folder: Path) -> str:
    from safr_study.report.model_card import model_card
    from safr_study.training import load_model

    return model_card(
        facts.model,
        facts.study,
        facts.trial,
        load_model(folder),
        facts.objectives,
        estimates=facts.estimates,
        seeds=facts.seeds,
    )


def _shortened(card: str) -> str:
    from safr_study.report.model_card import shortened

    return shortened(card, _DESCRIPTION)


def _files_tag(digests: Mapping[str, str], card: str) -> str:
    from safr_study.tracking.logged import CARD, CHECKPOINT

    files = {f"{CHECKPOINT}/{name}": digest for name, digest in digests.items()}
    return json.dumps({**files, CARD: hashlib.sha256(card.encode()).hexdigest()})


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
