"""Front members as versions of a registered model, and the aliases that point at them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.errors import BadInput
from safr_study.records import RegisteredModel, StudyResult, TrialRecord
from safr_study.records.study import ROLES, Role
from safr_study.render.model_card import ModelCard
from safr_study.settings import RIVALS_OFF, StudySpec
from safr_study.tracking.entries import TRIAL_TAG
from safr_study.tracking.runs import study_runs
from safr_study.tracking.store import Store, all_pages
from safr_study.tracking.versions import create_version

MODEL_PREFIX = "safr-"
_CHOICES: frozenset[Role] = frozenset({"knee", "compromise"})
CONFIRMED_TAG = "confirmed_seeds"
"""Tag of a version that a confirmation registered: number of seeds behind its means."""


@dataclass(frozen=True, slots=True)
class StudyAliases:
    """The names of a study's aliases in a registry that other studies may share."""

    study: str
    uid: str
    earlier: frozenset[str] = frozenset()
    """Unique ids of its earlier generations."""

    @property
    def uids(self) -> frozenset[str]:
        """Unique ids of all of whom the aliases may be."""
        return self.earlier | {self.uid}

    def prefix(self, versions: Sequence[RegisteredModel]) -> str:
        """What its aliases begin with: its name as MLflow takes it in an alias, without dots.

        ``a.b`` and ``a-b`` would meet, and so do studies of one name in two homes: where another
        study has the aliases, a short hash of the name is added, and else of the unique id.
        """
        plain = self.study.replace(".", "-")
        hashed = (hashlib.sha256(text.encode()).hexdigest()[:6] for text in (self.study, self.uid))
        prefixes = [plain, *(f"{plain}-{end}" for end in hashed)]
        owners = {prefix: self._owners(prefix, versions) for prefix in prefixes}
        held = [prefix for prefix in prefixes if owners[prefix] & self.uids]
        free = [prefix for prefix in prefixes if not owners[prefix]]
        return [*held, *free, prefixes[-1]][0]

    @staticmethod
    def _owners(prefix: str, versions: Sequence[RegisteredModel]) -> set[str | None]:
        names = {f"{prefix}-{role}" for role in ROLES}
        return {one.tags.get("uid") for one in versions if names.intersection(one.aliases)}


def model_name(dataset: str) -> str:
    """The registered model of a data set: ``safr-sst2``, ``safr-planted-redundant``."""
    return MODEL_PREFIX + slugify(dataset)


def register_front(
    store: Store,
    result: StudyResult,
    *,
    uid: str,
    spec: StudySpec,
    earlier: Collection[str] = (),
    promote: bool = False,
) -> list[RegisteredModel]:
    """Register the front's checkpoints as model versions and set the study's aliases.

    Doing it again makes no second version of a trial; a longer study only adds to it. Once a
    confirmation has moved the study's aliases to its own versions they stay there: what one seed
    says does not take them back.

    Args:
        store: registry and artifacts.
        result: the ranked study.
        uid: the study's unique id.
        spec: the study's settings.
        earlier: unique ids of its earlier generations, whose aliases it takes over.
        promote: move the bare aliases too; without it they move only for a data set's first study.

    Returns:
        The versions of the front, in its order; then those of a confirmation that hold aliases.

    Raises:
        BadInput: a front member has no checkpoint or no run.
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    name = model_name(result.dataset)
    members = {ranked.trial.number: ranked.trial for ranked in result.front}
    with store.translated_errors():
        make_model(store, name)
        before = versions_of(store, name)
        ours = {
            version.tags["trial"]: version
            for version in before
            if version.tags.get("uid") == uid and CONFIRMED_TAG not in version.tags
        }
        numbers = {n: ours[str(n)].version for n in members if str(n) in ours}
        runs = (
            study_runs(store, result.dataset, uid, "trial") if len(numbers) < len(members) else ()
        )
        run_ids = {int(run.data.tags[TRIAL_TAG]): run.info.run_id for run in runs}
        for number, trial in members.items():
            if number in numbers:
                continue
            if trial.checkpoint is None or number not in run_ids:
                absent = "checkpoint" if trial.checkpoint is None else "MLflow run"
                raise BadInput("trial", f"{number} of {result.name} has no {absent} to register")
            tags = version_tags(trial, result.dataset, uid, spec) | {"front": "0"}
            card = ModelCard(name, result.name, trial, spec.objectives, result=result)
            numbers[number] = create_version(store, card, run_ids[number], tags)
        _refresh_fronts(store, ours.values(), result)
        names = StudyAliases(result.name, uid, frozenset(earlier))
        holders = _confirmed_holders(before, names)
        if holders is None:
            holders = {role: numbers[t.number] for role, t in role_holders(result).items()}
        set_aliases(store, name, holders, names, bare=promote)
        versions = {version.version: version for version in versions_of(store, name)}
    shown = dict.fromkeys([*(numbers[n] for n in members), *holders.values()])
    return [versions[number] for number in shown]


def list_models(store: Store) -> list[RegisteredModel]:
    """All versions of all models of safr-study: by name, newest first.

    Raises:
        ServiceUnreachable: the tracking server does not do its work.
    """
    with store.translated_errors():
        names = sorted(
            model.name
            for model in all_pages(store.client.search_registered_models)
            if model.name.startswith(MODEL_PREFIX)
        )
        return [version for name in names for version in versions_of(store, name)]


def make_model(store: Store, name: str) -> None:
    """Make a registered model where there is none of this name."""
    try:
        # No look first: another study of this data set may make it just then.
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
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
        for version in all_pages(store.client.search_model_versions, f"name = '{name}'")
    ]
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def version_tags(trial: TrialRecord, dataset: str, uid: str, spec: StudySpec) -> dict[str, str]:
    """What a version's tags say of its model, with the values of this very model."""
    assert trial.checkpoint is not None
    settings = ("lambda_imp", "lambda_inter", *RIVALS_OFF)
    return {
        "study": spec.name,
        "uid": uid,
        "trial": str(trial.number),
        "label": trial.label,
        "dataset": dataset,
        "preset": spec.train.preset,
        "saturated": json.dumps(trial.saturated),
        "sha256": trial.checkpoint.sha256,
        "epoch": str(trial.checkpoint.epoch),
        **{
            name: json.dumps(trial.parameters[name])
            for name in settings
            if name in trial.parameters
        },
        **{
            objective.key: repr(value)
            for objective, value in zip(spec.objectives, trial.values or (), strict=False)
        },
    }


