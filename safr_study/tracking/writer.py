"""The MLflow writer: one background thread that brings MLflow to what the ledger says.

The driver writes each change of a trial to the ledger first and then hands the writer the trial's
record, which never changes. The thread thus needs no view of the ledger: it does not read through
the driver's storage, whose cache is the driver's alone, nor through one of its own, which would
decode a whole study at every look. It keeps the newest record of each trial that changed since
MLflow last had it. So nothing is lost while a server is away, what waits is bounded by the number
of trials, and a look costs as much as there are changes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from safr_study.records import EpochReport, TrialRecord
from safr_study.text import plural
from safr_study.tracking.store import Store, is_passing, what_failed
from safr_study.tracking.study_runs import StudyEnd, StudyRuns, TrackedStudy, TrialUpdate

LOOK_SECONDS = 10.0
"""Time between two looks for changes."""
RETRY_SECONDS = 1.0
"""The same once the study has ended, at a server that does not take everything."""
PATIENCE_VARIABLE = "SAFR_STUDY_TRACKING_PATIENCE"
PATIENCE_SECONDS = 60.0
"""Time without any success after which an ended study gives its server up; the variable is another
number of seconds."""
INTERRUPTED_SECONDS = 15.0
"""The same for a study that was interrupted: a person waits for the end."""
LIMIT_SECONDS = 600.0
"""Time in all that an ended study waits for a server that is slow but takes what it gets."""

_STUDY = sys.maxsize
"""Key of the parent run among those that wait: after all trials."""
_LOST = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's answer of a server that came back without what it had."""


