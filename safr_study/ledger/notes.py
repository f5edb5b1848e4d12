"""Notes of a ledger on its study: its beginning, its command, its way to MLflow.

The ledger has every number before the tracking server hears of it, so MLflow can be written again
from it. What that needs beside the numbers is one note: where it goes, and what has not arrived.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from safr_study.ledger.ledger import Ledger
from safr_study.records import to_plain
from safr_study.redaction import redacted_address, redacted_command

COMMAND = "command"
"""Attribute of a study: the arguments of ``safr-study`` by which it was last run."""
_ONCE = ("--fresh", "--dry-run")
"""Options that would not go on with it."""
DELIVERY = "delivery"
"""Attribute of the study."""
CUT_OFF = "the process that wrote it was killed, or is still writing"


def began(ledger: Ledger) -> float | None:
    """When the first trial was begun, in seconds since the epoch."""
    trials = ledger.study.get_trials(deepcopy=False)[ledger.known :]
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    return min(starts).timestamp() if starts else None


def remember_command(ledger: Ledger, arguments: Sequence[str]) -> None:
    """Keep the command by which the study resumes, without the passwords in it.

    Args:
        ledger: the study.
        arguments: of ``safr-study``, from ``search`` or ``submit`` on.
    """
    kept = redacted_command([word for word in arguments if word not in _ONCE])
    ledger.study.set_user_attr(COMMAND, kept)


def command_of(ledger: Ledger) -> str:
    """The command by which the study resumes, for a shell."""
    kept = ledger.study.user_attrs.get(COMMAND)
    if kept:
        return shlex.join(["safr-study", *redacted_command(kept)])
    spec = ledger.spec
    known = ["safr-study", "search", "--dataset", spec.corpus.dataset, "--study", spec.name]
    return f"{shlex.join(known)} (with the options that it began with)"


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
        return cls(**{**plain, "to": plain["to"] and redacted_address(plain["to"])})


def delivery_begins(ledger: Ledger, to: str | None, *, ended: bool = False) -> None:
    """Note that MLflow may lack something from now on, whatever becomes of this process.

    Args:
        ledger: the study.
        to: the tracking address; ``None``: the store in the home.
        ended: the study has ended before.
    """
    delivery = Delivery(to and redacted_address(to), CUT_OFF, ended)
    ledger.study.set_user_attr(DELIVERY, to_plain(delivery))


def delivery_ends(ledger: Ledger, missing: str | None, *, ended: bool) -> None:
    """What came of it.

    Args:
        ledger: the study.
        missing: what the server did not take, in words; ``None``: it has everything.
        ended: the study has ended.
    """
    before = Delivery.of(ledger)
    delivery = Delivery(None if before is None else before.to, missing, ended)
    ledger.study.set_user_attr(DELIVERY, to_plain(delivery))