def _refresh_fronts(store: Store, versions: Iterable[RegisteredModel], result: StudyResult) -> None:
    """Correct the front's number of versions: a resumed study may have pushed members off it."""
    fronts = {str(ranked.trial.number): str(ranked.front) for ranked in result.ranked}
    for version in versions:
        front = fronts.get(version.tags["trial"])
        if front is not None and front != version.tags.get("front"):
            store.client.set_model_version_tag(version.name, version.version, "front", front)


def role_holders(result: StudyResult) -> dict[Role, TrialRecord]:
    """Which front member has which role; a saturated one is best in accuracy at most.

    Nobody has one where no trial beats the baselines or the majority class, and none that is no
    better than that class. A front has a knee or a compromise, never both.
    """
    if result.unbeaten is not None:
        return {}
    front = [ranked.trial for ranked in result.front if ranked.trial.beats_majority]
    sound = [trial for trial in front if not trial.saturated]
    chosen = result.choice
    role = None if chosen is None or chosen.trial not in sound else chosen.choice
    candidates: dict[Role, TrialRecord | None] = {
        "knee": chosen.trial if chosen is not None and role == "knee" else None,
        "compromise": chosen.trial if chosen is not None and role == "compromise" else None,
        "best-accuracy": _best(front, result, "accuracy"),
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
    names: StudyAliases,
    *,
    bare: bool,
) -> None:
    """Let a study's aliases point at these versions; a role without a holder loses its alias.

    Args:
        store: the registry.
        name: of the registered model.
        holders: version number by role.
        names: of the study's aliases.
        bare: move the bare aliases too; without it only those that no other study has.
    """
    versions = versions_of(store, name)
    prefix, uid = names.prefix(versions), names.uid
    current = {alias: version for version in versions for alias in version.aliases}
    owners = {current[role].tags.get("uid") for role in ROLES if role in current}
    aliases: list[tuple[str, Role]] = [(f"{prefix}-{role}", role) for role in ROLES]
    if bare or owners <= {uid}:
        aliases += [(role, role) for role in ROLES]
    for alias, role in aliases:
        number = holders.get(role)
        if number is None:
            held = current.get(alias)
            # A front has one of the two: where the bare one moves here, the other ends, whoever
            # had it.
            replaced = role in _CHOICES and bare and not _CHOICES.isdisjoint(holders)
            if held is not None and (replaced or held.tags.get("uid") in names.uids):
                store.client.delete_registered_model_alias(name, alias)
        elif alias not in current or current[alias].version != number:
            store.client.set_registered_model_alias(name, alias, number)


def chosen_versions(
    store: Store, dataset: str, names: StudyAliases
) -> tuple[RegisteredModel | None, RegisteredModel | None]:
    """A study's knee or compromise, and the version that has one of these as its bare alias.

    Args:
        store: the registry.
        dataset: whose model it is.
        names: of the study's aliases.
    """
    with store.translated_errors():
        versions = versions_of(store, model_name(dataset))
    prefix = names.prefix(versions)

    def holder(names: set[str]) -> RegisteredModel | None:
        return next((version for version in versions if names & {*version.aliases}), None)

    own = holder({f"{prefix}-{role}" for role in _CHOICES})
    ours = own if own is not None and own.tags.get("uid") == names.uid else None
    return ours, holder({*_CHOICES})


def tag_version(store: Store, version: RegisteredModel, key: str, value: str) -> None:
    """Write a tag of a version; one that is there is replaced."""
    with store.translated_errors():
        store.client.set_model_version_tag(version.name, version.version, key, value)


def _confirmed_holders(
    versions: Sequence[RegisteredModel], names: StudyAliases
) -> dict[Role, str] | None:
    """The versions of a confirmation that have the study's aliases; ``None``: the search's count.

    Empty where a confirmation found that nothing beats the baselines, and took the aliases away.
    """
    prefix, ours = names.prefix(versions), [v for v in versions if v.tags.get("uid") == names.uid]
    confirmed = [version for version in ours if CONFIRMED_TAG in version.tags]
    held = {
        role: version.version
        for version in confirmed
        for role in ROLES
        if f"{prefix}-{role}" in version.aliases
    }
    named = {f"{prefix}-{role}" for role in ROLES}
    taken = confirmed and not any(named.intersection(version.aliases) for version in ours)
    return held if held or taken else None
