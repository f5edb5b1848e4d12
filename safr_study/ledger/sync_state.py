"""What the ledger remembers of the study's way to MLflow: where it goes, and what has not arrived.

The ledger has every number before the tracking server hears of it, so it is the spool from which a
replay is made. What it needs beside the numbers is this one note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from safr_study.ledger.ledger import Ledger
from safr_study.records import to_plain
from safr_study.text import redacted_address

DELIVERY = "delivery"
"""Attribute of the study."""
CUT_OFF = "the process that wrote it was killed, or is still writing"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a study is in MLflow."""

    to: str | None
    """The tracking address, without a password; ``None``: the store in the home."""
    missing: str | None
    """Why MLflow may lack something, in words; ``None``: it has everything."""
    ended: bool
    """Whether the study had ended by then, so that its front is to be registered."""

    @property
    def server(self) -> str | None:
        """The address if it is one that anybody may use as it stands: a server's."""
        return self.to if self.to is not None and self.to.startswith("http") else None

    @classmethod
    def of(cls, ledger: Ledger) -> Self | None:
        """The state in the ledger; ``None``: never tracked, or by an earlier version."""
        plain = ledger.study.user_attrs.get(DELIVERY)
        if plain is None:
            return None
        # An earlier version may have kept more of the address.
        to = plain["to"]
        return cls(**{**plain, "to": None if to is None else redacted_address(to)})


def delivery_begins(ledger: Ledger, to: str | None, *, ended: bool = False) -> None:
    """Note that MLflow may lack something from now on, whatever becomes of this process.

    Args:
        ledger: the study.
        to: the tracking address; ``None``: the store in the home.
        ended: the study has ended before.
    """
    _write(ledger, Delivery(None if to is None else redacted_address(to), CUT_OFF, ended))


def delivery_ends(ledger: Ledger, missing: str | None, *, ended: bool) -> None:
    """What came of it.

    Args:
        ledger: the study.
        missing: what the server did not take, in words; ``None``: it has everything.
        ended: the study has ended.
    """
    before = Delivery.of(ledger)
    _write(ledger, Delivery(None if before is None else before.to, missing, ended))


def _write(ledger: Ledger, delivery: Delivery) -> None:
    ledger.study.set_user_attr(DELIVERY, to_plain(delivery))
