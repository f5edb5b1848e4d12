"""A search's trials, from its ledger: asks for trials, writes what became of them.

The ledger is the only truth. Trials that a dead driver left running are issued again, under the
same number, before anything new is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import stop_requested
from safr_study.ledger.retention import tidy_trial, trial_folder
from safr_study.records import EpochReport, StudyObserver, TrialRecord, TrialState
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask
from safr_study.runner.worker import Work, train_run
from safr_study.sampling.asha import Asha, Decision
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.sampling.seeds import trial_seeds
from safr_study.settings import StudySpec, trial_config


def trial_task(
    spec: StudySpec, trial: TrialRecord, *, seed: int, folder: str, gpus: float
) -> RunTask:
    """The task of a trial under a seed: its own in a search, a new one in a confirmation."""
    values: dict[str, Any] = {**spec.space.fixed, **trial.parameters}
    return RunTask(
        number=trial.number,
        train=trial_config(spec.train, values, seed=seed),
        corpus=spec.corpus,
        evaluation=spec.evaluation,
        objectives=spec.objectives,
        folder=folder,
        gpus=gpus,
        constraints=tuple(constraint.text for constraint in spec.space.constraints),
    )


class SearchSource:
    """One study's trials, from its ledger."""

    results = "the ledger"
    work: Work = staticmethod(train_run)

    def __init__(
        self,
        ledger: Ledger,
        spec: StudySpec,
        *,
        checkpoints: str,
        gpus_per_trial: float,
        observers: Sequence[StudyObserver] = (),
    ) -> None:
        self.title = f"study {spec.name!r}"
        self._ledger = ledger
        self._spec = spec
        self._checkpoints = checkpoints
        self._gpus = gpus_per_trial
        self._observers = observers
        self._unfinished = ledger.unfinished(spec)
        trials = ledger.trials()
        self.remaining = max(0, planned_trials(spec) - sum(trial.counts for trial in trials))
        self._left = self.remaining
        self._asha = rebuilt(spec, trials)
        self._epochs_run = sum(len(trial.epochs) for trial in trials)

    def stop_requested(self, since: float) -> bool:
        """Whether the ledger asks the driver to end, after this moment."""
        return stop_requested(self._ledger, since)

    def next(self) -> RunTask | None:
        """The next trial: one to resume, or a new one while trials and epochs are left."""
        while self._left > 0:
            self._left -= 1
            trial = self._next_trial()
            if trial is None:
                break
            if trial.state is not TrialState.RUNNING:
                self._end(trial)
                continue
            for observer in self._observers:
                observer.trial_started(trial)
            return self._task(trial)
        return None

    def on_epoch(self, task: RunTask, report: EpochReport) -> Decision:
        """Write an epoch, and at a rung the decision on its trial."""
        number = task.number
        # A worker that resumes tells all its epochs again, as some may not have been heard of, and
        # without what they took of their machine.
        existing = self._ledger.trial(number).epochs
        if replace(report, system=None) in (replace(one, system=None) for one in existing):
            return Decision.CONTINUE
        self._ledger.record_epoch(number, report)
        self._epochs_run += 1
        trial = self._ledger.trial(number)
        for observer in self._observers:
            observer.epoch_ended(trial, report)
        if self._ledger.pending_decision(trial) != report:
            return Decision.CONTINUE
        decided = self._decide(number, report)
        if decided.state is TrialState.RUNNING:
            return Decision.CONTINUE
        self._end(decided)
        return Decision.PRUNE

    def on_end(self, task: RunTask, result: RunResult) -> None:
        """Complete a trial, or fail it with a sentence."""
        number = task.number
        failure = result.failure
        if failure is None and (result.dev is None or result.checkpoint is None):
            failure = "it ended without scores"
        if failure is None and not all(map(math.isfinite, result.mean_values)):
            names = [objective.name for objective in self._spec.objectives]
            failure = f"its objectives {names} are not all finite: {result.mean_values}"
        if failure is not None:
            self._end(self._ledger.fail(number, failure))
            return
        recorded = {report.epoch for report in self._ledger.trial(number).epochs}
        for report in result.reports:
            if report.epoch not in recorded:
                self._ledger.record_epoch(number, report)
        trial = self._ledger.complete(number, result)
        if trial.state is TrialState.COMPLETE:
            self._asha.add_end(number, result.mean_values)
        self._end(trial)

    def _next_trial(self) -> TrialRecord | None:
        if self._unfinished:
            trial = self._unfinished.pop(0)
            if trial.stopped_at is not None and not trial.control:
                return self._ledger.stop(trial.number)
            report = self._ledger.pending_decision(trial)
            return trial if report is None else self._decide(trial.number, report)
        budget = self._spec.epoch_budget
        if budget is not None and self._epochs_run >= budget:
            return None
        return self._ledger.ask(self._spec)

    def _task(self, trial: TrialRecord) -> RunTask:
        spec = self._spec
        folder = trial_folder(self._checkpoints, trial.number)
        return replace(
            trial_task(spec, trial, seed=trial.seed, folder=folder, gpus=self._gpus),
            more_seeds=trial_seeds(spec, trial.seed)[1:],
            rungs=self._asha.rungs,
            rung_texts=spec.scheduler.texts,
            system_metrics=spec.system_metrics,
        )

    def _decide(self, number: int, report: EpochReport) -> TrialRecord:
        assert report.objectives is not None
        exempt = self._ledger.trial(number).baseline is not None
        decision = self._asha.decide(number, report.epoch, report.objectives, exempt=exempt)
        return self._ledger.record_decision(number, report.epoch, decision)

    def _end(self, trial: TrialRecord) -> None:
        tidy_trial(trial_folder(self._checkpoints, trial.number), trial)
        for observer in self._observers:
            observer.trial_ended(trial)


def rebuilt(spec: StudySpec, trials: Sequence[TrialRecord]) -> Asha:
    """The scheduler as it was after these trials."""
    asha = Asha(spec.scheduler, spec.objectives, epochs=spec.train.epochs, seed=spec.seed)
    for trial in trials:
        for report in trial.epochs:
            if report.objectives is not None:
                asha.add(trial.number, report.epoch, report.objectives)
        if trial.control and trial.stopped_at is not None:
            asha.add_control(trial.number, trial.stopped_at)
        if trial.state is TrialState.COMPLETE and trial.values is not None:
            asha.add_end(trial.number, trial.values)
    return asha
