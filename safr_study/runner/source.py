"""Where runs come from and what becomes of them: what the driver asks of a feature."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from safr_study.records import EpochReport
from safr_study.records.run import RunResult
from safr_study.runner.task import RunTask
from safr_study.runner.worker import Work
from safr_study.sampling.asha import Decision


class RunSource(Protocol):
    """The runs of one command, in their order; called on the driver's thread alone."""

    title: str
    """What is run, as sentences name it: ``study 's1'``."""
    results: str
    """Where finished runs are, as sentences name it: ``the ledger``."""
    work: Work
    """What a worker does with each task."""
    remaining: int
    """Number of runs to do when the driver begins."""

    def next(self) -> RunTask | None:
        """The next run; ``None``: there is none."""

    def on_epoch(self, task: RunTask, report: EpochReport) -> Decision:
        """Keep an epoch's report, which may have come before; whether the run goes on."""

    def on_end(self, task: RunTask, result: RunResult) -> None:
        """Keep the end of a run, once."""

    def stop_requested(self, since: float) -> bool:
        """Whether the driver was asked to end, after a moment in seconds since the epoch."""


class FixedSource:
    """Runs that are known beforehand, whose results go to a store."""

    def __init__(
        self,
        tasks: Sequence[RunTask],
        store: Callable[[RunTask, RunResult, FixedSource], None],
        *,
        title: str,
        results: str,
        work: Work,
        stop_requested: Callable[[float], bool] = lambda _since: False,
    ) -> None:
        """Begin with all of them.

        Args:
            tasks: in the order in which they begin.
            store: called with each run as it ends, failed ones too, and with this source.
            title: as of `RunSource`, as the next three.
            results: where the store is.
            work: what is done.
            stop_requested: whether to end early.
        """
        self.title, self.results, self.work = title, results, work
        self.remaining = self.left = len(tasks)
        self._store = store
        self._began = time.monotonic()
        self.stop_requested = stop_requested
        self._waiting = list(tasks)

    def next(self) -> RunTask | None:
        """The next of them."""
        return self._waiting.pop(0) if self._waiting else None

    def on_epoch(self, _task: RunTask, _report: EpochReport) -> Decision:
        """Every run is trained to its end."""
        return Decision.CONTINUE

    def on_end(self, task: RunTask, result: RunResult) -> None:
        """Hand a run to the store."""
        self.left -= 1
        self._store(task, result, self)

    @property
    def seconds_left(self) -> float:
        """Wall time of the remaining runs, at the pace of those that have ended."""
        ended = self.remaining - self.left
        return (time.monotonic() - self._began) / max(1, ended) * self.left
