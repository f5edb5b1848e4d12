"""Where runs come from and what becomes of them: what the driver asks of a feature.

A search's runs come from its ledger, the only truth: trials that a dead driver left running are
issued again, under the same number, before anything new is asked for. Others are known beforehand.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Protocol

from safr_study.cluster.slots import time_left
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.resume import rebuilt_scheduler, rebuilt_thaw, unfinished_trials
from safr_study.ledger.retention import tidy_trial, trial_folder
from safr_study.ledger.stop_flag import stop_requested
from safr_study.records import EpochReport, StudyObserver, TrialRecord, TrialState
from safr_study.records.run import Attempt, RunKey, RunResult, Spent
from safr_study.runner.task import RunTask
from safr_study.runner.worker import Work, train_run
from safr_study.sampling.asha import Decision
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.sampling.next_step import FreezeThaw, Resume
from safr_study.sampling.rules import FIRST
from safr_study.settings import StudySpec, trial_config


class RunSource(Protocol):
    """The runs of one command, in their order; called on the driver's thread alone."""

    title: str
    """What is run, as sentences name it: ``study 's1'``."""
    results: str
    """Where finished runs are, as sentences name it: ``the ledger``."""
    remaining: int
    """Number of runs to do when the driver begins."""

    @property
    def work(self) -> Work:
        """What a worker does with each task."""

    def next(self) -> RunTask | None:
        """The next run; ``None``: there is none, at least until another one ends."""

    def on_epoch(self, task: RunTask, report: EpochReport, spent: Spent | None = None) -> Decision:
        """Keep an epoch's report, which may have come before; whether the run goes on.

        Args:
            task: of the run.
            report: the epoch's.
            spent: what the worker took until then.
        """

    def on_end(self, task: RunTask, result: RunResult, spent: Spent | None = None) -> None:
        """Keep the end of a run, once; ``spent`` is what its worker took."""

    def on_lost(self, task: RunTask, seconds: float) -> None:
        """A run's worker died so long after it was last heard of: that work is done again."""

    def stop_requested(self, token: str) -> bool:
        """Whether the driver of this token was asked to end."""


@dataclass
class FixedSource:
    """Runs that are known beforehand, whose results go to a store."""

    tasks: Sequence[RunTask]
    """Runs in the order in which they begin."""
    store: Callable[[RunTask, RunResult, FixedSource], None]
    """Called with each run as it ends, failed ones too, and with this source."""
    _: KW_ONLY
    title: str
    results: str
    work: Work
    stop_requested: Callable[[str], bool] = lambda _token: False

    def __post_init__(self) -> None:
        self.remaining = self.left = len(self.tasks)
        self._began: dict[RunKey, float] = {}
        self._took: list[float] = []
        self._at_once = 1
        self._waiting = list(self.tasks)

    def next(self) -> RunTask | None:
        """The next of them."""
        if not self._waiting:
            return None
        self._began[self._waiting[0].key] = time.monotonic()
        self._at_once = max(self._at_once, len(self._began))
        return self._waiting.pop(0)

    def on_epoch(
        self, _task: RunTask, _report: EpochReport, _spent: Spent | None = None
    ) -> Decision:
        """Every run is trained to its end."""
        return Decision.CONTINUE

    def on_lost(self, _task: RunTask, _seconds: float) -> None:
        """Nothing: its store has what its workers ended."""

    def on_end(self, task: RunTask, result: RunResult, _spent: Spent | None = None) -> None:
        """Hand a run to the store."""
        self.left -= 1
        self._took.append(time.monotonic() - self._began.pop(task.key))
        self.store(task, result, self)

    @property
    def seconds_left(self) -> float:
        """Wall time of the remaining runs, each as long as the mean of those that have ended."""
        each, now = sum(self._took) / max(1, len(self._took)), time.monotonic()
        running = [max(0.0, each - (now - began)) for began in self._began.values()]
        return time_left([*running, *[each] * len(self._waiting)], self._at_once)


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
        constraints=spec.space.constraints,
    )


