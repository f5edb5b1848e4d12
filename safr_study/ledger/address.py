"""Where a ledger is: the value of ``--storage``, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from safr_study.errors import BadInput
from safr_study.redaction import redacted_address
from safr_study.text import first_line


@dataclass(frozen=True, slots=True)
class LedgerAddress:
    """A journal file in the home, or a database."""

    kind: Literal["journal", "sqlite", "postgres", "other"]
    url: str | None = field(repr=False)
    """Address as SQLAlchemy takes it, with its secrets; ``None``: a journal."""
    file: Path | None
    """File of an SQLite database; ``None`` for others, and for one in memory."""
    shown: str
    """``journal``, or the address without password and options: the same for the same database."""

    @classmethod
    def parse(cls, url: str | None) -> Self:
        """Read an address, without asking a database.

        Raises:
            BadInput: it is no URL of a database.
        """
        if url is None:
            return cls("journal", None, None, JOURNAL)
        # SQLAlchemy takes as long to import as a short command runs: only where there is a
        # database.
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            parts = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise no_database_url(error) from None
        if "@" in (parts.host or ""):
            raise BadInput("storage", "has a password with an @ in it; write it as %40")
        kinds: dict[str, Literal["sqlite", "postgres", "other"]]
        kinds = {"sqlite": "sqlite", "postgresql": "postgres"}
        kind = kinds.get(parts.get_backend_name(), "other")
        file = None
        if kind == "sqlite" and parts.database not in (None, "", ":memory:"):
            file = Path(str(parts.database).removeprefix("file:").partition("?")[0]).resolve()
        try:
            parts = make_url(redacted_address(url))
        except (ArgumentError, ValueError):
            return cls(kind, url, file, "unknown")
        shown = parts.difference_update_query(list(parts.query))
        return cls(kind, url, file, str(shown if file is None else shown.set(database=str(file))))


JOURNAL = "journal"
"""Where a ledger is that is in no database."""


def no_database_url(error: Exception) -> BadInput:
    """The fault of an address that SQLAlchemy refuses."""
    return BadInput(
        "storage",
        "must be a database URL such as postgresql+psycopg://USER@HOST/NAME "
        f"(pip install 'safr-study[postgres]') or sqlite:///FILE; {first_line(error)}",
    )
