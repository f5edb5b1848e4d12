"""A study from outside: its driver, how far it is, what it found so far; and how it is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.study_base.cost import TrialTimes
from safr_study.features.study_base.results import find_ledger, load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Driver, driver_of
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, began, command_of
from safr_study.ledger.retention import is_inside, keys_of, tree_size
from safr_study.ledger.stop_flag import request_stop, stop_requested
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.sampling.fixed_trials import planned_trials

LOOK_SECONDS = 0.5
"""Seconds between two looks whether it has ended."""
ASK_SECONDS = 5.0
"""Seconds between two requests: the first may come before the driver listens."""


@dataclass(frozen=True, slots=True, repr=False)
class StudyStatus:
    """A study at one moment."""

    result: StudyResult
    """What it found so far."""
    driver: Driver | None
    """The driver that runs it; ``None``: none."""
    ending: bool
    """Whether its driver was asked to end."""
    planned: int
    """Trials that it can finish."""
    complete: int
    stopped: int
    """Early, by the scheduler."""
    failed: int
    begun: tuple[TrialRecord, ...]
    """Trials that run, or that wait for the next start where no driver runs the study."""
    paused: tuple[TrialRecord, ...]
    """Trials that wait at a rung until they are continued or stopped."""
    epochs: int
    """Most epochs of a trial; early stopping may end it before."""
    waiting: int
    """Trials still to begin, before the running driver ends or in the next start."""
    seconds_since_begin: float | None
    """Seconds since its first trial was begun."""
    seconds_left: float | None
    """An estimate from its trials so far; ``None``: it does not run, or no epoch has ended."""
    disk: int
    """Bytes of its checkpoints and its journal."""
    command: str | None
    """Command that resumes it; ``None``: it runs, or it has all its trials."""
    undelivered: str | None
    """Why MLflow may lack something, where nobody runs the study; ``None``: it has everything."""

    @property
    def running(self) -> bool:
        """Whether a driver runs it."""
        return self.driver is not None

    def __repr__(self) -> str:
        now = "running" if self.running else "not running"
        done = f"{self.complete} of {self.planned} trials complete"
        return f"StudyStatus({self.result.name!r}, {now}, {done})"


def study_status(name: str, stores: Stores) -> StudyStatus:
    """State of a study; reads only, also while a driver writes.

    Raises:
        BadInput: there is no such study.
        ServiceUnreachable: the ledger's database does not answer.
    """
    with load_ledger(name, stores) as ledger:
        return _status(ledger, name, stores)


def stop_study(
    name: str,
    stores: Stores,
    *,
    timeout: float,
    on_wait: Callable[[Driver, float], None] = lambda _driver, _seconds: None,
) -> float:
    """Have a study's driver end it; what is unfinished waits for the next start.

    Args:
        name: of the study.
        stores: where its ledger is.
        timeout: seconds to wait.
        on_wait: called at once and at each request after it, with who runs the study and the
            seconds waited.

    Returns:
        Seconds from the request until the driver had ended.

    Raises:
        BadInput: there is no such study, or no driver runs it.
        ServiceUnreachable: it did not end in time, or the ledger does not answer.
    """
    home, url = stores.home, stores.storage_url
    driver = driver_of(home, name, url)
    if driver is None:
        # An unknown name is told first.
        with load_ledger(name, stores):
            raise BadInput("study", f"{name!r} is not running: there is nothing to stop")
    began = time.monotonic()
    asked = -ASK_SECONDS
    while (now := driver_of(home, name, url)) is not None:
        if None not in (driver.since, now.since) and now != driver:
            # It ended, and the next one has begun: that one was not meant.
            break
        waited = time.monotonic() - began
        if waited - asked >= ASK_SECONDS:
            asked = waited
            # A driver that begins a study is its driver before there is a ledger.
            ledger = find_ledger(name, stores)
            if ledger is not None:
                with ledger:
                    request_stop(ledger, now)
            on_wait(driver, waited if waited > LOOK_SECONDS else 0.0)
        if waited >= timeout:
            raise ServiceUnreachable(
                f"study {name!r} has not ended within {timeout:g} s; its driver ({driver}) is "
                "asked and may still be ending: look with safr-study status, or end that process"
            )
        time.sleep(min(LOOK_SECONDS, timeout - waited))
    return time.monotonic() - began


def _status(ledger: Ledger, name: str, stores: Stores) -> StudyStatus:
    driver = driver_of(stores.home, name, stores.storage_url)
    spec, trials = ledger.spec, ledger.trials()
    planned = planned_trials(spec)
    done = [trial.state for trial in trials if trial.counts]
    open_trials = [trial for trial in trials if trial.state is TrialState.RUNNING]
    begun = [trial for trial in open_trials if trial.paused_at is None]
    # A failed trial is replaced by the next start, not by the one in which it failed.
    since = math.inf if driver is None or driver.since is None else driver.since
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    lost = sum((trial.ended or 0.0) >= since for trial in failed)
    waiting = max(0, planned - len(done) - len(open_trials) - lost)
    unfinished = bool(open_trials) or waiting > 0
    delivery, first = Delivery.of(ledger), began(ledger)
    times = TrialTimes(spec)
    for trial in trials:
        times.add(trial)
    return StudyStatus(
        result=rank_ledger(ledger),
        driver=driver,
        ending=driver is not None and stop_requested(ledger, driver.token),
        planned=planned,
        complete=done.count(TrialState.COMPLETE),
        stopped=done.count(TrialState.PRUNED),
        failed=len(failed),
        begun=tuple(begun),
        paused=tuple(trial for trial in open_trials if trial.paused_at is not None),
        epochs=spec.train.epochs,
        waiting=waiting,
        seconds_since_begin=None if first is None else max(0.0, time.time() - first),
        seconds_left=None if driver is None else times.left(begun, waiting, len(begun)),
        disk=_disk(ledger, name, stores),
        command=command_of(ledger) if driver is None and unfinished else None,
        undelivered=None if driver is not None or delivery is None else delivery.missing,
    )


def _disk(ledger: Ledger, name: str, stores: Stores) -> int:
    """Bytes of all its generations."""
    home = stores.home
    folders = [home.checkpoints(key) for key in keys_of(ledger.storage, name)]
    size = sum(tree_size(folder) for folder in folders if is_inside(home, folder))
    journal = home.ledger(name)
    if stores.storage_url is None and journal.exists():
        size += journal.stat().st_size
    return size
