"""Texts as Python has them: lists, columns of tables."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd

from safr_study.data import checked_text, choose_text_column
from safr_study.errors import BadInput


def listed_texts(
    given: Any, text_column: str | None, trained: str | None
) -> tuple[list[str], pd.Index | None]:
    """Texts as a list, and the index of a Series or DataFrame.

    Args:
        given: an iterable of strings, a Series, a DataFrame, or a ``datasets.Dataset``; a missing
            one is an empty text.
        text_column: of a table.
        trained: as in `choose_text_column`.

    Raises:
        BadInput: one text alone, a value that is no text, or a table without the column.
    """
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise BadInput("texts", "give a list of texts, or use explain for a single one")
    index = given.index if isinstance(given, (pd.Series, pd.DataFrame)) else None
    names = _columns(given)
    if names is not None:
        column = choose_text_column(names, text_column, trained)
        if names.count(column) > 1:
            raise BadInput("text-column", f"several columns are called {column!r}; rename them")
        values: Any = given[column]
    elif text_column is not None:
        raise BadInput("text-column", "only a table has columns; leave it out")
    else:
        values = given
    if isinstance(values, pd.Series):
        values = values.astype(object).where(values.notna(), None)
    return [
        checked_text(value, f"row {row}", numbers=False) for row, value in enumerate(values)
    ], index


def _columns(given: Any) -> list[str] | None:
    """Columns of a table; ``None``: it is none."""
    if isinstance(given, pd.DataFrame):
        return [str(name) for name in given.columns]
    # Nobody who has not imported the library has one of these.
    library = sys.modules.get("datasets")
    if library is not None and isinstance(given, library.Dataset):
        names: list[str] = given.column_names
        return names
    return None
