"""What a sampler is shown of a long study: enough to learn from, and no more as the study grows.

The time of a model's fit grows with the trials that it sees. TPE calls at most 25 trials good, a
number that it reaches at 250, and weighs old ones of the others down; so from there on more trials
cost time and tell it little. Studies of up to ``SHOWN`` finished trials are shown whole.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from safr_study.pareto import places

SHOWN = 250
"""Finished trials that a sampler learns from."""
BEST = 50
"""Of those, the best complete ones of the whole study, spread along its fronts; the others are the
newest."""


def shown(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> Sequence[FrozenTrial]:
    """The trials to learn from, in their order: those that are not finished, and ``SHOWN`` others.

    Args:
        trials: all of a study, by number.
        directions: of its objectives.
    """
    finished = [trial for trial in trials if trial.state.is_finished()]
    if len(finished) <= SHOWN:
        return trials
    kept = {trial.number for trial in _best(finished, directions)}
    newest = (trial.number for trial in reversed(finished) if trial.number not in kept)
    kept |= {number for number, _ in zip(newest, range(SHOWN - len(kept)), strict=False)}
    return [t for t in trials if t.number in kept or not t.state.is_finished()]


def _best(
    finished: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> list[FrozenTrial]:
    complete = [trial for trial in finished if trial.state is TrialState.COMPLETE]
    feasible = [t for t in complete if not any(value > 0 for value in t.constraints.values())]
    if not feasible:
        return []
    signs = [1.0 if way is StudyDirection.MAXIMIZE else -1.0 for way in directions]
    found = places(np.array([trial.values for trial in feasible]) * signs, count=BEST)
    # Equal trials share a place: the older ones stand first.
    order = np.argsort(found, kind="stable")
    return [feasible[row] for row in order[:BEST]]


class ShownSampler(optuna.samplers.BaseSampler):
    """Another sampler, made for one ask, that learns from the ``shown`` trials alone."""

    def __init__(self, inner: optuna.samplers.BaseSampler) -> None:
        self._inner = inner
        self._view: optuna.Study | None = None

    def reseed_rng(self) -> None:
        """Of the inner sampler."""
        self._inner.reseed_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What the inner sampler draws together."""
        return self._inner.infer_relative_search_space(self._of(study), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What the inner sampler draws."""
        return dict(self._inner.sample_relative(self._of(study), trial, search_space))

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """What the inner sampler draws by itself."""
        return self._inner.sample_independent(
            self._of(study), trial, param_name, param_distribution
        )

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Tell the inner sampler, which writes."""
        self._inner.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell the inner sampler, which writes."""
        self._inner.after_trial(study, trial, state, values)

    def _of(self, study: optuna.Study) -> optuna.Study:
        # No trial ends while one is asked for: the choice is made once.
        if self._view is None:
            trials = study.get_trials(deepcopy=False)
            some = shown(trials, study.directions)
            self._view = study if len(some) == len(trials) else _View(study, some)
        return self._view


class _View(optuna.Study):
    """A study in which only some trials can be read; what is written goes to its storage."""

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        super().__init__(study.study_name, study._storage)
        self._trials = list(trials)

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,  # noqa: ARG002 (Optuna's own)
    ) -> list[FrozenTrial]:
        # All of Optuna's samplers and its public `get_trials` read through this method.
        found = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
