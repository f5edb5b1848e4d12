"""The processes of a study, as Linux lists them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TRIAL = "ray::ImplicitFunc"
"""What Ray calls a process that runs Tune's trials."""


@dataclass(frozen=True)
class Process:
    """One process; its number alone may be given out again."""

    pid: int
    started: int
    """Ticks since the machine began."""

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX"

    @property
    def command(self) -> str:
        """Its command line; empty when it is gone."""
        with contextlib.suppress(OSError):
            return (PROC / str(self.pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return ""

    def kill(self) -> bool:
        """Kill it as nobody can refuse; whether it was there."""
        with contextlib.suppress(ProcessLookupError):
            if self.alive:
                os.kill(self.pid, signal.SIGKILL)
                return True
        return False


def of_session(leader: int) -> list[Process]:
    """All the processes of the session that this one began, orphans too."""
    found = []
    for folder in PROC.glob("[0-9]*"):
        stat = _stat(int(folder.name))
        if stat is not None and stat.session == leader and stat.state not in "ZX":
            found.append(Process(int(folder.name), stat.started))
    return found


def trial_processes(leader: int) -> list[Process]:
    """Those that run trials."""
    return [process for process in of_session(leader) if process.command.startswith(_TRIAL)]


def named(leader: int, part: str) -> list[Process]:
    """Those whose program has this in its name."""
    return [one for one in of_session(leader) if part in one.command.partition(" ")[0]]


def wait_for_end(processes: list[Process], seconds: float) -> list[Process]:
    """Wait until all are gone, at most so long; those that are not."""
    deadline = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(process.pid)
            try:
                if process.alive:
                    left = max(0.0, deadline - time.monotonic())
                    select.select([handle], [], [], left)
            finally:
                os.close(handle)
    return [process for process in processes if process.alive]


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything.
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], session=int(fields[3]), started=int(fields[19]))
