"""Small tables of text as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_MINUS = re.compile(r"(?<![\w$.])-(?=\d)")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table for people."""

    title: str
    columns: tuple[str, ...]
    """Headers; one that begins with ``>`` is aligned to the right."""
    rows: tuple[tuple[str, ...], ...]
    """As many cells as there are columns."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: a row has not {len(self.columns)} cells")

    @property
    def headers(self) -> tuple[str, ...]:
        """The columns' names alone."""
        return tuple(column.removeprefix(">") for column in self.columns)

    @property
    def right(self) -> tuple[bool, ...]:
        """Which columns are aligned to the right."""
        return tuple(column.startswith(">") for column in self.columns)


def markdown(title: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    """A page: heading, each table as GitHub reads it, the notes as a list."""
    blocks = [f"# {_plain(title)}"]
    blocks += [f"**{_plain(sheet.title)}**\n\n{markdown_table(sheet)}" for sheet in sheets]
    if notes:
        blocks.append("\n".join(f"- {_plain(note)}" for note in notes))
    return "\n\n".join(blocks) + "\n"


def markdown_table(sheet: Sheet) -> str:
    """A table alone, as GitHub reads it."""
    rules = ["---:" if right else "---" for right in sheet.right]
    lines = [[_plain(text) for text in row] for row in (sheet.headers, *sheet.rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rules, *lines[1:]))


def latex(title: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> str:
    """A float per table, booktabs style; needs ``\\usepackage{booktabs}``."""
    return "\n".join(_latex_lines(title, sheets, notes)) + "\n"


def latex_escaped(text: str) -> str:
    """A text with everything escaped that LaTeX reads as a command; minus signs set as such."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in text)
    return _MINUS.sub("$-$", escaped)


def _latex_lines(title: str, sheets: Sequence[Sheet], notes: Sequence[str]) -> Iterator[str]:
    # In a comment an escape has no meaning, only the line's end has.
    yield f"% {' '.join(title.split())}"
    for sheet in sheets:
        yield r"\begin{table}"
        yield r"\centering"
        yield rf"\caption{{{latex_escaped(sheet.title)}}}"
        yield rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in sheet.right)}}}"
        yield r"\toprule"
        yield _latex_row(sheet.headers)
        yield r"\midrule"
        yield from map(_latex_row, sheet.rows)
        yield r"\bottomrule"
        yield r"\end{tabular}"
        yield r"\end{table}"
    if notes:
        yield r"\begin{itemize}"
        yield from (rf"\item {latex_escaped(note)}" for note in notes)
        yield r"\end{itemize}"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex_escaped(cell) for cell in cells) + r" \\"


def _plain(text: str) -> str:
    """Markdown that shows the text itself."""
    return re.sub(r"([\\|*_`<])", r"\\\1", " ".join(text.split()))