@dataclass
class SearchSource:
    """One study's trials, from its ledger."""

    ledger: Ledger
    spec: StudySpec
    _: KW_ONLY
    checkpoints: str
    gpus_per_trial: float
    observers: Sequence[StudyObserver] = ()
    results: str = "the ledger"
    work: Work = train_run

    def __post_init__(self) -> None:
        self.title = f"study {self.spec.name!r}"
        self._unfinished = unfinished_trials(self.ledger, self.spec)
        trials = self.ledger.trials()
        self.remaining = max(0, planned_trials(self.spec) - sum(t.counts for t in trials))
        self._left = self.remaining
        self._attempts: dict[int, Attempt] = {}
        self._asha = rebuilt_scheduler(self.spec, trials)
        self._thaw = rebuilt_thaw(self.ledger, self.spec, trials)
        # Paused trials are handed out again, but begin no more.
        self._left -= sum(trial.paused_at is not None for trial in trials)
        self._handed_out: set[int] = set()
        self._epochs_run = sum(len(trial.epochs) for trial in trials)

    def recommended(self) -> list[int] | None:
        """Complete trials that freeze-thaw expects to be the front; ``None``: it is not used."""
        return None if self._thaw is None else self._thaw.recommended()

    def stop_requested(self, token: str) -> bool:
        """Whether the ledger asks the driver of this token to end."""
        return stop_requested(self.ledger, token)

    def next(self) -> RunTask | None:
        """The next trial: one to resume, or a new one while trials and epochs are left."""
        while (trial := self._next_trial()) is not None:
            if trial.state is not TrialState.RUNNING:
                self._end(trial)
                continue
            if trial.paused_at is not None:
                self._pause(trial)
                continue
            self._handed_out.add(trial.number)
            for observer in self.observers:
                observer.trial_started(trial)
            return self._task(trial)
        if self._thaw is not None and not self._handed_out:
            self._give_up_paused(self._thaw)
        return None

    def on_epoch(self, task: RunTask, report: EpochReport, spent: Spent | None = None) -> Decision:
        """Write an epoch, and at a rung the decision on its trial."""
        number = task.number
        # A worker that resumes tells all its epochs again, as some may not have been heard of, and
        # without what they took of their machine.
        existing = self.ledger.trial(number).epochs
        if replace(report, system=None) in (replace(one, system=None) for one in existing):
            return Decision.CONTINUE
        again = next((one for one in existing if one.epoch == report.epoch), None)
        if again is not None:
            self.ledger.add_lost(number, again.seconds)
        self.ledger.record_epoch(number, report, self._attempt(number, spent))
        self._epochs_run += 1
        trial = self.ledger.trial(number)
        for observer in self.observers:
            observer.epoch_ended(trial, report)
        if self.ledger.pending_decision(trial) != report:
            return Decision.CONTINUE
        decided = self._decide(number, report, spent)
        # What a stopped one took is in the report of its last epoch.
        if decided.state is not TrialState.RUNNING:
            self._end(decided)
            return Decision.PRUNE
        if decided.paused_at is None:
            return Decision.CONTINUE
        self._pause(decided)
        return Decision.PAUSE

    def on_lost(self, task: RunTask, seconds: float) -> None:
        """Note what is done again: nothing of it was reported."""
        self.ledger.add_lost(task.number, seconds)

    def on_end(self, task: RunTask, result: RunResult, spent: Spent | None = None) -> None:
        """Complete a trial, or fail it with a sentence."""
        number = task.number
        attempt = self._attempt(number, spent)
        if attempt is not None:
            self.ledger.record_attempt(number, attempt)
        failure = result.failure
        if failure is None and (result.dev is None or result.checkpoint is None):
            failure = "it ended without scores"
        if failure is None and not all(map(math.isfinite, result.mean_values)):
            names = [objective.name for objective in self.spec.objectives]
            failure = f"its objectives {names} are not all finite: {result.mean_values}"
        if failure is not None:
            took = spent or Spent(result.seconds, result.device, result.node)
            self._end(self.ledger.fail(number, failure, took))
            return
        trial = self.ledger.complete(number, result)
        if trial.state is TrialState.COMPLETE:
            self._asha.add_end(number, result.mean_values)
        self._end(trial)

    def _attempt(self, number: int, spent: Spent | None) -> Attempt | None:
        """What a worker has taken for a trial; one that took less than before is another worker."""
        if spent is None:
            return None
        before = self._attempts.get(number)
        if before is None:
            # Those of earlier drivers have ended.
            at = len(self.ledger.trial(number).attempts)
        else:
            at = before.number + (spent.seconds < before.seconds)
        cpus = self.spec.resources.cpus_per_trial
        attempt = Attempt(at, spent.seconds, cpus, self.gpus_per_trial, spent.joules)
        self._attempts[number] = attempt
        return attempt

    def _next_trial(self) -> TrialRecord | None:
        """The next trial of which something is to be done; ``None``: none now."""
        if self._thaw is not None and not self._unfinished:
            return self._next_step(self._thaw)
        if self._left <= 0:
            return None
        self._left -= 1
        if self._unfinished:
            trial = self._unfinished.pop(0)
            if trial.stopped_at is not None and not trial.control:
                return self.ledger.stop(trial.number)
            report = self.ledger.pending_decision(trial)
            return trial if report is None else self._decide(trial.number, report)
        return None if self._is_spent() else self.ledger.ask(self.spec)

    def _next_step(self, thaw: FreezeThaw) -> TrialRecord | None:
        """The trial that freeze-thaw begins or continues."""
        trial: TrialRecord | None
        step = thaw.next(may_begin=self._left > 0 and not self._is_spent())
        if isinstance(step, Resume):
            trial = self._decide_paused(step.number, Decision.CONTINUE)
        elif step is not None:
            self._left -= 1
            trial = self.ledger.ask(self.spec, step.drawn)
        else:
            return None
        if trial is not None:
            thaw.add(trial)
        return trial

    def _is_spent(self) -> bool:
        budget = self.spec.epoch_budget
        return budget is not None and self._epochs_run >= budget

    def _pause(self, trial: TrialRecord) -> None:
        self._handed_out.discard(trial.number)
        # Whoever resumes it is another worker.
        self._attempts.pop(trial.number, None)
        for observer in self.observers:
            observer.trial_paused(trial)

    def _give_up_paused(self, thaw: FreezeThaw) -> None:
        """Stop what is paused, as the study ends."""
        for number in thaw.paused:
            self._end(self._decide_paused(number, Decision.PRUNE))

    def _decide_paused(self, number: int, decision: Decision) -> TrialRecord:
        paused_at = self.ledger.trial(number).paused_at
        assert paused_at is not None
        return self.ledger.record_decision(number, paused_at, decision)

    def _task(self, trial: TrialRecord) -> RunTask:
        spec = self.spec
        folder, gpus = trial_folder(self.checkpoints, trial.number), self.gpus_per_trial
        return replace(
            trial_task(spec, trial, seed=trial.seed, folder=folder, gpus=gpus),
            more_seeds=tuple(range(trial.seed + 1, trial.seed + spec.seeds_per_trial)),
            rungs=self._asha.rungs,
            rung_texts=spec.scheduler.texts if self.ledger.rules == FIRST else None,
            system_metrics=spec.system_metrics,
        )

    def _decide(self, number: int, report: EpochReport, spent: Spent | None = None) -> TrialRecord:
        assert report.objectives is not None
        exempt = self.ledger.trial(number).baseline is not None
        if self._thaw is None:
            decision = self._asha.decide(number, report.epoch, report.objectives, exempt=exempt)
        else:
            decision = Decision.CONTINUE if exempt else Decision.PAUSE
        decided = self.ledger.record_decision(number, report.epoch, decision, spent)
        if self._thaw is not None:
            self._thaw.add(decided)
        return decided

    def _end(self, trial: TrialRecord) -> None:
        self._handed_out.discard(trial.number)
        if self._thaw is not None:
            self._thaw.add(trial)
        tidy_trial(trial_folder(self.checkpoints, trial.number), trial)
        for observer in self.observers:
            observer.trial_ended(trial)
