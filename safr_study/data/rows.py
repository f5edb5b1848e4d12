"""The texts of a file of any size, row by row: nothing is held but the rows of one chunk.

A file is read as a data set's is (`library`): every column of CSV and TSV as text, UTF-8 with or
without its mark, rows counted from 0 after the header, blank lines of CSV and JSON lines skipped.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from safr_study.data.catalogue import SUFFIXES
from safr_study.data.columns import MAX_TEXT, checked_text, choose_text_columns
from safr_study.data.corpus import Text
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
_SPACE = " \t\r\n\ufeff"

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
            yield from _chunks(_csv_rows(path, "\t" if kind == ".tsv" else ",", choose))
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
        _long_fields(),
    ):
        reader = csv.reader(file, delimiter=separator)
        number = -1
        try:
            header = next(reader, None)
            if not header:
                raise BadInput("file", f"{path} is empty; give a header and rows")
            repeated = next((name for name in header if header.count(name) > 1), None)
            if repeated is not None:
                raise BadInput("file", f"the header of {path} names {repeated!r} twice; mend it")
            places = [header.index(column) for column in choose(header)]
            for number, fields in enumerate(filter(None, reader)):
                if len(fields) > len(header):
                    raise BadInput(
                        "file",
                        f"row {number} has {len(fields)} fields, the header {len(header)}; quote "
                        "texts that hold the separator",
                    )
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


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let a field be as long as a text; one that is longer still is not read whole."""
    before = csv.field_size_limit(MAX_TEXT + 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_rows(path: Path, choose: Choice) -> Iterator[Row]:
    with path.open("rb") as file:
        is_list = path.suffix.lower() == ".json" and _Held(file).next() == "["
        file.seek(0)
        objects = _json_list(file) if is_list else _json_lines(file)
        first = list(islice(objects, _FIRST_ROWS))
        if not first:
            return
        columns = choose(list(dict.fromkeys(key for _, row in first for key in row)))
        for number, row in chain(first, objects):
            yield number, tuple(row.get(column) for column in columns)


def _json_lines(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    for line in _lines(file):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
        if not content.strip():
            continue
        try:
            yield number, _object(json.loads(content.decode("utf-8")), number)
        except UnicodeDecodeError:
            raise BadInput(
                "text", f"row {number} is not valid UTF-8; convert it to that encoding"
            ) from None
        except (ValueError, RecursionError) as error:
            raise _broken(number, error) from error
        number += 1


def _json_list(file: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of one list, each as soon as it is whole."""
    decoder, number = json.JSONDecoder(), 0
    held = _Held(file)
    held.expect("[")
    if held.expect("]", needed=False):
        return
    while True:
        if held.next() != "{":
            raise _broken(number, None)
        while True:
            try:
                found, end = decoder.raw_decode(held.text)
                break
            except (ValueError, RecursionError) as error:
                # Perhaps it only ends in a later block.
                if len(held.text) > _MAX_LINE or not held.more():
                    raise _broken(number, error) from error
        yield number, _object(found, number)
        held.text = held.text[end:]
        number += 1
        if held.expect("]", needed=False):
            return
        held.expect(",")


class _Held:
    """The part of a file's text that is not used up."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._rest = b""
        self.text = ""
        self._size = _BLOCK

    def more(self) -> bool:
        """Read on, twice as much where one row wants more and more; whether there was anything."""
        self._size = min(2 * self._size, _MAX_LINE) if len(self.text) > self._size else _BLOCK
        block = self._file.read(self._size)
        content = self._rest + block
        # A character may be cut in two: at most three bytes of it are kept.
        cut = len(content)
        if block:
            while cut and len(content) - cut < 3 and content[cut - 1] & 0xC0 == 0x80:
                cut -= 1
            if cut and content[cut - 1] >= 0xC0:
                cut -= 1
            else:
                cut = len(content)
        self._rest = content[cut:]
        self.text += content[:cut].decode("utf-8", "surrogateescape")
        return bool(content)

    def next(self) -> str:
        """The next sign that is no white space, nor the mark of UTF-8; empty at the end."""
        while not (text := self.text.lstrip(_SPACE)) and self.more():
            pass
        self.text = text
        return text[:1]

    def expect(self, sign: str, *, needed: bool = True) -> bool:
        """Go beyond a sign; whether it was there."""
        if self.next() == sign:
            self.text = self.text[1:]
            return True
        if needed:
            raise BadInput("file", f"is no whole list of objects: {sign!r} is missing; mend it")
        return False


def _object(found: Any, number: int) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _broken(number, None)
    return found


def _broken(number: int, error: BaseException | None) -> BadInput:
    why = "" if error is None else f" ({first_line(error)})"
    return BadInput("file", f"row {number} is no whole JSON object{why}; mend it")


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
