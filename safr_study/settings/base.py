"""The base of all settings, and the way a failed check becomes a sentence."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from safr_study.errors import BadInput, BadInputs


class Settings(BaseModel):
    """Frozen, closed settings: an unknown field is an error, equal settings are equal."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    later: ClassVar[frozenset[str]] = frozenset()
    """Fields of later versions, written only where they are not at their defaults: what was stored
    before them keeps its fingerprint."""

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        fields = type(self).model_fields
        for name in self.later:
            if name in written and getattr(self, name) == fields[name].get_default(
                call_default_factory=True
            ):
                del written[name]
        return written

    @classmethod
    def parse(cls, values: object, *, where: str = "") -> Self:
        """Build from plain values (YAML, JSON, flags).

        Args:
            values: the mapping to check.
            where: prefix of the field names in the error, for example a file's name.

        Raises:
            BadInputs: all faults at once, each with its field.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise BadInputs(_faults(error, where)) from None


def fingerprint_of(values: object) -> str:
    """SHA-256 of a JSON value in canonical form (sorted keys, no spaces), hexadecimal."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


_UNION_TAGS = {"float", "int", "categorical"}
"""Pydantic puts the tag of a discriminated union into the path of a fault."""
_VALUE_TAGS = {"bool", "int", "float", "str"}
_VALUE_FAULTS = ("bool_", "int_", "float_", "string_")
"""It tells a fault for each member of the union of plain values."""


def _faults(error: ValidationError, where: str) -> list[BadInput]:
    faults = []
    told = set()
    for item in error.errors(include_url=False):
        place, sentence = item["loc"], sentence_of(dict(item))
        if place and place[-1] in _VALUE_TAGS and item["type"].startswith(_VALUE_FAULTS):
            place = place[:-1]
            if place in told:
                continue
            told.add(place)
            sentence = f"must be a number, a word, true or false, but it is {_shown(item['input'])}"
        path = ".".join(str(part) for part in place if part not in _UNION_TAGS)
        field = ": ".join(part for part in (where, path) if part) or "settings"
        faults.append(BadInput(field, sentence))
    return faults


def _shown(value: object) -> str:
    """A value in a sentence: long and deep ones are cut."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    return short.repr(value)


def sentence_of(item: Mapping[str, Any]) -> str:
    """A fault that pydantic found, in our words."""
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return "unknown field; check the spelling, or leave it out"
    if item["type"] == "missing":
        return "is missing; give it a value"
    if item["type"] == "value_error":
        return message
    if item["type"] == "string_pattern_mismatch":
        return (
            f"cannot be {_shown(item['input'])}; use letters, digits, dots, underscores and "
            "hyphens, and a letter or digit first"
        )
    if item["type"] in ("union_tag_not_found", "union_tag_invalid"):
        kinds = ", ".join(sorted(_UNION_TAGS))
        tag = item.get("ctx", {}).get("tag")
        return f"needs a type, one of {kinds}" + ("" if tag is None else f"; {tag!r} is none")
    if item["type"] in ("tuple_type", "list_type"):
        value = _shown(item["input"])
        return f"must be a list, in brackets or with a dash before each item, but it is {value}"
    return f"{message[:1].lower()}{message[1:]}, but it is {_shown(item['input'])}"


def flat_settings(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested settings by their paths: ``train.shape.heads``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        here = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            found |= flat_settings(value, here)
        else:
            found[here] = value
    return found
