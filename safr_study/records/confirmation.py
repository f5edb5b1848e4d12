"""What a confirmation writes in addition to its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ReadingOfTest:
    """One time that the test set was opened; written before it is."""

    at: str
    """ISO 8601 in UTC."""
    runs: tuple[tuple[int, int], ...]
    """(trial, seed) of the models it was read for."""
    chosen: Mapping[str, int]
    """Trial number by role (``knee`` and so on), as decided on dev by then."""


def reading_from_plain(plain: Mapping[str, Any]) -> ReadingOfTest:
    """The inverse of ``to_plain`` for a reading of the test set."""
    runs = tuple((trial, seed) for trial, seed in plain["runs"])
    return ReadingOfTest(plain["at"], runs, dict(plain["chosen"]))
