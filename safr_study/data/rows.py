"""The texts of a file of any size, row by row: nothing is held but the rows of one chunk.

A file is read as a data set's is (`library`): every column of CSV and TSV as text, UTF-8 with or
without its mark, rows counted from 0 after the header, blank lines of CSV and JSON lines skipped.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from safr_study.data.catalogue import SUFFIXES
from safr_study.data.columns import checked_text, choose_text_columns
from safr_study.data.corpus import Text
from safr_study.data.delimited import MAX_TEXT, long_fields, separator_of, too_many_fields
from safr_study.data.json_rows import json_rows
from safr_study.data.tables import unique_names
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec
from safr_study.text import first_line

STANDARD_INPUT = "-"
CHUNK_ROWS = 1024
"""Rows of a chunk: enough for batches of similar lengths."""
CHUNK_CHARACTERS = 4_000_000
"""A chunk ends with the text that goes beyond them."""
_FIRST_ROWS = 100
"""Rows of JSON whose keys are the columns."""
_MAX_LINE = 16 * MAX_TEXT
"""Bytes of a line, and characters of a row of JSON: a text may have escaped signs, and company."""
_BLOCK = 1 << 16

Row = tuple[int, tuple[Any, ...]]
"""Number of a row and its value of each column."""
Choice = Callable[[list[str]], tuple[str, ...]]
"""Picks the columns from those that there are."""


def text_chunks(
    file: str, *, text_columns: Sequence[str] | None = None, trained: CorpusSpec | None = None
) -> Iterator[list[Text]]:
    """The texts of a file in its order, or its pairs, some at a time; a missing text is empty.

    Args:
        file: CSV, TSV, JSON (a list of objects, or lines), JSON lines or Parquet; ``-``: standard
            input, one text a line.
        text_columns: column of the texts, or the two of pairs.
        trained: as in `choose_text_columns`.

    Raises:
        BadInput: there is no such file or column, or a row is broken; it is named by its number.
    """
    if file == STANDARD_INPUT:
        if text_columns:
            raise BadInput("text-column", "standard input has one text a line and no columns")
        yield from _chunks(_lines_of_text(sys.stdin.buffer))
        return
    path = Path(file).expanduser()
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise BadInput(
            "file", f"{file} ends in none of {', '.join(SUFFIXES)}; rename or convert it"
        )
    if not path.is_file():
        raise BadInput("file", f"there is no file {file!r}; check the path")

    def choose(names: list[str]) -> tuple[str, ...]:
        return choose_text_columns(names, text_columns, trained)

    try:
        if kind == ".parquet":
            yield from _chunks(_parquet_rows(path, choose))
        elif kind in (".csv", ".tsv"):
            yield from _chunks(_csv_rows(path, separator_of(path), choose))
        else:
            yield from _chunks(_json_rows(path, choose))
    except OSError as error:
        raise BadInput("file", f"{file} cannot be read ({error.strerror or error})") from error


def _chunks(rows: Iterable[Row]) -> Iterator[list[Text]]:
    chunk: list[Text] = []
    characters = 0
    for row, values in rows:
        first, *second = (checked_text(value, f"row {row}") for value in values)
        chunk.append((first, second[0]) if second else first)
        characters += len(first) + sum(map(len, second))
        if len(chunk) == CHUNK_ROWS or characters > CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines, with their ends; none is held that is too long."""
    number = 0
    while line := file.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise BadInput("file", f"line {number + 1} has more than {_MAX_LINE:,} bytes; cut it")
        yield line
        number += 1


def _lines_of_text(file: IO[bytes]) -> Iterator[Row]:
    for row, line in enumerate(_lines(file)):
        start = line.removeprefix(b"\xef\xbb\xbf") if row == 0 else line
        yield row, (start.decode("utf-8", "surrogateescape").rstrip("\r\n"),)


def _csv_rows(path: Path, separator: str, choose: Choice) -> Iterator[Row]:
    # What is not UTF-8 is found with its row, when the text is looked at.
    with (
        path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
        long_fields(),
    ):
        reader = csv.reader(file, delimiter=separator)
        number = -1
        try:
            header = next(reader, None)
            if not header:
                raise BadInput("file", f"{path} is empty; give a header and rows")
            names = unique_names(header)
            places = [names.index(column) for column in choose(names)]
            for number, fields in enumerate(filter(None, reader)):
                if any(fields[len(header) :]):
                    raise too_many_fields(number, len(fields), header)
                yield (
                    number,
                    tuple(fields[place] if place < len(fields) else None for place in places),
                )
        except csv.Error as error:
            raise BadInput(
                "file",
                f"row {number + 1} cannot be read ({error}); mend it (an unclosed quote makes one "
                "long text of many rows)",
            ) from error


def _json_rows(path: Path, choose: Choice) -> Iterator[Row]:
    objects = json_rows(path, _MAX_LINE)
    first = list(islice(objects, _FIRST_ROWS))
    if not first:
        return
    columns = choose(list(dict.fromkeys(key for _, row in first for key in row)))
    for number, row in chain(first, objects):
        yield number, tuple(row.get(column) for column in columns)


def _parquet_rows(path: Path, choose: Choice) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Through a buffer: else a column's whole row group is read at once.
        with pq.ParquetFile(path, buffer_size=_BLOCK, pre_buffer=False) as table:
            columns = choose(table.schema_arrow.names)
            number = 0
            for batch in table.iter_batches(CHUNK_ROWS, columns=list(columns)):
                for values in zip(*(batch.column(name) for name in columns), strict=True):
                    try:
                        yield number, tuple(value.as_py() for value in values)
                    except UnicodeDecodeError:
                        raise BadInput(
                            "text", f"row {number} is not valid UTF-8; convert it to that encoding"
                        ) from None
                    number += 1
    except (pa.ArrowException, ValueError) as error:
        raise BadInput(
            "file", f"{path} cannot be read as Parquet ({first_line(error)}); mend or convert it"
        ) from error
