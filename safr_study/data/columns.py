"""Texts and labels read from the columns of a source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from safr_study.data.catalogue import KNOWN, KnownDataset, has_pairs, pair_columns
from safr_study.data.corpus import Corpus, Ints, Split, split_dev
from safr_study.data.delimited import MAX_TEXT, check_quotes, separate_columns
from safr_study.data.groups import read_groups
from safr_study.data.labels import (
    check_spellings,
    class_names_of,
    is_secret,
    is_unlabelled,
    read_labels,
)
from safr_study.data.rationale import read_rationale
from safr_study.data.tables import TextTable, column_values
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

TEXT_COLUMNS = ("text", "sentence", "review", "content")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
_ROWS_SHOWN = 5
"""Most rows that a sentence names."""


def corpus_of(tables: Mapping[str, Any], spec: CorpusSpec, source: str) -> Corpus:
    """Build the corpus from a source's splits ``train``, ``dev`` and ``test``.

    Args:
        tables: ``datasets.Dataset`` by split; a missing dev split is cut from train. A test split
            that lacks labels is left out, and so is a row labelled -1 of any split.
        spec: which columns, which seed.
        source: where it was found, one phrase.

    Raises:
        BadInput: columns, texts or labels that cannot be used.
    """
    train = tables["train"]
    texts = text_columns(train.column_names, spec)
    label = _column(train, spec.label_column, LABEL_COLUMNS, "label-column")
    if label in texts:
        raise BadInput("label-column", f"{label!r} is the text column too; name another one")
    for name, table in tables.items():
        fields = [*(("text-column", text) for text in texts), ("label-column", label)]
        for field, column in fields:
            if column not in table.column_names:
                raise BadInput(field, f"the {name} split has no column {column!r}: {_list(table)}")
    delimited = {
        name: table
        for name, table in tables.items()
        if isinstance(table, TextTable) and table.separator is not None
    }
    written = {value for table in delimited.values() for value in table.columns[label]}
    for name, table in delimited.items():
        check_quotes(table, label, name, written)
    labels = {**read_labels(tables, label)}
    class_names = class_names_of(train, label, labels["train"])
    check_spellings(tables.values(), label)
    unlabelled = 0
    if is_unlabelled(labels.get("test", ()), class_names):
        unlabelled = len(labels.pop("test"))
    known = KNOWN.get(spec.dataset)
    groups = {}
    shared = _group_column(train, spec.group_column, known, used=(*texts, label))
    if shared is not None:
        groups = read_groups({name: tables[name] for name in labels}, shared)
    splits: dict[str, Any] = {
        name: _split(name, tables[name], texts, label, of_split, class_names, groups.get(name))
        for name, of_split in labels.items()
    }
    left_out = {
        name: len(labels[name]) - split.examples
        for name, split in splits.items()
        if split.examples < len(labels[name])
    }
    if "dev" not in splits:
        splits["train"], splits["dev"] = split_dev(splits["train"], class_names, spec.split_seed)
    if known is not None and len(known.class_names) == len(class_names):
        class_names = known.class_names
    return Corpus(
        name=spec.dataset,
        source=source,
        class_names=class_names,
        unlabelled_test=unlabelled,
        left_out=left_out,
        **splits,
    )


def _group_column(
    train: Any, asked: str | None, known: KnownDataset | None, *, used: Sequence[str]
) -> str | None:
    """The column of the groups: as asked for, else that of a known data set where it is there."""
    if asked is None:
        usual = None if known is None else known.group_column
        return usual if usual in train.column_names else None
    if asked in used:
        raise BadInput(
            "group-column", f"{asked!r} is the column of texts or labels; name another one"
        )
    return asked


class _Header(NamedTuple):
    """The columns of a file that is not read whole."""

    column_names: Sequence[str]


def text_columns(names: Sequence[str], spec: CorpusSpec) -> tuple[str, ...]:
    """The column of the texts of a source, or the two of pairs.

    Args:
        names: columns that there are.
        spec: the data set.

    Raises:
        BadInput: there is no such column, or none or several of the usual ones.
    """
    header = _Header(names)
    pair = pair_columns(spec, names)
    if pair is not None:
        return tuple(_column(header, name, (), "text-column") for name in pair)
    return (_column(header, spec.text_column, TEXT_COLUMNS, "text-column"),)


def column_fields(asked: str | Sequence[str] | None) -> dict[str, str]:
    """The fields of ``CorpusSpec`` for one text column, or for the two of pairs.

    Raises:
        BadInput: there are more than two.
    """
    names = [asked] if isinstance(asked, str) else list(asked or ())
    if len(names) > 2:
        raise BadInput(
            "text-column",
            f"there are {len(names)}, {', '.join(names)}; give one, or two for pairs of texts",
        )
    return dict(zip(("text_column", "second_column"), names, strict=False))


def choose_text_columns(
    names: Sequence[str], asked: Sequence[str] | None, trained: CorpusSpec | None = None
) -> tuple[str, ...]:
    """The column of the texts of a file without labels, or the two of pairs.

    Args:
        names: columns that there are.
        asked: by the user; none: those of ``trained`` where they are there, else for single texts
            one of the usual names.
        trained: data on which the model was trained that reads the texts.

    Raises:
        BadInput: there is no such column, none or several of the usual ones, or as many as the
            model does not take.
    """
    header, pairs = _Header(names), trained is not None and has_pairs(trained)
    if asked:
        columns = tuple(column_fields(asked).values())
        if trained is not None and (len(columns) == 2) != pairs:
            wanted = "pairs of texts; give two" if pairs else "single texts; give one"
            raise BadInput("text-column", f"the model is one of {wanted}")
        return tuple(_column(header, name, (), "text-column") for name in columns)
    if trained is None or not pairs:
        usual = None if trained is None else trained.text_column
        return (_column(header, usual if usual in names else None, TEXT_COLUMNS, "text-column"),)
    found = pair_columns(trained, names)
    if found is None or not set(found) <= set(names):
        raise BadInput(
            "text-column", f"the model is one of pairs: {_list(header)}; give --text-column twice"
        )
    return found


def checked_text(value: Any, where: str, *, field: str = "text", numbers: bool = True) -> str:
    """A value as a text; a missing one is an empty text.

    Args:
        value: of a column, or of a list.
        where: names it in the error's sentence, as ``row 3``.
        field: what the user gave it by.
        numbers: whether a number, or true or false, is a text too, as in a data set's files.

    Raises:
        BadInput: it is no text, is longer than `MAX_TEXT`, is not UTF-8, or holds a NUL.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, (str, bool, int, float) if numbers else str):
        kind = type(value).__name__
        raise BadInput(field, f"{where} holds no text but a value of type {kind}; give a text")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise BadInput(
            field,
            f"{where} has {len(text):,} characters; cut texts to {MAX_TEXT:,} or less (an unclosed "
            "quote in a file also makes one long text of many rows)",
        )
    if "\0" in text:
        raise BadInput(
            field, f"{where} holds a NUL character: it is damaged, or not UTF-8; mend it"
        )
    if not text.isascii() and text != text.encode(errors="replace").decode():
        raise BadInput(field, f"{where} is not valid UTF-8; convert it to that encoding")
    return text


