"""Texts and labels read from the columns of a source."""

from __future__ import annotations

import math
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from safr_study.data.catalogue import KNOWN, KnownDataset, has_pairs, pair_columns
from safr_study.data.corpus import Corpus, Ints, Split, split_dev
from safr_study.data.groups import read_groups
from safr_study.data.rationale import read_rationale
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

TEXT_COLUMNS = ("text", "sentence", "review", "content")
LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
MAX_TEXT = 1_000_000
"""Characters of a text: a book is one, and far more than any model here reads of it."""
MAX_LABEL = 200
"""Characters of a label: it is a name, for tables, runs and aliases."""
MAX_CLASSES = 1_000
"""More are no classes but numbers or keys."""
_NO_LABEL = "-1"
"""What sets of the hub put in the place of labels that they keep secret: no class, unless train
has it."""
_SPELLINGS = 3
"""Most spellings of one label that a sentence shows."""


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
    labels = {name: _label_names(table, label) for name, table in tables.items()}
    class_names = _class_names(train, label, labels["train"])
    _check_spellings(tables.values(), label)
    unlabelled = 0
    if _is_unlabelled(labels.get("test", ()), class_names):
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
    raise BadInput(field, f"{problem}: {_list(table)}; name one with --{field}")


def _list(table: Any) -> str:
    return f"the columns are {', '.join(table.column_names)}"


def _values(table: Any, column: str) -> list[Any]:
    values: list[Any] = table.select_columns([column])[:][column]
    return values


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
    kept = [row for row, label in enumerate(labels) if not _is_secret(label, class_names)]
    missing = sum(label is None for label in labels) if kept else len(labels)
    if missing:
        raise BadInput(
            "label-column",
            f"{missing} of {len(labels)} labels of the {name} split are missing; "
            "fill them in or drop the rows",
        )
    ids = {name: number for number, name in enumerate(class_names)}
    strangers = sorted({str(labels[row]) for row in kept} - set(ids))
    if strangers:
        raise BadInput(
            "label-column",
            f"the {name} split has labels that train lacks: {', '.join(strangers[:5])}; "
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


def _texts(table: Any, column: str, split: str) -> list[str]:
    return [
        checked_text(value, f"row {row} of the {split} split", field="text-column")
        for row, value in enumerate(_values(table, column))
    ]


def _label_names(table: Any, column: str) -> list[str | None]:
    """Each label as its name; ``None`` where it is missing."""
    names = getattr(table.features[column], "names", None)
    if names is None:
        return [_label_name(value, column) for value in _values(table, column)]
    # A class may be called so: then nothing tells a secret label from it but that it is missing.
    secret = None if _NO_LABEL in names else _NO_LABEL
    return [
        None if value is None else secret if value < 0 else str(names[value])
        for value in _values(table, column)
    ]


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


def _is_secret(label: str | None, class_names: tuple[str, ...]) -> bool:
    return label == _NO_LABEL and _NO_LABEL not in class_names


def _is_unlabelled(labels: Sequence[str | None], class_names: tuple[str, ...]) -> bool:
    """Whether labels are missing in a way that leaves nothing to measure on."""
    if not labels:
        return False
    return any(label is None for label in labels) or all(
        _is_secret(label, class_names) for label in labels
    )


def _class_names(table: Any, column: str, labels: Sequence[str | None]) -> tuple[str, ...]:
    """Names by label: as the source orders them, else sorted, numbers by value."""
    declared = getattr(table.features[column], "names", None)
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
        return tuple(str(name) for name in declared)
    try:
        return tuple(sorted(present, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(present))


def is_plain_name(name: str) -> bool:
    """Whether a label has no control character, no half of a surrogate, no sign of direction.

    Such a one, printed, changes what stands around it.
    """
    marks = ("RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI")
    return not any(
        unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in marks
        for c in name
    )


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


def _check_spellings(tables: Iterable[Any], column: str) -> None:
    """Labels that a person takes for one are written in one way, over all splits."""
    spellings: dict[str, set[str]] = {}
    for table in tables:
        declared = getattr(table.features[column], "names", None)
        for label in set(_values(table, column)) if declared is None else declared:
            if isinstance(label, str) and label.strip():
                spellings.setdefault("".join(label.split()).casefold(), set()).add(label)
    for same in spellings.values():
        if len(same) > 1:
            short = reprlib.Repr()
            short.maxstring = 60
            *shown, last = [short.repr(label) for label in sorted(same)[:_SPELLINGS]]
            raise BadInput(
                "label-column",
                f"the labels {', '.join(shown)} and {last} differ only in case or spaces; "
                "write each class in one way",
            )
