"""The ledger of a study: one Optuna study, in which everything that must survive is written.

A study NAME is stored as ``NAME``; a fresh start under the same name as ``NAME~2`` and so on, so
that nothing finished is ever lost. One driver writes; anyone may read.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, cast

import optuna
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from safr_study.errors import BadInput
from safr_study.home import Home
from safr_study.ledger.storage import close_storage, generations, home_of, open_storage
from safr_study.ledger.trial_codec import (
    ATTEMPT,
    LOST,
    RUNG,
    THAW,
    record_of,
    run_of,
    run_page,
    varied,
)
from safr_study.object_store import join
from safr_study.records import EpochReport, TrialRecord, to_plain
from safr_study.records.run import Attempt, RunResult, Spent
from safr_study.sampling import experimental_allowed
from safr_study.sampling.asha import Decision
from safr_study.sampling.fixed_trials import planned
from safr_study.sampling.fresh_sampler import study_sampler
from safr_study.sampling.observations import EPOCH
from safr_study.sampling.rules import FIRST, RULES
from safr_study.sampling.sampler import build_sampler, enqueued, replay, suggest
from safr_study.settings import StudySpec, Value

SCHEMA_VERSION = 1
_CHECKPOINTS = "checkpoints"
_RULES = "rules"


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What is fixed when a study begins, in addition to its settings."""

    corpus_fingerprint: str
    slug: str
    """Name of the data set in names of files and models."""
    reference_point: tuple[float, ...]
    """Point over which the hypervolume is measured: one value per objective, those of a model
    that is good for nothing."""
    provenance: Mapping[str, Any]
    corpus: Mapping[str, int | str] = field(default_factory=dict)
    """Counts and other facts of the data, by name; empty in a ledger of an earlier version."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """One generation of one study."""

    uid: str
    """Unique among all studies of all homes: the key of its checkpoints and MLflow runs."""
    study: optuna.Study
    storage: optuna.storages.BaseStorage

    @classmethod
    def create(
        cls,
        storage: optuna.storages.BaseStorage,
        spec: StudySpec,
        facts: StudyFacts,
        known: Sequence[FrozenTrial] = (),
        checkpoints: str | None = None,
        *,
        rules: int = RULES,
    ) -> Self:
        """Begin the next generation of ``spec.name``.

        Args:
            storage: of the ledger.
            spec: the study.
            facts: fixed from now on.
            known: `warm_trials` of the study that it starts from.
            checkpoints: URL below which its checkpoints are; ``None``: the home of its driver.
            rules: by which it searches.
        """
        taken = [number for number, _ in generations(storage, spec.name)]
        number = max(taken, default=0) + 1
        study = optuna.create_study(
            study_name=spec.name if number == 1 else f"{spec.name}~{number}",
            storage=storage,
            directions=["maximize" if o.maximise else "minimize" for o in spec.objectives],
            sampler=build_sampler(spec.sampler, seed=spec.seed, number=0, space=spec.space),
        )
        with experimental_allowed():
            study.set_metric_names([objective.name for objective in spec.objectives])
        uid = f"{spec.name}-{uuid.uuid4().hex[:8]}"
        study.set_user_attr("uid", uid)
        study.set_user_attr("schema", SCHEMA_VERSION)
        study.set_user_attr("facts", to_plain(facts))
        if rules != FIRST:
            study.set_user_attr(_RULES, rules)
        if checkpoints is not None:
            study.set_user_attr(_CHECKPOINTS, checkpoints)
        for trial in known:
            study.add_trial(trial)
        study.set_user_attr("known", len(known))
        # Last: a study without its settings was cut off while it was made, and is passed over.
        study.set_user_attr("spec", spec.model_dump(mode="json"))
        return cls(uid, study, storage)

    @classmethod
    def open(
        cls, home: Home, storage_url: str | None, name: str, *, drive: bool = False
    ) -> Self | None:
        """The newest generation of a study from where it is stored; ``None`` if there is none.

        Args:
            home: where journal files live.
            storage_url: SQLAlchemy URL, or ``None`` for the journal file.
            name: the study's name.
            drive: for the one driver of the study; see `open_storage`.

        Raises:
            BadInput: the URL or the file cannot be used, or it was written by another version.
            ServiceUnreachable: the database gives no answer.
        """
        storage = open_storage(home, storage_url, name, create=drive)
        ledger = None if storage is None else cls.load(storage, name)
        if ledger is None:
            close_storage(storage)
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        close_storage(self.storage)

    @classmethod
    def load(cls, storage: optuna.storages.BaseStorage, name: str) -> Self | None:
        """The newest generation of a study; ``None`` if there is none.

        Raises:
            BadInput: it was written by another version.
        """
        # A study without its settings was cut off while it was made.
        found = [stored for _, stored in generations(storage, name) if "spec" in stored.user_attrs]
        if not found:
            return None
        schema = found[-1].user_attrs.get("schema")
        if schema != SCHEMA_VERSION:
            raise BadInput(
                "study",
                f"{name!r} has ledger schema {schema}, this version reads {SCHEMA_VERSION}; use "
                "the version of safr-study that made it, or another name",
            )
        return cls._stored(storage, found[-1])

    @classmethod
    def load_all(cls, storage: optuna.storages.BaseStorage, name: str) -> list[Self]:
        """Every whole generation of a study that this version reads, oldest first."""
        attrs = [(stored, stored.user_attrs) for _, stored in generations(storage, name)]
        return [
            cls._stored(storage, stored)
            for stored, found in attrs
            if "spec" in found and found.get("schema") == SCHEMA_VERSION
        ]

    @classmethod
    def _stored(cls, storage: optuna.storages.BaseStorage, stored: Any) -> Self:
        sampler = build_sampler("random", seed=0, number=0)
        study = optuna.load_study(study_name=stored.study_name, storage=storage, sampler=sampler)
        return cls(stored.user_attrs["uid"], study, storage)

    @property
    def spec(self) -> StudySpec:
        """The settings, as last asked for."""
        return StudySpec.parse(self.study.user_attrs["spec"], where="ledger")

    @property
    def facts(self) -> StudyFacts:
        """What was fixed when the study began."""
        plain = self.study.user_attrs["facts"]
        return StudyFacts(**{**plain, "reference_point": tuple(plain["reference_point"])})

    @property
    def rules(self) -> int:
        """Rules by which it searches, those of `sampling.rules` that held when it began."""
        return int(self._attributes().get(_RULES, FIRST))

    @property
    def checkpoints_url(self) -> str | None:
        """URL below which its checkpoints are; ``None``: in the home of its driver."""
        return cast("str | None", self.study.user_attrs.get(_CHECKPOINTS))

    def checkpoints(self, home: Home) -> str:
        """Where its checkpoints are, one folder per trial number: a path or an URL."""
        url = self.checkpoints_url
        return str(home.checkpoints(self.uid)) if url is None else join(url, self.uid)

    def update_spec(self, spec: StudySpec) -> None:
        """Record a new number of trials or other resources; nothing that changes a number."""
        self.study.set_user_attr("spec", spec.model_dump(mode="json"))

    @property
    def known(self) -> int:
        """Trials of another study that the sampler knows; they come before all of this one's."""
        return int(self._attributes().get("known", 0))

    def trials(self) -> list[TrialRecord]:
        """All trials of this study, by number."""
        attrs, known, home = self._attributes(), self.known, home_of(self.storage)
        frozen = self.study.get_trials(deepcopy=False)[known:]
        return [record_of(t, t.number - known, attrs, home) for t in frozen]

    def trial(self, number: int) -> TrialRecord:
        """One trial."""
        frozen = self.storage.get_trial(self._trial_id(number))
        return record_of(frozen, number, self._attributes(), home_of(self.storage))

    def ask(self, spec: StudySpec, drawn: Mapping[str, Value] | None = None) -> TrialRecord | None:
        """Decide the next trial: a baseline, the next given point, ``drawn``, or the sampler's.

        Returns:
            The new running trial, or ``None`` when the grid is used up. Where the values drawn do
            not fit together (4 heads over a width of 66), the trial is already failed.
        """
        waiting = self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        count = waiting[0].number if waiting else self.storage.get_n_trials(self._study_id())
        number = count - self.known
        plan = planned(spec, number, rules=self.rules)
        if plan is None and spec.sampler == "grid":
            return None
        if plan is not None:
            drawn = enqueued(plan.point, spec.space)
        if drawn is not None and not waiting:
            self.study.enqueue_trial(dict(drawn))
        return self._settle(self.study.ask, number, spec)

    def draw_again(self, number: int, spec: StudySpec) -> TrialRecord:
        """Decide the settings of a trial that was cut off before they were written."""
        return self._settle(partial(self._open, number), number, spec)

    def _settle(
        self, begin: Callable[[], optuna.Trial], number: int, spec: StudySpec
    ) -> TrialRecord:
        """Decide a trial's settings and write them."""
        self.study.sampler = (
            build_sampler(spec.sampler, seed=spec.seed, number=number, space=spec.space)
            if self.rules == FIRST
            else study_sampler(spec, number)
        )
        trial, plan = begin(), planned(spec, number, rules=self.rules)
        if plan is None:
            values = suggest(trial, spec.space)
        else:
            values = {**spec.space.fixed, **plan.point}
            replay(trial, spec.space, plan.point)
        trial.set_user_attr("seed", spec.seed)
        if plan is not None and plan.baseline is not None:
            trial.set_user_attr("baseline", plan.baseline)
        try:
            trial.set_user_attr("parameters", varied(spec, values))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            return self.fail(number, f"its settings do not fit together: {reason}")
        return self.trial(number)

    def record_epoch(
        self, number: int, report: EpochReport, attempt: Attempt | None = None
    ) -> None:
        """Write one epoch of a running trial, and what its worker had taken by then."""
        told = {} if attempt is None else {ATTEMPT: to_plain(attempt)}
        self._set(number, f"{EPOCH}{report.epoch:05d}", {**to_plain(report), **told})

    def record_attempt(self, number: int, attempt: Attempt) -> None:
        """Write what a worker took for a trial that ends."""
        self._set(number, ATTEMPT, to_plain(attempt))

    def add_lost(self, number: int, seconds: float) -> None:
        """Note work on a running trial that has to be done again."""
        self._set(number, LOST, self.trial(number).lost_seconds + seconds)

    def complete(self, number: int, result: RunResult) -> TrialRecord:
        """End a trial with its objectives; by the first rules a control trial is not ranked.

        Raises:
            ValueError: an objective is not finite: that is a failure, not a number.
        """
        values = result.mean_values
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"trial {number}: objectives {values} are not all finite")
        assert result.dev is not None
        facts = {
            "scores": to_plain(result.dev.scores),
            "checkpoint": to_plain(result.checkpoint),
            "seconds": result.seconds,
            "device": result.device,
            "node": result.node or None,
            "replicates": to_plain(result.replicates) if len(result.replicates) > 1 else None,
            "violations": list(result.violations) or None,
        }
        for key, value in facts.items():
            if value is not None:
                self._set(number, key, value)
        self._set_constraints(number, result.violations)
        if self.rules == FIRST and self.trial(number).control:
            self._set(number, "run_on_values", list(values))
            self._tell(number, state=optuna.trial.TrialState.PRUNED)
        else:
            self._tell(number, values=list(values))
        return self.trial(number)

    def _set_constraints(self, number: int, violations: Sequence[float]) -> None:
        if not violations:
            return
        # Opening a trial asks the sampler for what it draws together: this one draws nothing.
        self.study.sampler = build_sampler("random", seed=0, number=number)
        trial = self._open(number)
        for index, violation in enumerate(violations):
            # It may have been written just before the driver died.
            if f"{index}" not in trial.constraints:
                trial.set_constraint(f"{index}", violation)

    def record_decision(
        self, number: int, epoch: int, decision: Decision, spent: Spent | None = None
    ) -> TrialRecord:
        """Write a decision on a trial at a rung, the second if it is paused; a stopped one ends."""
        key = RUNG if self.trial(number).paused_at is None else THAW
        self._set(number, f"{key}{epoch:05d}", decision.value)
        return self.stop(number, spent) if decision is Decision.PRUNE else self.trial(number)

    def stop(self, number: int, spent: Spent | None = None) -> TrialRecord:
        """End a running trial that was stopped; where ``spent`` is not known its epochs count."""
        self._set_spent(number, spent)
        self._tell(number, state=optuna.trial.TrialState.PRUNED)
        return self.trial(number)

    def pending_decision(self, trial: TrialRecord) -> EpochReport | None:
        """The rung that a trial reached without a decision, as its driver died just then."""
        reached = [report for report in trial.epochs if report.objectives is not None]
        if not reached or trial.stopped_at is not None:
            return None
        attrs = self.storage.get_trial(self._trial_id(trial.number)).user_attrs
        return None if f"{RUNG}{reached[-1].epoch:05d}" in attrs else reached[-1]

    def fail(self, number: int, sentence: str, spent: Spent | None = None) -> TrialRecord:
        """End a trial without objectives; ``spent`` is as for `stop`."""
        self._set_spent(number, spent)
        self._set(number, "failure", sentence)
        self._tell(number, state=optuna.trial.TrialState.FAIL)
        return self.trial(number)

    def _set_spent(self, number: int, spent: Spent | None) -> None:
        trained, known = math.fsum(e.seconds for e in self.trial(number).epochs), spent or Spent()
        seconds = max(known.seconds, trained)
        for key, value in {"seconds": seconds, "device": known.device, "node": known.node}.items():
            if value:
                self._set(number, key, value)

    def set_run_ids(self, run_ids: Mapping[int, str]) -> None:
        """Remember the MLflow runs of trials; on the study, as finished trials are closed."""
        known = self._attributes()
        pages: dict[str, dict[str, str]] = {}
        for number, run_id in run_ids.items():
            if run_of(known, number) != run_id:
                key = run_page(number)
                page = pages.setdefault(key, dict(known.get(key, {})))
                page[str(number)] = run_id
        for key, page in pages.items():
            self.study.set_user_attr(key, page)

    def _attributes(self) -> Mapping[str, Any]:
        """Attributes of the study, to be read: Optuna's own property copies them each time."""
        return self.storage.get_study_user_attrs(self._study_id())

    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.study.study_name)

    def _trial_id(self, number: int) -> int:
        stored = number + self.known
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id(), stored)

    def _open(self, number: int) -> optuna.Trial:
        return optuna.trial.Trial(self.study, self._trial_id(number))

    def _tell(self, number: int, **outcome: Any) -> None:
        self.study.tell(number + self.known, **outcome)

    def _set(self, number: int, key: str, value: Any) -> None:
        self.storage.set_trial_user_attr(self._trial_id(number), key, value)
