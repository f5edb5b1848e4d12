"""Processes that hold a study as its driver does; run as ``python study_holder.py HOME STUDY URL``.

They say ``held`` when they have it. What they do then: ``wait`` until their standard input ends,
``leave`` a child behind and wait, ``obey`` a request to stop, or ``write`` epochs until then.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from safr_study.home import open_home
from safr_study.ledger.driver_lock import driver_lock


@contextlib.contextmanager
def holder(
    home: Path, study: str, url: str | None = None, then: str = "wait"
) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the study while the block lasts."""
    command = [sys.executable, __file__, str(home), study, url or "", then]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def main(home: str, study: str, url: str, then: str) -> None:
    with driver_lock(open_home(home), study, url or None) as lease:
        if then == "leave":
            subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL)
        sys.stdout.write("held\n")
        sys.stdout.flush()
        if then in ("wait", "leave"):
            sys.stdin.read()
            return
        from stored_study import ask, epoch

        from safr_study.ledger.ledger import Ledger
        from safr_study.ledger.stop_flag import stop_requested
        from safr_study.ledger.storage import open_storage

        storage = open_storage(open_home(home), url or None, study, create=True)
        assert storage is not None
        ledger = Ledger.load(storage, study)
        assert ledger is not None
        number = ask(ledger)[0] if then == "write" else None
        done = 0
        while not stop_requested(ledger, lease.token):
            if number is not None:
                done += 1
                ledger.record_epoch(number, epoch(done))
            time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
