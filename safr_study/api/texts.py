"""Texts as Python has them: lists, columns of tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd

from safr_study.data import Text, checked_text, choose_text_columns
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec


def listed_texts(
    given: Any, text_column: str | Sequence[str] | None, trained: CorpusSpec
) -> tuple[list[Text], pd.Index | None]:
    """Texts or pairs as a list, and the index of a Series or DataFrame.

    Args:
        given: an iterable of strings, or of pairs of them, a Series, a DataFrame, or a
            ``datasets.Dataset``; a missing text is an empty one.
        text_column: of a table; two for pairs.
        trained: as in `choose_text_columns`.

    Raises:
        BadInput: one text alone, a value that is no text, or a table without the column.
    """
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise BadInput("texts", "give a list of texts, or use explain for a single one")
    index = given.index if isinstance(given, (pd.Series, pd.DataFrame)) else None
    names = _columns(given)
    if names is not None:
        asked = [text_column] if isinstance(text_column, str) else text_column
        columns = choose_text_columns(names, asked, trained)
        repeated = next((column for column in columns if names.count(column) > 1), None)
        if repeated is not None:
            raise BadInput("text-column", f"several columns are called {repeated!r}; rename them")
        listed = [_listed(given[column]) for column in columns]
        values: Any = list(zip(*listed, strict=True)) if len(columns) > 1 else listed[0]
    elif text_column is not None:
        raise BadInput("text-column", "only a table has columns; leave it out")
    else:
        values = _listed(given)
    return [_checked(value, f"row {row}") for row, value in enumerate(values)], index


def _listed(values: Any) -> Any:
    if isinstance(values, pd.Series):
        return values.astype(object).where(values.notna(), None)
    return values


def _checked(value: Any, where: str) -> Text:
    """A text, or a pair of them given as a tuple or list."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        first, second = (checked_text(one, where, numbers=False) for one in value)
        return first, second
    return checked_text(value, where, numbers=False)


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
