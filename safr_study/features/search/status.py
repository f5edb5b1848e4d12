"""State of a study: the driver that runs it, how far it is, what it found so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Driver, driver_of
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, began, command_of, stop_requested
from safr_study.ledger.retention import is_inside, keys_of, tree_size
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.settings import StudySpec


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """A trial that is begun and has not ended."""

    trial: int
    label: str
    epoch: int
    """The last one that ended, 0 before the first."""
    epochs: int
    """Most epochs of the trial; early stopping may end it before."""
    dev_accuracy: float | None
    """Accuracy on dev after that epoch, percentage points."""


@dataclass(frozen=True, slots=True)
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
    begun: tuple[TrialProgress, ...]
    """Trials that run, or that wait for the next start where no driver runs the study."""
    waiting: int
    """Trials still to begin."""
    began: float | None
    """When its first trial was begun, in seconds since the epoch."""
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


def study_status(name: str, stores: Stores) -> StudyStatus:
    """State of a study; reads only, also while a driver writes.

    Raises:
        BadInput: there is no such study.
        ServiceUnreachable: the ledger's database does not answer.
    """
    with load_ledger(name, stores) as ledger:
        return _status(ledger, name, stores)


def seconds_left(spec: StudySpec, trials: Sequence[TrialRecord], waiting: int) -> float | None:
    """Wall time until a study has its trials, judged by those so far.

    What a trial takes is the mean of those that have ended; before there are any, its epochs at
    most, at the mean of those that have ended. As many run at once as do now.

    Returns:
        ``None`` before the first epoch has ended.
    """
    epochs = [epoch.seconds for trial in trials for epoch in trial.epochs]
    if not epochs:
        return None
    ended = [max(trial.seconds, _trained(trial)) for trial in trials if trial.counts]
    whole = sum(epochs) / len(epochs) * spec.train.epochs * spec.seeds_per_trial
    each = sum(ended) / len(ended) if ended else whole
    begun = [trial for trial in trials if trial.state is TrialState.RUNNING]
    left = sum(max(0.0, each - _trained(trial)) for trial in begun) + waiting * each
    return left / max(1, len(begun))


def _status(ledger: Ledger, name: str, stores: Stores) -> StudyStatus:
    driver = driver_of(stores.home, name, stores.storage_url)
    spec, trials = ledger.spec, ledger.trials()
    planned = planned_trials(spec)
    done = [trial.state for trial in trials if trial.counts]
    begun = [trial for trial in trials if trial.state is TrialState.RUNNING]
    waiting = max(0, planned - len(done) - len(begun))
    unfinished = bool(begun) or waiting > 0
    delivery = Delivery.of(ledger)
    return StudyStatus(
        result=rank_ledger(ledger),
        driver=driver,
        ending=driver is not None and stop_requested(ledger, driver.since or 0.0),
        planned=planned,
        complete=done.count(TrialState.COMPLETE),
        stopped=done.count(TrialState.PRUNED),
        failed=sum(trial.state is TrialState.FAILED for trial in trials),
        begun=tuple(_progress(trial, spec) for trial in begun),
        waiting=waiting,
        began=began(ledger),
        seconds_left=None if driver is None else seconds_left(spec, trials, waiting),
        disk=_disk(ledger, name, stores),
        command=command_of(ledger) if driver is None and unfinished else None,
        undelivered=None if driver is not None or delivery is None else delivery.missing,
    )


def _trained(trial: TrialRecord) -> float:
    return sum(epoch.seconds for epoch in trial.epochs)


def _progress(trial: TrialRecord, spec: StudySpec) -> TrialProgress:
    last = trial.epochs[-1] if trial.epochs else None
    return TrialProgress(
        trial=trial.number,
        label=trial.label,
        epoch=0 if last is None else last.epoch,
        epochs=spec.train.epochs,
        dev_accuracy=None if last is None else last.dev_accuracy,
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


def seconds_since(moment: float) -> float:
    """Seconds since a moment, which is in seconds since 1970."""
    return max(0.0, time.time() - moment)
