"""Finding a data set by name or path, and loading it.

Looked up in this order: the built-in corpus; the given path; ``SAFR_STUDY_DATA/<name>/``; the
Hugging Face cache; the hub.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safr_study.data.catalogue import (
    DATA_VARIABLE,
    KNOWN,
    SUFFIXES,
    is_known,
    local_copy,
    looks_like_path,
)
from safr_study.data.checks import concerns_of, repeated_texts
from safr_study.data.columns import corpus_of
from safr_study.data.corpus import Corpus, limit_split
from safr_study.data.eraser import DOCUMENTS, is_eraser, read_eraser
from safr_study.data.library import SAVED_MARKERS, Tables, read_file, read_hub, read_saved
from safr_study.data.planted import GENERATOR_VERSION, is_planted, planted_corpus
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.settings import CorpusSpec, fingerprint_of

SPLIT_ALIASES = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}
"""What sources call a split, the most usual first."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that was found but not yet read."""

    phrase: str
    """Where it was found."""
    identity: str
    """Changes when the content does; the path is no part of it."""
    read: Callable[[], Corpus]
    """Read it whole, without limits."""


def load_corpus(spec: CorpusSpec) -> Corpus:
    """Find a data set, read it, make the splits that are missing, apply the limits.

    Raises:
        BadInput: a missing file, a broken one, or one that is no labelled text.
        ServiceUnreachable: the data set is nowhere on this machine and the hub does not answer.
    """
    return load_source(find_source(spec), spec)


def load_source(source: Source, spec: CorpusSpec) -> Corpus:
    """Read a source and apply the limits; the order of the texts stays that of the source.

    Data of the user's own are looked through before the limits, which are meant as they are.
    """
    corpus = source.read()
    is_own = not is_known(spec.dataset)
    if is_own:
        repeated = repeated_texts(corpus, spec)
        found = concerns_of(corpus, repeated, spec)
        corpus = replace(corpus, repeated=repeated, concerns=found)
    limited: dict[str, Any] = {
        name: limit_split(
            split, getattr(spec, f"{name}_limit"), spec.split_seed, field=f"{name}-limit"
        )
        for name, split in (("train", corpus.train), ("dev", corpus.dev), ("test", corpus.test))
        if split is not None
    }
    if all(split is getattr(corpus, name) for name, split in limited.items()):
        return corpus
    corpus = replace(corpus, **limited)
    return replace(corpus, repeated=repeated_texts(corpus, spec)) if is_own else corpus


def find_source(spec: CorpusSpec) -> Source:
    """The first place that has the data set; files and folders are not read here but hashed.

    Raises:
        BadInput: as ``load_corpus``.
        ServiceUnreachable: as ``load_corpus``.
    """
    dataset = spec.dataset
    if is_planted(dataset):
        return Source(
            phrase="built in",
            identity=f"{dataset} version {GENERATOR_VERSION}",
            read=lambda: planted_corpus(dataset, spec.split_seed),
        )
    try:
        path = Path(dataset).expanduser()
        folder = path if _is_meant(path, dataset) else local_copy(dataset)
        if folder is not None:
            return _path_source(folder, spec)
    except (OSError, RuntimeError) as error:
        # RuntimeError: the home folder of an unknown user.
        raise BadInput("dataset", f"{dataset} cannot be read ({error}); check the path") from error
    return _hub_source(spec)


def canonical_dataset(dataset: str) -> str:
    """The name of a data set, or the absolute path where a file or folder is meant.

    So that the same data have the same name wherever a command is given.
    """
    if is_planted(dataset):
        return dataset
    try:
        path = Path(dataset).expanduser()
        return str(path.resolve()) if _is_meant(path, dataset) else dataset
    except (OSError, RuntimeError):
        # A link to itself, a name that is too long, an unknown user's home: for ``find_source``.
        return dataset


def _is_meant(path: Path, dataset: str) -> bool:
    """Whether a path is meant; a folder that bears a known name must hold data to be."""
    if looks_like_path(dataset) or path.is_file():
        return True
    return path.is_dir() and (dataset not in KNOWN or _is_saved(path) or bool(_split_files(path)))


