"""Corpora: found, read, split, encoded once, cut into batches."""

from safr_study.data.batching import Batch as Batch
from safr_study.data.batching import batch_of as batch_of
from safr_study.data.batching import evaluation_batches as evaluation_batches
from safr_study.data.batching import training_batches as training_batches
from safr_study.data.cache import encoded_corpus as encoded_corpus
from safr_study.data.catalogue import known_datasets as known_datasets
from safr_study.data.catalogue import slugify as slugify
from safr_study.data.columns import MAX_LABEL as MAX_LABEL
from safr_study.data.columns import MAX_TEXT as MAX_TEXT
from safr_study.data.corpus import Corpus as Corpus
from safr_study.data.corpus import Split as Split
from safr_study.data.encoding import EncodedCorpus as EncodedCorpus
from safr_study.data.encoding import EncodedSplit as EncodedSplit
from safr_study.data.encoding import SplitName as SplitName
from safr_study.data.encoding import describe as describe
from safr_study.data.encoding import encode_corpus as encode_corpus
from safr_study.data.encoding import encode_texts as encode_texts
from safr_study.data.loading import canonical_dataset as canonical_dataset
from safr_study.data.loading import load_corpus as load_corpus
from safr_study.data.planted import planted_corpus as planted_corpus
