"""Batches of token ids: bucketed by length for training, fixed for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from safr_study.data.corpus import Ints
from safr_study.data.encoding import EncodedSplit
from safr_study.settings import SEP

POOL_BATCHES = 50
"""Batches in a pool that is sorted by length: large enough to save padding, small enough to
leave the batches of each epoch different."""

POSITIONS = 2**13
"""Most positions of a batch in evaluation, which holds every inner value of the model: its memory
stays below that of a training step on 32 texts of 256 tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some texts of a split, padded to one length."""

    ids: Ints
    """``[B, L]`` token ids, 0 = PAD, between the texts of a pair SEP; L is at least 1."""
    words: npt.NDArray[np.bool_]
    """``[B, L]``, true for the tokens of the split: neither PAD nor SEP."""
    lengths: Ints
    """``[B]`` tokens of each text; 0 for an empty one."""
    labels: Ints
    """``[B]``."""
    index: Ints
    """``[B]`` rows in the split."""
    pieces: int | None = None
    """Most pieces of a text, for a model over a pretrained encoder."""


def training_batches(
    split: EncodedSplit,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    pad_to: int | None = None,
    pieces: Ints | None = None,
    texts: int | None = None,
) -> Iterator[Batch]:
    """The texts of an epoch, shuffled, with texts of similar length together.

    The order is decided by (seed, epoch) alone. L is the longest text of the batch, or ``pad_to``.
    ``pieces [V]``: how many each word has, where a text is as long as those of its words.
    ``texts``: of an epoch, about; each text is once in a pass of `epochs_of_pass` epochs. ``None``:
    in every epoch.
    """
    sizes = split.lengths if pieces is None else piece_lengths(split, pieces)
    turns = epochs_of_pass(split.examples, texts)
    turn, part = divmod(epoch - 1, turns)
    rng = np.random.default_rng([seed, turn + 1])
    shuffled = rng.permutation(split.examples)
    if turns > 1:
        shuffled = np.array_split(shuffled, turns)[part]
        rng = np.random.default_rng([seed, turn + 1, part])
    pools = np.arange(len(shuffled)) // (POOL_BATCHES * batch_size)
    rows = shuffled[np.lexsort((sizes[shuffled], pools))]
    batches = np.arange(-(-len(shuffled) // batch_size))
    for batch in rng.permutation(batches):
        yield batch_of(split, rows[batch * batch_size : (batch + 1) * batch_size], pad_to, pieces)


def epochs_of_pass(examples: int, texts: int | None) -> int:
    """Number of epochs in which each of so many texts is trained on once.

    Args:
        examples: in all.
        texts: of an epoch, about; ``None``: all.
    """
    return 1 if texts is None else max(1, -(-examples // texts))


def epoch_steps(examples: int, batch_size: int, texts: int | None, epochs: int) -> Ints:
    """Number of batches of each of so many epochs, ``[epochs]``; arguments as before."""
    turns = epochs_of_pass(examples, texts)
    sizes = np.array([len(part) for part in np.array_split(np.arange(examples), turns)])
    return np.resize(-(-sizes // batch_size), epochs)


def evaluation_batches(
    split: EncodedSplit,
    batch_size: int,
    *,
    pad_to: int | None = None,
    pieces: Ints | None = None,
) -> Iterator[Batch]:
    """Every text once, by (length, row): fixed by the data and the batch size alone.

    A batch of long texts has fewer of them, as many as ``POSITIONS`` hold. ``pieces`` as of
    `training_batches`.
    """
    sizes = split.positions if pieces is None else piece_lengths(split, pieces)
    rows = np.argsort(sizes, kind="stable")
    start = 0
    while start < split.examples:
        some = rows[start : start + batch_size]
        longest = pad_to or max(1, int(sizes[some[-1]]))
        some = some[: max(1, POSITIONS // longest)]
        yield batch_of(split, some, pad_to, pieces)
        start += len(some)


def piece_lengths(split: EncodedSplit, pieces: Ints) -> Ints:
    """Pieces of each text ``[N]``, of those of each word ``[V]``; of a pair those of SEP too."""
    before = np.concatenate(([0], np.cumsum(pieces[split.tokens])))
    lengths: Ints = np.diff(before[split.offsets])
    return lengths if split.second is None else lengths + pieces[SEP]


def batch_of(
    split: EncodedSplit, rows: Ints, pad_to: int | None, pieces: Ints | None = None
) -> Batch:
    """Some rows of a split, in their order, padded to the longest of them or to ``pad_to``.

    ``pieces`` as of `training_batches`.
    """
    lengths = split.lengths[rows]
    longest = max(1, int(lengths.max()) + (split.second is not None))
    if pad_to is not None and pad_to < longest:
        raise ValueError(f"pad_to={pad_to} is shorter than a text of {longest} tokens")
    columns = np.arange(pad_to or longest)
    real = columns < lengths[:, None]  # [B, L]
    places = (split.offsets[rows, None] + columns)[real]
    ids = np.zeros(real.shape, dtype=np.int64)
    words = real
    if split.second is not None:
        of_second = np.zeros(real.shape, dtype=np.bool_)
        of_second[real] = split.second[places]
        between = lengths - of_second.sum(axis=1)  # place of each pair's SEP
        words = (columns <= lengths[:, None]) & (columns != between[:, None])
        ids[np.arange(len(rows)), between] = SEP
    ids[words] = split.tokens[places]
    most = None if pieces is None else max(1, int(pieces[ids].sum(axis=1).max()))
    return Batch(ids, words, lengths, labels=split.labels[rows], index=rows, pieces=most)
