from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_confirmation import draw, run

from safr_study.records import from_plain, to_plain
from safr_study.records.run import (
    MAX_DRAWS,
    Answers,
    ReadingOfTest,
    RunResult,
    run_to_plain,
)


@given(st.integers(1, MAX_DRAWS), st.integers(1, 40), st.integers(0))
def test_answers_come_back(draws: int, texts: int, seed: int) -> None:
    right = np.random.default_rng(seed).uniform(size=(draws, texts)) < 0.5
    packed = Answers.pack(right[0], {0.3: (~right[0], right)})
    assert packed.whole().tolist() == right[0].tolist()
    assert packed.without_top(0.3).tolist() == (~right[0]).tolist()
    shares = packed.without_random(0.3)
    assert shares is not None
    assert (shares * draws).round().tolist() == right.sum(axis=0).tolist()


@pytest.mark.parametrize("digits", ["b", "b0b0", "zz", "B0", ""])
def test_what_are_no_bits_of_five_texts_is_noticed(digits: str) -> None:
    Answers(5, "b0")
    with pytest.raises(ValueError, match="5 texts need as many bits"):
        Answers(5, digits)


@pytest.mark.parametrize("digits", ["00", "0004", "00!", "00A"])
def test_what_are_no_counts_of_three_texts_and_three_draws_is_noticed(digits: str) -> None:
    Answers(3, "a0", draws=3, random={"30": "013"})
    with pytest.raises(ValueError, match="counts of at most 3 draws"):
        Answers(3, "a0", draws=3, random={"30": digits})


def test_answers_come_back_by_k() -> None:
    full, top_10, top_30 = draw(0.8, 1), draw(0.6, 2), draw(0.4, 3)
    random = np.stack([draw(0.7, seed) for seed in range(5)])
    packed = Answers.pack(full, {0.1: (top_10, None), 0.3: (top_30, random)})
    assert packed.whole().tolist() == full.tolist()
    assert packed.without_top(0.1).tolist() == top_10.tolist()
    assert packed.without_top(0.3).tolist() == top_30.tolist()
    np.testing.assert_allclose(packed.without_random(0.3), random.mean(axis=0))
    assert packed.without_random(0.1) is None
    with pytest.raises(KeyError):
        packed.without_top(0.2)


def test_more_draws_than_a_digit_holds_are_not_kept() -> None:
    full = draw(0.8, 1)
    random = np.stack([full] * (MAX_DRAWS + 1))
    packed = Answers.pack(full, {0.3: (full, random)})
    assert packed.without_random(0.3) is None
    assert packed.without_top(0.3).tolist() == full.tolist()


def test_answers_of_another_number_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="9 texts need as many bits"):
        Answers(9, "b0")
    with pytest.raises(ValueError, match="counts of at most 2 draws"):
        Answers(3, "a0", draws=2, random={"30": "003"})


def test_a_run_comes_back_from_json() -> None:
    done = run(
        3, 7, draw(0.8, 1), draw(0.5, 2), violations=(-1.5,), test=(draw(0.7, 3), draw(0.5, 4))
    )
    failed = RunResult(3, 8, ended="2026-01-02T03:04:05+00:00", failure="it diverged")
    for one in (done, failed):
        assert from_plain(RunResult, json.loads(json.dumps(run_to_plain(one)))) == one
    assert failed.values == ()
    assert done.dev is not None
    assert done.values == done.dev.values


def test_a_reading_of_the_test_set_comes_back_from_json() -> None:
    reading = ReadingOfTest("2026-01-02T03:04:05+00:00", ((3, 1), (4, 1)), {"knee": 3})
    assert from_plain(ReadingOfTest, json.loads(json.dumps(to_plain(reading)))) == reading
