"""What a ledger tells of a study beside its trials: when it began, and by which command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from safr_study.ledger.ledger import Ledger
from safr_study.text import redacted_command

COMMAND = "command"
"""Attribute of a study: the arguments of ``safr-study`` by which it was last run."""
_ONCE = ("--fresh", "--dry-run")
"""Options that would not go on with it."""


def began(ledger: Ledger) -> float | None:
    """When the first trial was begun, in seconds since the epoch."""
    trials = ledger.study.get_trials(deepcopy=False)[ledger.known :]
    starts = [trial.datetime_start for trial in trials if trial.datetime_start is not None]
    return min(starts).timestamp() if starts else None


def remember_command(ledger: Ledger, arguments: Sequence[str]) -> None:
    """Keep the command by which the study goes on, without the passwords in it.

    Args:
        ledger: the study.
        arguments: of ``safr-study``, from ``search`` or ``submit`` on.
    """
    kept = redacted_command([word for word in arguments if word not in _ONCE])
    ledger.study.set_user_attr(COMMAND, kept)


def command_of(ledger: Ledger) -> str:
    """The command by which the study goes on, for a shell."""
    kept = ledger.study.user_attrs.get(COMMAND)
    if kept:
        return shlex.join(["safr-study", *redacted_command(kept)])
    spec = ledger.spec
    known = ["safr-study", "search", "--dataset", spec.corpus.dataset, "--study", spec.name]
    return f"{shlex.join(known)} (with the options that it began with)"
