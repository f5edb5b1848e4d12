"""Which seed each training has: those of a search's trials, and the new ones of a confirmation."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from safr_study.records import TrialRecord
from safr_study.settings import StudySpec

_SEEDS_IN_ALL = 2**63
"""A seed is below this."""


def trial_seeds(spec: StudySpec, first: int | None = None) -> tuple[int, ...]:
    """Seeds under which a search trains each of its trials: the study's own, and those after it.

    All trials share them, so that they differ by their settings alone.

    Args:
        spec: the study.
        first: the trial's own seed; ``None``: the study's.
    """
    begin = spec.seed if first is None else first
    return tuple(range(begin, begin + spec.seeds_per_trial))


def new_seeds(spec: StudySpec, trials: Iterable[TrialRecord], count: int) -> tuple[int, ...]:
    """Seeds that the search did not use: the first whole numbers above the study's own.

    The front was selected on the numbers of the search's seeds, so these are biased for the better
    and have no part in a confirmation. All trials share the new seeds, and are so compared in
    pairs; more seeds begin with the same ones.
    """
    used = set(trial_seeds(spec))
    for trial in trials:
        used |= {trial.seed, *(replicate.seed for replicate in trial.replicates)}
    candidates = (seed % _SEEDS_IN_ALL for seed in itertools.count(spec.seed + 1))
    return tuple(itertools.islice((seed for seed in candidates if seed not in used), count))
