"""The Ray Tune searcher over the ledger: asks for trials, tells what became of them.

The ledger is the only truth. Trials that a dead driver left running are issued again, under the
same number, before anything new is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.search import Searcher

from safr_study.errors import SafrError, ServiceUnreachable, StudyIncomplete
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import ledger_errors
from safr_study.ledger.tidy import tidy_trial, trial_folder
from safr_study.ledger.trial_codec import Outcome
from safr_study.records import EpochReport, StudyObserver, TrialRecord, TrialState
from safr_study.runner.task import EVENT, Finished, TrialTask, read_event
from safr_study.sampling.asha import Asha
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.settings import StudySpec, trial_config

_WORKER_DIED = (
    "its worker process died twice (out of memory, or killed); run fewer at once with "
    "--max-concurrent"
)


class LedgerSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """One study's trials, from its ledger, for Ray Tune."""

    def __init__(
        self,
        ledger: Ledger,
        spec: StudySpec,
        *,
        checkpoints: str,
        gpus_per_trial: float,
        observers: Sequence[StudyObserver] = (),
    ) -> None:
        super().__init__()
        self.fault: Exception | None = None
        """What ended the study from inside; Ray wraps and re-raises it."""
        self._ledger = ledger
        self._spec = spec
        self._checkpoints = checkpoints
        self._gpus = gpus_per_trial
        self._observers = observers
        self._unfinished = ledger.unfinished(spec)
        trials = ledger.trials()
        self.remaining = max(0, planned_trials(spec) - sum(trial.counts for trial in trials))
        """Trials to run: those to go on with, and new ones."""
        self._left = self.remaining
        self._numbers: dict[str, int] = {}
        self._finished: set[str] = set()
        self._asha = rebuilt(spec, trials)
        self._epochs_run = sum(len(trial.epochs) for trial in trials)

    def suggest(self, trial_id: str) -> Any:
        """The next trial's task; ``Searcher.FINISHED`` when there is none."""
        return self._guarded(lambda: self._suggest(trial_id))

    def stops(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Write an event of a trial into the ledger; whether the trial is stopped by it."""
        return bool(self._guarded(lambda: self._on_event(trial_id, result)))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler was told, which alone can stop a trial."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Fail a trial whose worker died; one that was stopped stays unfinished."""
        if error and trial_id in self._numbers and trial_id not in self._finished:
            self._guarded(lambda: self._end(self._fail(trial_id, _WORKER_DIED)))

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles the Tuner before it runs and never reads it back: there is nothing to save.
        return {}

    def get_state(self) -> dict[str, Any]:
        """Nothing, for Ray's ``ConcurrencyLimiter``."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the state is the ledger's."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a new searcher reads the ledger."""

    def _suggest(self, trial_id: str) -> Any:
        while self._left > 0:
            self._left -= 1
            trial = self._next()
            if trial is None:
                break
            if trial.state is not TrialState.RUNNING:
                self._end(trial)
                continue
            self._numbers[trial_id] = trial.number
            for observer in self._observers:
                observer.trial_started(trial)
            return self._task(trial).to_config()
        return Searcher.FINISHED

    def _next(self) -> TrialRecord | None:
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

    def _task(self, trial: TrialRecord) -> TrialTask:
        spec = self._spec
        values: dict[str, Any] = {**spec.space.fixed, **trial.parameters}
        return TrialTask(
            number=trial.number,
            train=trial_config(spec.train, values, seed=trial.seed),
            corpus=spec.corpus,
            evaluation=spec.evaluation,
            objectives=spec.objectives,
            folder=trial_folder(self._checkpoints, trial.number),
            gpus=self._gpus,
            more_seeds=tuple(trial.seed + extra for extra in range(1, spec.seeds_per_trial)),
            constraints=tuple(constraint.text for constraint in spec.space.constraints),
            rungs=self._asha.rungs,
            rung_texts=spec.scheduler.texts,
            system_metrics=spec.system_metrics,
        )

    def _on_event(self, trial_id: str, result: dict[str, Any]) -> bool:
        number = self._numbers.get(trial_id)
        text = result.get(EVENT)
        if number is None or text is None or trial_id in self._finished:
            return False
        event = read_event(text)
        if isinstance(event, EpochReport):
            return self._on_epoch(trial_id, event)
        if event is not None and event.ends_study:
            kind = ServiceUnreachable if event.unreachable else StudyIncomplete
            raise kind(f"study {self._spec.name!r} cannot go on: {event.failure}")
        if event is not None:
            self._end(self._finish(trial_id, event))
        return False

    def _on_epoch(self, trial_id: str, report: EpochReport) -> bool:
        number = self._numbers[trial_id]
        # A worker that goes on tells all its epochs again, as some may not have been heard of, and
        # without what they took of their machine.
        known = self._ledger.trial(number).epochs
        if replace(report, system=None) in (replace(one, system=None) for one in known):
            return False
        self._ledger.record_epoch(number, report)
        self._epochs_run += 1
        trial = self._ledger.trial(number)
        for observer in self._observers:
            observer.epoch_ended(trial, report)
        if self._ledger.pending_decision(trial) != report:
            return False
        judged = self._decide(number, report)
        if judged.state is TrialState.RUNNING:
            return False
        self._finished.add(trial_id)
        self._end(judged)
        return True

    def _decide(self, number: int, report: EpochReport) -> TrialRecord:
        assert report.objectives is not None
        exempt = self._ledger.trial(number).baseline is not None
        decision = self._asha.decide(number, report.epoch, report.objectives, exempt=exempt)
        return self._ledger.record_decision(number, report.epoch, decision)

    def _finish(self, trial_id: str, event: Finished) -> TrialRecord:
        if event.failure is not None or event.scores is None or event.checkpoint is None:
            return self._fail(trial_id, event.failure or "it ended without scores")
        number = self._numbers[trial_id]
        outcome = Outcome(
            replicates=event.replicates,
            scores=event.scores,
            checkpoint=event.checkpoint,
            seconds=event.seconds,
            device=event.device,
            node=event.node,
            violations=event.violations,
        )
        if not all(math.isfinite(value) for value in outcome.values):
            names = [objective.name for objective in self._spec.objectives]
            return self._fail(
                trial_id, f"its objectives {names} are not all finite: {outcome.values}"
            )
        self._finished.add(trial_id)
        recorded = {report.epoch for report in self._ledger.trial(number).epochs}
        for report in event.epochs:
            if report.epoch not in recorded:
                self._ledger.record_epoch(number, report)
        trial = self._ledger.complete(number, outcome)
        if trial.state is TrialState.COMPLETE:
            self._asha.ended(number, outcome.values)
        return trial

    def _fail(self, trial_id: str, sentence: str) -> TrialRecord:
        self._finished.add(trial_id)
        return self._ledger.fail(self._numbers[trial_id], sentence)

    def _end(self, trial: TrialRecord) -> None:
        tidy_trial(trial_folder(self._checkpoints, trial.number), trial)
        for observer in self._observers:
            observer.trial_ended(trial)

    def _guarded(self, step: Callable[[], Any]) -> Any:
        faults: tuple[type[Exception], ...] = (SafrError, OSError, ValueError, *ledger_errors())
        try:
            return step()
        except faults as error:
            self.fault = error
            raise


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
            asha.ended(trial.number, trial.values)
    return asha
