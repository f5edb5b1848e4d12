"""Tables of text for people, as Markdown and LaTeX; `terminal` and `html` have other writers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_MARKUP = re.compile(r"[\\|*_`<]|\](?=\()|&(?=#?\w+;)|~(?=~)")
"""What Markdown reads as more than itself within a line."""
_MINUS = re.compile(r"(?<![\w$.])-(?=\d)")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text for people, whatever writes it: a terminal, Markdown, LaTeX or HTML."""

    title: str
    """Empty: none."""
    columns: Sequence[str]
    """Headers; one that begins with ``>`` is aligned to the right, and its cells are never cut."""
    rows: Sequence[Sequence[str]]
    """Cells of each row, as many as there are columns."""
    keys: tuple[int, ...] = (0,)
    """Columns that name a row, should a narrow terminal divide the table."""
    styles: Sequence[str] = ()
    """Terminal style of each row; empty: none has one."""
    caption: str = ""
    """Line below the table on a terminal."""

    @classmethod
    def of(
        cls, title: str, things: Iterable[T], columns: Mapping[str, Callable[[T], str]]
    ) -> TextTable:
        """A row for each of several things; by the header of each column what makes its cells."""
        rows = [tuple(cell(thing) for cell in columns.values()) for thing in things]
        return cls(title, tuple(columns), rows)

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: a row has not {len(self.columns)} cells")

    @property
    def headers(self) -> tuple[str, ...]:
        """Names of the columns alone."""
        return tuple(column.removeprefix(">") for column in self.columns)

    @property
    def right(self) -> tuple[bool, ...]:
        """True for each column that is aligned to the right."""
        return tuple(column.startswith(">") for column in self.columns)


@dataclass(frozen=True, slots=True)
class TextPage:
    """A result for people: what it is, its tables, and what has to be said with them."""

    title: str
    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]
    lead: str = ""
    """What comes before the tables, as without it they would be read wrongly."""

    def markdown(self) -> str:
        """The page as GitHub reads it: heading, tables, notes as a list."""
        blocks = [
            f"# {markdown_escaped(self.title)}",
            *([markdown_escaped(self.lead)] if self.lead else []),
        ]
        blocks += [
            f"**{markdown_escaped(one.title)}**\n\n{markdown_table(one)}" for one in self.tables
        ]
        if self.notes:
            blocks.append("\n".join(f"- {markdown_escaped(note)}" for note in self.notes))
        return "\n\n".join(blocks) + "\n"

    def latex(self) -> str:
        """A float per table, booktabs style; needs ``\\usepackage{booktabs}``."""
        return "\n".join(_latex_lines(self)) + "\n"


def markdown_table(table: TextTable) -> str:
    """A table alone, as GitHub reads it."""
    rules = ["---:" if right else "---" for right in table.right]
    lines = [[markdown_escaped(text) for text in row] for row in (table.headers, *table.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rules, *lines[1:]))


def latex_escaped(text: str) -> str:
    """A text with everything escaped that LaTeX reads as a command; minus signs set as such."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    return _MINUS.sub("$-$", escaped)


def _latex_lines(page: TextPage) -> Iterator[str]:
    # In a comment an escape has no meaning, only the line's end has.
    yield f"% {' '.join(page.title.split())}"
    if page.lead:
        yield latex_escaped(page.lead)
    for table in page.tables:
        yield r"\begin{table}"
        yield r"\centering"
        yield rf"\caption{{{latex_escaped(table.title)}}}"
        yield rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in table.right)}}}"
        yield r"\toprule"
        yield _latex_row(table.headers)
        yield r"\midrule"
        yield from map(_latex_row, table.rows)
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield r"\end{table}"
    if page.notes:
        yield r"\begin{itemize}"
        yield from (rf"\item {latex_escaped(note)}" for note in page.notes)
        yield r"\end{itemize}"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex_escaped(cell) for cell in cells) + r" \\"


def markdown_escaped(text: str) -> str:
    """Markdown that shows the text itself: no element, link or entity of its own."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_code(text: str) -> str:
    """A text as code within a line of Markdown, whatever backticks are in it."""
    plain = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}{plain}{fence}" if len(fence) == 1 else f"{fence} {plain} {fence}"
