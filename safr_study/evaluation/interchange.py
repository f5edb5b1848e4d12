"""Neurons put from one text into its counterfactual twin (definitions, section 9.5).

Texts x and x' of a group differ in a few words and in the label. The words are aligned by
difference; where they differ, the activations of x' at the neurons that hold half of its word are
put into x. Shapes: W words of a batch, D neurons of FFN1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import permutations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safr_study.data import Batch, EncodedSplit
from safr_study.evaluation.causes import site_of
from safr_study.evaluation.deletion import take_texts
from safr_study.evaluation.faithfulness import mean_over_texts
from safr_study.evaluation.neuron_sets import holding_half
from safr_study.evaluation.neurons import Read, Site, Variant
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.replacements import batches
from safr_study.records import Measure
from safr_study.settings import EvaluationConfig

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Twins:
    """A text, its counterfactual, and which of their words belong together."""

    row: int
    other: int
    changed: tuple[tuple[int, int], ...]
    """Places in either text of words that differ, at least one."""
    same: tuple[tuple[int, int], ...]
    """Places of as many words that do not, drawn at random; fewer where there are no more."""


def interchange(
    predictor: Predictor, split: EncodedSplit, config: EvaluationConfig, predicted: Ints
) -> dict[str, Measure]:
    """Share of the twins whose prediction turns to that of the other text.

    Of all ordered pairs of texts of a group with different labels that are predicted differently
    and have a word that differs, as the model reads words.

    Args:
        predictor: of a `Classifier`.
        split: the whole texts.
        config: the block and the seed.
        predicted: ``[N]``, the classes of the whole texts.

    Returns:
        ``interchange`` and ``interchange_control`` (words that did not change in the place of those
        that did), percentage points, and ``interchange_pairs``; nothing where there is no pair.
    """
    pairs = [] if split.groups is None else list(twins(split, predicted, seed=config.seed))
    if not pairs:
        return {}
    site = site_of(predictor, config)
    wanted = predicted[[pair.other for pair in pairs]]
    turned = np.zeros((2, len(pairs)))
    xs, others = (
        take_texts(split, np.array([getattr(pair, name) for pair in pairs]))
        for name in ("row", "other")
    )
    with predictor.measuring():
        for batch, _ in batches(predictor, xs):
            twin = predictor.batch(others, batch.index)
            some = [pairs[index] for index in batch.index]
            logits = _exchanged(site, batch, twin, some)
            for kind, found in enumerate(logits):
                turned[kind, batch.index] = found.argmax(dim=1).cpu() == wanted[batch.index]
    changed, control = 100.0 * turned
    return {
        "interchange": mean_over_texts(changed),
        "interchange_control": mean_over_texts(control),
        "interchange_pairs": Measure(len(pairs)),
    }


def twins(split: EncodedSplit, predicted: Ints, *, seed: int) -> Iterator[Twins]:
    """The ordered pairs that count, group after group."""
    assert split.groups is not None
    order = np.argsort(split.groups, kind="stable")
    starts = np.flatnonzero(np.diff(split.groups[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        for row, other in permutations(rows.tolist(), 2):
            differ = split.labels[row] != split.labels[other]
            if not differ or predicted[row] == predicted[other]:
                continue
            changed, same = _aligned(_words(split, row), _words(split, other))
            if not changed:
                continue
            drawn = np.random.default_rng([seed, row, other]).permutation(len(same))
            kept = sorted(drawn[: len(changed)].tolist())
            yield Twins(row, other, tuple(changed), tuple(same[place] for place in kept))


def _words(split: EncodedSplit, row: int) -> list[tuple[int, int]]:
    """Each word of a text with the side that it is on."""
    part = slice(split.offsets[row], split.offsets[row + 1])
    sides = np.zeros(len(split.tokens[part]), int) if split.second is None else split.second[part]
    return list(zip(split.tokens[part].tolist(), sides.tolist(), strict=True))


def _aligned(
    words: list[tuple[int, int]], others: list[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Places of words that replace one another, and of those that are the same.

    Of a stretch that replaces one of another length the first words belong together, one to one.
    """
    changed: list[tuple[int, int]] = []
    same: list[tuple[int, int]] = []
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        pairs = zip(range(start, end), range(other_start, other_end), strict=False)
        if kind == "equal":
            same += pairs
        elif kind == "replace":
            changed += [(i, j) for i, j in pairs if words[i][1] == others[j][1]]
    return changed, same


def _exchanged(site: Site, batch: Batch, twin: Batch, pairs: list[Twins]) -> list[Tensor]:
    """Logits ``[B, C]`` with the changed words' neurons of the twins, and with those of others."""
    read, other = site.read(batch), site.read(twin)
    device = read.logits.device
    patches = site.patches(batch, read)
    found = []
    for kind in ("changed", "same"):
        places = [(row, *place) for row, pair in enumerate(pairs) for place in getattr(pair, kind)]
        row, here, there = torch.tensor(places, dtype=torch.int64, device=device).reshape(-1, 3).T
        words = _first_words(read, len(pairs))[row] + here
        vectors = other.vectors[_first_words(other, len(pairs))[row] + there]
        held = holding_half(vectors, site.columns)
        put_in = torch.zeros(len(read.text), dtype=torch.bool, device=device)
        put_in[words] = True
        patches.add(kind, _variant(words, held, vectors))
        found.append(patches.logits((kind, put_in)))
    return found


def _variant(words: Tensor, neurons: Tensor, values: Tensor) -> Variant:
    return Variant(words, lambda: neurons, lambda: values)


def _first_words(read: Read, texts: int) -> Tensor:
    """The number of the first word of each text of a batch."""
    lengths = torch.bincount(read.text, minlength=texts)
    return lengths.cumsum(dim=0) - lengths
