"""Whether Ray still has its head: Ray itself ends a driver without one, with no word that helps."""

from __future__ import annotations

import socket
import time

_HEAD = ("gcs_server", "raylet")
"""The processes of a cluster on this machine without which no trial runs."""
_LOOK_SECONDS = 5.0
_GONE_SECONDS = 20.0
"""Seconds without an answer: a head that is restarted with its state is back by then. Ray waits for
60 s, and aborts the driver."""


class HeadWatch:
    """Knocks at the head of the connected cluster now and then."""

    def __init__(self) -> None:
        import ray

        self._address = str(ray.get_runtime_context().gcs_address)
        self._looked = self._answered = time.monotonic()

    def is_gone(self) -> bool:
        """Whether the head is; cheap, to be called again and again."""
        if _killed_here():
            return True
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        if _answers(self._address):
            self._answered = time.monotonic()
        return now - self._answered > _GONE_SECONDS


def _killed_here() -> bool:
    """Whether processes of a head that this process started were killed."""
    import ray

    node = getattr(ray._private.worker, "_global_node", None)
    return node is not None and any(name in _HEAD for name, _ in node.dead_processes())


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
