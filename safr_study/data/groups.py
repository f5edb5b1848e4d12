"""Groups of texts that belong together: an original and its revision, a sentence and its variants.

Read from a column; texts with the same value are one group. They stay on one side of a split, and
``consistency`` is measured over them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from safr_study.data.corpus import Ints
from safr_study.data.tables import column_values
from safr_study.errors import BadInput


def read_groups(tables: Mapping[str, Any], column: str) -> dict[str, Ints]:
    """Number of the group of each text ``[N]``, by split; a text without a value is one by itself.

    Args:
        tables: ``datasets.Dataset`` by split.
        column: of the groups.

    Raises:
        BadInput: a split has no such column, a value is no name or number, or no two texts of a
            split have the same one.
    """
    found = {name: _of_split(name, table, column) for name, table in tables.items()}
    if all(len(np.unique(groups)) == len(groups) for groups in found.values()):
        raise BadInput(
            "group-column",
            f"no two rows of a split have the same value of {column!r}; name a column that the "
            "texts of a group share, or leave it out",
        )
    return found


def _of_split(name: str, table: Any, column: str) -> Ints:
    if column not in table.column_names:
        raise BadInput(
            "group-column",
            f"the {name} split has no column {column!r}: "
            f"the columns are {', '.join(table.column_names)}",
        )
    numbers: dict[Any, int] = {}
    groups = []
    for row, value in enumerate(column_values(table, column, name)):
        missing = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
        if not missing and not isinstance(value, (str, int, float)):
            raise BadInput(
                "group-column",
                f"row {row} of the {name} split has a value of type {type(value).__name__} in "
                f"{column!r}; give a number or a word for each group",
            )
        # The place of a row is the key of no other.
        key = (row,) if missing else value
        groups.append(numbers.setdefault(key, len(numbers)))
    return np.array(groups, dtype=np.int64)
