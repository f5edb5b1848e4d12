"""Gold rationales read from a column of a source: which words are evidence for the label."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from safr_study.data.corpus import Ints, Marks
from safr_study.data.tables import column_values
from safr_study.errors import BadInput

RATIONALE_COLUMN = "rationale"
"""0 or 1 for each white-space word: a list, or a text as ``0 1 0`` or ``[0, 1, 0]``."""
SENTIMENT_COLUMN = "leaf_sentiment"
"""The treebank's sentiment of each token, 0..4; 2 is neutral."""
_NEUTRAL = 2


def read_rationale(
    table: Any, texts: Sequence[str], split: str, *, used: Collection[str] = ()
) -> list[Marks] | None:
    """Marks of each text, one per white-space word: 1 = evidence; a text may have none.

    Args:
        table: ``datasets.Dataset``.
        texts: its texts.
        split: its name, for the errors' sentences.
        used: columns that are something else.

    Returns:
        ``None`` without a column of rationales; `RATIONALE_COLUMN` goes before the treebank's.

    Raises:
        BadInput: a row holds something else, or not one number for each word.
    """
    names = [name for name in table.column_names if name not in used]
    column = next((name for name in (RATIONALE_COLUMN, SENTIMENT_COLUMN) if name in names), None)
    if column is None:
        return None
    found = []
    for row, value in enumerate(column_values(table, column, split)):
        marks = _marks(value, column)
        if marks is None:
            kind = "a 0 or 1" if column == RATIONALE_COLUMN else "a whole number"
            raise BadInput(
                "dataset",
                f"row {row} of the {split} split has {_shown(value)} as {column}; give {kind} for "
                "each word, or drop or rename the column",
            )
        words = len(texts[row].split())
        if len(marks) != words:
            raise BadInput(
                "dataset",
                f"row {row} of the {split} split has {len(marks)} values of {column} for {words} "
                "words; give one for each word, or drop the column",
            )
        found.append(marks)
    return found


def _marks(value: Any, column: str) -> Marks | None:
    """The marks of one row; ``None`` where it holds none."""
    numbers = _numbers(value)
    if numbers is None or column == SENTIMENT_COLUMN:
        return None if numbers is None else (numbers != _NEUTRAL).astype(np.int8)
    return numbers.astype(np.int8) if np.isin(numbers, (0, 1)).all() else None


def _numbers(value: Any) -> Ints | None:
    """Whole numbers of a list, or of a text that separates them by spaces or commas."""
    if isinstance(value, str):
        inside = value.strip().removeprefix("[").removesuffix("]")
        value = inside.replace(",", " ").split()
    elif value is None:
        value = []
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    whole = numbers.ndim == 1 and bool(np.isfinite(numbers).all())
    if not whole or (numbers != np.round(numbers)).any() or (np.abs(numbers) > 2**31).any():
        return None
    return numbers.astype(np.int64)


def _shown(value: Any) -> str:
    """A value in a sentence: a long one is cut."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    return short.repr(value)
