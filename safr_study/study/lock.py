"""One driver per study."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from filelock import FileLock, Timeout

from safr_study.errors import BadInput
from safr_study.home import Home


@contextlib.contextmanager
def driver_lock(home: Home, study: str) -> Iterator[None]:
    """Hold the study: one driver at a time.

    Raises:
        BadInput: another driver runs it.
    """
    path = home.lock(study)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(
            "study",
            f"{study!r} is being run by another process; wait for it, stop it with Ctrl-C there, "
            "or choose another --study",
        ) from None
    try:
        yield
    finally:
        lock.release()
