from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from stored_study import study_spec
from synthetic_study import trial

from safr_study.features.confirm.plan import new_seeds
from safr_study.records import Replicate


@given(
    seed=st.integers(0, 2**63 - 1),
    repeats=st.integers(1, 5),
    others=st.lists(st.integers(0, 2**63 - 1), max_size=5),
    count=st.integers(0, 12),
)
def test_seeds_are_new_and_more_of_them_begin_with_the_same(
    seed: int, repeats: int, others: list[int], count: int
) -> None:
    spec = study_spec(seed=seed, seeds_per_trial=repeats)
    near = [(seed + 2) % 2**63, *others]
    trials = [replace(trial(0), seed=seed, replicates=tuple(Replicate(s, ()) for s in near))]
    found = new_seeds(spec, trials, count)
    assert len(set(found)) == count
    assert all(0 <= one < 2**63 for one in found)
    assert not set(found) & {*near, *(seed + extra for extra in range(repeats))}
    assert new_seeds(spec, trials, count + 3)[:count] == found


def test_they_are_the_first_above_the_studys_own() -> None:
    assert new_seeds(study_spec(seed=0), [], 5) == (1, 2, 3, 4, 5)
    # Three seeds for each trial: 7, 8 and 9 are the search's.
    assert new_seeds(study_spec(seed=7, seeds_per_trial=3), [], 2) == (10, 11)
