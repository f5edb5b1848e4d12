from __future__ import annotations

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


def test_a_limit_below_the_number_of_classes_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^dev-limit: 2 texts cannot hold 3 classes"):
        limit_split(_split([0, 1, 2] * 4), 2, 0, field="dev-limit")
