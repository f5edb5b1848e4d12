"""What others ask of the driver of a study, through its ledger: to end cleanly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from safr_study.ledger.driver_lock import Driver, Lease
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import ledger_errors

STOP = "stop_driver"
"""Attribute of a study: the token of the driver that was asked to end. An earlier version kept a
moment under another name, which clocks that differ made void or eternal."""
_ANY = "any"
"""What is there instead where the driver does not say who it is."""


def request_stop(ledger: Ledger, driver: Driver) -> None:
    """Ask the driver that runs the study to end it; what is unfinished waits for the next start.

    A driver that is just starting takes a request that names no driver for an old one: ask again
    until it has ended.
    """
    ledger.study.set_user_attr(STOP, driver.token or _ANY)


def stop_requested(ledger: Ledger, token: str | None) -> bool:
    """Whether the driver is to end: for the driver, every few seconds.

    A ledger that does not answer just now asks for nothing.

    Args:
        ledger: the study.
        token: of this driver; requests to others are void.
    """
    silent: tuple[type[Exception], ...] = (*ledger_errors(), OSError, TypeError, ValueError)
    try:
        return ledger.study.user_attrs.get(STOP) in (token or _ANY, _ANY)
    except silent:
        return False


@contextlib.contextmanager
def heeding(ledger: Ledger, lease: Lease) -> Iterator[None]:
    """A block in which a driver heeds requests: older ones are void, and one that is obeyed ends.

    So the next driver is not stopped by what was asked of this one.
    """
    if ledger.study.user_attrs.get(STOP) != lease.token:
        _withdraw(ledger)
    try:
        yield
    finally:
        with contextlib.suppress(*ledger_errors(), OSError):
            if lease.still_held():
                _withdraw(ledger)


def _withdraw(ledger: Ledger) -> None:
    if ledger.study.user_attrs.get(STOP) is not None:
        ledger.study.set_user_attr(STOP, None)
