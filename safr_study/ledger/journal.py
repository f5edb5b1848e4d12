"""The journal file of a ledger: Optuna's format, read quickly and never left half-written."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock
from pydantic_core import from_json

_LOCK_SECONDS, _LOCK_LOOKS = 1.0, 10
"""A living writer holds the journal's lock for some milliseconds."""


class JournalFile(BaseJournalBackend):
    """What Optuna's ``JournalFileBackend`` does, with the same file and the same lock.

    Optuna's own reads ten thousand trials in twice the time, and a write of its that fails for
    want of room leaves half a line, to which the next one is glued. This one leaves the file as it
    was. Either may read what the other wrote, also while it writes.
    """

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin an empty one.

        Args:
            path: of the file; its folder is there.
        """
        self._path = path
        self._lock = JournalFileSymlinkLock(str(path))
        self._read, self._offset = 0, 0  # records read so far, and where the next one begins
        path.touch()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The records from this one on, those that other processes wrote too.

        A last line that is not whole yet is left for the next time.

        Raises:
            ValueError: a line before the last is no record.
        """
        if log_number_from != self._read:
            self._read, self._offset = 0, 0
        broken: ValueError | None = None
        with self._path.open("rb") as file:
            file.seek(self._offset)
            # What others append from now on is read the next time.
            until = os.fstat(file.fileno()).st_size
            for line in file:
                if self._offset + len(line) > until:
                    return
                if broken is not None:
                    raise broken
                try:
                    record = _parsed(line)
                except ValueError as error:
                    broken = error
                    continue
                self._offset += len(line)
                self._read += 1
                if self._read > log_number_from:
                    yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records to the disk, all of them, or raise ``OSError`` and write none."""
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self._writing():
            try:
                with self._path.open("ab") as file:
                    file.write(lines.encode())
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    drop_torn_line(self._path)
                raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def _parsed(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise ValueError("its last line is not whole")
    record: dict[str, Any]
    try:
        record = from_json(line)
    except ValueError:
        # Stricter than Python's, which also takes what an argument that is no UTF-8 leaves.
        record = json.loads(line)
    return record


def drop_dead_lock(path: Path) -> None:
    """Take away the lock of a writer that was killed; Optuna's own would hold for half a minute.

    Beside the one driver only requests are written, and none of them takes as long as this waits.
    """
    lock = path.with_name(f"{path.name}.lock")
    for _ in range(_LOCK_LOOKS):
        if not lock.is_symlink():
            return
        time.sleep(_LOCK_SECONDS / _LOCK_LOOKS)
    lock.unlink(missing_ok=True)


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a full disk or a kill left half-written.

    The next line would be glued to it, and no line after that could be read.
    """
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
