"""The data sets known by name, and the names that others make of a data set."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safr_study.data.planted import PLANTED, VARIANTS, is_planted
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

DATA_VARIABLE = "SAFR_STUDY_DATA"
"""Environment variable: a folder with one folder per data set, ``<name>/<split>.parquet``."""
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Files that can be read, lower case."""


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A data set that has a short name."""

    description: str
    hub: str | None
    """Id on the hub; ``None``: only as a local copy."""
    class_names: tuple[str, ...] = ("negative", "positive")
    """Class names by label, whatever the source calls them: every source gives the same corpus."""
    max_len: int = 128
    """Tokens kept of each text by default."""
    pair_columns: tuple[tuple[str, str], ...] = ()
    """Names that sources give to the two columns of texts in pairs; none for single texts."""
    group_column: str | None = None
    """Column of the groups of texts that belong together."""
    made_of: str | None = None
    """How to make the local copy of one that the hub has not, the end of a sentence."""


KNOWN: dict[str, KnownDataset] = {
    "sst2": KnownDataset(
        "film review sentences, 6,920 / 872 / 1,821, 2 classes",
        hub="SetFit/sst2",
    ),
    "sst2-treebank": KnownDataset(
        "the same reviews through the filter of the SAFR authors, 6,244 / 825 / 1,743, "
        "with word sentiment as rationale",
        hub=None,
    ),
    "imdb": KnownDataset(
        "film reviews, 20,000 / 5,000 / 25,000, 2 classes",
        hub="stanfordnlp/imdb",
        max_len=256,
    ),
    "rte": KnownDataset(
        "pairs: does the first text entail the second? 2,490 / 277, 2 classes",
        hub="SetFit/rte",
        class_names=("entailment", "not_entailment"),
        pair_columns=(("premise", "hypothesis"), ("text1", "text2"), ("sentence1", "sentence2")),
    ),
    "snli-cad": KnownDataset(
        "pairs: premise and hypothesis, each original beside its minimal revisions to other "
        "labels, 8,330 / 1,000 / 2,000, 3 classes",
        hub=None,
        class_names=("entailment", "neutral", "contradiction"),
        pair_columns=(("premise", "hypothesis"), ("sentence1", "sentence2")),
        made_of="write premise, hypothesis and label (0 entailment, 1 neutral, 2 contradiction) of "
        "https://github.com/acmi-lab/counterfactually-augmented-data as Parquet files",
    ),
    "movies": KnownDataset(
        "film reviews with human rationales (ERASER), 1,600 / 200 / 199, 2 classes",
        # The hub has it as a program, which nobody should run: eraser-benchmark/movie_rationales.
        hub=None,
        max_len=512,
        made_of=f"unpack https://www.eraserbenchmark.com/zipped/movies.tar.gz in {DATA_VARIABLE}",
    ),
    "imdb-cad": KnownDataset(
        "film reviews, each with its revision to the other class, 3,414 / 490 / 976, 2 classes",
        hub=None,
        max_len=256,
        group_column="pair",
        made_of="take sentiment/combined/paired of "
        "https://github.com/acmi-lab/counterfactually-augmented-data (batch_id is the pair)",
    ),
}


def known_datasets() -> list[tuple[str, str, str]]:
    """(name, description, where it is available now) of each data set with a short name."""
    found = [
        (PLANTED if name == "single" else f"{PLANTED}:{name}", variant.description, "built in")
        for name, variant in VARIANTS.items()
    ]
    for name, known in KNOWN.items():
        hub = f"hub {known.hub}" if known.hub else f"needs a local copy in {DATA_VARIABLE}/{name}"
        found.append((name, known.description, str(local_copy(name) or hub)))
    return found


def is_known(dataset: str) -> bool:
    """Whether a name stands for a data set of the paper or a built-in one, not the user's own."""
    return dataset in KNOWN or is_planted(dataset)


def pair_columns(spec: CorpusSpec, names: Sequence[str]) -> tuple[str, str] | None:
    """The two columns of a data set of pairs; ``None`` where its texts are single ones.

    Args:
        spec: the data set.
        names: columns that a source has.

    Raises:
        BadInput: it is a data set of pairs by its name, and the source has no such columns.
    """
    if spec.second_column is not None and spec.text_column is not None:
        return spec.text_column, spec.second_column
    if not has_pairs(spec):
        return None
    usual = KNOWN[spec.dataset].pair_columns
    found = next((both for both in usual if set(both) <= set(names)), None)
    if found is None:
        raise BadInput(
            "text-column",
            f"{spec.dataset} is of pairs, and the columns are {', '.join(names)}; give "
            "--text-column twice",
        )
    return found


def has_pairs(spec: CorpusSpec) -> bool:
    """Whether the texts of a data set are pairs: two columns, or by its name."""
    if spec.text_column is not None:
        return spec.second_column is not None
    return spec.dataset in KNOWN and bool(KNOWN[spec.dataset].pair_columns)


def word_defaults(dataset: str, *, encoder: bool = False) -> dict[str, Any]:
    """How texts are cut into words where the user does not say: fields of ``CorpusSpec``.

    The paper's data sets are cut already, and keep their published numbers; a user's own are not.
    The tokenizer of a pretrained ``encoder`` splits punctuation off itself, and minds case or not.
    """
    if encoder or is_known(dataset):
        return {"tokenizer": "whitespace", "lowercase": False}
    return {"tokenizer": "words", "lowercase": True}


def slugify(dataset: str) -> str:
    """A name for files and registries: ``/a/My data.csv`` -> ``my-data``, ``org/x`` -> ``org-x``.

    Lower-case letters, digits, dots, underscores and hyphens; never empty.
    """
    name = Path(dataset).name if looks_like_path(dataset) else dataset
    if Path(name).suffix.lower() in SUFFIXES:
        name = Path(name).stem
    return re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._") or "corpus"


def looks_like_path(dataset: str) -> bool:
    """Whether the text can only mean a path: its suffix, or how it begins."""
    return dataset.startswith((".", "/", "~")) or Path(dataset).suffix.lower() in SUFFIXES


def local_copy(name: str) -> Path | None:
    """The folder of this name under ``SAFR_STUDY_DATA``, where there is one."""
    root = os.environ.get(DATA_VARIABLE)
    folder = Path(root).expanduser() / name if root else None
    return folder if folder is not None and folder.is_dir() else None
