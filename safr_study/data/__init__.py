"""Corpora: found, read, split, encoded once, cut into batches."""

from safr_study.data.batching import Batch, evaluation_batches, training_batches, whole_batch
from safr_study.data.cache import encoded_corpus
from safr_study.data.catalogue import known_datasets, slugify
from safr_study.data.columns import MAX_LABEL, MAX_TEXT
from safr_study.data.corpus import Corpus, Split
from safr_study.data.encoding import (
    EncodedCorpus,
    EncodedSplit,
    SplitName,
    describe,
    encode_corpus,
    encode_texts,
)
from safr_study.data.loading import canonical_dataset, load_corpus
from safr_study.data.planted import planted_corpus

__all__ = [
    "MAX_LABEL",
    "MAX_TEXT",
    "Batch",
    "Corpus",
    "EncodedCorpus",
    "EncodedSplit",
    "Split",
    "SplitName",
    "canonical_dataset",
    "describe",
    "encode_corpus",
    "encode_texts",
    "encoded_corpus",
    "evaluation_batches",
    "known_datasets",
    "load_corpus",
    "planted_corpus",
    "slugify",
    "training_batches",
    "whole_batch",
]
