"""Ray's place in a replay: workers in virtual time around the real searcher and its scheduler.

An epoch takes one unit of time, whatever it costs here, and so does the evaluation at the end of a
trial; asking takes none. Only epochs are counted as spent. Equal arguments give equal searches.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import optuna

from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.pareto import front_numbers, hypervolume
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.records.run import RunResult
from safr_study.runner.source import SearchSource
from safr_study.runner.task import RunTask
from safr_study.sampling.asha import Decision
from safr_study.settings import StudySpec


class Trainer(Protocol):
    """What stands for a Ray worker's training."""

    def step(self, task: RunTask) -> EpochReport | RunResult:
        """Train a trial for one epoch, or end it when there is none left.

        Args:
            task: the trial, as the searcher gave it; each step goes on where the last one ended.

        Returns:
            The epoch that the worker reports, or the end of the trial.
        """


@dataclass(slots=True)
class History:
    """A study observer that remembers how the front grew with the epochs spent."""

    reference: tuple[float, ...]
    judge: Callable[[Sequence[TrialRecord]], float] | None = None
    """What a front's trials are worth; ``None``: the hypervolume of the values of all that are
    complete."""
    recommends: bool = False
    """Whether the front is the one that the search recommends, not the one that it has measured."""
    recommended: Callable[[], list[int] | None] = lambda: None
    """Numbers of the trials that it recommends."""
    epochs: int = 0
    """Spent by all trials, those that were stopped too."""
    complete: list[TrialRecord] = field(default_factory=list)
    steps: list[tuple[int, float]] = field(default_factory=list)
    """(epochs, worth) after each complete trial that changed it."""
    states: dict[str, int] = field(default_factory=dict)
    """How many trials ended in which state."""

    @property
    def worth(self) -> float:
        """Of the complete trials so far."""
        return self.steps[-1][1] if self.steps else 0.0

    def trial_started(self, trial: TrialRecord) -> None:
        """Nothing is spent yet."""

    def trial_paused(self, trial: TrialRecord) -> None:
        """What was spent on it is counted."""

    def epoch_ended(
        self,
        trial: TrialRecord,  # noqa: ARG002
        report: EpochReport,  # noqa: ARG002
    ) -> None:
        """One more epoch was paid for."""
        self.epochs += 1

    def trial_ended(self, trial: TrialRecord) -> None:
        """Only complete trials count for the front: the stopped ones have no final values."""
        self.states[trial.state.value] = self.states.get(trial.state.value, 0) + 1
        if trial.state is not TrialState.COMPLETE or trial.values is None:
            return
        self.complete.append(trial)
        worth = self._judged()
        if worth != self.worth:
            self.steps.append((self.epochs, worth))

    def _judged(self) -> float:
        if self.judge is not None:
            return self.judge(self._front())
        return hypervolume([trial.values or () for trial in self.complete], self.reference)

    def _front(self) -> list[TrialRecord]:
        chosen = self.recommended() if self.recommends else None
        if chosen is not None:
            return [trial for trial in self.complete if trial.number in chosen]
        fronts = front_numbers([trial.values or () for trial in self.complete])
        return [trial for trial, front in zip(self.complete, fronts, strict=True) if front == 0]


def run_search(
    spec: StudySpec,
    trainer: Trainer,
    history: History,
    *,
    workers: int,
    folder: Path,
    enough: Callable[[History], bool],
) -> None:
    """Run a study in virtual time, with a ledger in memory.

    Args:
        spec: the study.
        trainer: trains its trials.
        history: empty; has the result afterwards.
        workers: trials at once.
        folder: where trials keep their state, if the trainer writes one.
        enough: asked after each event; ends the search.
    """
    facts = StudyFacts("0" * 64, "replay", history.reference, {})
    source = SearchSource(
        Ledger.create(optuna.storages.InMemoryStorage(), spec, facts),
        spec,
        checkpoints=str(folder),
        gpus_per_trial=0.0,
        observers=[history],
    )
    history.recommended = source.recommended
    drive(source, trainer, workers=workers, enough=lambda: enough(history))


def drive(
    source: SearchSource, trainer: Trainer, *, workers: int, enough: Callable[[], bool]
) -> None:
    """Do for a source what the driver does, in virtual time.

    Args:
        source: the study's trials.
        trainer: trains its trials.
        workers: trials at once.
        enough: asked after each event; ends the search.
    """
    running: dict[int, RunTask] = {}
    # (when the epoch in progress ends, which worker): ties go to the lower worker.
    due: list[tuple[int, int]] = []

    def begin(worker: int, now: int) -> None:
        task = source.next()
        if task is not None:
            running[worker] = task
            heapq.heappush(due, (now + 1, worker))

    for worker in range(workers):
        begin(worker, 0)
    while due and not enough():
        now, worker = heapq.heappop(due)
        task = running[worker]
        reported = trainer.step(task)
        if isinstance(reported, RunResult):
            source.on_end(task, reported)
        elif source.on_epoch(task, reported) is Decision.CONTINUE:
            heapq.heappush(due, (now + 1, worker))
            continue
        del running[worker]
        begin(worker, now)