def _hub_source(spec: CorpusSpec) -> Source:
    dataset = spec.dataset
    tried = f"{DATA_VARIABLE} is not set"
    if os.environ.get(DATA_VARIABLE):
        tried = f"{DATA_VARIABLE} has no folder {dataset!r}"
    repository = KNOWN[dataset].hub if dataset in KNOWN else dataset
    if repository is None:
        made_of = KNOWN[dataset].made_of
        raise ServiceUnreachable(
            f"dataset: {dataset} exists as a local copy only and {tried}; "
            + (f"{made_of}, or " if made_of else "")
            + f"put its files into {DATA_VARIABLE}/{dataset}/<split>.parquet, or give their folder"
        )
    if repository.count("/") > 1:
        raise BadInput("dataset", f"there is no file or folder {dataset!r}; check the path")
    tables, phrase = read_hub(dataset, repository, tried=tried)
    # The library names each split's content by its revision and configuration.
    prints = {split: str(getattr(table, "_fingerprint", "")) for split, table in tables.items()}
    return Source(
        phrase=phrase,
        identity=f"hub {repository} {fingerprint_of(prints)}",
        read=lambda: corpus_of(_roles(tables, phrase), spec, phrase),
    )


def _path_source(path: Path, spec: CorpusSpec) -> Source:
    phrase = str(path)
    saved = path.is_dir() and _is_saved(path)
    eraser = path.is_dir() and is_eraser(path)
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise BadInput(
                "dataset", f"{path} is of no known kind; give one of {', '.join(SUFFIXES)}"
            )
        files = {"train": path}
    elif not path.is_dir():
        raise BadInput("dataset", f"there is no file or folder {phrase!r}; check the path")
    elif saved:
        files = {str(part.relative_to(path)): part for part in path.rglob("*") if part.is_file()}
    else:
        files = _split_files(path)
        if not files:
            raise BadInput(
                "dataset",
                f"{path} holds neither a saved data set nor a file train.csv, .tsv, .json, .jsonl "
                "or .parquet; give such a folder, or one file",
            )

    def read() -> Corpus:
        named = files.items()
        tables: Tables
        if eraser:
            tables = read_eraser(path, files)
        else:
            tables = read_saved(path) if saved else {name: read_file(file) for name, file in named}
        return corpus_of(_roles(tables, phrase), spec, phrase)

    hashed = files
    if eraser:
        documents = {f"{DOCUMENTS}/{one.name}": one for one in (path / DOCUMENTS).iterdir()}
        hashed = files | {name: one for name, one in documents.items() if one.is_file()}
    return Source(phrase, f"{'saved' if saved else 'files'} {_content_hash(hashed)}", read)


def _is_saved(folder: Path) -> bool:
    return any((folder / marker).is_file() for marker in SAVED_MARKERS)


def _split_files(folder: Path) -> dict[str, Path]:
    """The files of a folder that are named for a split, by their stem; none without train."""
    stems = [stem for aliases in SPLIT_ALIASES.values() for stem in aliases]
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.stem in stems and path.suffix.lower() in SUFFIXES and path.is_file():
            if path.stem in found:
                raise BadInput(
                    "dataset",
                    f"{folder} holds both {found[path.stem].name} and {path.name}; keep one",
                )
            found[path.stem] = path
    return found if "train" in found else {}


def _roles(tables: Tables, phrase: str) -> Tables:
    """The splits under the names that we use."""
    roles = {}
    for role, aliases in SPLIT_ALIASES.items():
        present = [alias for alias in aliases if alias in tables]
        if present:
            roles[role] = tables[present[0]]
    if "train" not in roles:
        raise BadInput(
            "dataset", f"{phrase} has no train split; it has {', '.join(tables) or 'none'}"
        )
    return roles


def _content_hash(files: Mapping[str, Path]) -> str:
    """Hash of names and bytes; the folder they lie in does not matter."""
    digests = {}
    for name, path in files.items():
        with path.open("rb") as file:
            digests[name] = [path.suffix.lower(), hashlib.file_digest(file, "sha256").hexdigest()]
    return fingerprint_of(digests)
