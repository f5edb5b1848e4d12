"""The rows of a source by column, whatever read them, and names for columns that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safr_study.errors import BadInput


@dataclass(frozen=True, slots=True, eq=False)
class TextTable:
    """A table read by ourselves: values as the file has them."""

    columns: Mapping[str, Sequence[Any]]
    """Values of every column, all as many."""
    separator: str | None = None
    """What stands between the fields of a row in the file; ``None``: it has no such rows."""
    features: Mapping[str, Any] = field(default_factory=dict)
    """Empty: no column says what its values mean."""

    @property
    def column_names(self) -> list[str]:
        """Names in the order of the file."""
        return list(self.columns)


def column_values(table: Any, column: str, split: str) -> Sequence[Any]:
    """The values of a column.

    Args:
        table: `TextTable` or ``datasets.Dataset``.
        column: one that it has.
        split: its name, for the error's sentence.

    Raises:
        BadInput: one of them is meant as text and is not UTF-8; it is named by its row.
    """
    if isinstance(table, TextTable):
        return table.columns[column]
    try:
        values: list[Any] = table.select_columns([column])[:][column]
        return values
    except UnicodeDecodeError:
        row = _first_undecodable(table.with_format("arrow")[:][column])
        raise BadInput(
            "dataset",
            f"row {row} of the {split} split is not valid UTF-8 in {column!r}; convert the texts "
            "to that encoding",
        ) from None


def _first_undecodable(values: Any) -> int:
    for row, value in enumerate(values):
        try:
            value.as_py()
        except UnicodeDecodeError:
            return row
    return 0


def declared_names(table: Any, column: str) -> list[str] | None:
    """Names of the classes by number, where the source declares them with a column."""
    names = getattr(table.features.get(column), "names", None)
    return None if names is None else [str(name) for name in names]


def unique_names(names: Sequence[str]) -> list[str]:
    """Names of columns of which no two are the same and none is empty.

    One without a name is called by its place, from 1; those that share a name are numbered, so
    that none of them is meant by accident.
    """
    named = [name or f"column {place}" for place, name in enumerate(names, start=1)]
    seen: dict[str, int] = {}
    unique = []
    for name in named:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if named.count(name) == 1 else f"{name} ({seen[name]})")
    # A name may look like one that was numbered here.
    while len(set(unique)) < len(unique):
        unique = [f"{name} {place}" for place, name in enumerate(unique, start=1)]
    return unique
