"""How a trial's settings are drawn: Optuna's samplers over a search space."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from safr_study.sampling import experimental_allowed
from safr_study.sampling.cube_samplers import POPULATION, SobolSampler, SteadyNSGA2, UnitCubeSampler
from safr_study.sampling.trial_window import trial_window
from safr_study.sampling.unit_cube import distributions
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

GRID_LEVELS = 5
"""Levels of a range that names no grid values."""
EXPLORED = 3
"""One trial in so many is drawn without the model, as in BOHB (Falkner, Klein and Hutter, 2018): to
a region that looked bad at a rung by chance a model alone never comes back."""


def build_sampler(
    name: SamplerName,
    *,
    seed: int,
    number: int,
    space: SearchSpace | None = None,
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
        space: of the study; ``tpe``, ``random`` and ``grid`` do without.

    Raises:
        ValueError: the sampler needs the space.
    """
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    # The grid's trials are enqueued whole; nothing is left to draw.
    independent = NumberedRandomSampler(drawn)
    explores = number % EXPLORED == EXPLORED - 1
    if name in ("random", "grid") or (name == "tpe" and explores):
        return independent
    if name == "tpe":
        # Multivariate and grouped: the lambdas act together, and some exist only sometimes.
        with experimental_allowed():
            return WindowedTPE(space, drawn)
    if space is None:
        raise ValueError(f"{name} draws from a space: build_sampler(..., space=spec.space)")
    # One sequence for the whole study, from its first trial that is no baseline.
    scrambled = int(np.random.SeedSequence(seed).generate_state(1)[0])
    sobol = SobolSampler(scrambled, max(0, number - len(space.baselines)))
    build = {"gp": lambda: _gaussian_process(drawn), "nsga2": lambda: _evolution(drawn)}
    inner = None if name == "gp" and explores else build.get(name)
    return UnitCubeSampler(space, sobol=sobol, build=inner, independent=independent)


def _gaussian_process(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=POPULATION)


def _evolution(seed: int) -> optuna.samplers.BaseSampler:
    # The operators of Deb et al. (2002), with their defaults. Optuna's own only recombine values:
    # of two parameters, that often gives a parent again.
    with experimental_allowed():
        return SteadyNSGA2(
            population_size=POPULATION,
            crossover=optuna.samplers.nsgaii.SBXCrossover(),
            mutation=optuna.samplers.nsgaii.PolynomialMutation(),
            seed=seed,
        )


class WindowedTPE(optuna.samplers.TPESampler):
    """TPE, made for one ask, that reads a study whole, or a window of it where it is long.

    The time of a fit grows with the trials; TPE calls a tenth of them good, 25 at most, and weighs
    old ones of the others down, so more would tell it little.
    """

    def __init__(self, space: SearchSpace | None, seed: int) -> None:
        """Begin.

        Args:
            space: of the study; ``None``: it is read whole, however long.
            seed: of the draw.
        """
        super().__init__(seed=seed, multivariate=True, group=True, n_startup_trials=POPULATION)
        self._space = space
        self._draw_seed = seed
        self._learned: Sequence[FrozenTrial] | None = None
        """What it learns from in this ask; ``None``: the study itself."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All that is drawn together."""
        self._learned = self._window(study, trial)
        if self._learned is None:
            return super().infer_relative_search_space(study, trial)
        assert self._space is not None
        return distributions(self._space)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters that are drawn together, in a copy of the window where there is one."""
        # Optuna asks first what is drawn together.
        if self._learned is None or self._space is None:
            return super().sample_relative(study, trial, search_space)
        with experimental_allowed():
            inner = WindowedTPE(None, self._draw_seed)
        copy = optuna.create_study(directions=study.directions, sampler=inner)
        copy.add_trials([_bare(one) for one in self._learned])
        drawn = copy.ask()
        suggest(drawn, self._space)
        return drawn.params

    def _window(self, study: optuna.Study, trial: FrozenTrial) -> Sequence[FrozenTrial] | None:
        """The trials to learn from; ``None``: all of them."""
        if self._space is None:
            return None
        trials = study.get_trials(deepcopy=False)
        window = trial_window(trials, study.directions)
        return None if window is trials else [one for one in window if one.number != trial.number]


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """A trial without the notes on it, which take most of the time of a copy."""
    return optuna.trial.create_trial(
        state=trial.state,
        params=trial.params,
        distributions=trial.distributions,
        values=trial.values,
        constraints=trial.constraints or None,
    )


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


def grid_points(space: SearchSpace) -> Iterator[dict[str, Value]]:
    """The space's points; else all combinations of the grid values, the last parameter fastest.

    Each one that exists comes once.
    """
    if space.points:
        yield from (dict(point) for point in space.points)
        return
    levels = [_levels(parameter) for parameter in space.parameters.values()]
    seen = set()
    for combination in itertools.product(*levels):
        point: dict[str, Value] = {}
        for (name, parameter), value in zip(space.parameters.items(), combination, strict=True):
            if exists(name, parameter, {**space.fixed, **point}):
                point[name] = value
        key = tuple(point.items())
        if key not in seen:
            seen.add(key)
            yield point


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


def _levels(parameter: Parameter) -> list[Value]:
    if isinstance(parameter, CategoricalParameter):
        return list(parameter.choices)
    if parameter.grid:
        return list(parameter.grid)
    if isinstance(parameter, IntParameter) and parameter.high - parameter.low < GRID_LEVELS:
        return list(range(parameter.low, parameter.high + 1))
    spaced = (np.geomspace if parameter.log else np.linspace)(
        parameter.low, parameter.high, GRID_LEVELS
    )
    if isinstance(parameter, IntParameter):
        return list(dict.fromkeys(round(float(level)) for level in spaced))
    zero: list[Value] = [0.0] if parameter.zero > 0 else []
    return zero + [float(np.clip(level, parameter.low, parameter.high)) for level in spaced]
