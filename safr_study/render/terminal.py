"""Text tables on a terminal: no number is cut where it is narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

from safr_study.render.text_table import TextTable

_BETWEEN = 3
"""Characters between two columns: a space of each, and the line's own."""
_EDGES = 2


@dataclass(frozen=True, slots=True)
class TerminalTable:
    """A text table for a rich console; what is too wide goes into further tables below.

    Columns of words fold first. Where those of numbers, which must not fold, are too wide even so,
    each further table begins with the columns that name a row again. Without this rich would cut
    the numbers, and 12.34 ± 0.56 would read as 12.34 ± 0.
    """

    table: TextTable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One table, or several."""
        pieces = self._pieces(console, options)
        for number, columns in enumerate(pieces):
            piece = self._piece(columns)
            piece.title = self.table.title or None if number == 0 else None
            piece.caption = self.table.caption or None if number == len(pieces) - 1 else None
            yield piece

    def _pieces(self, console: Console, options: ConsoleOptions) -> list[list[int]]:
        """Places of the columns of each table."""
        keys, places = list(self.table.keys), range(len(self.table.columns))
        room = options.max_width - _EDGES
        widths = [_BETWEEN + self._least_width(place, console, options) for place in places]
        if sum(widths) - _BETWEEN <= room:
            return [list(places)]
        first = sum(widths[key] for key in keys) - _BETWEEN
        pieces, used = [[*keys]], first
        for place in places:
            if place in keys:
                continue
            if used + widths[place] > room and len(pieces[-1]) > len(keys):
                pieces.append([*keys])
                used = first
            pieces[-1].append(place)
            used += widths[place]
        return pieces

    def _piece(self, places: Sequence[int]) -> Table:
        made = Table(title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for place in places:
            right = self.table.right[place]
            made.add_column(
                self.table.headers[place],
                justify="right" if right else "left",
                overflow="fold",
                no_wrap=right,
            )
        for number, row in enumerate(self.table.rows):
            style = self.table.styles[number] if self.table.styles else None
            made.add_row(*(row[place] for place in places), style=style)
        return made

    def _least_width(self, place: int, console: Console, options: ConsoleOptions) -> int:
        """Characters without which something of a column is lost."""
        cells = (self.table.headers[place], *(row[place] for row in self.table.rows))
        parts = [Measurement.get(console, options, cell) for cell in cells]
        return max(part.maximum if self.table.right[place] else part.minimum for part in parts)
