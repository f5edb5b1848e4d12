"""One driver per study, wherever its ledger is: locks that vanish with the process that holds them.

The kernel keeps one on a file in the home, which is enough for a journal. A database may serve
several homes, so it has a second one: PostgreSQL keeps it itself (``advisory_lock``), and next to
an SQLite file lies another locked file. Other databases have no lock of their own: one home only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from safr_study.errors import BadInput, LockLost
from safr_study.home import Home
from safr_study.ledger.address import LedgerAddress

_PATIENCE_SECONDS = 1.0
"""Others look whether a lock is free by sharing it for a moment."""
_HOLDER = re.compile(r"safr-study (?P<pid>\d+) (?P<since>\d+\.\d+) (?P<host>.+)")


@dataclass(frozen=True, slots=True)
class Driver:
    """Who runs a study; fields are ``None`` where it did not say."""

    host: str | None = None
    pid: int | None = None
    since: float | None = None
    """Seconds since the epoch, by its own clock."""

    def __str__(self) -> str:
        if self.host is None or self.pid is None or self.since is None:
            return "it does not say who"
        began = datetime.fromtimestamp(self.since).astimezone().isoformat(" ", "seconds")
        return f"PID {self.pid} on {self.host}, since {began}"

    @property
    def token(self) -> str | None:
        """The driver among all that ever ran the study; ``None``: it does not say who it is.

        The name of its machine is left out, of which PostgreSQL keeps a part.
        """
        unknown = self.pid is None or self.since is None
        return None if unknown else f"{self.pid} {self.since:.3f}"

    def line(self) -> str:
        """The driver in one line."""
        return f"safr-study {self.pid} {self.since:.3f} {self.host}"

    @classmethod
    def of_line(cls, line: str) -> Driver:
        """The inverse of ``line``, as far as it was kept."""
        found = _HOLDER.fullmatch(line)
        return cls(found["host"], int(found["pid"]), float(found["since"])) if found else cls()


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive a study, as long as the block lasts."""

    token: str
    """The driver's own: what is asked of others is void."""
    still_held: Callable[[], bool] = lambda: True
    """Whether no connection that holds a lock was lost; before each write."""

    def check(self, title: str) -> None:
        """Called before something is written.

        Args:
            title: of what is run, for the sentence: ``study 's1'``.

        Raises:
            LockLost: another driver may write now.
        """
        if not self.still_held():
            raise LockLost(title)


@contextlib.contextmanager
def driver_lock(home: Home, study: str, storage_url: str | None = None) -> Iterator[Lease]:
    """Hold the study: one driver at a time.

    Args:
        home: of the driver.
        study: its name.
        storage_url: of the ledger's database; ``None``: a journal in the home.

    Raises:
        BadInput: another driver runs it; says who.
        ServiceUnreachable: the database does not answer.
    """
    me = Driver(socket.gethostname(), os.getpid(), round(time.time(), 3))
    token = str(me.token)
    address = LedgerAddress.parse(storage_url)
    with contextlib.ExitStack() as held:
        for path in _files(home, study, address):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(FileLock(path, timeout=_PATIENCE_SECONDS))
            except Timeout:
                raise _taken(study, _driver_in(_read_note(path))) from None
            _write_note(path, me, address)
        if address.kind != "postgres":
            yield Lease(token)
            return
        # SQLAlchemy takes as long to import as a short command runs: only where there is a
        # database.
        from safr_study.ledger.postgres_lock import advisory_lock

        assert address.url is not None
        still_held = held.enter_context(advisory_lock(address.url, study, me.line()))
        if still_held is None:
            raise _taken(study, driver_of(home, study, storage_url) or Driver())
        yield Lease(token, still_held)


def driver_of(home: Home, study: str, storage_url: str | None = None) -> Driver | None:
    """The driver that runs the study now; ``None``: none."""
    return drivers(home, [study], storage_url).get(study)


def drivers(
    home: Home, studies: Sequence[str], storage_url: str | None = None
) -> dict[str, Driver]:
    """Who runs which of these studies now.

    Raises:
        ServiceUnreachable: the database does not answer.
    """
    address = LedgerAddress.parse(storage_url)
    if address.kind == "postgres":
        from safr_study.ledger.postgres_lock import held_locks

        assert address.url is not None
        lines = held_locks(address.url, list(studies))
        return {study: Driver.of_line(line) for study, line in lines.items()}
    found = {}
    for study in studies:
        path = _files(home, study, address)[-1]
        if path.exists() and _is_held(path):
            found[study] = _driver_in(_read_note(path))
    return found


def storages_of(home: Home, study: str) -> frozenset[str]:
    """Every place in which a study of this name had its ledger while it was run in this home."""
    noted = _read_note(home.lock(study)).get("storages", [])
    return frozenset(str(place) for place in noted)


def _is_held(path: Path) -> bool:
    """Whether somebody holds a lock; who asks need not be allowed to write it."""
    with path.open("rb") as file:
        try:
            # Shared: those who look do not get into each other's way.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _taken(study: str, by: Driver) -> BadInput:
    return BadInput(
        "study",
        f"{study!r} is being run by another process ({by}); wait for it, end it with "
        f"safr-study stop {study}, or choose another --study",
    )


def _files(home: Home, study: str, address: LedgerAddress) -> list[Path]:
    """Files to be locked; the last one knows best which driver runs the study."""
    paths = [home.lock(study)]
    if address.file is not None:
        paths.append(address.file.with_name(f"{address.file.name}.{study}.lock"))
    return paths


def _note(path: Path) -> Path:
    """File next to the lock, as a locked file may not be read everywhere; it stays."""
    return path.with_suffix(".driver")


def _write_note(path: Path, me: Driver, address: LedgerAddress) -> None:
    places = {*_read_note(path).get("storages", []), address.shown}
    plain = {**asdict(me), "storages": sorted(places)}
    temporary = path.with_suffix(".driver-new")
    # The lock holds without it.
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(plain) + "\n", encoding="utf-8")
        temporary.replace(_note(path))


def _read_note(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(_note(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _driver_in(note: dict[str, Any]) -> Driver:
    return Driver(note.get("host"), note.get("pid"), note.get("since"))
