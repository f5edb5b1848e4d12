"""Records as JSON values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

_SCALARS = frozenset((str, int, float, bool, type(None)))


def to_plain(record: Any) -> Any:
    """A record as JSON values (dataclasses to dicts, tuples to lists), for ledgers and output.

    A record with a method ``to_plain`` of its own decides its form; settings are pydantic models.
    """
    kind: Any = type(record)
    if kind in _SCALARS:
        return record
    if hasattr(kind, "to_plain"):
        return record.to_plain()
    names = _field_names(kind)
    if names is not None:
        return {name: to_plain(getattr(record, name)) for name in names}
    if hasattr(kind, "model_dump"):
        return record.model_dump(mode="json")
    if isinstance(record, Mapping):
        return {str(key): to_plain(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        return [to_plain(value) for value in record]
    return record


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Fields of a dataclass; ``None`` for any other type. Asked for thousands of records."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))
