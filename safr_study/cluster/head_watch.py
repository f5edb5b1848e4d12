"""Whether Ray still has its head: Ray itself ends a driver without one, with no word that helps."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

from safr_study.errors import SafrError, one_line

_HEAD = ("gcs_server", "raylet")
"""The processes of a cluster on this machine without which no trial runs."""
_LOOK_SECONDS = 1.0
_KNOCK_SECONDS = 5.0
_GONE_SECONDS = 20.0
"""Seconds without an answer: a head that is restarted with its state is back by then. Ray waits for
60 s, and aborts the driver."""
_BLOCKED_SECONDS = 15.0
"""Seconds that the driver has to see that the head is gone, before its process is ended."""


class HeadWatch:
    """A thread that knocks at the head of the connected cluster.

    The driver may wait for an answer of the dead head at that moment, in a call of Ray's that no
    exception interrupts and at whose end Ray aborts the process: then ``error`` is written to
    standard error and the process ends with its exit code.
    """

    def __init__(self, error: SafrError) -> None:
        import ray

        self._error = error
        self._address = str(ray.get_runtime_context().gcs_address)
        self._gone = threading.Event()
        self._over = threading.Event()
        self._knocked = self._answered = time.monotonic()

    def is_gone(self) -> bool:
        """Whether the head is; cheap, to be called again and again."""
        return self._gone.is_set() or _killed_here()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """The watch for the time of the block."""
        threading.Thread(target=self._watch, name="head-watch", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def look(self) -> bool:
        """Whether the head is gone now; knocks at it if it is time to."""
        if _killed_here():
            return True
        now = time.monotonic()
        if now - self._knocked >= _KNOCK_SECONDS:
            self._knocked = now
            if _answers(self._address):
                self._answered = time.monotonic()
        return now - self._answered > _GONE_SECONDS

    def _watch(self) -> None:
        while not self.look():
            if self._over.wait(_LOOK_SECONDS):
                return
        self._gone.set()
        if not self._over.wait(_BLOCKED_SECONDS):
            _end_process(self._error)


def _killed_here() -> bool:
    """Whether processes of a head that this process started were killed."""
    import ray

    node = getattr(ray._private.worker, "_global_node", None)
    return node is not None and any(name in _HEAD for name, _ in node.dead_processes())


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _end_process(error: SafrError) -> None:
    """End this process at once, from whichever thread, as the command line ends with an error."""
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
    os.write(2, f"{show_cursor}error: {one_line(str(error))}\n".encode())
    os._exit(error.exit_code)
