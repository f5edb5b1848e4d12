"""Stop: ask the driver of a study to end, wherever it runs, and wait until it has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.study_base.results import find_ledger, load_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.ledger.driver_lock import Driver, driver_of
from safr_study.ledger.notes import request_stop

LOOK_SECONDS = 0.5
"""Seconds between two looks whether it has ended."""
ASK_SECONDS = 5.0
"""Seconds between two requests: the first may come before the driver listens."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A driver that has ended."""

    driver: Driver
    seconds: float
    """Seconds since the request."""


def stop_study(
    name: str,
    stores: Stores,
    *,
    timeout: float,
    on_wait: Callable[[Driver, float], None] = lambda _driver, _seconds: None,
) -> Stopped:
    """Have a study's driver end it; what is unfinished waits for the next start.

    Args:
        name: of the study.
        stores: where its ledger is.
        timeout: seconds to wait.
        on_wait: called at once and at each request after it, with who runs the study and the
            seconds waited.

    Raises:
        BadInput: there is no such study, or no driver runs it.
        ServiceUnreachable: it did not end in time, or the ledger does not answer.
    """
    home, url = stores.home, stores.storage_url
    driver = driver_of(home, name, url)
    if driver is None:
        with load_ledger(name, stores):
            raise BadInput("study", f"{name!r} is not running: there is nothing to stop")
    began = time.monotonic()
    asked = -ASK_SECONDS
    while (now := driver_of(home, name, url)) is not None:
        if _another(driver, now):
            # It ended, and the next one has begun: that one was not meant.
            break
        waited = time.monotonic() - began
        if waited - asked >= ASK_SECONDS:
            asked = waited
            # A driver that begins a study is its driver before there is a ledger.
            ledger = find_ledger(name, stores)
            if ledger is not None:
                with ledger:
                    request_stop(ledger)
            on_wait(driver, waited if waited > LOOK_SECONDS else 0.0)
        if waited >= timeout:
            raise ServiceUnreachable(
                f"study {name!r} has not ended within {timeout:g} s; its driver ({driver}) is "
                "asked and may still be ending: look with safr-study status, or end that process"
            )
        time.sleep(min(LOOK_SECONDS, timeout - waited))
    return Stopped(driver, time.monotonic() - began)


def _another(driver: Driver, now: Driver) -> bool:
    return None not in (driver.since, now.since) and now != driver
