"""How a trial's settings are drawn: Optuna's samplers over a search space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from safr_study.sampling import experimental_allowed
from safr_study.sampling.cube_samplers import (
    POPULATION,
    NumberedRandomSampler,
    SobolSampler,
    SteadyNSGA2,
    UnitCubeSampler,
    WholeTrialSampler,
)
from safr_study.sampling.observations import trial_window
from safr_study.settings import (
    SWITCH_SUFFIX,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SamplerName,
    SearchSpace,
    Value,
    exists,
)

EXPLORED = 3
"""One trial in so many is drawn without the model, as in BOHB (Falkner, Klein and Hutter, 2018): to
a region that looked bad at a rung by chance a model alone never comes back."""


def build_sampler(
    name: SamplerName,
    *,
    seed: int,
    number: int,
    space: SearchSpace | None = None,
    first: int | None = None,
    again: int | None = None,
) -> optuna.samplers.BaseSampler:
    """The sampler for one ask.

    A sampler rebuilt from one seed repeats its first draws, so each ask has a seed of its own,
    from the study's and the trial's number: a resumed study draws what it would have drawn.
    ``random`` and ``qmc`` depend on nothing else, the others also on the trials in the ledger; one
    in ``EXPLORED`` of the models' (``tpe``, ``gp``) does not.

    Args:
        name: which one.
        seed: the study's.
        number: the trial's.
        space: of the study; ``random`` and ``grid`` do without.
        first: number of the first trial that is drawn; ``None``: the one after the baselines.
        again: the place of this draw among those that replace one, from 1; ``None``: the first.

    Raises:
        ValueError: the sampler needs the space.
    """
    words = [seed, number] if again is None else [seed, number, again]
    drawn = int(np.random.SeedSequence(words).generate_state(1)[0])
    # What replaces a draw of the model is the model's again.
    explores = again is None and number % EXPLORED == EXPLORED - 1
    # The grid's trials are enqueued whole; nothing is left to draw.
    if name in ("random", "grid") or (name == "tpe" and explores):
        return NumberedRandomSampler(drawn)
    if space is None:
        raise ValueError(f"{name} draws from a space: build_sampler(..., space=spec.space)")
    if name == "tpe":
        return WindowedTPE(space, drawn)
    # One sequence for the whole study, from its first trial that is no baseline.
    scrambled = int(np.random.SeedSequence(seed).generate_state(1)[0])
    fixed = len(space.baselines) if first is None else first
    sobol = SobolSampler(scrambled, max(0, number - fixed))
    inner: optuna.samplers.BaseSampler | None = None
    if name == "gp" and not explores:
        inner = optuna.samplers.GPSampler(seed=drawn, n_startup_trials=POPULATION)
    elif name == "nsga2":
        # The operators of Deb et al. (2002), with their defaults. Optuna's own only recombine
        # values: of two parameters, that often gives a parent again.
        with experimental_allowed():
            inner = SteadyNSGA2(
                population_size=POPULATION,
                crossover=optuna.samplers.nsgaii.SBXCrossover(),
                mutation=optuna.samplers.nsgaii.PolynomialMutation(),
                seed=drawn,
            )
    return UnitCubeSampler(space, seed=drawn, sobol=sobol, inner=inner)


class WindowedTPE(WholeTrialSampler):
    """TPE in a copy of the study, or of a window of it where it is long.

    The time of a fit grows with the trials; TPE calls a tenth of them good, 25 at most, and weighs
    old ones of the others down, so more would tell it little.
    """

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """All that a trial draws."""
        # Multivariate and grouped: the lambdas act together, and some exist only sometimes.
        with experimental_allowed():
            tpe = optuna.samplers.TPESampler(
                seed=self._seed, multivariate=True, group=True, n_startup_trials=POPULATION
            )
        copy = optuna.create_study(directions=study.directions, sampler=tpe)
        window = trial_window(study.get_trials(deepcopy=False), study.directions)
        # Without the notes on each, which take most of the time of a copy.
        copy.add_trials(
            optuna.trial.create_trial(
                state=one.state,
                params=one.params,
                distributions=one.distributions,
                values=one.values,
                constraints=one.constraints or None,
            )
            for one in window
            if one.number != trial.number
        )
        drawn = copy.ask()
        suggest(drawn, self._space)
        return drawn.params


def suggest(trial: optuna.Trial, space: SearchSpace) -> dict[str, Value]:
    """Draw one trial's settings, exact zeros and conditions resolved.

    Returns:
        The fixed settings and every parameter that exists under them.
    """
    values: dict[str, Value] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        if exists(name, parameter, values):
            values[name] = _suggest_one(trial, name, parameter)
    return values


def replay(trial: optuna.Trial, space: SearchSpace, point: Mapping[str, Value]) -> None:
    """Draw the parameters of an enqueued point, so that the sampler learns from its objectives.

    A value that the space cannot express is not drawn: the sampler then sees a trial without it.
    """
    drawn = enqueued(point, space)
    for name, parameter in space.parameters.items():
        if name in drawn or name + SWITCH_SUFFIX in drawn:
            _suggest_one(trial, name, parameter)


def enqueued(point: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """The sampler's own parameters that make ``suggest`` return this point.

    A zero outside the range becomes its switch; anything that the space cannot express is left
    out (the caller fixes it).
    """
    drawn: dict[str, Value] = {}
    for name, value in point.items():
        parameter = space.parameters.get(name)
        switched = isinstance(parameter, FloatParameter) and parameter.zero > 0
        if switched and value == 0:
            drawn[name + SWITCH_SUFFIX] = 0.0
        elif parameter is not None and parameter.holds(value):
            drawn[name] = value
            if switched:
                drawn[name + SWITCH_SUFFIX] = 1.0
    return drawn


def _suggest_one(trial: optuna.Trial, name: str, parameter: Parameter) -> Value:
    if isinstance(parameter, CategoricalParameter):
        chosen = trial.suggest_categorical(name, list(parameter.choices))
        return next(choice for choice in parameter.choices if choice == chosen)
    if isinstance(parameter, IntParameter):
        return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
    if parameter.zero > 0 and trial.suggest_float(name + SWITCH_SUFFIX, 0.0, 1.0) < parameter.zero:
        return 0.0
    return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
