from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.data import (
    Batch,
    EncodedSplit,
    epoch_steps,
    epochs_of_pass,
    evaluation_batches,
    piece_lengths,
    training_batches,
)

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


def _split(lengths: list[int]) -> EncodedSplit:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.arange(2, 2 + offsets[-1], dtype=np.int32)
    return EncodedSplit(tokens, offsets, np.arange(len(lengths), dtype=np.int64) % 3)


def _check(split: EncodedSplit, batches: Iterator[Batch], batch_size: int) -> list[int]:
    """Every row once, each restored from its batch; gives the rows in the batches' order."""
    seen: list[int] = []
    for batch in batches:
        assert 1 <= len(batch.index) <= batch_size
        assert batch.ids.dtype == np.int64
        assert batch.ids.flags.c_contiguous
        for ids, length, label, row in zip(
            batch.ids, batch.lengths, batch.labels, batch.index, strict=True
        ):
            tokens = split.tokens[split.offsets[row] : split.offsets[row + 1]]
            assert ids[:length].tolist() == tokens.tolist()
            assert not ids[length:].any()
            assert length == len(tokens)
            assert label == split.labels[row]
            seen.append(int(row))
    assert sorted(seen) == list(range(split.examples))
    return seen


@given(lengths=LENGTHS, batch_size=st.integers(1, 8), epoch=st.integers(0, 3))
def test_training_batches_hold_every_text_once_and_restore_it(
    lengths: list[int], batch_size: int, epoch: int
) -> None:
    split = _split(lengths)
    batches = list(training_batches(split, batch_size, seed=1, epoch=epoch))
    _check(split, iter(batches), batch_size)
    for batch in batches:
        assert batch.ids.shape[1] == max(1, batch.lengths.max())


@given(
    lengths=LENGTHS,
    batch_size=st.integers(1, 8),
    texts=st.integers(1, 40),
    turn=st.integers(0, 2),
)
def test_the_epochs_of_a_pass_hold_every_text_once(
    lengths: list[int], batch_size: int, texts: int, turn: int
) -> None:
    split = _split(lengths)
    turns = epochs_of_pass(len(lengths), texts)
    steps = epoch_steps(len(lengths), batch_size, texts, 3 * turns).tolist()
    seen: list[int] = []
    for epoch in range(turn * turns + 1, (turn + 1) * turns + 1):
        batches = list(training_batches(split, batch_size, seed=1, epoch=epoch, texts=texts))
        assert len(batches) == steps[epoch - 1]
        rows = [int(row) for batch in batches for row in batch.index]
        assert len(rows) <= texts
        seen += rows
    assert sorted(seen) == list(range(len(lengths)))


@given(lengths=LENGTHS, batch_size=st.integers(1, 8))
def test_evaluation_batches_go_by_length_then_row(lengths: list[int], batch_size: int) -> None:
    split = _split(lengths)
    seen = _check(split, evaluation_batches(split, batch_size), batch_size)
    assert seen == sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    split = _split(list(np.random.default_rng(0).integers(1, 30, size=200)))

    def order(seed: int, epoch: int) -> list[int]:
        batches = training_batches(split, 8, seed=seed, epoch=epoch)
        return [int(row) for batch in batches for row in batch.index]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    state = np.random.get_state()[1]  # noqa: NPY002 - the global state must stay untouched
    order(0, 3)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_buckets_save_padding_and_the_batches_come_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, size=2000)
    split = _split(list(lengths))
    batches = list(training_batches(split, 16, seed=0, epoch=0))
    padded = sum(batch.ids.size for batch in batches)
    assert lengths.sum() / padded > 0.95
    longest = [batch.ids.shape[1] for batch in batches]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_with_pieces_batches_go_by_those_of_their_words() -> None:
    rng = np.random.default_rng(0)
    split = _split(list(rng.integers(0, 30, size=400)))
    pieces = rng.integers(1, 9, size=2 + len(split.tokens))
    pieces[0] = 0
    of_text = [
        sum(int(pieces[token]) for token in split.tokens[start:end])
        for start, end in itertools.pairwise(split.offsets)
    ]
    assert piece_lengths(split, pieces).tolist() == of_text
    seen = _check(split, evaluation_batches(split, 7, pieces=pieces), 7)
    assert seen == sorted(range(400), key=lambda row: (of_text[row], row))
    batches = list(training_batches(split, 7, seed=0, epoch=1, pieces=pieces))
    _check(split, iter(batches), 7)
    for batch in batches:
        assert batch.pieces == max(1, *(of_text[row] for row in batch.index))
    room = sum(len(batch.index) * (batch.pieces or 0) for batch in batches)
    assert sum(of_text) / room > 0.95
    by_words = training_batches(split, 7, seed=0, epoch=1)
    wasted = sum(len(b.index) * max(of_text[row] for row in b.index) for b in by_words)
    assert sum(of_text) / wasted < 0.9
    again = training_batches(split, 7, seed=0, epoch=1, pieces=pieces)
    for one, other in zip(batches, again, strict=True):
        assert one.index.tolist() == other.index.tolist()


def test_padding_to_a_fixed_length() -> None:
    split = _split([2, 0, 3])
    shapes = [batch.ids.shape for batch in evaluation_batches(split, 2, pad_to=5)]
    assert shapes == [(2, 5), (1, 5)]
    with pytest.raises(ValueError, match="shorter than a text of 3"):
        list(evaluation_batches(split, 3, pad_to=2))


def test_a_batch_of_empty_texts_has_one_column_of_padding() -> None:
    (batch,) = evaluation_batches(_split([0, 0]), 4)
    assert batch.ids.tolist() == [[0], [0]]
    assert batch.lengths.tolist() == [0, 0]
