"""Runs a study: Ray Tune's loop over the ledger's trials, with a clean end by Ctrl-C.

Import this inside ``cluster``: Ray reads its environment when it is first imported.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from ray import tune

from safr_study.cluster.head_watch import HeadWatch
from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus
from safr_study.errors import (
    SafrError,
    ServiceUnreachable,
    StudyIncomplete,
    StudyInterrupted,
)
from safr_study.home import Home
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.stop_flag import stop_requested
from safr_study.ledger.storage import ledger_errors
from safr_study.records import StudyObserver
from safr_study.runner.lost_nodes import LostNodes, trial_resources
from safr_study.runner.search_source import LedgerSearcher
from safr_study.runner.trial_dir import make_workplaces
from safr_study.runner.tune_adapter import LedgerScheduler
from safr_study.runner.worker import trainable
from safr_study.settings import StudySpec

POLL_SECONDS = 3.0
"""Between two looks at the ledger for a request to stop."""
WORKER_DEATHS = 1
"""A trial whose worker process dies goes on once from its last epoch."""


def run_study(
    spec: StudySpec,
    corpus: EncodedCorpus,
    ledger: Ledger,
    *,
    home: Home,
    slots: TrialSlots,
    lease: Lease,
    observers: Sequence[StudyObserver] = (),
) -> bool:
    """Run what the ledger still lacks, on the running Ray cluster.

    Returns:
        Whether the time budget ended it; what is unfinished waits in the ledger.

    Raises:
        StudyInterrupted: by Ctrl-C, SIGTERM or a request in the ledger; everything finished is in
            the ledger.
        SafrError: the ledger could not be written, say.
    """
    searcher = LedgerSearcher(
        ledger,
        spec,
        checkpoints=ledger.checkpoints(home),
        gpus_per_trial=slots.gpus_per_trial,
        observers=observers,
    )
    if not searcher.remaining:
        return False
    scratch = home.scratch / ledger.uid
    make_workplaces(ledger.checkpoints(home))
    with stop_on_signal() as stopped:
        stop = _StopWhen(stopped, ledger, lease, spec.time_budget)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(trainable, corpus=corpus),
                trial_resources(slots),
            ),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=LedgerScheduler(searcher),
                num_samples=searcher.remaining,
                max_concurrent_trials=slots.max_concurrent,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                stop=stop,
                callbacks=[LostNodes()],
                failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except _RayIsDead:
            raise ServiceUnreachable(
                "cluster: the head of the Ray cluster was killed or is out of reach; what was "
                "finished is in the ledger, and the same command goes on from there"
            ) from None
        except Exception as error:
            # Whatever ended Ray's loop: the searcher knows if it was ours.
            raise _as_ours(searcher.fault or error) from error
        finally:
            # Ray's own state of the driver is a pickle that nobody reads back.
            shutil.rmtree(scratch, ignore_errors=True)
    if stopped.is_set():
        raise StudyInterrupted(
            f"study {spec.name!r} was interrupted; the same command goes on where it stopped"
        )
    return stop.out_of_time


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
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


class _RayIsDead(BaseException):
    """Ends Tune's loop at once: its own cleaning up would wait for answers of the dead."""


class _StopWhen(tune.Stopper):  # type: ignore[misc]  # Ray ships no types
    """Ends all trials, each as unfinished: on a signal, on request, or when the time is up."""

    def __init__(
        self, event: threading.Event, ledger: Ledger, lease: Lease, seconds: float | None
    ) -> None:
        self._event = event
        self._ledger = ledger
        self._lease = lease
        self._began = time.time()
        self._seconds = math.inf if seconds is None else seconds
        self._head = HeadWatch()
        self._asked = time.monotonic()
        self.out_of_time = False

    def __getstate__(self) -> dict[str, Any]:
        # Pickled with the Tuner and never read back, like the searcher.
        return {}

    def __call__(self, _trial_id: str, _result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._head.is_gone():
            raise _RayIsDead
        if self._event.is_set() or self.out_of_time:
            return True
        now = time.monotonic()
        if time.time() - self._began > self._seconds:
            self.out_of_time = True
        elif now - self._asked > POLL_SECONDS:
            self._asked = now
            if stop_requested(self._ledger, self._lease.since) or not self._lease.still_held():
                self._event.set()
        return self._event.is_set() or self.out_of_time


def _as_ours(error: Exception) -> SafrError:
    if isinstance(error, SafrError):
        return error
    reason = " ".join(str(error).split())[:300]
    sentence = (
        f"study: it could not go on ({type(error).__name__}: {reason}); what was finished is in "
        "the ledger, and the same command goes on from there"
    )
    if isinstance(error, ledger_errors()):
        return ServiceUnreachable(sentence)
    return StudyIncomplete(sentence)
