from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from safr_study.data import EncodedSplit, remove_tokens
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import (
    deletion_counts,
    positions_in_text,
    random_scores,
    rank_tokens,
    take_texts,
    tokens_of,
    without_top,
)
from safr_study.settings import CURVE_SHARES

LENGTHS = np.arange(4097)


def texts(split: EncodedSplit, keep: np.ndarray | None = None) -> list[list[int]]:
    """Token ids by text, cut by a loop."""
    keep = np.ones(len(split.tokens), bool) if keep is None else keep
    return [
        [int(split.tokens[t]) for t in range(a, b) if keep[t]] for a, b in pairwise(split.offsets)
    ]


def deleted_sets(offsets: np.ndarray, keep: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(np.flatnonzero(~keep[a:b]).tolist()) for a, b in pairwise(offsets)]


@pytest.mark.parametrize("k", sorted({*CURVE_SHARES, 0.3}))
def test_counts_equal_pythons_round(k: float) -> None:
    lengths = LENGTHS[:513]
    assert deletion_counts(lengths, k).tolist() == [round(k * int(n)) for n in lengths]


@pytest.mark.parametrize("percent", [1, 7, 12.5, 29, 30, 55, 99, 100])
def test_counts_are_the_exact_product_rounded_half_to_even(percent: float) -> None:
    share = Fraction(percent) / 100
    assert deletion_counts(LENGTHS, percent / 100).tolist() == [
        round(share * int(n)) for n in LENGTHS
    ]


def test_counts_differ_from_floor_and_half_up() -> None:
    # 0.3 x 5 = 1.5 -> 2, 0.5 x 5 = 2.5 -> 2, and a half that floats miss: 0.07 x 150 = 10.5 -> 10.
    assert deletion_counts(np.array([5]), 0.3) == [2]
    assert deletion_counts(np.array([5]), 0.5) == [2]
    assert round(0.07 * 150) == 11
    assert deletion_counts(np.array([150]), 0.07) == [10]


def test_a_share_with_the_noise_of_floats_is_the_decimal_that_was_meant() -> None:
    assert round((0.1 + 0.2) * 15) == 5
    assert deletion_counts(np.array([15]), 0.1 + 0.2) == deletion_counts(np.array([15]), 0.3) == 4


