"""Predictions of many texts at once: classes, probabilities, and the words with a top capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from safr_study.checkpoint.model_files import LoadedModel
from safr_study.data import EncodedRows, EncodedSplit, Text, WordSplitter, each_text
from safr_study.errors import BadInput, TrialFailure
from safr_study.evaluation.capacity import capacity
from safr_study.evaluation.deletion import deletion_counts, rank_tokens
from safr_study.evaluation.prediction import Floats, Measures, Predictor
from safr_study.evaluation.superposition import layer_rows
from safr_study.model import SafrOutput
from safr_study.records.explanation import TOP_SHARE
from safr_study.settings import layer_place

DECIMALS = 10
"""Decimals of a probability: a float64 pass gives them alike in any batch, on any device."""
BATCH = 64
"""Texts of a batch; long texts are fewer, as `evaluation_batches` says."""

TopWords = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class TextPredictions:
    """What a model predicts for N texts, in their order."""

    class_names: tuple[str, ...]
    """Class names by label; there are C."""
    probabilities: Floats
    """`[N, C]`, with `DECIMALS` decimals."""
    words: tuple[TopWords, ...]
    """The asked number of each text's top words (30 % by capacity), as typed, each with its
    capacity, the highest first."""
    lengths: tuple[int, ...]
    """Words of each text, those beyond the model's maximum too."""
    cut: int
    """Number of texts of which the model did not read every word."""
    read: int
    """Words that the model read in all."""
    unknown: int
    """Those of them that are not in its vocabulary."""

    @property
    def labels(self) -> list[str]:
        """Name of the class of each text; the first of equal probabilities."""
        return [self.class_names[place] for place in self.probabilities.argmax(axis=1)]


def class_probabilities(logits: Floats) -> Floats:
    """Probabilities `[..., C]` of logits `[..., C]`, with `DECIMALS` decimals."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    rounded: Floats = (shares / shares.sum(axis=-1, keepdims=True)).round(DECIMALS)
    return rounded


def predict_texts(loaded: LoadedModel, texts: Sequence[Text], *, words: int = 0) -> TextPredictions:
    """Predictions of texts, or of pairs, in batches of similar length.

    A model in float64 gives each text the numbers that it has alone, to `DECIMALS` decimals: other
    batches, threads or devices move a logit of float64 by about 1e-15, one of float32 by 1e-6,
    which is seen in print. A text of 20 words takes the paper's sizes 1.2 ms of a core so; batches
    in float32 0.6 ms, float32 with each text in a batch of its own 2.0 ms.

    Args:
        loaded: the model, in float64.
        texts: N, cut into words as the model's own data.
        words: top words of each text, at most.

    Raises:
        BadInput: a number is not finite.
    """
    with loaded.own_words():
        return _predicted(loaded, texts, words)


def _predicted(loaded: LoadedModel, texts: Sequence[Text], words: int) -> TextPredictions:
    splitter = WordSplitter.of(loaded.corpus)
    read = loaded.encode(texts)
    split = EncodedSplit(
        read.tokens, read.offsets, np.zeros(len(texts), np.int64), second=read.second
    )
    found = np.zeros((0, len(loaded.class_names)))
    top: tuple[TopWords, ...] = tuple(() for _ in texts)
    if len(texts):
        predictor = Predictor(
            loaded.model,
            BATCH,
            loaded.max_len if loaded.config.preset == "reference" else None,
            next(loaded.model.parameters()).device,
        )
        try:
            found, measured = predictor.measure(split, _capacities(loaded) if words else None)
        except TrialFailure:
            raise BadInput(
                "model",
                "its numbers for these texts are not finite, its training diverged; take another",
            ) from None
        if words:
            top = _top_words(texts, read, split, measured["capacity"], splitter, words)
    return TextPredictions(
        class_names=loaded.class_names,
        probabilities=class_probabilities(found),
        words=top,
        lengths=tuple(read.words.tolist()),
        cut=int(np.count_nonzero(read.cut)),
        read=len(read.tokens),
        unknown=int(np.count_nonzero(~loaded.knows(read.tokens))),
    )


def _capacities(loaded: LoadedModel) -> Measures:
    """Takes the capacity of each token from a pass, in the layer that the model's study takes."""
    asked = layer_place(loaded.evaluation.capacity_layer)
    place = (asked.name, asked.index(loaded.blocks))

    def measure(output: SafrOutput) -> dict[str, Tensor]:
        rows = next(rows for name, block, rows in layer_rows(output) if (name, block) == place)
        with torch.inference_mode():
            return {"capacity": capacity(rows, output.positions.words)}

    return measure


def _top_words(
    texts: Sequence[Text],
    read: EncodedRows,
    split: EncodedSplit,
    capacities: Floats,
    splitter: WordSplitter,
    most: int,
) -> tuple[TopWords, ...]:
    ranks = rank_tokens(capacities.round(DECIMALS), split.offsets)
    counts = np.minimum(deletion_counts(split.lengths, TOP_SHARE), most)
    found: list[TopWords] = []
    kept = read.kept.reshape(len(texts), -1)
    for row, text in enumerate(texts):
        if not counts[row]:
            found.append(())
            continue
        start, end = split.offsets[row], split.offsets[row + 1]
        places = np.argsort(ranks[start:end])[: counts[row]].tolist()
        typed = [
            one[word.start : word.end]
            for one, most_of_one in zip(each_text([text]), kept[row], strict=True)
            for word in splitter.placed(one)[:most_of_one]
        ]
        found.append(tuple((typed[place], float(capacities[start + place])) for place in places))
    return tuple(found)
