"""Predictions as rows of CSV, JSON lines or Parquet: the file appears whole or not at all."""

from __future__ import annotations

import csv
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safr_study.errors import BadInput
from safr_study.evaluation.text_prediction import TextPredictions
from safr_study.features.study_base.results import check_replaced

DIGITS = 6
"""Decimals of a probability in CSV and JSON lines; Parquet has all that there are."""
CAPACITY_DIGITS = 4
"""Decimals of a capacity there."""


class PredictionFile(ABC):
    """A file that predictions are added to.

    Columns: ``row`` (from 0), ``label``, ``probability`` (of the label), ``p(CLASS)`` for each
    class, and ``words``, if they are asked for: the top words with their capacities.
    """

    def __init__(self, path: Path, class_names: Sequence[str], *, words: bool) -> None:
        self.path = path
        self.words = words
        self.columns = [
            *("row", "label", "probability"),
            *(f"p({name})" for name in class_names),
            *(["words"] if words else []),
        ]

    @abstractmethod
    def add(self, first: int, found: TextPredictions) -> None:
        """Write the predictions of the rows from ``first`` on."""

    @abstractmethod
    def close(self) -> None:
        """Write the end."""

    def rows(self, first: int, found: TextPredictions) -> Iterator[list[Any]]:
        """The values of the columns, row by row; words are pairs."""
        for number, (label, shares, words) in enumerate(
            zip(found.labels, found.probabilities.tolist(), found.words, strict=True), start=first
        ):
            yield [number, label, max(shares), *shares, *([words] if self.words else [])]


class _Csv(PredictionFile):
    def __init__(self, path: Path, class_names: Sequence[str], *, words: bool) -> None:
        super().__init__(path, class_names, words=words)
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(self.columns)

    def add(self, first: int, found: TextPredictions) -> None:
        for row in self.rows(first, found):
            written = [f"{one:.{DIGITS}f}" if isinstance(one, float) else one for one in row]
            if self.words:
                written[-1] = " ".join(
                    f"{word}:{capacity:.{CAPACITY_DIGITS}f}" for word, capacity in row[-1]
                )
            self._writer.writerow(written)

    def close(self) -> None:
        self._file.close()


class _JsonLines(PredictionFile):
    def __init__(self, path: Path, class_names: Sequence[str], *, words: bool) -> None:
        super().__init__(path, class_names, words=words)
        self._file = path.open("w", encoding="utf-8", newline="")

    def add(self, first: int, found: TextPredictions) -> None:
        for row in self.rows(first, found):
            written = [round(one, DIGITS) if isinstance(one, float) else one for one in row]
            if self.words:
                written[-1] = [[word, round(one, CAPACITY_DIGITS)] for word, one in row[-1]]
            line = dict(zip(self.columns, written, strict=True))
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet(PredictionFile):
    def __init__(self, path: Path, class_names: Sequence[str], *, words: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        super().__init__(path, class_names, words=words)
        kinds = [pa.int64(), pa.string(), *(pa.float64() for _ in range(1 + len(class_names)))]
        if words:
            kinds.append(pa.list_(pa.struct([("word", pa.string()), ("capacity", pa.float64())])))
        self._schema = pa.schema(list(zip(self.columns, kinds, strict=True)))
        self._writer = pq.ParquetWriter(path, self._schema)

    def add(self, first: int, found: TextPredictions) -> None:
        import pyarrow as pa

        columns = list(zip(*self.rows(first, found), strict=True))
        if self.words:
            columns[-1] = tuple(
                [{"word": word, "capacity": capacity} for word, capacity in words]
                for words in columns[-1]
            )
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


_KINDS: dict[str, type[PredictionFile]] = {
    ".csv": _Csv,
    ".jsonl": _JsonLines,
    ".parquet": _Parquet,
}


def check_output(out: Path, *, force: bool, read: str) -> None:
    """See that the predictions can be written, before anything is computed.

    Args:
        out: the file.
        force: whether it may replace one.
        read: file of the texts.

    Raises:
        BadInput: the suffix is another, the folder is not there, or the file is.
    """
    if out.suffix.lower() not in _KINDS:
        raise BadInput("out", f"{out.name} ends in none of {', '.join(_KINDS)}; rename it")
    if not out.absolute().parent.is_dir():
        raise BadInput("out", f"{out.parent} is no folder; make it first")
    if out.is_dir():
        raise BadInput("out", f"{out} is a folder; name a file")
    if out.exists() and Path(read).exists() and out.samefile(read):
        raise BadInput("out", f"{out} is the file of the texts; name another")
    check_replaced("out", out, force=force)


@contextmanager
def prediction_file(
    out: Path, class_names: Sequence[str], *, words: bool
) -> Iterator[PredictionFile]:
    """A file that is written under another name beside its own, and gets that at the block's end.

    Whatever ends the block before, Ctrl-C too, leaves neither.
    """
    unfinished = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        file = _KINDS[out.suffix.lower()](unfinished, class_names, words=words)
        try:
            yield file
        finally:
            file.close()
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
