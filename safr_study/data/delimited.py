"""CSV and TSV files: their header, rows that are too long, and quotes that swallow rows."""

from __future__ import annotations

import csv
import re
import reprlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safr_study.data.tables import TextTable, unique_names
from safr_study.errors import BadInput
from safr_study.text import plural

MAX_TEXT = 1_000_000
"""Characters of a text: a book is one, and far more than any model here reads of it."""
_SEPARATORS = (";", "\t", "|", ",")
_LINE_END = re.compile(r"\r\n|\r|\n")


def separator_of(path: Path) -> str:
    """What stands between the fields of a file, by its suffix."""
    return "\t" if path.suffix.lower() == ".tsv" else ","


def read_delimited(path: Path) -> TextTable | None:
    """Read a file whole, every column as text; ``None``: it has a header alone.

    A text ``null`` or ``1.50`` stays what it is, and a label column that changes its type half-way
    is no fault. Blank lines are no rows, and empty fields beyond the header are no fields.

    Raises:
        BadInput: a row has more fields than the header.
        ValueError: the file has no header, is no such table, or not UTF-8.
    """
    import pandas as pd

    separator = separator_of(path)
    header, widest = _header_and_widest(path, separator)
    names = unique_names(header)
    # Pandas refuses a row that is wider than its names.
    beyond = [f"\0{place}" for place in range(widest - len(names))]
    # With its header as a row: else that alone says how many fields the others may have.
    frame = pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        keep_default_na=False,
        dtype=str,
        header=None,
        names=[*names, *beyond],
        index_col=False,
    )[1:]
    if frame.empty:
        return None
    for place, name in enumerate(beyond, start=len(names) + 1):
        given = (frame[name].notna() & (frame[name] != "")).to_numpy()
        if given.any():
            raise too_many_fields(int(given.argmax()), place, header)
    return TextTable({name: frame[name].tolist() for name in names}, separator)


def too_many_fields(row: int, fields: int, header: Sequence[str]) -> BadInput:
    """The fault of a row that is longer than the header."""
    if (remedy := separate_columns(header)) is not None:
        return BadInput("file", f"the header is {header[0]}; {remedy}")
    return BadInput(
        "file",
        f"row {row} has {fields} fields, the header {len(header)}; quote texts that hold the "
        "separator",
    )


def separate_columns(header: Sequence[str]) -> str | None:
    """What to do about a header that another separator divides; ``None``: it is no such header."""
    if len(header) != 1:
        return None
    sign = max(_SEPARATORS, key=header[0].count)
    if sign not in header[0]:
        return None
    return f"separate the columns by commas, or by tabs in a .tsv file, where now {sign!r} is"


@contextmanager
def long_fields() -> Iterator[None]:
    """Let a field be as long as a text; one that is longer still is not read whole."""
    before = csv.field_size_limit(MAX_TEXT + 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _header_and_widest(path: Path, separator: str) -> tuple[list[str], int]:
    """The fields of the header, and how many the widest row has."""
    header: list[str] = []
    widest = 0
    # What it cannot read pandas refuses too, and says why.
    with (
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
        long_fields(),
        suppress(csv.Error),
    ):
        for row in csv.reader(file, delimiter=separator):
            header = header or row
            widest = max(widest, len(row))
    if not header:
        raise ValueError("there is no header line")
    return header, widest


def check_quotes(table: TextTable, label: str, split: str, known: Collection[Any]) -> None:
    """Refuse a quoted field that holds what looks like rows: a stray quote swallowed them.

    Such a field spans lines, and put between its row's other fields these are rows of as many
    fields as the header, each with a known label.

    Args:
        table: of a file with separators.
        label: column of the labels.
        split: its name, for the error's sentence.
        known: labels that other rows have, as they are written.

    Raises:
        BadInput: there is one; it is named by its row.
    """
    assert table.separator is not None
    names = table.column_names
    for place, name in enumerate(names):
        for row, value in enumerate(table.columns[name]):
            if not isinstance(value, str) or ("\n" not in value and "\r" not in value):
                continue
            lines = _LINE_END.split(value)
            if _are_rows(lines, table.separator, place, len(names), names.index(label), known):
                short = reprlib.Repr()
                short.maxstring = 60
                raise BadInput(
                    "dataset",
                    f"row {row} of the {split} split spans {plural(len(lines), 'line')} that look "
                    f"like rows ({short.repr(lines[0])} first): a stray quote begins there; take "
                    "it out, or quote the text as a whole and write each quote in it as two",
                )


def _are_rows(
    lines: Sequence[str],
    separator: str,
    place: int,
    width: int,
    label: int,
    known: Collection[Any],
) -> bool:
    """Whether the lines of the field at a place are the rest of a row, rows, and a beginning."""
    first, *between, last = (line.split(separator) for line in lines)
    if len(first) != width - place or len(last) != place + 1:
        return False
    if any(len(row) != width for row in between):
        return False
    labels = [row[label] for row in between]
    if label >= place:
        labels.append(first[label - place])
    if label < place:
        labels.append(last[label])
    return all(one in known for one in labels)
