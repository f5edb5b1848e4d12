"""A background thread that brings what is offered to a slow or absent server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from safr_study.tracking.store import is_passing, what_failed

Item = TypeVar("Item")

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_CLOSING_DELAY = 1.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a writer leaves behind."""

    late: tuple[int, ...]
    """Keys whose newest state is not written."""
    outage: str | None
    """What the server said, or did not, when it last failed."""
    faults: tuple[str, ...]
    """Why states were refused; they are not tried again."""


class BackgroundWriter(Generic[Item]):
    """Writes the newest state of each key, in the order of the keys.

    An item is a state, not an event: a newer one of the same key takes the place of the one that
    waits. So the queue is bounded by the number of keys, nothing is ever dropped, and writing again
    does no harm. It needs no file of its own to outlive the process, as the ledger has every state
    before it is offered here.
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
        self._written = 0
        self._failed: int | None = None
        """The key that an outage struck last."""
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

    def finish(self, patience: float, limit: float) -> Backlog | None:
        """Write what still waits, and stop.

        Args:
            patience: seconds without a single item written, after which the server is given up.
            limit: seconds in all.

        Returns:
            What could not be written; ``None`` when all was.
        """
        until = time.monotonic() + limit
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            while self._waiting or self._writing is not None:
                seconds = min(patience, until - time.monotonic())
                if not self._changed.wait_for(self._has_written_more_than(self._written), seconds):
                    break
            self._abandoned = True
            self._changed.notify_all()
            late = set(self._waiting)
            if self._writing is not None:
                late.add(self._writing)
            faults = tuple(dict.fromkeys(self._faults.values()))
            if not late and not faults:
                return None
            return Backlog(tuple(sorted(late)), self._outage, faults)

    def _has_written_more_than(self, count: int) -> Callable[[], bool]:
        return lambda: self._written > count

    def _run(self) -> None:
        delay = 0.0
        while True:
            with self._changed:
                if delay:
                    self._pause(delay)
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._abandoned or not self._waiting:
                    return
                self._writing = self._next()
                item = self._waiting.pop(self._writing)
            written = self._try(self._writing, item)
            delay = 0.0 if written else min(2 * delay or _FIRST_DELAY, _LONGEST_DELAY)

    def _next(self) -> int:
        """The first key that waits; after a failure the one behind it, which may fare better."""
        behind = [key for key in self._waiting if self._failed is not None and key > self._failed]
        return min(behind or self._waiting)

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
            if fault is not None and is_passing(fault):
                self._outage = what_failed(fault)
                self._failed = key
                newer = self._waiting.get(key)
                self._waiting[key] = item if newer is None else self._merge(item, newer)
                return False
            if fault is not None:
                self._faults[key] = what_failed(fault)
            self._failed = None
            self._written += 1
            self._changed.notify_all()
            return True

    def _pause(self, seconds: float) -> None:
        """Wait before the next try; once the end is asked for, not long."""
        if not self._closing:
            self._changed.wait_for(lambda: self._closing, timeout=seconds)
        if self._closing:
            self._changed.wait_for(lambda: self._abandoned, timeout=min(seconds, _CLOSING_DELAY))