@pytest.mark.parametrize("k", [-0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(k: float) -> None:
    with pytest.raises(BadInput, match="from 0 to 1"):
        deletion_counts(np.array([3]), k)


def test_rankings_and_deleted_sets_equal_the_golden_values(golden_measures) -> None:
    measures = golden_measures["measures"]
    lengths = np.array([len(m["capacity"]) for m in measures])
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ranks = rank_tokens(np.concatenate([m["capacity"] for m in measures]), offsets)
    for measured, (a, b) in zip(measures, pairwise(offsets), strict=True):
        assert np.argsort(ranks[a:b]).tolist() == measured["ranking"]
    for k in measures[0]["deleted"]:
        keep = without_top(ranks, offsets, deletion_counts(lengths, float(k)))
        expected = [tuple(m["deleted"][k]) for m in measures]
        assert deleted_sets(offsets, keep) == expected


def test_ranking_is_descending_with_ties_by_position() -> None:
    offsets = np.array([0, 4, 4, 6])
    scores = np.array([0.5, 0.9, 0.5, 0.1, 0.0, 0.0])
    assert rank_tokens(scores, offsets).tolist() == [1, 0, 2, 3, 0, 1]


def test_top_and_bottom_are_the_two_ends_of_the_ranking() -> None:
    offsets, ranks = np.array([0, 4, 4, 5]), np.array([2, 0, 3, 1, 0])
    counts = np.array([3, 0, 0])
    assert without_top(ranks, offsets, counts).tolist() == [False, False, True, False, True]
    rest = np.diff(offsets) - counts
    assert without_top(ranks, offsets, rest).tolist() == [True, False, True, True, False]


def test_removed_tokens_close_ranks(ragged_split: EncodedSplit) -> None:
    keep = np.random.default_rng(0).random(len(ragged_split.tokens)) < 0.5
    keep[ragged_split.offsets[7] : ragged_split.offsets[8]] = False
    shorter = remove_tokens(ragged_split, keep)
    assert texts(shorter) == texts(ragged_split, keep)
    assert texts(shorter)[7] == []
    assert shorter.labels is ragged_split.labels
    marks = dataclasses.replace(ragged_split, tokens=ragged_split.rationale)
    assert texts(dataclasses.replace(shorter, tokens=shorter.rationale)) == texts(marks, keep)


def test_removing_nothing_changes_nothing(ragged_split: EncodedSplit) -> None:
    same = remove_tokens(ragged_split, np.ones(len(ragged_split.tokens), bool))
    assert texts(same) == texts(ragged_split)


@pytest.mark.parametrize("rows", [[], [4], [9, 2, 4, 59, 2, 0], list(range(60))])
def test_taken_texts_are_those_of_the_rows(ragged_split: EncodedSplit, rows: list[int]) -> None:
    taken = take_texts(ragged_split, np.array(rows, np.int64))
    every = texts(ragged_split)
    assert texts(taken) == [every[row] for row in rows]
    assert taken.labels.tolist() == ragged_split.labels[rows].tolist()
    assert taken.tokens.dtype == ragged_split.tokens.dtype
    places = tokens_of(ragged_split.offsets, np.array(rows, np.int64))
    assert taken.rationale.tolist() == ragged_split.rationale[places].tolist()
    expected = [p for row in rows for p in range(len(every[row]))]
    assert positions_in_text(taken.offsets).tolist() == expected


def splitmix64(state: int) -> int:
    """One output, in Python's integers, from the published constants."""
    mask = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_the_generator_is_splitmix64() -> None:
    # The first outputs of the reference implementation seeded with 1234567.
    first, gamma = 1234567, 0x9E3779B97F4A7C15
    assert splitmix64(first) == 6457827717110365317
    assert splitmix64(first + gamma) == 3203168211198807973


def test_random_scores_equal_a_loop_over_the_tokens() -> None:
    offsets, seed, draw = np.array([0, 3, 3, 8]), 5, 2
    expected = []
    for row, length in enumerate([3, 0, 5]):
        state = 0
        for word in (seed, 3, 10, draw, row):
            state = splitmix64(state ^ word)
        gamma = 0x9E3779B97F4A7C15
        expected += [(splitmix64(state + p * gamma) >> 11) / 2**53 for p in range(length)]
    assert random_scores(offsets, 0.3, draw, seed=seed).tolist() == expected


def test_random_deletions_depend_on_the_example_alone() -> None:
    lengths = np.random.default_rng(0).integers(0, 20, size=50)
    order = np.random.default_rng(1).permutation(50)[:30]

    def deleted(ids: np.ndarray) -> dict[int, tuple[int, ...]]:
        offsets = np.concatenate(([0], np.cumsum(lengths[ids])))
        ranks = rank_tokens(random_scores(offsets, 0.3, 0, seed=0, ids=ids), offsets)
        keep = without_top(ranks, offsets, deletion_counts(lengths[ids], 0.3))
        return dict(zip(ids.tolist(), deleted_sets(offsets, keep), strict=True))

    every, some = deleted(np.arange(50)), deleted(order)
    assert some == {row: every[row] for row in order.tolist()}
    assert all(len(gone) == round(0.3 * lengths[row]) for row, gone in every.items())


def test_draws_shares_seeds_and_examples_all_give_other_deletions() -> None:
    offsets = np.arange(0, 401, 20)
    base = random_scores(offsets, 0.3, 0, seed=0)
    np.testing.assert_array_equal(base, random_scores(offsets, 0.3, 0, seed=0))
    others = [
        random_scores(offsets, 0.3, 1, seed=0),
        random_scores(offsets, 0.2, 0, seed=0),
        random_scores(offsets, 0.3, 0, seed=1),
        random_scores(offsets, 0.3, 0, seed=0, ids=np.arange(20) + 1),
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15
    np.testing.assert_array_equal(base[20:], others[3][:-20])


def test_every_set_is_equally_likely() -> None:
    examples, length = 6000, 6
    offsets = np.arange(0, length * examples + 1, length)
    counts = np.full(examples, 2)
    sets: list[list[tuple[int, ...]]] = []
    for draw in range(2):
        ranks = rank_tokens(random_scores(offsets, 0.3, draw, seed=0), offsets)
        sets.append(deleted_sets(offsets, without_top(ranks, offsets, counts)))
    frequencies = Counter(sets[0])
    assert len(frequencies) == 15
    assert stats.chisquare(list(frequencies.values())).pvalue > 0.001
    # Two draws of the same text are independent: on average 2 * 2 / 6 tokens in common.
    common = [len(set(a) & set(b)) for a, b in zip(*sets, strict=True)]
    assert np.mean(common) == pytest.approx(2 / 3, abs=4 * np.std(common) / np.sqrt(examples))
