"""The table of a fault drill, after the last test."""

from __future__ import annotations

import pytest
from counts import Shown

_TABLE = pytest.StashKey[list[Shown]]()


@pytest.fixture
def table(request: pytest.FixtureRequest) -> list[Shown]:
    """Rows to be shown when all is over, of failed tests too."""
    return request.config.stash.setdefault(_TABLE, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    kinds: dict[type[Shown], list[Shown]] = {}
    for row in config.stash.get(_TABLE, []):
        kinds.setdefault(type(row), []).append(row)
    for rows in kinds.values():
        terminalreporter.section(rows[0].title)
        _write_table(terminalreporter, rows)


def _write_table(terminalreporter: pytest.TerminalReporter, rows: list[Shown]) -> None:
    names = list(rows[0].shown())
    columns = [[name, *(str(row.shown()[name]) for row in rows)] for name in names]
    label = max(map(len, names))
    widths = [max(len(column[i]) for column in columns) for i in range(1, len(rows) + 1)]
    for name, *values in columns:
        cells = (value.rjust(width) for value, width in zip(values, widths, strict=True))
        terminalreporter.write_line(f"{name.ljust(label)}  {'  '.join(cells)}")
