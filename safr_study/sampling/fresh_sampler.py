"""Samplers whose draws repeat no earlier trial, and which begin evenly spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from safr_study.sampling.cube_samplers import (
    POPULATION,
    NumberedRandomSampler,
    WholeTrialSampler,
    training_key,
)
from safr_study.sampling.fixed_trials import given_trials
from safr_study.sampling.observations import is_known
from safr_study.sampling.sampler import build_sampler, suggest
from safr_study.settings import StudySpec

TRIES = 24
"""Draws before a repetition is taken: a space of few values may be used up."""
_MODEL_TRIES = 4
"""Those of them that TPE makes; the others are random."""
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def study_sampler(spec: StudySpec, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of a study for one ask: that of its name, beside what all of them share.

    Trials of the same settings would be the same training, as the seed is the same for all: a
    draw that equals an earlier trial of this study, baselines among them, is drawn again. ``tpe``
    begins with a Sobol sequence until there are enough trials to learn from. What is drawn
    depends on the earlier trials in the ledger, the study's seed and the trial's number alone.

    Args:
        spec: the study.
        number: of the trial.
    """
    first = len(given_trials(spec))
    if number < first or spec.sampler == "grid" or spec.scheduler.name == "freeze-thaw":
        # It is enqueued whole: nothing is left to draw.
        return NumberedRandomSampler(spec.seed)
    return FreshSampler(spec, number, first)


class FreshSampler(WholeTrialSampler):
    """Draws a trial of a study with the sampler of its name, until it is new."""

    def __init__(self, spec: StudySpec, number: int, first: int) -> None:
        """A sampler for one ask.

        Args:
            spec: the study.
            number: of the trial.
            first: number of the first trial that is drawn.
        """
        super().__init__(spec.space, int(_seed(spec.seed, number)))
        self._spec, self._at, self._first = spec, number, first

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All that a trial draws."""
        earlier = [t for t in study.get_trials(deepcopy=False) if t.number < trial.number]
        taken = {training_key(t.params, self._space) for t in earlier if not is_known(t)}
        drawn: dict[str, Any] = {}
        for attempt in range(TRIES):
            sampler = self._sampler(attempt, sum(one.state in _ENDED for one in earlier))
            if isinstance(sampler, WholeTrialSampler):
                drawn = sampler.sample_relative(study, trial, search_space)
            else:
                drawn = self._alone(sampler)
            if training_key(drawn, self._space) not in taken:
                break
        return drawn

    def _sampler(self, attempt: int, ended: int) -> optuna.samplers.BaseSampler:
        spec, number, first = self._spec, self._at, self._first
        name = spec.sampler
        if name == "tpe" and attempt == 0 and ended < POPULATION:
            name = "qmc"
        elif attempt >= (_MODEL_TRIES if name == "tpe" else 1):
            name = "random"
        again = None if attempt == 0 else attempt
        return build_sampler(
            name, seed=spec.seed, number=number, space=spec.space, first=first, again=again
        )

    def _alone(self, sampler: optuna.samplers.BaseSampler) -> dict[str, Any]:
        """What a sampler draws that knows no other trial."""
        trial = optuna.create_study(sampler=sampler).ask()
        suggest(trial, self._space)
        return trial.params


def _seed(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])
