"""The trials that no sampler decides: baselines, then a space's points, or those of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from safr_study.sampling.rules import FIRST, RULES
from safr_study.settings import (
    Baseline,
    CategoricalParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    StudySpec,
    TrainConfig,
    Value,
    exists,
)

GRID_LEVELS = 5
"""Levels of a range that names no grid values."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A trial that no sampler decides."""

    point: Mapping[str, Value]
    baseline: str | None = None


def planned(spec: StudySpec, number: int, *, rules: int = RULES) -> Planned | None:
    """The baseline or point of this trial number; ``None``: the sampler's.

    Args:
        spec: the study.
        number: of the trial.
        rules: of the study.
    """
    fixed = given_trials(spec, rules=rules)
    if number < len(fixed):
        return fixed[number]
    if spec.sampler != "grid":
        return None
    rest = itertools.islice(_grid_without_baselines(spec), number - len(fixed), None)
    return next((Planned(point) for point in rest), None)


def given_trials(spec: StudySpec, *, rules: int = RULES) -> list[Planned]:
    """What comes before anything is drawn: the baselines, then the points of the space.

    A point that would train what a baseline does is left out. The points of a grid are the grid.
    """
    baselines = [Planned(_whole(one, spec), one.name) for one in spec.space.baselines]
    if rules == FIRST or spec.sampler == "grid" or not spec.space.points:
        return baselines
    return [*baselines, *(Planned(point) for point in _grid_without_baselines(spec))]


def planned_trials(spec: StudySpec) -> int:
    """Trials that the study can finish: those asked for, or all that its grid has."""
    if spec.sampler != "grid":
        return spec.trials
    grid = sum(1 for _ in _grid_without_baselines(spec))
    return min(spec.trials, len(spec.space.baselines) + grid)


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


def _grid_without_baselines(spec: StudySpec) -> Iterator[dict[str, Value]]:
    template = _template(spec)
    done = [{**template, **baseline.values} for baseline in spec.space.baselines]
    return (point for point in grid_points(spec.space) if {**template, **point} not in done)


def _whole(baseline: Baseline, spec: StudySpec) -> dict[str, Value]:
    """A baseline's values with those of training for the parameters that it does not name.

    They are what it would be trained with in any case; written out, the sampler learns from them.
    """
    template = _template(spec)
    point = dict(baseline.values)
    for name, parameter in spec.space.parameters.items():
        if name not in point and exists(name, parameter, {**template, **point}):
            point[name] = template[name]
    return point


def _template(spec: StudySpec) -> dict[str, Value]:
    """What is trained where neither a parameter nor a baseline says otherwise."""
    return {**flat_settings(spec.train), **spec.space.fixed}


def flat_settings(config: TrainConfig) -> dict[str, Value]:
    """The settings of a training by name, those of the shape and of the penalties among them."""
    return {**dict(config), **dict(config.shape), **dict(config.penalties)}


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
