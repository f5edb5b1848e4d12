"""The work of a confirmation: which runs are missing, train them, read the test set once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from safr_study.cluster.gpu_pilot import measured_slots
from safr_study.cluster.ray_cluster import cluster
from safr_study.cluster.slots import NodeCapacity, TrialSlots, plan_slots
from safr_study.data import EncodedCorpus, describe
from safr_study.errors import StudyInterrupted
from safr_study.features.confirm.plan import ConfirmPlan, ConfirmProgress, ConfirmRequest
from safr_study.features.study_base.cost import START_SECONDS, estimate
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import (
    Key,
    confirmed_runs,
    new_seeds,
    readings_of_test,
    record_reading,
    record_run,
    record_test,
)
from safr_study.ledger.stop_flag import stop_requested
from safr_study.ledger.tidy import tidy_states
from safr_study.object_store import is_url, join
from safr_study.records import TrialRecord
from safr_study.records.confirmation import ConfirmedRun, Measured
from safr_study.runner.task import Finished, TrialTask
from safr_study.runner.trial_dir import make_workplaces
from safr_study.settings import Resources, StudySpec, trial_config
from safr_study.tracking import role_holders
from safr_study.uncertainty.confirmation import Confirmation, Searched, confirmation


@dataclass(frozen=True, slots=True)
class ConfirmWork:
    """One confirmation of one study."""

    request: ConfirmRequest
    stores: Stores
    ledger: Ledger
    corpus: EncodedCorpus
    searched: Searched
    seeds: tuple[int, ...] = field(init=False)
    spec: StudySpec = field(init=False)

    def __post_init__(self) -> None:
        spec = self.ledger.spec
        object.__setattr__(self, "spec", spec)
        seeds = new_seeds(spec, self.ledger.trials(), self.request.seeds)
        object.__setattr__(self, "seeds", seeds)

    @property
    def resources(self) -> Resources:
        """Of one run: as one trial's."""
        if self.request.max_concurrent is None:
            return self.spec.resources
        changed = {"max_concurrent": self.request.max_concurrent}
        return self.spec.resources.model_copy(update=changed)

    @property
    def test_texts(self) -> int:
        """Of the test set, if it is to be read."""
        if not self.request.test or self.corpus.test is None:
            return 0
        return self.corpus.test.examples

    def found(self) -> Confirmation:
        """What the ledger's runs say by now."""
        runs, readings = confirmed_runs(self.ledger), readings_of_test(self.ledger)
        return confirmation(self.searched, runs, self.seeds, readings=readings)

    def plan(self, slots: TrialSlots) -> ConfirmPlan:
        """What is to be done."""
        runs = confirmed_runs(self.ledger)
        missing = self._missing(runs)
        # Replicates of the search's trials count: their times are of all seeds.
        each = {t.number: t.seconds / max(1, len(t.replicates)) for t in self.searched.trials}
        seconds = sum(each[number] for number, _ in missing) / slots.max_concurrent
        wanted = [(t.number, seed) for t in self.searched.trials for seed in self.seeds]
        unread = [key for key in wanted if key not in runs or runs[key].test is None]
        return ConfirmPlan(
            study=self.spec.name,
            corpus=describe(self.corpus),
            trials=self.searched.trials,
            objectives=self.spec.objectives,
            seeds=self.seeds,
            missing=tuple(missing),
            slots=slots,
            seconds=START_SECONDS + seconds if missing else 0.0,
            disk_bytes=estimate(self.spec, self.corpus, slots, len(missing)).disk_bytes
            if missing
            else 0,
            test_texts=self.test_texts,
            unread=len(unread) if self.test_texts else 0,
        )

    def run(self, lease: Lease, progress: ConfirmProgress) -> tuple[str, ...]:
        """Do what is missing; sentences on what could not be measured on test."""
        self._tidy()
        needed = self._missing(confirmed_runs(self.ledger)) or self._unread()
        with cluster(self.stores.address) if needed else contextlib.nullcontext():
            asked = self.spec.model_copy(update={"resources": self.resources})
            slots = (
                measured_slots(asked, self.corpus)
                if needed
                else plan_slots(Resources(), [NodeCapacity(1.0, 0.0)])
            )
            progress.planned(self.plan(slots))
            if not needed:
                return ()
            with self._told_when_interrupted():
                self._train(slots, lease, progress)
                return self._read_test(slots, lease, progress)

    def _tidy(self) -> None:
        """Do what a killed driver did not come to."""
        if not is_url(self._folder):
            for (number, seed), run in confirmed_runs(self.ledger).items():
                if run.dev is not None:
                    tidy_states(self._run_folder(number, seed))

    def _missing(self, runs: Mapping[Key, ConfirmedRun]) -> list[Key]:
        """Runs to do: those that nobody did, and those that failed."""
        wanted = [(trial.number, seed) for seed in self.seeds for trial in self.searched.trials]
        return [key for key in wanted if key not in runs or runs[key].failure is not None]

    def _unread(self) -> list[ConfirmedRun]:
        """Runs of confirmed trials whose models have not been measured on test."""
        if not self.test_texts:
            return []
        confirmed = [one for one in self.found().trials if one.ranked is not None]
        return [run for one in confirmed for run in one.runs if run.test is None]

    def _train(self, slots: TrialSlots, lease: Lease, progress: ConfirmProgress) -> None:
        from safr_study.runner.confirm_source import Trained, train_runs

        missing = self._missing(confirmed_runs(self.ledger))
        trials = {trial.number: trial for trial in self.searched.trials}
        began, ended = datetime.now(UTC), 0

        def on_end(task: TrialTask, result: Trained | str) -> None:
            nonlocal ended
            ended += 1
            run = _ended_run(task, result)
            record_run(self.ledger, run)
            if run.dev is not None:
                tidy_states(task.folder)
            left = len(missing) - ended
            gone = (datetime.now(UTC) - began).total_seconds()
            progress.run_ended(trials[task.number], run, left, gone / ended * left)

        make_workplaces(self._folder)
        train_runs(
            [self._task(trials[number], seed, slots) for number, seed in missing],
            self.corpus,
            slots=slots,
            on_end=on_end,
            stop=lambda: stop_requested(self.ledger, lease.since),
        )

    def _read_test(
        self, slots: TrialSlots, lease: Lease, progress: ConfirmProgress
    ) -> tuple[str, ...]:
        from safr_study.runner.confirm_source import measure_on_test

        unread = self._unread()
        if not unread:
            return ()
        # What is chosen, and for whom the set is opened, is written first: a number on test has no
        # part in any choice, and a run that is killed now has still read it.
        holders = role_holders(self.found().result)
        chosen = {str(role): trial.number for role, trial in holders.items()}
        at = _now()
        record_reading(self.ledger, [(run.trial, run.seed) for run in unread], chosen, at)
        progress.test_begins(len(unread), self.test_texts)
        trials = {trial.number: trial for trial in self.searched.trials}
        unmeasured: list[str] = []
        left = len(unread)

        def on_end(task: TrialTask, result: Measured | str) -> None:
            nonlocal left
            left -= 1
            if isinstance(result, str):
                unmeasured.append(f"trial {task.number} under seed {task.train.seed}: {result}")
                progress.warn(f"not measured on test: {unmeasured[-1]}")
            else:
                record_test(self.ledger, (task.number, task.train.seed), result, at)
                progress.test_ended(trials[task.number], task.train.seed, left)

        measure_on_test(
            [self._task(trials[run.trial], run.seed, slots) for run in unread],
            self.corpus,
            slots=slots,
            on_end=on_end,
            stop=lambda: stop_requested(self.ledger, lease.since),
        )
        return tuple(unmeasured)

    @property
    def _folder(self) -> str:
        """Of the runs' own: a path or an URL."""
        return join(self.ledger.checkpoints(self.stores.home), "confirm")

    def _run_folder(self, number: int, seed: int) -> str:
        return join(self._folder, f"{number:05d}-{seed}")

    def _task(self, trial: TrialRecord, seed: int, slots: TrialSlots) -> TrialTask:
        """As the search's task of this trial, with another seed, a folder of its own, no rungs."""
        spec = self.spec
        values: dict[str, Any] = {**spec.space.fixed, **trial.parameters}
        return TrialTask(
            number=trial.number,
            train=trial_config(spec.train, values, seed=seed),
            corpus=spec.corpus,
            evaluation=spec.evaluation,
            objectives=spec.objectives,
            folder=self._run_folder(trial.number, seed),
            gpus=slots.gpus_per_trial,
            constraints=tuple(constraint.text for constraint in spec.space.constraints),
        )

    @contextlib.contextmanager
    def _told_when_interrupted(self) -> Iterator[None]:
        try:
            yield
        except (StudyInterrupted, KeyboardInterrupt):
            runs = confirmed_runs(self.ledger)
            wanted = len(self.searched.trials) * len(self.seeds)
            raise StudyInterrupted(
                f"the confirmation of study {self.spec.name!r} was interrupted with "
                f"{wanted - len(self._missing(runs))} of {wanted} runs in the ledger; the same "
                "command goes on where it stopped"
            ) from None


def _ended_run(task: TrialTask, result: tuple[Finished, Measured] | str) -> ConfirmedRun:
    number, seed = task.number, task.train.seed
    if isinstance(result, str):
        return ConfirmedRun(number, seed, ended=_now(), failure=result)
    finished, dev = result
    failure = finished.failure
    if not all(value is not None and math.isfinite(value) for value in dev.values):
        failure = f"its objectives are not all finite: {dev.values}"
    if failure is not None:
        return ConfirmedRun(number, seed, ended=_now(), failure=failure)
    return ConfirmedRun(
        trial=number,
        seed=seed,
        dev=dev,
        checkpoint=finished.checkpoint,
        violations=finished.violations,
        epochs=len(finished.epochs),
        seconds=finished.seconds,
        device=finished.device,
        ended=_now(),
    )


def _now() -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
