"""A table of which no number is cut where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import TextType

_BETWEEN = 3
"""Characters between two columns: a space of each, and the line's own."""
_EDGES = 2


class FittingTable(Table):
    """A plain table; what is too wide for the terminal goes into further tables below.

    Columns of words fold first. Where those of numbers, which must not fold, are too wide even so,
    each further table begins with the columns that name a row again. Without this rich would cut
    the numbers, and 12.34 ± 0.56 would read as 12.34 ± 0.
    """

    def __init__(
        self, *columns: Column, title: TextType | None = None, keys: Sequence[int] = (0,)
    ) -> None:
        super().__init__(
            *columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
        )
        self._keys = keys
        """Places of the columns that name a row."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As ``Table``, or as several."""
        pieces = self._pieces(console, options)
        for number, columns in enumerate(pieces):
            piece = self if len(pieces) == 1 else self._piece(columns, number, len(pieces))
            yield from Table.__rich_console__(piece, console, options)

    def _pieces(self, console: Console, options: ConsoleOptions) -> list[list[Column]]:
        keys = [self.columns[place] for place in self._keys]
        room = options.max_width - _EDGES
        first = sum(_least_width(key, console, options) + _BETWEEN for key in keys) - _BETWEEN
        whole = [_BETWEEN + _least_width(column, console, options) for column in self.columns]
        if sum(whole) - _BETWEEN <= room:
            return [list(self.columns)]
        pieces, used = [[*keys]], first
        for place, (column, width) in enumerate(zip(self.columns, whole, strict=True)):
            if place in self._keys:
                continue
            if used + width > room and len(pieces[-1]) > len(keys):
                pieces.append([*keys])
                used = first
            pieces[-1].append(column)
            used += width
        return pieces

    def _piece(self, columns: Sequence[Column], number: int, count: int) -> Table:
        fresh = [
            Column(
                header=one.header, justify=one.justify, overflow=one.overflow, no_wrap=one.no_wrap
            )
            for one in columns
        ]
        piece = FittingTable(*fresh, title=self.title if number == 0 else None)
        for row, cells in zip(self.rows, _rows(columns), strict=True):
            piece.add_row(*cells, style=row.style)
        if number == count - 1:
            piece.caption = self.caption
        return piece


def _rows(columns: Sequence[Column]) -> Iterator[tuple[RenderableType, ...]]:
    return zip(*(column.cells for column in columns), strict=True)


def _least_width(column: Column, console: Console, options: ConsoleOptions) -> int:
    """Characters without which something of a column is lost."""
    parts = [Measurement.get(console, options, part) for part in (column.header, *column.cells)]
    return max(part.maximum if column.no_wrap else part.minimum for part in parts)
