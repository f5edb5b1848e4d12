"""A source of runs as Ray Tune wants it: a searcher, a scheduler, a stopper and a callback.

All of them are thin: what they answer is the source's. Ray pickles each with the Tuner and never
reads it back, so their state is empty.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from safr_study.cluster.head_watch import HeadWatch
from safr_study.cluster.slots import TrialSlots
from safr_study.errors import BadInput, SafrError, ServiceUnreachable, StudyIncomplete
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.storage import ledger_errors
from safr_study.records import EpochReport
from safr_study.records.run import RunResult
from safr_study.runner.source import RunSource
from safr_study.runner.task import EVENT, NODE, RunTask, SharedFault, read_event
from safr_study.sampling.asha import Decision

POLL_SECONDS = 3.0
"""Time between two looks for a request to stop and at the lock."""
WORKER_DIED = (
    "its worker process died twice (out of memory, or killed); run fewer at once with "
    "--max-concurrent"
)
_Answer = TypeVar("_Answer")


class SourceSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Asks the source for runs, and tells it what became of them.

    Before each of its answers, and so before anything is written, the lock is looked at.
    """

    def __init__(self, source: RunSource, lease: Lease) -> None:
        super().__init__()
        self.fault: Exception | None = None
        """What ended the runs from inside; Ray wraps and re-raises it."""
        self.ended = 0
        """Number of runs whose end is kept."""
        self._source = source
        self._lease = lease
        self._running: dict[str, RunTask] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next run's task; ``Searcher.FINISHED`` when there is none."""
        task = self._guarded(self._source.next)
        if task is None:
            return Searcher.FINISHED
        self._running[trial_id] = task
        return task.to_config()

    def stops(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Hand an event of a run to the source; whether the run is stopped by it."""
        task, text = self._running.get(trial_id), result.get(EVENT)
        if task is None or text is None:
            return False
        reported = read_event(text)
        if isinstance(reported, EpochReport):
            decision = self._guarded(lambda: self._source.on_epoch(task, reported))
            if decision is Decision.PRUNE:
                del self._running[trial_id]
                self.ended += 1
            return decision is Decision.PRUNE
        if isinstance(reported, SharedFault):
            self.fault = _as_error(reported, self._source.title)
            raise self.fault
        if isinstance(reported, RunResult):
            self._end(trial_id, reported)
        return False

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler was told, which alone can stop a run."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Fail a run whose worker died; one that was stopped stays unfinished."""
        if error and (task := self._running.get(trial_id)) is not None:
            self._end(trial_id, RunResult(*task.key, failure=WORKER_DIED))

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def get_state(self) -> dict[str, Any]:
        """Nothing, for Ray's ``ConcurrencyLimiter``."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the state is the source's."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a new source reads what is there."""

    def _end(self, trial_id: str, result: RunResult) -> None:
        task = self._running.pop(trial_id)
        self._guarded(lambda: self._source.on_end(task, result))
        self.ended += 1

    def _guarded(self, step: Callable[[], _Answer]) -> _Answer:
        faults: tuple[type[Exception], ...] = (SafrError, OSError, ValueError, *ledger_errors())
        try:
            self._lease.check(self._source.title)
            return step()
        except faults as error:
            self.fault = error
            raise


def _as_error(fault: SharedFault, title: str) -> SafrError:
    if fault.bad_input is not None:
        return BadInput(fault.bad_input, fault.sentence)
    kind = ServiceUnreachable if fault.unreachable else StudyIncomplete
    return kind(f"{title} cannot go on: {fault.sentence}")


class SourceScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Stops the runs that the source stops.

    Ray has no scheduler for several objectives, and refuses one whose metric is a list. This one
    names none; it is asked before the searcher sees a result, and only here can a run be stopped.
    """

    def __init__(self, searcher: SourceSearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Stop or continue, after each event of a run."""
        stopped = self._searcher.stops(trial.trial_id, result)
        return str(self.STOP if stopped else self.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}


class RayIsDead(BaseException):
    """Ends Tune's loop at once: its own cleaning up would wait for answers of the dead."""


class SourceStopper(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends all runs, each as unfinished: on a signal, on request, without the lock or the time."""

    def __init__(
        self,
        source: RunSource,
        lease: Lease,
        head: HeadWatch,
        stopped: threading.Event,
        seconds: float | None,
    ) -> None:
        self.out_of_time = self.lock_lost = False
        self._source = source
        self._lease = lease
        self._stopped = stopped
        self._began = time.time()
        self._seconds = math.inf if seconds is None else seconds
        self._head = head
        self._asked = time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No run ends alone."""
        return False

    def stop_all(self) -> bool:
        """Whether all runs are to end now."""
        if self._head.is_gone():
            raise RayIsDead
        if not (self._stopped.is_set() or self.out_of_time or self.lock_lost):
            now = time.monotonic()
            self.out_of_time = time.time() - self._began > self._seconds
            if now - self._asked > POLL_SECONDS:
                self._asked = now
                self.lock_lost = not self._lease.still_held()
                if not self.lock_lost and self._source.stop_requested(self._lease.since):
                    self._stopped.set()
        return self._stopped.is_set() or self.out_of_time or self.lock_lost


class LostNodes(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """A node that is lost is no fault of its runs: they resume elsewhere, however often."""

    def __init__(self) -> None:
        self._forgiven: set[tuple[str, str]] = set()

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Take the failure back that Ray has counted, once for each node."""
        node = (trial.last_result or {}).get(NODE)
        if node is None or (trial.trial_id, node) in self._forgiven:
            return
        if any(one["NodeID"] == node and not one["Alive"] for one in ray.nodes()):
            self._forgiven.add((trial.trial_id, node))
            trial.run_metadata.num_failures -= 1


def trial_resources(slots: TrialSlots) -> tune.PlacementGroupFactory:
    """What one run takes; on the node that has the most left, so that runs are spread."""
    bundle = {"CPU": slots.cpus_per_trial, "GPU": slots.gpus_per_trial}
    wanted = {name: amount for name, amount in bundle.items() if amount}
    return tune.PlacementGroupFactory([wanted], strategy="SPREAD")
