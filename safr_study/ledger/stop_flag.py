"""What others ask of the driver of a study, through its ledger: to end cleanly."""

from __future__ import annotations

from datetime import UTC, datetime

from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import ledger_errors

STOP = "stop_requested"
"""Attribute of a study: when its driver was last asked to end, ISO 8601 with its zone."""


def request_stop(ledger: Ledger) -> None:
    """Ask the driver that runs the study to end it; what is unfinished waits for the next start.

    A driver that is just starting, or whose clock is ahead, takes the request for an old one: ask
    again until it has ended.
    """
    ledger.study.set_user_attr(STOP, datetime.now(UTC).isoformat())


def stop_requested(ledger: Ledger, since: float) -> bool:
    """Whether the driver is to end: for the driver, every few seconds.

    A ledger that does not answer just now asks for nothing.

    Args:
        ledger: the study.
        since: when this driver began, in seconds since the epoch; older requests were for another.
    """
    silent: tuple[type[Exception], ...] = (*ledger_errors(), OSError, TypeError, ValueError)
    try:
        asked = ledger.study.user_attrs.get(STOP)
        return asked is not None and datetime.fromisoformat(asked).timestamp() >= since
    except silent:
        return False
