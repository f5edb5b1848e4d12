"""Runs what a source has: Ray Tune's loop, with a clean end by Ctrl-C.

Import this inside ``cluster``: Ray reads its environment when it is first imported.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from types import FrameType

from ray import tune
from ray.tune.execution import class_cache

from safr_study.cluster.head_watch import HeadWatch
from safr_study.cluster.slots import TrialSlots
from safr_study.data import EncodedCorpus
from safr_study.errors import LockLost, SafrError, ServiceUnreachable, StudyIncomplete
from safr_study.ledger.driver_lock import Lease
from safr_study.ledger.storage import ledger_errors
from safr_study.redaction import is_secret_name
from safr_study.runner.source import RunSource
from safr_study.runner.tune_adapter import (
    LostNodes,
    RayIsDead,
    SourceScheduler,
    SourceSearcher,
    SourceStopper,
    trial_resources,
)
from safr_study.runner.worker import trainable
from safr_study.text import summary

WORKER_DEATHS = 1
"""Number of times that a run whose worker process dies resumes from its last epoch."""


class EndReason(Enum):
    """Why the driver ended."""

    DONE = auto()
    OUT_OF_TIME = auto()
    INTERRUPTED = auto()
    """Ended by Ctrl-C, SIGTERM or a request; what is unfinished resumes another time."""


def run(
    source: RunSource,
    corpus: EncodedCorpus,
    *,
    slots: TrialSlots,
    lease: Lease,
    scratch: Path,
    time_budget: float | None = None,
) -> EndReason:
    """Do the runs of a source on the running Ray cluster.

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
        StudyIncomplete: a fault that every run would meet.
    """
    if not source.remaining:
        return EndReason.DONE
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
                num_samples=source.remaining,
                max_concurrent_trials=slots.max_concurrent,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(scratch),
                stop=stopper,
                callbacks=[LostNodes()],
                failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS),
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
        return EndReason.INTERRUPTED
    return EndReason.OUT_OF_TIME if stopper.out_of_time else EndReason.DONE


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
