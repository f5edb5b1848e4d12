"""Records as JSON values, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_SCALARS = frozenset((str, int, float, bool, type(None)))
Record = TypeVar("Record")


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


def picked(record: object, *names: str) -> dict[str, Any]:
    """Some fields and properties of a record as JSON values, by their names, in this order."""
    return {name: to_plain(getattr(record, name)) for name in names}


def from_plain(kind: type[Record], plain: Any) -> Record:
    """The inverse of `to_plain` for a dataclass; a kind may have its own ``from_plain`` too.

    Raises:
        ValueError: it is no mapping, lacks a field that has no default, or has an unknown one.
    """
    made_of: Any = kind
    required, readers = _fields_read(made_of)
    if not isinstance(plain, Mapping):
        raise ValueError(f"its {kind.__name__} is missing or no object")
    if missing := sorted(required - plain.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(plain.keys() - readers.keys()):
        raise ValueError(f"it has unknown fields: {', '.join(unknown)}")
    pairs = {name: (readers[name], value) for name, value in plain.items()}
    made = {name: value if read is None else read(value) for name, (read, value) in pairs.items()}
    return kind(**made)


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Fields of a dataclass; ``None`` for any other type. Asked for thousands of records."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


_Reader = Callable[[Any], Any] | None
"""Makes a field's value from its JSON value; ``None``: they are the same."""


@cache
def _fields_read(kind: Any) -> tuple[frozenset[str], dict[str, _Reader]]:
    """Fields without a default, and how each field is read."""
    absent = dataclasses.MISSING
    required = frozenset(
        field.name
        for field in dataclasses.fields(kind)
        if field.default is absent and field.default_factory is absent
    )
    hints = get_type_hints(kind)
    return required, {name: _reader(hints[name]) for name in _field_names(kind) or ()}


def _reader(hint: Any) -> _Reader:
    arguments = [argument for argument in get_args(hint) if argument is not NoneType]
    if get_origin(hint) is tuple:
        one = _reader(arguments[0])
        return tuple if one is None else lambda values: tuple(map(one, values))
    if NoneType in get_args(hint):
        given = _reader(arguments[0])
        return given and (lambda value: None if value is None else given(value))
    if hasattr(hint, "from_plain"):
        read: _Reader = hint.from_plain
        return read
    return partial(from_plain, hint) if _field_names(hint) else None
