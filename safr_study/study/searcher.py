"""The Ray Tune searcher over the ledger: asks for trials, tells what became of them.

The ledger is the only truth. Trials that a dead driver left running are issued again, under the
same number, before anything new is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from ray.tune.search import Searcher
from sqlalchemy.exc import SQLAlchemyError

from safr_study.errors import SafrError, TrialFailure
from safr_study.records import EpochReport, StudyObserver, TrialRecord, TrialState
from safr_study.settings import StudySpec, trial_config
from safr_study.study.ledger import Ledger
from safr_study.study.plan import planned_trials
from safr_study.study.trainable import EVENT, Finished, TrialTask, objective_values, read_event

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
        checkpoints: Path,
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
        complete = sum(t.state is TrialState.COMPLETE for t in ledger.trials())
        self.remaining = max(0, planned_trials(spec) - complete)
        """Trials to run: those to go on with, and new ones."""
        self._left = self.remaining
        self._numbers: dict[str, int] = {}
        self._finished: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """The next trial's task; ``Searcher.FINISHED`` when there is none."""
        return self._guarded(lambda: self._suggest(trial_id))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Write an event of a trial into the ledger."""
        self._guarded(lambda: self._on_event(trial_id, result))

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
            trial = self._unfinished.pop(0) if self._unfinished else self._ledger.ask(self._spec)
            if trial is None:
                break
            if trial.state is TrialState.FAILED:
                self._end(trial)
                continue
            self._numbers[trial_id] = trial.number
            for observer in self._observers:
                observer.trial_started(trial)
            return self._task(trial).to_config()
        return Searcher.FINISHED

    def _task(self, trial: TrialRecord) -> TrialTask:
        values: dict[str, Any] = {**self._spec.space.fixed, **trial.parameters}
        return TrialTask(
            number=trial.number,
            train=trial_config(self._spec.train, values, seed=trial.seed),
            corpus=self._spec.corpus,
            evaluation=self._spec.evaluation,
            objectives=self._spec.objectives,
            folder=str(self._checkpoints / f"{trial.number:05d}"),
            gpus=self._gpus,
        )

    def _on_event(self, trial_id: str, result: dict[str, Any]) -> None:
        number = self._numbers.get(trial_id)
        text = result.get(EVENT)
        if number is None or text is None or trial_id in self._finished:
            return
        event = read_event(text)
        if isinstance(event, EpochReport):
            self._ledger.record_epoch(number, event)
            trial = self._ledger.trial(number)
            for observer in self._observers:
                observer.epoch_ended(trial, event)
        else:
            self._end(self._finish(trial_id, event))

    def _finish(self, trial_id: str, event: Finished) -> TrialRecord:
        if event.failure is not None or event.scores is None or event.checkpoint is None:
            return self._fail(trial_id, event.failure or "it ended without scores")
        try:
            values = objective_values(self._spec.objectives, event.scores)
        except TrialFailure as failure:
            return self._fail(trial_id, str(failure))
        if not all(math.isfinite(value) for value in values):
            names = [objective.name for objective in self._spec.objectives]
            return self._fail(trial_id, f"its objectives {names} are not all finite: {values}")
        self._finished.add(trial_id)
        number = self._numbers[trial_id]
        recorded = {report.epoch for report in self._ledger.trial(number).epochs}
        for report in event.epochs:
            if report.epoch not in recorded:
                self._ledger.record_epoch(number, report)
        return self._ledger.complete(
            number,
            values=values,
            scores=event.scores,
            checkpoint=event.checkpoint,
            seconds=event.seconds,
            device=event.device,
        )

    def _fail(self, trial_id: str, sentence: str) -> TrialRecord:
        self._finished.add(trial_id)
        return self._ledger.fail(self._numbers[trial_id], sentence)

    def _end(self, trial: TrialRecord) -> None:
        for observer in self._observers:
            observer.trial_ended(trial)

    def _guarded(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except (SafrError, OSError, ValueError, OptunaError, SQLAlchemyError) as error:
            self.fault = error
            raise
