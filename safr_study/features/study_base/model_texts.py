"""The texts of a data set as a trained model reads them."""

from __future__ import annotations

import numpy as np

from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import EncodedSplit, Split, WordSplitter, encode_rationale
from safr_study.errors import BadInput


def model_split(texts: Split, class_names: tuple[str, ...], loaded: LoadedModel) -> EncodedSplit:
    """A split in the model's words and classes.

    Args:
        texts: of a corpus.
        class_names: the corpus's, in the order of its labels.
        loaded: the model.

    Raises:
        BadInput: the model does not know a class.
    """
    unknown = [name for name in class_names if name not in loaded.class_names]
    if unknown:
        raise BadInput(
            "dataset",
            f"has the classes {', '.join(unknown[:5])}, which the model does not know "
            f"({', '.join(loaded.class_names[:5])}); give data with the model's classes",
        )
    places = np.array([loaded.class_names.index(name) for name in class_names], dtype=np.int64)
    read = loaded.encode(texts.rows)
    rationale = encode_rationale(texts, read.kept, WordSplitter.of(loaded.corpus))
    labels = places[texts.labels]
    return EncodedSplit(read.tokens, read.offsets, labels, rationale, texts.groups, read.second)
