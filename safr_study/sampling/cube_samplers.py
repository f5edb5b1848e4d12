"""Optuna's samplers, each made for one ask: what they share, and GP, NSGA-II and QMC over the box.

Those over the box of a search space learn from a copy of the ledger's trials as points of the box.
What is drawn depends on the ledger's content, the study's seed and the trial's number alone.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from safr_study.sampling import experimental_allowed
from safr_study.sampling.observations import impute_trials, trial_window
from safr_study.sampling.unit_cube import box, distributions, from_box
from safr_study.settings import SWITCH_SUFFIX, SearchSpace, Value

POPULATION = 8
"""Trials before a model or a population takes over from the even spread, and parents of NSGA-II:
few, as studies have few dozens of trials."""

_log = logging.getLogger(__name__)
# It says so when the model is sure of every point; the trials themselves show that better.
logging.getLogger("optuna._gp.optim_mixed").setLevel(logging.ERROR)


class NumberedRandomSampler(optuna.samplers.RandomSampler):
    """Draws each parameter from its name and one seed alone.

    So a trial that was cut off after half of its draws gets the others as if it had not been.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One uniform draw."""
        words = [self._seed, zlib.crc32(param_name.encode())]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        uniform = optuna.samplers.RandomSampler(seed=seed)
        return uniform.sample_independent(study, trial, param_name, param_distribution)


class WholeTrialSampler(NumberedRandomSampler):
    """Base of the samplers that draw all parameters of a trial together.

    A parameter that is asked for outside the space is drawn by itself, at random.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(seed)
        self._space = space

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All that a trial may draw."""
        return distributions(self._space)


class SobolSampler(optuna.samplers.QMCSampler):
    """The point of a scrambled Sobol sequence that has the trial's number.

    Optuna counts the draws in the study, so that a trial which is drawn again after a restart gets
    another point; a number of its own needs no counter.
    """

    def __init__(self, seed: int, index: int) -> None:
        with experimental_allowed():
            super().__init__(scramble=True, seed=seed)
        self._index = index

    def _find_sample_id(
        self, study: optuna.Study, search_space: dict[str, BaseDistribution]
    ) -> int:
        return self._index


class SteadyNSGA2(optuna.samplers.NSGAIISampler):
    """NSGA-II whose parents are the best of all trials so far, not of a whole generation.

    A generation would have to be counted in the ledger, and with several trials at once it ends
    late; a few dozens of trials have few of them.
    """

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """Always the one that follows all."""
        return 1

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """All complete trials."""
        return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


class UnitCubeSampler(WholeTrialSampler):
    """Draws a trial as a point of the space's box."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        sobol: SobolSampler,
        inner: optuna.samplers.BaseSampler | None,
    ) -> None:
        """Put the sampler together.

        Args:
            space: what is drawn from.
            seed: of a parameter that is asked for outside the space.
            sobol: draws the first points, and those that another draws twice.
            inner: draws the points after the first; ``None``: sobol draws all.
        """
        super().__init__(space, seed)
        self._sobol = sobol
        self._inner = inner

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All that a trial draws."""
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        drawn = self._informed(study, others)
        # The seed of training is the same for all: the same settings would give the same numbers.
        if drawn is None or training_key(drawn, self._space) in {
            training_key(t.params, self._space) for t in others
        }:
            point = self._sobol.sample_relative(study, trial, box(self._space))
            drawn = from_box(point, self._space)
        return drawn

    def _informed(
        self, study: optuna.Study, others: Sequence[FrozenTrial]
    ) -> dict[str, Value] | None:
        """What the inner sampler draws, once there are enough trials to learn from."""
        if self._inner is None:
            return None
        known = impute_trials(trial_window(others, study.directions), self._space, study.directions)
        if sum(t.state is TrialState.COMPLETE for t in known) < POPULATION:
            return None
        copy = optuna.create_study(directions=study.directions, sampler=self._inner)
        copy.add_trials(known)
        try:
            # GPSampler divides 0 by 0 where its model is sure of every point, and continues.
            # https://github.com/optuna/optuna/blob/v5.0.0/optuna/_gp/optim_mixed.py
            with np.errstate(invalid="ignore"):
                return from_box(copy.ask(box(self._space)).params, self._space)
        except (np.linalg.LinAlgError, RuntimeError) as error:
            # torch's LinAlgError is a RuntimeError: a matrix that rounding made singular. One trial
            # without a model is better than the end of the study.
            _log.warning("an evenly spread trial takes the place of a model's: %s", error)
            return None


def training_key(drawn: Mapping[str, Value], space: SearchSpace) -> tuple[object, ...]:
    """Equal for trials that would be the same training, but for the rounding of floats."""
    return tuple(
        f"{value:.9g}" if isinstance(value, float) else value
        for value in (
            0.0 if name not in drawn and name + SWITCH_SUFFIX in drawn else drawn.get(name)
            for name in space.parameters
        )
    )
