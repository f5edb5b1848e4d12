"""Evaluate one trained model on one split of a data set."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safr_study.data import EncodedSplit, Split, encode_texts, load_corpus
from safr_study.errors import BadInput
from safr_study.evaluation import score_model
from safr_study.records import Scores
from safr_study.settings import CURVE_SHARES, CorpusSpec
from safr_study.training import LoadedModel, computing, load_model, pick_device
from safr_study.workflows.models import pull_model
from safr_study.workflows.stores import Stores

REGISTRY_SCHEME = "models:/"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's scores, and what they were measured on."""

    model: str
    dataset: str
    split: str
    preset: str
    capacity_layer: str
    draws: int
    scores: Scores
    recorded: Scores | None
    """What the study measured on dev, from the checkpoint."""


def evaluate(
    reference: str, spec: CorpusSpec | None, stores: Stores, *, split: str = "dev"
) -> Evaluation:
    """All deletion curves of one model.

    Args:
        reference: a model's folder, or ``NAME@alias`` or ``models:/NAME@alias`` in the registry.
        spec: the data; ``None``: those it was trained for.
        stores: where the registry is.
        split: ``dev`` or ``test``.

    Raises:
        BadInput: there is no such model or split, or its classes are others.
        CorruptCheckpoint: the model's files are not whole.
    """
    if reference.startswith(REGISTRY_SCHEME) or "@" in reference:
        with tempfile.TemporaryDirectory() as folder:
            path = pull_model(reference, Path(folder) / "model", stores)
            return _evaluate(path, reference, spec, split)
    folder_path = Path(reference).expanduser()
    if not folder_path.is_dir():
        raise BadInput(
            "model",
            f"{reference!r} is no folder; give a pulled model's, or models:/NAME@alias "
            "(see safr-study models)",
        )
    return _evaluate(folder_path, reference, spec, split)


def _evaluate(path: Path, reference: str, spec: CorpusSpec | None, split: str) -> Evaluation:
    device = pick_device(1.0)
    loaded = load_model(path, device=device)
    used = _same_data(loaded.corpus_spec, spec)
    corpus = load_corpus(used)
    texts = {"dev": corpus.dev, "test": corpus.test}[split]
    if texts is None:
        raise BadInput("split", f"{used.dataset} has no {split} split; use dev")
    encoded = _encode(texts, corpus.class_names, loaded)
    shares = {share for share in CURVE_SHARES if share}
    if loaded.scores is not None:
        shares |= {deletion.k for deletion in loaded.scores.deletions}
    with computing(loaded.config.threads):
        scores = score_model(
            loaded.model,
            encoded,
            split_name=split,
            classes=len(loaded.class_names),
            config=loaded.evaluation,
            ks=sorted(shares),
            random_draws=True,
            preset=loaded.config.preset,
            device=device,
        )
    return Evaluation(
        model=reference,
        dataset=used.dataset,
        split=split,
        preset=loaded.config.preset,
        capacity_layer=loaded.evaluation.capacity_layer,
        draws=loaded.evaluation.draws,
        scores=scores,
        recorded=loaded.scores,
    )


def _same_data(trained: CorpusSpec, asked: CorpusSpec | None) -> CorpusSpec:
    """The data asked for, read as in training where it is the same data set.

    The splits' seed and the limits decide which texts are dev: they are the model's then.
    """
    if asked is None or asked.dataset == trained.dataset:
        columns = {} if asked is None else asked.model_dump(exclude_unset=True)
        return trained.model_copy(update=columns)
    return asked.model_copy(update={"max_len": trained.max_len})


def _encode(texts: Split, class_names: tuple[str, ...], loaded: LoadedModel) -> EncodedSplit:
    """A split in the model's words and classes."""
    unknown = [name for name in class_names if name not in loaded.class_names]
    if unknown:
        raise BadInput(
            "dataset",
            f"has the classes {', '.join(unknown[:5])}, which the model does not know "
            f"({', '.join(loaded.class_names[:5])}); give data with the model's classes",
        )
    places = np.array([loaded.class_names.index(name) for name in class_names], dtype=np.int64)
    tokens, offsets = encode_texts(texts.texts, loaded.vocabulary, loaded.max_len)
    return EncodedSplit(tokens=tokens, offsets=offsets, labels=places[texts.labels], rationale=None)
