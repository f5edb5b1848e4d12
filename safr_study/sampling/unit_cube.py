"""A search space as a box: one coordinate for each parameter, whether it exists or not.

Optuna's GP, NSGA-II and QMC samplers draw together only what every past trial has. In a space with
conditions, exact zeros and baselines that is next to nothing, and the rest is drawn at random. In
the box every point has all coordinates:

- A number is its place in its range, in [0, 1], in the logarithm where the range is logarithmic;
  a whole number of few is itself.
- With an exact zero, the first ``zero`` of the coordinate is 0 and the rest is the range. So zero
  comes as often as stated, and lies next to the smallest values, which act much like it.
- A parameter that does not exist has the middle of its coordinate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from safr_study.settings import (
    SWITCH_SUFFIX,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    SearchSpace,
    Value,
    exists,
)

FEW = 16
"""Whole numbers up to so many are tried one by one by the GP's search, which is slow for more."""
ZERO_STEP = 0.15
"""An exact zero lies so far below its range, which is 1 wide."""


def box(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The coordinates by the parameters' names."""
    return {
        name: FloatDistribution(0.0, 1.0)
        if _is_placed(parameter)
        else drawn_from(name, parameter)[name]
        for name, parameter in space.parameters.items()
    }


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Distributions of all that a trial may draw, switches too, by name."""
    return {
        drawn: distribution
        for name, parameter in space.parameters.items()
        for drawn, distribution in drawn_from(name, parameter).items()
    }


def drawn_from(name: str, parameter: Parameter) -> dict[str, BaseDistribution]:
    """What a trial draws for one parameter: itself, and its switch if it has one."""
    if isinstance(parameter, CategoricalParameter):
        return {name: CategoricalDistribution(list(parameter.choices))}
    if isinstance(parameter, IntParameter):
        return {name: IntDistribution(parameter.low, parameter.high, log=parameter.log)}
    itself = FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    switch = {name + SWITCH_SUFFIX: FloatDistribution(0.0, 1.0)} if parameter.zero else {}
    return {**switch, name: itself}


def to_box(drawn: Mapping[str, Value], space: SearchSpace) -> dict[str, Value] | None:
    """The point of what a trial drew.

    Returns:
        ``None`` where a parameter that exists was not drawn, or lies outside its range: a baseline
        without VMASK has no place among lambdas.
    """
    point: dict[str, Value] = {}
    values: dict[str, Value] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        if not exists(name, parameter, values):
            point[name] = _middle(parameter)
            continue
        zero = _zero(parameter)
        switch, value = drawn.get(name + SWITCH_SUFFIX), drawn.get(name)
        if zero and switch is None:
            return None
        if switch is not None and float(switch) < zero:
            point[name], values[name] = float(switch), 0.0
        elif value is not None and parameter.holds(value):
            point[name], values[name] = _place(parameter, value), value
        else:
            return None
    return point


def from_box(point: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """What a trial at this point draws: the parameters that exist there, and their switches."""
    drawn: dict[str, Value] = {}
    values: dict[str, Value] = dict(space.fixed)
    for name, parameter in space.parameters.items():
        if not exists(name, parameter, values):
            continue
        place, zero = point[name], _zero(parameter)
        if zero:
            drawn[name + SWITCH_SUFFIX] = place
        if zero and float(place) < zero:
            values[name] = 0.0
        else:
            drawn[name] = values[name] = _value(parameter, place)
    return drawn


def at_unit(place: Sequence[float], space: SearchSpace) -> dict[str, Value]:
    """The point of the box at a place of the unit cube, of one coordinate for each parameter.

    Args:
        place: each in [0, 1).
        space: whose box it is.
    """
    found: dict[str, Value] = {}
    for (name, parameter), at in zip(space.parameters.items(), place, strict=True):
        if isinstance(parameter, CategoricalParameter):
            found[name] = parameter.choices[int(at * len(parameter.choices))]
        elif _is_placed(parameter):
            found[name] = float(at)
        else:
            assert isinstance(parameter, IntParameter)
            found[name] = parameter.low + int(at * (parameter.high - parameter.low + 1))
    return found


def unit_of(point: Mapping[str, Value], space: SearchSpace) -> tuple[float, ...]:
    """A place of the unit cube at which `at_unit` finds a point of the box."""
    found: list[float] = []
    for name, parameter in space.parameters.items():
        value = point[name]
        if isinstance(parameter, CategoricalParameter):
            found.append((parameter.choices.index(value) + 0.5) / len(parameter.choices))
        elif _is_placed(parameter):
            found.append(min(float(value), math.nextafter(1.0, 0.0)))
        else:
            assert isinstance(parameter, IntParameter)
            count = parameter.high - parameter.low + 1
            found.append((int(value) - parameter.low + 0.5) / count)
    return tuple(found)


def coordinates(point: Mapping[str, Value], space: SearchSpace) -> tuple[float, ...]:
    """A point of the box as numbers whose distances mean something.

    A range is [0, 1], however wide its zero is, which lies `ZERO_STEP` below it. Each choice of a
    categorical parameter has a coordinate: two points with different choices are 1 apart.
    """
    found: list[float] = []
    for name, parameter in space.parameters.items():
        place = point[name]
        if isinstance(parameter, CategoricalParameter):
            found += [math.sqrt(0.5) * (place == choice) for choice in parameter.choices]
        elif _is_placed(parameter):
            zero, here = _zero(parameter), float(place)
            found.append(-ZERO_STEP if here < zero else (here - zero) / (1 - zero))
        else:
            assert isinstance(parameter, IntParameter)
            found.append((int(place) - parameter.low) / max(1, parameter.high - parameter.low))
    return tuple(found)


def _is_placed(parameter: Parameter) -> TypeGuard[FloatParameter | IntParameter]:
    """Whether its coordinate is a place in [0, 1]."""
    if isinstance(parameter, IntParameter):
        return parameter.high - parameter.low >= FEW
    return isinstance(parameter, FloatParameter)


def _zero(parameter: Parameter) -> float:
    return parameter.zero if isinstance(parameter, FloatParameter) else 0.0


def _place(parameter: Parameter, value: Value) -> Value:
    """The coordinate of a value."""
    if not _is_placed(parameter):
        return value
    low, high = _ends(parameter)
    here = math.log(float(value)) if parameter.log else float(value)
    zero = _zero(parameter)
    inside = (here - low) / (high - low) if high > low else 0.5
    return float(np.clip(zero + (1 - zero) * inside, zero, 1.0))


def _value(parameter: Parameter, place: Value) -> Value:
    """The value at a coordinate."""
    if not _is_placed(parameter):
        return place
    low, high = _ends(parameter)
    zero = _zero(parameter)
    here = low + (float(place) - zero) / (1 - zero) * (high - low)
    value = math.exp(here) if parameter.log else here
    if isinstance(parameter, IntParameter):
        return min(max(round(value), parameter.low), parameter.high)
    return min(max(value, parameter.low), parameter.high)


def _ends(parameter: FloatParameter | IntParameter) -> tuple[float, float]:
    """Ends of the range, or of its logarithm; a whole number has half of one on either side."""
    half = 0.5 if isinstance(parameter, IntParameter) else 0.0
    low, high = parameter.low - half, parameter.high + half
    return (math.log(low), math.log(high)) if parameter.log else (low, high)


def _middle(parameter: Parameter) -> Value:
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[0]
    return 0.5 if _is_placed(parameter) else (parameter.low + parameter.high) // 2
