"""Data sets in the form of the ERASER benchmark (DeYoung et al., ACL 2020, arXiv 1911.03429).

A folder as its archives unpack to: ``docs/`` with one file of white-space tokens for each document,
and ``train.jsonl``, ``val.jsonl``, ``test.jsonl`` with one annotation a line:

    {"annotation_id": "negR_000.txt", "classification": "NEG",
     "evidences": [[{"docid": "negR_000.txt", "start_token": 42, "end_token": 47}]]}

A word is evidence where some span has it: start_token <= place < end_token, counted over the whole
document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safr_study.data.rationale import RATIONALE_COLUMN
from safr_study.errors import BadInput
from safr_study.text import first_line

DOCUMENTS = "docs"
"""Folder of the documents."""


def is_eraser(folder: Path) -> bool:
    """Whether a folder has the benchmark's form."""
    return (folder / DOCUMENTS).is_dir() and (folder / "train.jsonl").is_file()


def read_eraser(folder: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """The splits as ``datasets.Dataset`` with ``text``, ``label`` and ``rationale``.

    Args:
        folder: has the documents.
        files: annotations by split.

    Raises:
        BadInput: an annotation or its document cannot be used; it is named by its line.
    """
    import datasets

    return {
        split: datasets.Dataset.from_list(
            [
                _row(folder, line, f"line {number} of {path.name}")
                for number, line in enumerate(path.read_text("utf-8").split("\n"), start=1)
                if line.strip()
            ]
        )
        for split, path in files.items()
    }


def _row(folder: Path, line: str, where: str) -> dict[str, Any]:
    try:
        annotation = json.loads(line)
        spans = [span for group in annotation["evidences"] for span in group]
        # Without evidence an annotation is called as its document.
        documents = {str(span["docid"]) for span in spans} or {str(annotation["annotation_id"])}
        label = annotation["classification"]
        places = [(int(span["start_token"]), int(span["end_token"])) for span in spans]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "dataset",
            f"{where} is no annotation of ERASER ({type(error).__name__}: {first_line(error)}); "
            "unpack the archive anew",
        ) from error
    if len(documents) > 1:
        raise BadInput(
            "dataset",
            f"{where} has evidence in {len(documents)} documents; give a set of one text for each "
            "label, as movies",
        )
    words = _words(folder, documents.pop(), where)
    marks = [0] * len(words)
    for first, end in places:
        if not 0 <= first < end <= len(words):
            raise BadInput(
                "dataset",
                f"{where} has evidence from word {first} to {end} of {len(words)}; unpack the "
                "archive anew",
            )
        marks[first:end] = [1] * (end - first)
    return {"text": " ".join(words), "label": label, RATIONALE_COLUMN: marks}


def _words(folder: Path, name: str, where: str) -> list[str]:
    path = folder / DOCUMENTS / name
    # A name from the file may not lead out of the folder.
    if Path(name).name != name or not path.is_file():
        raise BadInput(
            "dataset", f"{where} names the document {name!r}, which {path.parent} has not"
        )
    try:
        lines = path.read_text("utf-8").split("\n")
    except UnicodeDecodeError:
        raise BadInput("dataset", f"{path} is not UTF-8; convert it to that encoding") from None
    # As the benchmark counts: only spaces and line breaks separate words. One that holds other
    # white space would be two words here, and every later mark would be of the word before it.
    words = ("".join(word.split()) for line in lines for word in line.split(" "))
    return [word for word in words if word]