def _column(table: Any, asked: str | None, usual: Sequence[str], field: str) -> str:
    if asked is not None:
        if asked not in table.column_names:
            raise BadInput(field, f"there is no column {asked!r}: {_list(table)}")
        return asked
    found = [name for name in usual if name in table.column_names]
    if len(found) == 1:
        return found[0]
    problem = f"both {' and '.join(found)} may be it" if found else f"none of {', '.join(usual)}"
    remedy = separate_columns(table.column_names) or f"name one with --{field}"
    raise BadInput(field, f"{problem}: {_list(table)}; {remedy}")


def _list(table: Any) -> str:
    return f"the columns are {', '.join(table.column_names)}"


def _split(
    name: str,
    table: Any,
    text_columns: Sequence[str],
    label_column: str,
    labels: Sequence[str | None],
    class_names: tuple[str, ...],
    groups: Ints | None,
) -> Split:
    """The rows of a split that are labelled."""
    if not labels:
        raise BadInput("dataset", f"the {name} split has no rows; give at least one of each class")
    kept = [row for row, label in enumerate(labels) if not is_secret(label, class_names)]
    missing = [row for row in kept if labels[row] is None] if kept else [*range(len(labels))]
    if missing:
        raise BadInput(
            "label-column",
            f"{len(missing)} of {len(labels)} labels of the {name} split are missing"
            f"{_rows_shown(missing)}; fill them in or drop the rows",
        )
    ids = {name: number for number, name in enumerate(class_names)}
    strangers = sorted({str(labels[row]) for row in kept} - set(ids))
    if strangers:
        raise BadInput(
            "label-column",
            f"the {name} split has labels that train lacks: {', '.join(strangers[:5])}"
            f"{_rows_shown([row for row in kept if labels[row] in strangers])}; "
            "add training examples of them or drop the rows",
        )
    texts, *seconds = (_texts(table, column, name) for column in text_columns)
    # The words of a pair are those of its first text, then those of its second.
    whole = [" ".join(row) for row in zip(texts, *seconds, strict=True)]
    rationale = read_rationale(table, whole, name, used=(*text_columns, label_column))
    # Rows without a label have any number here, and are dropped.
    numbers = np.array([ids.get(str(label), 0) for label in labels], dtype=np.int64)
    every = Split(texts, numbers, rationale, groups, seconds[0] if seconds else None)
    split = every.take(np.array(kept, dtype=np.int64))
    for column, given in zip(text_columns, (split.texts, split.seconds or ()), strict=False):
        if not any(text.strip() for text in given):
            of_column = f" in {column!r}" if seconds else ""
            raise BadInput(
                "text-column",
                f"all texts of the {name} split are empty{of_column}; name another column or file",
            )
    return split


def _rows_shown(rows: Sequence[int]) -> str:
    """Where in a split something is, as a part of a sentence; the first rows of many."""
    shown = ", ".join(map(str, rows[:_ROWS_SHOWN]))
    more = ", ..." if len(rows) > _ROWS_SHOWN else ""
    return f" ({'row' if len(rows) == 1 else 'rows'} {shown}{more})"


def _texts(table: Any, column: str, split: str) -> list[str]:
    return [
        checked_text(value, f"row {row} of the {split} split", field="text-column")
        for row, value in enumerate(column_values(table, column, split))
    ]
