"""A background thread that brings what is offered to a slow or absent server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from safr_study.tracking.store import first_line, is_passing

Item = TypeVar("Item")

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_CLOSING_DELAY = 1.0


class BackgroundWriter(Generic[Item]):
    """Writes the newest state of each key, in the order of the keys.

    An item is a state, not an event: a newer one of the same key takes the place of the one that
    waits. So the queue holds at most one item per key, nothing is ever dropped, and writing again
    does no harm. A later, durable queue needs to remember no more than the keys that wait, because
    the ledger has the states.
    """

    def __init__(
        self, write: Callable[[int, Item], None], merge: Callable[[Item, Item], Item]
    ) -> None:
        """Start the thread.

        Args:
            write: brings one item to the server; called on the thread, again after a failure.
            merge: the older and the newer item of one key, made one.
        """
        self._write = write
        self._merge = merge
        self._changed = threading.Condition()
        self._waiting: dict[int, Item] = {}
        self._writing: int | None = None
        self._faults: dict[int, str] = {}
        self._outage: str | None = None
        self._closing = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="safr-tracking", daemon=True)
        self._thread.start()

    def offer(self, key: int, item: Item) -> None:
        """Hand over the newest state of a key; returns at once and never raises."""
        with self._changed:
            older = self._waiting.get(key)
            self._waiting[key] = item if older is None else self._merge(older, item)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many keys are not written yet."""
        with self._changed:
            return len(self._waiting.keys() | ({self._writing} - {None}))

    def finish(self, timeout: float) -> str | None:
        """Write what still waits, for at most ``timeout`` seconds, and stop.

        Returns:
            What could not be written, as a sentence; ``None`` when all was.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
            late = self._waiting.keys() | ({self._writing} - {None})
            faults, outage = list(self._faults.values()), self._outage
        parts = [f"a run was refused ({fault})" for fault in dict.fromkeys(faults)]
        if late:
            parts.append(
                f"{len(late)} runs could not be brought up to date "
                f"({outage or 'the tracking server is slow'})"
            )
        return "; ".join(parts) or None

    def _run(self) -> None:
        delay = 0.0
        while True:
            with self._changed:
                if delay:
                    self._pause(delay)
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._abandoned or not self._waiting:
                    return
                self._writing = min(self._waiting)
                item = self._waiting.pop(self._writing)
            written = self._try(self._writing, item)
            delay = 0.0 if written else min(2 * delay or _FIRST_DELAY, _LONGEST_DELAY)

    def _try(self, key: int, item: Item) -> bool:
        """Write one item; after an outage it waits again, made one with a newer one."""
        fault: Exception | None = None
        try:
            self._write(key, item)
        except Exception as error:  # whatever goes wrong is told by finish()
            fault = error
        with self._changed:
            self._writing = None
            self._faults.pop(key, None)
            if fault is None:
                return True
            if not is_passing(fault):
                self._faults[key] = first_line(fault)
                return True
            self._outage = first_line(fault)
            newer = self._waiting.get(key)
            self._waiting[key] = item if newer is None else self._merge(item, newer)
            return False

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; once the end is asked for, not long."""
        if not self._closing:
            self._changed.wait_for(lambda: self._closing, timeout=seconds)
        if self._closing:
            self._changed.wait_for(lambda: self._abandoned, timeout=min(seconds, _CLOSING_DELAY))
