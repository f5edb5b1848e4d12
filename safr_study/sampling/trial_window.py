"""What a sampler is shown of a long study: enough to learn from, and no more as the study grows.

The time of a model's fit grows with the trials that it sees. TPE calls a tenth of them good, 25 at
most, and weighs old ones of the others down; so beyond some hundred more trials cost time and tell
it little, as the best of all are among those that it sees. Studies of up to ``SHOWN`` finished
trials are shown whole.
"""

from __future__ import annotations

import copy
import json
from bisect import insort
from collections.abc import Container, Sequence
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from safr_study.pareto import leading
from safr_study.sampling.rung_scores import Standings

SHOWN = 150
"""Finished trials that a sampler learns from."""
BEST = 50
"""Of those, the best complete ones of the whole study, spread along its fronts; the others are the
newest."""
_RELATIVE_PARAMS = "tpe:relative_params"
"""Optuna's key of what TPE drew together."""
_OPEN = (TrialState.RUNNING, TrialState.WAITING)


class Past:
    """The finished trials of one study, each read once, as it changes no more.

    What it gives depends on the trials alone, and not on when they were first seen.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._open: list[int] = []
        self._finished: list[int] = []
        """Numbers, ascending."""
        self._feasible: Standings | None = None
        """Values of the complete trials that keep every constraint, all better when larger."""
        self._drawn: dict[int, FrozenTrial] = {}
        """Running trials with all that was drawn for them."""

    def shown(
        self, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
    ) -> Sequence[FrozenTrial]:
        """The trials to learn from, in their order: all open ones, and ``SHOWN`` finished ones.

        Args:
            trials: all of the study, each at the place of its number.
            directions: of its objectives.
        """
        self._read(trials, directions)
        if len(self._finished) <= SHOWN:
            return trials
        kept = self._best()
        newest = (number for number in reversed(self._finished) if number not in kept)
        kept |= set(islice(newest, SHOWN - len(kept)))
        return [trials[number] for number in sorted([*kept, *self._open])]

    def drawn(self, trial: FrozenTrial) -> FrozenTrial:
        """A running trial with all that TPE drew for it; any other as it is.

        TPE leaves what it drew as a text with the trial, which it parses for every running trial
        at every ask, three times for three groups of parameters.
        """
        if trial.state is not TrialState.RUNNING:
            self._drawn.pop(trial.number, None)
            return trial
        known = self._drawn.get(trial.number)
        if known is None or known.distributions != trial.distributions:
            known = _with_draws(trial)
            if known is not trial:  # The storage may go on changing what it gave away.
                self._drawn[trial.number] = known
        return known

    def _read(self, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> None:
        if self._feasible is None:
            self._feasible = Standings(len(directions))
        signs = [1.0 if way is StudyDirection.MAXIMIZE else -1.0 for way in directions]
        looked, self._open = [*self._open, *range(self._seen, len(trials))], []
        self._seen = len(trials)
        for number in looked:
            trial = trials[number]
            if trial.state in _OPEN:
                self._open.append(number)
                continue
            insort(self._finished, number)
            if trial.state is TrialState.COMPLETE and not any(
                value > 0 for value in trial.constraints.values()
            ):
                vector = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
                self._feasible.put(number, vector)

    def _best(self) -> set[int]:
        assert self._feasible is not None
        # Of equal trials the older ones stand first.
        numbers = self._feasible.numbers
        order = np.argsort(numbers)
        first = order[leading(self._feasible.vectors[order], BEST)]
        return set(numbers[first].tolist())


def _with_draws(trial: FrozenTrial) -> FrozenTrial:
    texts = {k: v for k, v in trial.system_attrs.items() if k.startswith(_RELATIVE_PARAMS)}
    try:
        # In parts that are numbered from 0.
        drawn = json.loads(
            "".join(texts.get(f"{_RELATIVE_PARAMS}:{n}", "") for n in range(len(texts)))
        )
    except json.JSONDecodeError:  # There is none, or its writer was killed between two parts.
        return trial
    merged = copy.copy(trial)
    merged.params = {**drawn, **trial.params}
    merged.distributions = dict(trial.distributions)
    merged.system_attrs = {k: v for k, v in trial.system_attrs.items() if k not in texts}
    return merged


class ShownSampler(optuna.samplers.BaseSampler):
    """Another sampler, made for one ask, that learns from the trials alone that are shown."""

    def __init__(self, inner: optuna.samplers.BaseSampler, past: Past) -> None:
        self._inner = inner
        self._past = past
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
            some = self._past.shown(study.get_trials(deepcopy=False), study.directions)
            self._view = _View(study, [self._past.drawn(trial) for trial in some])
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
