"""Data sets given as objects of Python, kept as Parquet under a name made from their content."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safr_study.data.library import quiet
from safr_study.errors import BadInput
from safr_study.text import first_line

if TYPE_CHECKING:
    from datasets import Dataset

_ROWS_AT_ONCE = 10_000
_DIGITS = 16
"""Hexadecimal digits of the digest in a name."""
_ONE = "train"


def keep_object(data: Any, folder: Path) -> Path:
    """Write a data set given as an object, unless it is there; its path.

    Args:
        data: a DataFrame or ``datasets.Dataset``, or a mapping (as ``datasets.DatasetDict``) of
            one for each split, ``train`` at least.
        folder: of the data sets that were given so far.

    Returns:
        A Parquet file ``data-DIGEST.parquet``; of several splits a folder ``data-DIGEST``.

    Raises:
        BadInput: it is something else, or holds what Parquet cannot.
    """
    given = data if isinstance(data, Mapping) else {_ONE: data}
    tables = {str(split): _table(table, str(split)) for split, table in given.items()}
    if not tables:
        raise BadInput("dataset", "there is no split in it; give a table, or one for each split")
    name = f"data-{_digest(tables)[:_DIGITS]}"
    single = not isinstance(data, Mapping)
    place = folder / (f"{name}.parquet" if single else name)
    if place.exists():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}-{uuid.uuid4().hex[:8]}"
    unfinished.mkdir()
    try:
        for split, table in tables.items():
            with quiet():
                table.to_parquet(str(unfinished / f"{split}.parquet"))
        made = unfinished / f"{_ONE}.parquet" if single else unfinished
        try:
            made.rename(place)
        except OSError:
            # Another process was faster with the same content.
            if not place.exists():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return place


def _table(data: Any, split: str) -> Dataset:
    import datasets
    import pandas as pd

    if isinstance(data, datasets.Dataset):
        return data
    if not isinstance(data, pd.DataFrame):
        raise BadInput(
            "dataset",
            f"a {type(data).__name__} is no data set; give a name, a path, a DataFrame, or a "
            "datasets.Dataset that is loaded whole",
        )
    columns = [str(name) for name in data.columns]
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise BadInput("dataset", f"the {split} table has the column {repeated!r} twice")
    plain = data.set_axis(columns, axis=1)
    # Arrow's dictionaries are no type of the library.
    categories = plain.select_dtypes("category").columns
    plain = plain.astype(dict.fromkeys(categories, object))
    try:
        return datasets.Dataset.from_pandas(plain, preserve_index=False)
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:
        raise BadInput(
            "dataset",
            f"the {split} table cannot be written as Parquet ({first_line(error)}); give columns "
            "of one type each",
        ) from error


def _digest(tables: Mapping[str, Dataset]) -> str:
    """SHA-256 of splits, columns, types and values; order counts, how they lie in memory not."""
    digest = hashlib.sha256()
    for split, table in tables.items():
        # Which strings Arrow has depends on the library that made them.
        types = str(table.features).replace("large_string", "string")
        digest.update(json.dumps([split, table.num_rows, types]).encode())
        for batch in table.with_format("arrow").iter(_ROWS_AT_ONCE):
            values = json.dumps(batch.to_pydict(), default=str)
            digest.update(values.encode())
    return digest.hexdigest()