class StudyWriter:
    """Shows a study in MLflow while it runs; a ``StudyObserver`` that never blocks or raises."""

    def __init__(self, store: Store, study: TrackedStudy, *, runs_now: bool = True) -> None:
        """Prepare; ``start`` is what first writes.

        Args:
            store: where to write.
            study: the study.
            runs_now: whether this process runs the study; otherwise its parent run is not shown as
                running, and what that says of its origin stays.
        """
        self.runs = StudyRuns(store, study, runs_now=runs_now)
        """What MLflow has; to be looked at before the start and after the end."""
        self._store = store
        self._news = threading.Condition()
        self._waiting: dict[int, TrialUpdate | StudyEnd] = {}
        """What MLflow may lack, by the trial's number."""
        self._refusals: dict[int, str] = {}
        self._outage: str | None = None
        """Last answer, or lack of one, of a server that failed."""
        self._successes = 0
        self._hurried = self._ending = self._done = self._abandoned = False
        self._started = False

    def start(self, trials: Iterable[TrialRecord] = ()) -> None:
        """Find or make the experiment and the parent run, and start to write.

        Args:
            trials: of the ledger. One that is still marked as running has lost its driver: its run
                is shown as killed, until ``trial_started`` opens it again.

        Raises:
            ServiceUnreachable: the tracking server does not do its work.
        """
        with self._store.translated_errors():
            self.runs.read()
        self._waiting = {trial.number: TrialUpdate(trial) for trial in trials}
        self._started = True
        threading.Thread(target=self._run, name="safr-tracking", daemon=True).start()

    def trial_started(self, trial: TrialRecord, _report: EpochReport | None = None) -> None:
        """Note a trial that begins or is resumed, has a new epoch, or has ended."""
        with self._news:
            self._waiting[trial.number] = TrialUpdate(trial, alive=True)

    epoch_ended = trial_paused = trial_ended = trial_started

    @property
    def waiting(self) -> int:
        """Number of runs that MLflow is behind with."""
        return len(self._waiting)

    def catch_up(self) -> None:
        """Look for changes at once, and wait for that look: 15 s at most, less by the patience."""
        with self._news:
            self._hurried = self._started
            self._news.notify_all()
            patience = min(INTERRUPTED_SECONDS, server_patience())
            self._news.wait_for(lambda: not self._hurried, patience)

    def abandon(self) -> None:
        """Write nothing more: another driver may have the study."""
        with self._news:
            self._abandoned = True
            self._news.notify_all()

    def finish(
        self,
        end: StudyEnd | None = None,
        *,
        patience: float | None = None,
        limit: float = LIMIT_SECONDS,
    ) -> str | None:
        """Wait until MLflow has everything, and stop.

        Args:
            end: the trials' ranks and the study's outcome, after which no trial is alive; ``None``:
                only what was noted.
            patience: seconds without success until the server is given up; ``None``: by how the
                study ended.
            limit: seconds to wait in all.

        Returns:
            A sentence on what the server did not take; ``None`` when it has everything.
        """
        if not self._started:
            return None
        if patience is None:
            patience = server_patience()
            if end is not None and end.interrupted:
                patience = min(INTERRUPTED_SECONDS, patience)
        until = time.monotonic() + limit
        with self._news:
            if end is not None:
                self._waiting |= {update.trial.number: update for update in end.updates()}
                self._waiting[_STUDY] = end
            self._ending = True
            self._news.notify_all()
            while not self._done:
                seconds = min(patience, until - time.monotonic())
                if not self._news.wait_for(self._moves_on_from(self._successes), seconds):
                    break
            self.abandon()
            return self._lacking()

    def _moves_on_from(self, successes: int) -> Callable[[], bool]:
        return lambda: self._done or self._successes > successes

    def _lacking(self) -> str | None:
        parts = [f"a run was refused ({why})" for why in dict.fromkeys(self._refusals.values())]
        if self._waiting:
            late, why = plural(len(self._waiting), "run"), self._outage or "it is slow"
            parts.append(f"{late} could not be brought up to date ({why})")
        elif not self._done:
            parts.append(f"its runs could not be read once more ({self._outage})")
        if not parts:
            return None
        return f"tracking: {self._store.shown_uri}: {'; '.join(parts)}; the ledger has everything"

    def _run(self) -> None:
        """Reconcile now and then, until the study has ended and MLflow has it, or is given up."""
        while not self._abandoned:
            with self._news:
                self._news.wait_for(self._is_called, LOOK_SECONDS)
                ending, hurried = self._ending, self._hurried
            if ending and self._outage is not None:
                # What was written before an outage is compared once more.
                self.runs.doubt()
            self._reconcile()
            if hurried:
                with self._news:
                    self._hurried = False
                    self._news.notify_all()
            if not ending:
                continue
            has_everything = self._has_everything()
            with self._news:
                if has_everything:
                    self._done = True
                    self._news.notify_all()
                    return
                self._news.wait_for(lambda: self._abandoned, RETRY_SECONDS)

    def _is_called(self) -> bool:
        return self._hurried or self._ending or self._abandoned

    def _reconcile(self) -> None:
        """Bring each run that changed up to date; what fails is left for the next time."""
        with self._news:
            waiting = sorted(self._waiting.items())
        for key, update in waiting:
            if self._abandoned or not self._reads():
                return
            if self._writes(key, update):
                with self._news:
                    # A newer one of the same trial is left.
                    if self._waiting[key] is update:
                        del self._waiting[key]
                    self._successes += 1
                    self._news.notify_all()

    def _reads(self) -> bool:
        """Whether it is known what the server has."""
        try:
            self.runs.read()
        except Exception as error:  # whatever goes wrong is told by finish()
            self._outage = what_failed(error)
            return False
        return True

    def _writes(self, key: int, update: TrialUpdate | StudyEnd) -> bool:
        """Write one run; whether nothing of it is left for another time."""
        try:
            if isinstance(update, StudyEnd):
                self.runs.write_end(update)
            else:
                self.runs.write_trial(update)
        except Exception as error:  # whatever goes wrong is told by finish()
            self.runs.doubt()
            if is_passing(error) or getattr(error, "error_code", None) == _LOST:
                self._outage = what_failed(error)
                return False
            self._refusals[key] = what_failed(error)
            return True
        self._refusals.pop(key, None)
        return True

    def _has_everything(self) -> bool:
        """Whether nothing waits, and after an outage no run has come up a second time."""
        if self._waiting:
            return False
        if self._outage is None:
            return True
        self.runs.doubt()
        return self._reads()


def server_patience() -> float:
    """Seconds without any success after which a server is given up."""
    with suppress(ValueError):
        seconds = float(os.environ.get(PATIENCE_VARIABLE, ""))
        if seconds >= 0:
            return seconds
    return PATIENCE_SECONDS
