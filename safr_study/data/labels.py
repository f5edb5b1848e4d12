"""Labels read from a column: their names, the classes that they make, and what they may not be."""

from __future__ import annotations

import math
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from safr_study.data.tables import column_values, declared_names
from safr_study.errors import BadInput
from safr_study.text import plural

MAX_LABEL = 200
"""Characters of a label: it is a name, for tables, runs and aliases."""
MAX_CLASSES = 1_000
"""More are no classes but numbers or keys."""
_NO_LABEL = "-1"
"""What sets of the hub put in the place of labels that they keep secret: no class, unless train
has it."""
_SPELLINGS = 3
"""Most spellings of one label that a sentence shows."""
_JOINERS = "\u200c\u200d"
"""Invisible signs that spelling needs, in Persian and in the scripts of India."""
_DIRECTIONS = ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI")
_WHOLE = re.compile(r"[+-]?\d+(?:\.0+)?")

Labels = Mapping[str, list[str | None]]
"""Name of each label by split; ``None`` where it is missing."""


def read_labels(tables: Mapping[str, Any], column: str) -> Labels:
    """Each label of every split as its name.

    Whole numbers that are written with and without a fraction are the same: 1 and 1.0.

    Raises:
        BadInput: a value is no label, or has no name though the source declares names.
    """
    labels = {name: _of_table(table, column, name) for name, table in tables.items()}
    present = {label for names in labels.values() for label in names if label is not None}
    if not all(_WHOLE.fullmatch(label) for label in present):
        return labels
    same = {label: number for label in present if (number := label.partition(".")[0]) in present}
    return {
        name: [label if label is None else same.get(label, label) for label in names]
        for name, names in labels.items()
    }


def _of_table(table: Any, column: str, split: str) -> list[str | None]:
    values = column_values(table, column, split)
    names = declared_names(table, column)
    if names is None:
        return [_label_name(value, column) for value in values]
    for row, value in enumerate(values):
        if value is not None and value >= len(names):
            raise BadInput(
                "label-column",
                f"row {row} of the {split} split has label {value}, and {column!r} declares names "
                f"for {plural(len(names), 'class', 'classes')}, from 0 on; correct the label or "
                "the names",
            )
    # A class may be called so: then nothing tells a secret label from it but that it is missing.
    secret = None if _NO_LABEL in names else _NO_LABEL
    return [None if value is None else secret if value < 0 else names[value] for value in values]


def _label_name(value: Any, column: str) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (bool, int, str)):
        return str(value).strip() or None
    raise BadInput(
        "label-column",
        f"{column!r} holds {value!r}; a label is a whole number, a word, or true or false",
    )


def is_secret(label: str | None, class_names: tuple[str, ...]) -> bool:
    """Whether a label stands for one that the source keeps secret."""
    return label == _NO_LABEL and _NO_LABEL not in class_names


def is_unlabelled(labels: Sequence[str | None], class_names: tuple[str, ...]) -> bool:
    """Whether labels are missing in a way that leaves nothing to measure on."""
    if not labels:
        return False
    return any(label is None for label in labels) or all(
        is_secret(label, class_names) for label in labels
    )


def class_names_of(table: Any, column: str, labels: Sequence[str | None]) -> tuple[str, ...]:
    """Names by label: as the source orders them, else sorted, numbers by value.

    Args:
        table: the training split.
        column: of its labels.
        labels: their names.

    Raises:
        BadInput: there is one class, or too many, or a name that cannot be one.
    """
    declared = declared_names(table, column)
    present = {label for label in labels if label is not None}
    if declared is not None and _NO_LABEL not in declared:
        present.discard(_NO_LABEL)
    _check_labels(present, len(labels))
    if len(present) == 1:
        raise BadInput(
            "label-column",
            f"all training labels are {next(iter(present))!r}; two classes or more are needed",
        )
    if declared is not None:
        return tuple(declared)
    try:
        return tuple(sorted(present, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(present))


def is_plain_name(name: str) -> bool:
    """Whether a label has no control character, no half of a surrogate, no sign of direction.

    Such a one, printed, changes what stands around it.
    """
    return not any(
        unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in _DIRECTIONS
        for c in name
    )


def _is_hidden(character: str) -> bool:
    """Whether a sign is not seen, so that a label has it by accident."""
    return character not in _JOINERS and unicodedata.category(character) in ("Cf", "Zl", "Zp")


def _check_labels(present: set[str], texts: int) -> None:
    if len(present) > MAX_CLASSES:
        raise BadInput(
            "label-column",
            f"there are {len(present):,} different labels in {texts:,} training texts; give a "
            f"column of at most {MAX_CLASSES:,} classes",
        )
    for label in present:
        if len(label) > MAX_LABEL:
            raise BadInput(
                "label-column",
                f"a label has {len(label):,} characters; give names of {MAX_LABEL} or less",
            )
        if not is_plain_name(label):
            raise BadInput(
                "label-column", f"{label!r} holds a control character; give it a plain name"
            )
        if any(map(_is_hidden, label)):
            raise BadInput("label-column", f"{label!r} holds a sign that is not seen; take it out")


def check_spellings(tables: Iterable[Any], column: str) -> None:
    """Refuse labels that a person takes for one, over all splits.

    They differ in case, in white space, in signs that are not seen, or in how Unicode composes a
    letter.

    Raises:
        BadInput: there are some.
    """
    spellings: dict[str, set[str]] = {}
    for table in tables:
        for label in declared_names(table, column) or set(column_values(table, column, "")):
            if isinstance(label, str) and label.strip():
                spellings.setdefault(_seen(label), set()).add(label)
    for same in spellings.values():
        if len(same) > 1:
            short = reprlib.Repr()
            short.maxstring = 60
            *shown, last = [_spelled(short.repr(label)) for label in sorted(same)[:_SPELLINGS]]
            letters = {unicodedata.normalize("NFC", label) for label in same}
            what = "case or spaces" if len(letters) > 1 else "how Unicode composes their letters"
            raise BadInput(
                "label-column",
                f"the labels {', '.join(shown)} and {last} differ only in {what}; "
                "write each class in one way",
            )


def _seen(label: str) -> str:
    """What a person sees of a label, but its case."""
    plain = unicodedata.normalize("NFC", label).casefold()
    drop = ("Cf", "Zs", "Zl", "Zp")
    return "".join(
        c
        for c in unicodedata.normalize("NFC", plain)
        if not c.isspace()
        and unicodedata.category(c) not in drop
        and not "\ufe00" <= c <= "\ufe0f"  # How an emoji is drawn.
    )


def _spelled(shown: str) -> str:
    """Letters that are composed of parts as their parts: two that look alike are told apart."""
    return "".join(ascii(c)[1:-1] if unicodedata.combining(c) else c for c in shown)


def alike(class_names: Sequence[str]) -> list[tuple[str, str]]:
    """Classes that could be meant as one, though each may be right: ``01`` and ``1``.

    They are the same number, or differ in the form of their letters alone, as ``m²`` and ``m2``.
    """
    found: dict[Any, str] = {}
    pairs = []
    for name in class_names:
        form: Any = unicodedata.normalize("NFKC", name).casefold()
        with suppress(ValueError):
            form = float(form)
        first = found.setdefault(form, name)
        if first != name:
            pairs.append((first, name))
    return pairs
