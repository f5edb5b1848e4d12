"""The journal file of a ledger: Optuna's, never left half-written."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

_LOCK_SECONDS, _LOCK_LOOKS = 1.0, 10
"""A living writer holds the journal's lock for some milliseconds."""


class JournalFile(JournalFileBackend):
    """Optuna's file, which stays as it was when a write fails.

    A write that fails for want of room would leave half a line, to which the next one is glued.
    """

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin an empty one, in a folder that exists."""
        self._path = path
        super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records to the disk, all of them, or raise ``OSError`` and write none."""
        if not logs:
            # Optuna would write an empty line.
            return
        try:
            super().append_logs(logs)
        except OSError:
            with contextlib.suppress(OSError):
                drop_torn_line(self._path)
            raise


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
