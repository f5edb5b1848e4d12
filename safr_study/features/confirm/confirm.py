"""Confirm: train a study's front anew under new seeds, and say what is left of it.

Trains the runs that are missing, reads the test set once, and tells MLflow.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from safr_study.cluster.gpu_pilot import measured_slots
from safr_study.cluster.ray_cluster import cluster
from safr_study.cluster.slots import NodeCapacity, TrialSlots, plan_slots, time_left
from safr_study.data import EncodedCorpus, describe, encoded_corpus
from safr_study.errors import (
    BadInput,
    SafrError,
    ServiceUnreachable,
    StudyInterrupted,
    ended_how,
)
from safr_study.features.confirm.output import write_confirmation
from safr_study.features.confirm.plan import (
    ConfirmOutcome,
    ConfirmPlan,
    ConfirmRequest,
    Say,
    new_seeds,
    searched_study,
    stored_confirmation,
)
from safr_study.features.study_base.cost import START_SECONDS, estimate
from safr_study.features.study_base.provenance import provenance
from safr_study.features.study_base.results import driven_ledger, load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, delivery_ends
from safr_study.ledger.retention import tidy_states
from safr_study.ledger.run_store import (
    confirmed_runs,
    readings_of_test,
    record_reading,
    record_run,
    record_test,
)
from safr_study.ledger.stop_flag import heeding, stop_requested
from safr_study.object_store import is_url, join
from safr_study.records import RegisteredModel, StudyResult, TrialRecord
from safr_study.records.run import RunKey, RunResult
from safr_study.runner.source import FixedSource, trial_task
from safr_study.runner.task import RunTask, make_trial_root
from safr_study.runner.worker import Work, measure_on_test, train_run
from safr_study.settings import Resources, beside_objectives
from safr_study.text import about, duration
from safr_study.tracking.confirm_runs import register_confirmed, track_confirmation
from safr_study.tracking.registry import role_holders
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.study_runs import TrackedStudy
from safr_study.uncertainty.confirmation import Confirmation, confirmation, trials_to_confirm

PER_RUN = "see each run"
"""Device of a confirmation."""


def plan_confirmation(
    request: ConfirmRequest, stores: Stores, *, cpus: float, gpus: float
) -> ConfirmPlan:
    """What ``confirm`` would do on a machine of this size; nothing is written but caches.

    Raises:
        BadInput: as ``confirm``.
    """
    with load_ledger(request.study, stores) as ledger:
        searched = searched_study(ledger)
        work = ConfirmWork(request, stores, ledger, _same_corpus(ledger, stores), searched)
        return work.plan(plan_slots(work.resources, [NodeCapacity(cpus, gpus)]))


def confirm(request: ConfirmRequest, stores: Stores, *, say: Say) -> ConfirmOutcome:
    """Train the front and the baselines with new seeds, compare, read test once, move the aliases.

    Args:
        request: what was asked for.
        stores: where its services are.
        say: shows what happens, a sentence each.

    Raises:
        StudyInterrupted: by Ctrl-C; all that was finished is in the ledger.
        BadInput: there is no such study, it has no complete trial, or its data changed.
        ServiceUnreachable: the ledger, the hub or the cluster does not answer.
    """
    with driven_ledger(request.study, stores) as (ledger, lease):
        searched = searched_study(ledger)
        try:
            open_store(stores.home, stores.tracking_uri)
        except ServiceUnreachable as error:
            # A wrong address is told before anything is paid for; a silent server may come back.
            say(f"warning: {error}; the confirmation goes on, and tries again at its end")
        work = ConfirmWork(request, stores, ledger, _same_corpus(ledger, stores), searched)
        unmeasured = work.run(lease, say)
        found = work.found()
        lease.check(work.title)
        models: list[RegisteredModel] = []
        problem = None
        if found.result.ranked:
            try:
                store = open_store(stores.home, stores.tracking_uri)
                models = publish_confirmation(ledger, store, found)
            except SafrError as error:
                problem, before = error, Delivery.of(ledger)
                delivery_ends(ledger, str(error), ended=before is None or before.ended)
    return ConfirmOutcome(found, tuple(models), problem, unmeasured)


def publish_confirmation(
    ledger: Ledger, store: Store, found: Confirmation | None = None
) -> list[RegisteredModel]:
    """Bring a confirmation to MLflow; nothing where no trial is confirmed.

    Args:
        ledger: the study's.
        store: where to.
        found: what its runs say; ``None``: all that the ledger has.

    Returns:
        Versions of the confirmed front.

    Raises:
        CorruptCheckpoint: a checkpoint is not what it was when it was written.
        ServiceUnreachable: the tracking server does not do its work.
    """
    found = found or stored_confirmation(ledger)
    if found is None or not found.result.ranked:
        return []
    here = provenance(ledger.facts.corpus_fingerprint, device=PER_RUN)
    tracked = TrackedStudy.of(ledger, here)
    with tempfile.TemporaryDirectory() as folder:
        files = write_confirmation(found, Path(folder))
        run_ids = track_confirmation(store, found, tracked, files)
    return register_confirmed(store, found, tracked, run_ids)


@dataclass(frozen=True)
class ConfirmWork:
    """One confirmation of one study."""

    request: ConfirmRequest
    stores: Stores
    ledger: Ledger
    corpus: EncodedCorpus
    searched: StudyResult

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The new seeds that were asked for."""
        return new_seeds(self.ledger.spec, self.ledger.trials(), self.request.seeds)

    @property
    def title(self) -> str:
        """What is run, for sentences."""
        return f"the confirmation of study {self.ledger.spec.name!r}"

    @property
    def resources(self) -> Resources:
        """What one run takes: as one trial."""
        resources = self.ledger.spec.resources
        if self.request.max_concurrent is None:
            return resources
        return resources.model_copy(update={"max_concurrent": self.request.max_concurrent})

    @property
    def test_texts(self) -> int:
        """Number of texts of the test set, if it is to be read."""
        if not self.request.test or self.corpus.test is None:
            return 0
        return self.corpus.test.examples

    def found(self) -> Confirmation:
        """What the ledger's runs say by now."""
        runs, readings = confirmed_runs(self.ledger), readings_of_test(self.ledger)
        return confirmation(self.searched, runs, self.seeds, readings=readings)

    def plan(self, slots: TrialSlots) -> ConfirmPlan:
        """What is to be done."""
        spec, runs = self.ledger.spec, confirmed_runs(self.ledger)
        missing = self._missing(runs)
        # Replicates of the search's trials count: their times are of all seeds.
        each = {n: t.seconds / max(1, len(t.replicates)) for n, t in self._trials.items()}
        seconds = time_left([each[number] for number, _ in missing], slots.max_concurrent)
        unread = [key for key in self._wanted if key not in runs or runs[key].test is None]
        cost = estimate(spec, self.corpus, slots, len(missing))
        return ConfirmPlan(
            study=spec.name,
            corpus=describe(self.corpus),
            trials=tuple(self._trials.values()),
            seeds=self.seeds,
            missing=tuple(missing),
            slots=slots,
            seconds=START_SECONDS + seconds if missing else 0.0,
            disk_bytes=cost.disk_bytes if missing else 0,
            test_texts=self.test_texts,
            unread=len(unread) if self.test_texts else 0,
        )

    def run(self, lease: Lease, say: Say) -> tuple[str, ...]:
        """Do what is missing; sentences on what could not be measured on test."""
        self._tidy()
        if not (self._missing(confirmed_runs(self.ledger)) or self._unread()):
            for line in self.plan(plan_slots(Resources(), [NodeCapacity(1.0, 0.0)])).lines():
                say(line)
            return ()
        with cluster(self.stores.address):
            asked = self.ledger.spec.model_copy(update={"resources": self.resources})
            slots = measured_slots(asked, self.corpus)
            for line in self.plan(slots).lines():
                say(line)
            try:
                self._train(slots, lease, say)
                return self._read_test(slots, lease, say)
            except (StudyInterrupted, KeyboardInterrupt) as error:
                requested = isinstance(error, StudyInterrupted) and error.requested
                wanted = len(self._wanted)
                missing = self._missing(confirmed_runs(self.ledger))
                raise StudyInterrupted(
                    f"{self.title} {ended_how(requested=requested)} with {wanted - len(missing)} "
                    f"of {wanted} runs in the ledger; the same command goes on where it stopped",
                    requested=requested,
                ) from None

    def _say_run(self, run: RunResult, source: FixedSource, say: Say) -> None:
        left = source.left
        rest = f"; {left} left, {about(source.seconds_left)}" if left else ""
        if run.failure is not None:
            say(f"warning: trial {run.trial}, seed {run.seed} failed: {run.failure}{rest}")
            return
        pairs = zip(self.ledger.spec.objectives, run.values, strict=True)
        values = ", ".join(f"{objective.label} {value:.2f}" for objective, value in pairs)
        say(
            f"trial {run.trial} ({self._trials[run.trial].label}), seed {run.seed}: {values}"
            f"{' (saturated)' if run.saturated else ''}, {run.epochs} epochs in "
            f"{duration(run.seconds)}{rest}"
        )

    @property
    def _wanted(self) -> list[RunKey]:
        """All runs, seed by seed."""
        return [(number, seed) for seed in self.seeds for number in self._trials]

    def _tidy(self) -> None:
        """Do what a killed driver did not come to."""
        if not is_url(self._folder):
            for key, run in confirmed_runs(self.ledger).items():
                if run.dev is not None:
                    tidy_states(self._run_folder(key))

    def _missing(self, runs: Mapping[RunKey, RunResult]) -> list[RunKey]:
        """Runs to do: those that were never done, and those that failed."""
        return [key for key in self._wanted if key not in runs or runs[key].failure is not None]

    def _unread(self) -> list[RunKey]:
        """Runs of confirmed trials whose models have not been measured on test."""
        if not self.test_texts:
            return []
        confirmed = [one for one in self.found().trials if one.ranked is not None]
        return [run.key for one in confirmed for run in one.runs if run.test is None]

    def _train(self, slots: TrialSlots, lease: Lease, say: Say) -> None:
        def store(task: RunTask, result: RunResult, source: FixedSource) -> None:
            run = _kept(replace(result, ended=_now()))
            record_run(self.ledger, run)
            if run.dev is not None:
                tidy_states(task.folder)
            self._say_run(run, source, say)

        make_trial_root(self._folder)
        self._do(self._missing(confirmed_runs(self.ledger)), train_run, store, slots, lease)

    def _read_test(self, slots: TrialSlots, lease: Lease, say: Say) -> tuple[str, ...]:
        unread = self._unread()
        if not unread:
            return ()
        # What is chosen, and for whom the set is opened, is written first: a number on test has no
        # part in any choice, and a run that is killed now has still read it.
        holders = role_holders(self.found().result)
        chosen = {str(role): trial.number for role, trial in holders.items()}
        at = _now()
        lease.check(self.title)
        record_reading(self.ledger, unread, chosen, at)
        say(f"reading the test set: {self.test_texts:,} texts for {len(unread)} models")
        unmeasured: list[str] = []

        def store(task: RunTask, result: RunResult, source: FixedSource) -> None:
            number, seed = task.key
            if result.test is None:
                unmeasured.append(f"trial {number} under seed {seed}: {result.failure}")
                say(f"warning: not measured on test: {unmeasured[-1]}")
            else:
                record_test(self.ledger, task.key, result.test, at)
                rest = f"; {source.left} left" if source.left else ""
                label = self._trials[number].label
                say(f"trial {number} ({label}), seed {seed}: measured on test{rest}")

        self._do(unread, measure_on_test, store, slots, lease)
        return tuple(unmeasured)

    def _do(
        self,
        keys: Sequence[RunKey],
        work: Work,
        store: Callable[[RunTask, RunResult, FixedSource], None],
        slots: TrialSlots,
        lease: Lease,
    ) -> None:
        """Do the work of these runs; each that ends is handed to ``store``, with their source."""
        from safr_study.runner.driver import run

        source = FixedSource(
            [self._task(self._trials[number], seed, slots) for number, seed in keys],
            store,
            title=self.title,
            results="the ledger",
            work=work,
            stop_requested=lambda token: stop_requested(self.ledger, token),
        )
        scratch = self.stores.home.scratch / self.ledger.uid
        with heeding(self.ledger, lease):
            run(source, self.corpus, slots=slots, lease=lease, scratch=scratch)

    @cached_property
    def _trials(self) -> dict[int, TrialRecord]:
        return {trial.number: trial for trial in trials_to_confirm(self.searched)}

    @property
    def _folder(self) -> str:
        """Folder of the confirmation's own runs: a path or an URL."""
        return join(self.ledger.checkpoints(self.stores.home), "confirm")

    def _run_folder(self, key: RunKey) -> str:
        return join(self._folder, f"{key[0]:05d}-{key[1]}")

    def _task(self, trial: TrialRecord, seed: int, slots: TrialSlots) -> RunTask:
        """The search's task of this trial, with another seed, a folder of its own, no rungs."""
        folder = self._run_folder((trial.number, seed))
        gpus = slots.gpus_per_trial
        task = trial_task(self.ledger.spec, trial, seed=seed, folder=folder, gpus=gpus)
        return replace(task, answers=True, beside=beside_objectives(task.objectives))


def _kept(run: RunResult) -> RunResult:
    """A run as it is kept: without the layers' measures, failed if an objective is not finite."""
    failure, dev = run.failure, run.dev
    if dev is not None and not all(v is not None and math.isfinite(v) for v in dev.values):
        failure = f"its objectives are not all finite: {dev.values}"
    if failure is not None or dev is None:
        return RunResult(*run.key, ended=run.ended, failure=failure)
    return replace(run, dev=replace(dev, scores=replace(dev.scores, superposition=())))


def _now() -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _same_corpus(ledger: Ledger, stores: Stores) -> EncodedCorpus:
    corpus = encoded_corpus(ledger.spec.corpus, stores.home.corpora)
    if ledger.facts.corpus_fingerprint != corpus.fingerprint:
        raise BadInput(
            "dataset",
            f"the data of study {ledger.spec.name!r} changed since it was searched; give the old "
            "data back, or search anew with --fresh",
        )
    return corpus
