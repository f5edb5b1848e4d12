"""Predict the texts of a file of any size with one trained model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from safr_study.checkpoint.model_files import load_model
from safr_study.data import text_chunks
from safr_study.evaluation.text_prediction import predict_texts
from safr_study.features.predict.output import check_output, prediction_file
from safr_study.features.study_base.stores import Stores, model_folder
from safr_study.training import computing, pick_device
from safr_study.training.numerics import release_memory

WORDS = 5
"""Top words of a row, where the user does not say."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A file of predictions, and what is in it."""

    model: str
    sha256: str
    """Digest of the model's weights."""
    file: str
    """File of the texts."""
    out: Path
    rows: int
    """Texts that are predicted so far; of the result: all."""
    labels: dict[str, int]
    """Rows by predicted class, in the order of the model's classes."""
    empty: int
    """Texts without any word."""
    cut: int
    """Texts with more words than the model reads."""
    max_len: int
    """Words that it reads of a text."""
    unknown_percent: float
    """Share of the words read that the model does not know, percent."""
    seconds: float


def predict_file(
    reference: str,
    file: str,
    out: Path,
    stores: Stores,
    *,
    text_columns: Sequence[str] | None = None,
    words: int = WORDS,
    force: bool = False,
    on_chunk: Callable[[Predicted], None] = lambda _: None,
) -> Predicted:
    """Predict each text of a file, and write one row for each, in its order.

    A chunk of rows is read, predicted and written after the other, so the memory is that of the
    longest texts, whatever the file's size. A row's numbers are those of `predict_texts` in
    float64: the same as of the model in Python, of its server, and in any other file.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        file: as in `text_chunks`.
        out: a file of another name than ``file``; its suffix chooses CSV, JSON lines or Parquet.
        stores: where the registry is.
        text_columns: column of the texts, or the two of pairs; ``None``: those of the model's
            training data, or a usual name.
        words: top words of a row, at most; 0 leaves the column out.
        force: replace ``out`` where it is there.
        on_chunk: called after each chunk with what was done so far.

    Raises:
        BadInput: there is no such model, file or column, a row is broken, or ``out`` is there.
        CorruptCheckpoint: the model's files are not whole.
    """
    check_output(out, force=force, read=file)
    device = pick_device(1.0)
    with model_folder(reference, stores) as folder:
        loaded = load_model(folder, device=device, dtype=torch.float64)
    began = time.monotonic()
    counts: Counter[str] = Counter()
    rows = empty = cut = read = unknown = 0

    def so_far() -> Predicted:
        return Predicted(
            model=reference,
            sha256=loaded.ref.sha256,
            file=file,
            out=out,
            rows=rows,
            labels={name: counts[name] for name in loaded.class_names},
            empty=empty,
            cut=cut,
            max_len=loaded.max_len,
            unknown_percent=100.0 * unknown / max(1, read),
            seconds=time.monotonic() - began,
        )

    chunks = text_chunks(file, text_columns=text_columns, trained=loaded.corpus)
    with (
        computing(loaded.config.threads),
        prediction_file(out, loaded.class_names, words=words > 0) as target,
    ):
        for texts in chunks:
            found = predict_texts(loaded, texts, words=words)
            target.add(rows, found)
            rows += len(texts)
            counts.update(found.labels)
            empty += found.lengths.count(0)
            cut += found.cut
            read, unknown = read + found.read, unknown + found.unknown
            # The C library keeps what is freed between the long-lived kernels of each length.
            release_memory()
            on_chunk(so_far())
    return so_far()
