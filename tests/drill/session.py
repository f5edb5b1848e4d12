"""One start of the command, watched from outside and killed at chosen moments."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from commands import environment
from processes import Process, of_session, trial_processes
from traces import saved_epochs, trials

from safr_study.records import TrialState

STUDY = "drill"
POLL_SECONDS = 0.05
LOOK_SECONDS = 0.4
"""Between two looks into the ledger."""
Saved = dict[int, list[tuple[int, float]]]


@dataclass
class Orphans:
    """The processes of a driver that is dead, until they are too."""

    died: float
    left: list[Process]
    seconds: float = 0.0

    def look(self) -> None:
        """Forget those that are gone."""
        if self.left:
            self.left = [process for process in self.left if process.alive]
            self.seconds = time.monotonic() - self.died


@dataclass
class Session:
    """A running ``safr-study search``."""

    home: Path
    command: Sequence[str]
    orphans: list[Orphans] = field(default_factory=list)
    saved: list[Saved] = field(default_factory=list)
    """What running trials had on disk at each kill."""

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self._log = (self.home.parent / "stderr.txt").open("a", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("safr-study")), *self.command],
            env=environment(self.home),
            cwd=self.home.parent,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            start_new_session=True,
        )
        self._looked = 0.0
        self._struck: set[int] = set()
        self.seen_trials: float | None = None
        """When its first trial ran, in seconds after the start."""
        self.all_done: float | None = None
        """When no trial was left."""

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def phase(self) -> str:
        """What it does just now."""
        if self.all_done is not None:
            return "closing"
        return "starting" if self.seen_trials is None else "trials"

    def running(self, asked: int) -> bool:
        """Wait a moment and look around; whether the process still runs."""
        for orphans in self.orphans:
            orphans.look()
        if self.process.poll() is not None:
            self._log.close()
            return False
        time.sleep(POLL_SECONDS)
        if self.elapsed - self._looked > LOOK_SECONDS:
            self._looked = self.elapsed
            if self.seen_trials is None and trial_processes(self.process.pid):
                self.seen_trials = self.elapsed
            if self.all_done is None and self.seen_trials is not None:
                counted = sum(trial.counts for trial in trials(self.home, STUDY))
                self.all_done = self.elapsed if counted >= asked else None
        return True

    def kill_driver(self) -> bool:
        """Kill the driver alone, as the kernel would; whether it was there."""
        if self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.wait()
        self.orphans.append(Orphans(time.monotonic(), of_session(self.process.pid)))
        self._log.close()
        self.saved.append(saved_epochs(self.home, STUDY))
        return True

    def kill_trial(self, pick: float) -> bool:
        """Kill one of the processes that run trials; whether one was killed.

        A trial whose process dies twice under one driver fails, as it would die for ever. So nobody
        is struck while a trial runs that may have been struck before.
        """
        workers = trial_processes(self.process.pid)
        running = self._running()
        if not workers or not running or running & self._struck:
            return False
        if not workers[int(pick * len(workers))].kill():
            return False
        # One may have begun just before the kill.
        self._struck |= running | self._running()
        self.saved.append(saved_epochs(self.home, STUDY))
        return True

    def _running(self) -> set[int]:
        found = trials(self.home, STUDY)
        return {trial.number for trial in found if trial.state is TrialState.RUNNING}
