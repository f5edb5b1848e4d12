from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.data import Split
from safr_study.data.corpus import limit_split, split_dev, stratified_rows
from safr_study.errors import BadInput


def _split(labels: list[int]) -> Split:
    texts = [f"t{row}" for row in range(len(labels))]
    return Split(texts, np.array(labels, dtype=np.int64))


@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=5),
    share=st.floats(0.05, 1.0),
    seed=st.integers(0, 99),
)
def test_each_class_has_its_share_to_within_one(counts: list[int], share: float, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    size = max(round(share * len(labels)), len(counts))
    rows = stratified_rows(labels, size, np.random.default_rng(seed))
    drawn = np.bincount(labels[rows], minlength=len(counts))
    exact = np.array(counts) * size / len(labels)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == size
    assert drawn.min() >= 1
    if exact.min() >= 1:
        assert np.abs(drawn - exact).max() < 1


def test_a_dev_split_is_a_fifth_and_both_sides_keep_their_order() -> None:
    whole = _split([0, 1] * 50)
    train, dev = split_dev(whole, ("a", "b"), seed=0)
    assert np.bincount(dev.labels).tolist() == [10, 10]
    assert sorted(train.texts + dev.texts) == sorted(whole.texts)
    for part in (train, dev):
        assert part.texts == sorted(part.texts, key=lambda text: int(text[1:]))


def test_the_seed_decides_the_dev_split() -> None:
    whole = _split([0, 1] * 50)
    first, same, other = (split_dev(whole, ("a", "b"), seed=s)[1].texts for s in (4, 4, 5))
    assert first == same
    assert first != other


def test_a_class_of_one_cannot_be_split() -> None:
    with pytest.raises(BadInput, match=r"^dataset: class 'rare' has 1 training example"):
        split_dev(_split([0, 0, 0, 1]), ("usual", "rare"), seed=0)


def test_a_limit_keeps_order_and_balance_and_larger_limits_change_nothing() -> None:
    whole = _split([0, 0, 1] * 20)
    some = limit_split(whole, 15, 0, field="train-limit")
    assert np.bincount(some.labels).tolist() == [10, 5]
    assert some.texts == sorted(some.texts, key=lambda text: int(text[1:]))
    assert limit_split(whole, 60, 0, field="train-limit") is whole
    assert limit_split(whole, None, 0, field="train-limit") is whole


GROUPED = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=6, max_size=40
).map(lambda groups: [(label, number) for number, group in enumerate(groups) for label in group])
"""Texts, each with its label and its group; a few labels and sizes, so that kinds repeat."""


@given(texts=GROUPED, limit=st.integers(3, 90), seed=st.integers(0, 50))
def test_groups_stay_whole(texts: list[tuple[int, int]], limit: int, seed: int) -> None:
    # As a file may have them: the texts of a group apart from each other.
    order = np.random.default_rng(seed).permutation(len(texts))
    whole = _split([texts[row][0] for row in order])
    whole = replace(whole, groups=np.array([texts[row][1] for row in order]))
    classes = len(np.unique(whole.labels))

    def groups(split: Split) -> set[int]:
        assert split.groups is not None
        found = set(split.groups.tolist())
        # Each with all its texts.
        assert np.isin(whole.groups, list(found)).sum() == split.examples
        return found

    with suppress(BadInput):
        some = limit_split(whole, limit, seed, field="train-limit")
        assert some.examples <= limit or some is whole
        assert len(np.unique(some.labels)) == classes
        groups(some)
        assert some.texts == sorted(some.texts, key=lambda text: int(text[1:]))
    with suppress(BadInput):
        train, dev = split_dev(whole, ("a", "b", "c"), seed)
        assert not groups(train) & groups(dev)
        assert train.examples + dev.examples == whole.examples
        assert len(np.unique(dev.labels)) == len(np.unique(train.labels)) == classes


def test_pairs_are_drawn_balanced_and_as_many_as_fit() -> None:
    pairs = replace(_split([0, 1] * 50), groups=np.arange(100) // 2)
    _, dev = split_dev(pairs, ("a", "b"), seed=0)
    assert np.bincount(dev.labels).tolist() == [10, 10]
    assert np.bincount(limit_split(pairs, 31, 0, field="dev-limit").labels).tolist() == [15, 15]
    # Without the groups as many texts of one pair alone are drawn.
    alone = limit_split(replace(pairs, groups=None), 30, 0, field="dev-limit")
    assert len({text for text in alone.texts if int(text[1:]) % 2 == 0}) == 15
    assert len({int(text[1:]) // 2 for text in alone.texts}) > 15


def test_groups_that_cannot_be_cut_are_one_sentence() -> None:
    one = replace(_split([0, 1, 0, 1]), groups=np.zeros(4, np.int64))
    with pytest.raises(BadInput, match=r"^group-column: the groups cannot be cut"):
        split_dev(one, ("a", "b"), seed=0)
    with pytest.raises(BadInput, match=r"^dev-limit: 3 texts cannot hold whole groups of all 2"):
        limit_split(one, 3, 0, field="dev-limit")


def test_a_limit_below_the_number_of_classes_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^dev-limit: 2 texts cannot hold 3 classes"):
        limit_split(_split([0, 1, 2] * 4), 2, 0, field="dev-limit")
