"""Runs what a source has: Ray Tune's loop, with a clean end by Ctrl-C.

Import this inside ``cluster``: Ray reads its environment when it is first imported. Ray Tune asks a
searcher, a scheduler, a stopper and a callback, all of them thin: what they answer is the source's.
Ray pickles each with the Tuner and never reads it back, so their state is empty.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from safr_study.cluster.head_watch import HeadWatch
from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus
from safr_study.errors import (
    BadInput,
    LockLost,
    SafrError,
    ServiceUnreachable,
    StudyIncomplete,
    StudyInterrupted,
    ended_how,
)
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.storage import ledger_errors
from safr_study.records import EpochReport
from safr_study.records.run import RunKey, RunResult, Spent
from safr_study.redaction import is_secret_name
from safr_study.runner.source import RunSource
from safr_study.runner.task import EVENT, NODE, RunTask, SharedFault, read_event, read_spent
from safr_study.runner.worker import trainable
from safr_study.sampling.asha import Decision
from safr_study.text import summary

POLL_SECONDS = 3.0
"""Time between two looks for a request to stop and at the lock."""
WORKER_DIED = (
    "its worker process died twice (out of memory, or killed); run fewer at once with "
    "--max-concurrent"
)
_Answer = TypeVar("_Answer")


def run(
    source: RunSource,
    corpus: EncodedCorpus,
    *,
    slots: TrialSlots,
    lease: Lease,
    scratch: Path,
    time_budget: float | None = None,
) -> bool:
    """Do the runs of a source on the running Ray cluster; whether the time budget ended it.

    Args:
        source: asked for each run, told of its epochs and its end.
        corpus: the data of all runs.
        slots: how many at once, and with what.
        lease: the right to write results; without it nothing more is written.
        scratch: folder for Ray's own state of the driver.
        time_budget: seconds after which it ends; ``None``: never.

    Raises:
        ServiceUnreachable: the cluster's head, a store or the ledger gives no answer.
        LockLost: another driver may have the lock.
        StudyInterrupted: by Ctrl-C, SIGTERM or a request; what is unfinished resumes another time.
        StudyIncomplete: a fault that every run would meet.
    """
    if not source.remaining:
        return False
    # Ray Tune would write the keys of this process into its runtime environment, and so into a log
    # that everybody may read. Workers on this machine inherit them, nodes have their own.
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(filter(is_secret_name, os.environ))
    # Left by a driver that was killed.
    shutil.rmtree(scratch, ignore_errors=True)
    head_lost = ServiceUnreachable(
        "cluster: the head of the Ray cluster was killed or is out of reach; what was "
        f"finished is in {source.results}, and the same command goes on from there"
    )
    head = HeadWatch(head_lost)
    with _stop_on_signal() as stopped, head.watching():
        searcher = SourceSearcher(source, lease)
        stopper = SourceStopper(source, lease, head, stopped, time_budget)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trainable, corpus=corpus, work=source.work),
                trial_resources(slots),
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=SourceScheduler(searcher),
                # Ended by the searcher alone, as a run whose worker died is handed out again.
                num_samples=-1,
                max_concurrent_trials=slots.max_concurrent,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                stop=stopper,
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except RayIsDead:
            raise head_lost from None
        except Exception as error:
            # Whatever ended Ray's loop: the searcher knows if it was ours.
            raise _as_ours(searcher.fault or error, source) from error
        finally:
            # Ray's own state of the driver is a pickle that nobody reads back.
            shutil.rmtree(scratch, ignore_errors=True)
    if stopper.lock_lost:
        raise LockLost(source.title)
    if stopped.is_set() and searcher.ended < source.remaining:
        ended = ended_how(requested=stopper.requested)
        raise StudyInterrupted(
            f"{source.title} {ended}; the same command goes on where it stopped",
            requested=stopper.requested,
        )
    return stopper.out_of_time


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_ours(error: Exception, source: RunSource) -> SafrError:
    if isinstance(error, SafrError):
        return error
    sentence = (
        f"study: it could not go on ({type(error).__name__}: {summary(error)}); what was "
        f"finished is in {source.results}, and the same command goes on from there"
    )
    if isinstance(error, ledger_errors()):
        return ServiceUnreachable(sentence)
    return StudyIncomplete(sentence)


@dataclass(eq=False)
class SourceSearcher(Searcher):  # type: ignore[misc]  # Ray ships no types
    """Asks the source for runs, and tells it what became of them.

    Before each of its answers, and so before anything is written, the lock is looked at. A run
    whose worker process dies resumes once from its last epoch, under another of Ray's names: Ray's
    own retry does not cover a worker that dies while it is handed its next run. The death of a
    whole node is not held against its runs.
    """

    source: RunSource
    lease: Lease
    fault: Exception | None = None
    """What ended the runs from inside; Ray wraps and re-raises it."""
    ended: int = 0
    """Number of runs whose end is kept."""

    def __post_init__(self) -> None:
        super().__init__()
        self._running: dict[str, RunTask] = {}
        self._nodes: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._died: set[RunKey] = set()
        self._again: list[RunTask] = []
        self._exhausted = False
        """Whether the source had no run, and nothing has happened since."""

    def suggest(self, trial_id: str) -> Any:
        """The next run's task; ``None``: none now; ``Searcher.FINISHED``: none any more."""
        task = self._guarded(self._next)
        if task is None:
            return None if self._running else Searcher.FINISHED
        self._running[trial_id] = task
        self._heard[trial_id] = time.monotonic()
        return task.to_config()

    def _next(self) -> RunTask | None:
        if self._again:
            return self._again.pop(0)
        task = None if self._exhausted else self.source.next()
        self._exhausted = task is None
        return task

    def stops(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Hand an event of a run to the source; whether the run is stopped by it."""
        self._heard[trial_id] = time.monotonic()
        task, text = self._running.get(trial_id), result.get(EVENT)
        self._nodes[trial_id] = result.get(NODE, "")
        if task is None or text is None:
            return False
        reported = read_event(text)
        if isinstance(reported, EpochReport):
            spent = read_spent(result)
            decision = self._guarded(lambda: self.source.on_epoch(task, reported, spent))
            if decision in {Decision.PRUNE, Decision.PAUSE}:
                del self._running[trial_id]
                self._exhausted = False
                self.ended += decision is Decision.PRUNE
            return decision in {Decision.PRUNE, Decision.PAUSE}
        if isinstance(reported, SharedFault):
            self.fault = _as_error(reported, self.source.title)
            raise self.fault
        if isinstance(reported, RunResult):
            self._end(trial_id, reported, read_spent(result))
        return False

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler was told, which alone can stop a run."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Resume a run whose worker died, or fail it; one that was stopped stays unfinished."""
        node = self._nodes.pop(trial_id, "")
        heard = self._heard.pop(trial_id, None)
        task = self._running.get(trial_id)
        if not error or task is None:
            return
        if heard is not None:
            unheard = time.monotonic() - heard
            self._guarded(lambda: self.source.on_lost(task, unheard))
        lost = _is_lost(node)
        if task.key in self._died and not lost:
            self._end(trial_id, RunResult(*task.key, failure=WORKER_DIED))
            return
        if not lost:
            self._died.add(task.key)
        self._again.append(self._running.pop(trial_id))

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def get_state(self) -> dict[str, Any]:
        """Nothing, for Ray's ``ConcurrencyLimiter``."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the state is the source's."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a new source reads what is there."""

    def _end(self, trial_id: str, result: RunResult, spent: Spent | None = None) -> None:
        task = self._running.pop(trial_id)
        self._guarded(lambda: self.source.on_end(task, result, spent))
        self.ended += 1
        self._exhausted = False

    def _guarded(self, step: Callable[[], _Answer]) -> _Answer:
        faults: tuple[type[Exception], ...] = (SafrError, OSError, ValueError, *ledger_errors())
        try:
            self.lease.check(self.source.title)
            return step()
        except faults as error:
            self.fault = error
            raise


def _is_lost(node: str) -> bool:
    """Whether a node of the cluster, by its id, is gone."""
    return bool(node) and any(one["NodeID"] == node and not one["Alive"] for one in ray.nodes())


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


@dataclass(eq=False)
class SourceStopper(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends all runs, each as unfinished: on a signal, on request, without the lock or the time."""

    source: RunSource
    lease: Lease
    head: HeadWatch
    stopped: threading.Event
    seconds: float | None
    out_of_time: bool = False
    lock_lost: bool = False
    requested: bool = False

    def __post_init__(self) -> None:
        self._began, self._asked = time.time(), time.monotonic()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No run ends alone."""
        return False

    def stop_all(self) -> bool:
        """Whether all runs are to end now."""
        if self.head.is_gone():
            raise RayIsDead
        if not (self.stopped.is_set() or self.out_of_time or self.lock_lost):
            now = time.monotonic()
            spent = time.time() - self._began
            self.out_of_time = self.seconds is not None and spent > self.seconds
            if now - self._asked > POLL_SECONDS:
                self._asked = now
                self.lock_lost = not self.lease.still_held()
                if not self.lock_lost and self.source.stop_requested(self.lease.token):
                    self.requested = True
                    self.stopped.set()
        return self.stopped.is_set() or self.out_of_time or self.lock_lost


def trial_resources(slots: TrialSlots) -> tune.PlacementGroupFactory:
    """What one run takes; on the node that has the most left, so that runs are spread."""
    bundle = {"CPU": slots.cpus_per_trial, "GPU": slots.gpus_per_trial}
    wanted = {name: amount for name, amount in bundle.items() if amount}
    return tune.PlacementGroupFactory([wanted], strategy="SPREAD")
