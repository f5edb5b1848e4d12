"""Bad inputs as rows of tables: what is given, how the command ends, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROW_COUNTS: dict[str, int] = {}
"""Rows of each table, by its name; the closing lines of a test run show them."""
FUZZED: dict[str, int] = {}
"""Examples that each fuzzer tried, likewise."""


@dataclass(frozen=True)
class Case:
    """One row: a command with something wrong in it."""

    command: tuple[str, ...]
    says: str
    """A telling part of what is said; ``{}`` stands for the folder that it runs in."""
    code: int = 2
    given: Callable[[Path], object] | None = None
    """Makes the files that it needs in the folder that it runs in."""
    lines: int = 1
    """Of what is said: one for each fault."""


Table = dict[str, Case]


def counted(name: str, table: Table) -> list[str]:
    """The names of a table's rows, which are counted."""
    ROW_COUNTS[name] = len(table)
    return list(table)


def writes(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Makes one file."""

    def write(folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def all_of(*steps: Callable[[Path], object]) -> Callable[[Path], object]:
    """Makes several."""

    def make(folder: Path) -> None:
        for step in steps:
            step(folder)

    return make
