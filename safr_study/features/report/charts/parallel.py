"""Parallel coordinates: one line for each trial through its settings and its objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from safr_study.features.report.charts.drawing import Frame, Scale, chart, line, padded, short, text
from safr_study.records import RankedTrial, StudyResult
from safr_study.render.format import trial_sentence, values_of
from safr_study.settings import (
    POINTS,
    CategoricalParameter,
    FloatParameter,
    Objective,
    Parameter,
    SearchSpace,
    Value,
)

_HEIGHT, _LEAST_WIDTH, _BETWEEN = 380.0, 720.0, 130.0
_ABSENT = "none"
"""Of a parameter that a trial does not have."""
_ROOM = 0.1
"""Share of an axis for an exact zero, and for trials without the parameter."""


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    place: Callable[[Value | None], float]
    """From a value to a pixel."""
    ticks: Sequence[tuple[float, str]]


def parallel_chart(result: StudyResult, space: SearchSpace) -> str:
    """Every ranked trial as a line; members of the front are drawn on top.

    Axes: the parameters that vary, then the objectives with better upwards. An exact zero and a
    parameter that does not exist have places of their own below the range.

    Args:
        result: with at least one ranked trial.
        space: that was searched.
    """
    objectives = tuple(Objective(name=name) for name in result.objectives)
    trials = [ranked.trial for ranked in result.ranked]
    names = [n for n in space.parameters if len({t.parameters.get(n) for t in trials}) > 1]
    width = max(_LEAST_WIDTH, _BETWEEN * (len(names) + len(objectives) - 1) + 120)
    frame = Frame(width, _HEIGHT, left=60, right=60, top=44, bottom=20)
    axes = [
        _of_parameter(name, space.parameters[name], [t.parameters.get(name) for t in trials], frame)
        for name in names
    ]
    axes += [
        _of_objective(objective, [values_of(ranked)[place] for ranked in result.ranked], frame)
        for place, objective in enumerate(objectives)
    ]
    across = Scale(0, max(1, len(axes) - 1), *frame.x_range)
    parts = []
    order = sorted(result.ranked, key=lambda r: (r.knee, r.on_front, r.trial.baseline is not None))
    for ranked in order:
        trial = ranked.trial
        values: list[Value | None] = [trial.parameters.get(name) for name in names]
        values += values_of(ranked)
        points = [
            (across(i), axis.place(v)) for i, (axis, v) in enumerate(zip(axes, values, strict=True))
        ]
        sentence = trial_sentence(ranked, objectives)
        parts.append(line(points, _kind(ranked), sentence=sentence, trial=trial.number))
    # On top, so that no line strikes a number out.
    for place, axis in enumerate(axes):
        x = across(place)
        bottom, top = frame.y_range
        parts.append(line([(x, bottom), (x, top)], "axis"))
        anchor = "start" if place == 0 else "end" if place == len(axes) - 1 else "middle"
        parts.append(text((x, 18), axis.name, "name", anchor))
        for y, shown in axis.ticks:
            parts.append(line([(x - 3, y), (x + 3, y)], "axis"))
            parts.append(text((x + 7, y + 4), shown, "tick over"))
    label = f"Settings and objectives of {len(order)} trials as lines"
    return chart("parallel", frame, label, parts)


def _kind(ranked: RankedTrial) -> str:
    if ranked.knee:
        return "thread knee"
    if ranked.on_front:
        return "thread member"
    return "thread base" if ranked.trial.baseline is not None else "thread other"


def _of_parameter(
    name: str, parameter: Parameter, values: Sequence[Value | None], frame: Frame
) -> _Axis:
    bottom, top = frame.y_range
    ticks: list[tuple[float, str]] = []
    room = _ROOM * (bottom - top)
    absent = bottom
    if None in values:
        ticks.append((absent, _ABSENT))
        bottom -= room
    if isinstance(parameter, CategoricalParameter):
        places = dict(
            zip(parameter.choices, _spread(len(parameter.choices), bottom, top), strict=True)
        )
        ticks += [(y, str(choice)) for choice, y in places.items()]
        return _Axis(name, lambda v: absent if v is None else places.get(v, absent), ticks)
    numbers = [float(v) for v in values if v is not None]
    zero = bottom
    apart = isinstance(parameter, FloatParameter) and (parameter.log or parameter.zero > 0)
    if apart and 0.0 in numbers:
        ticks.append((zero, "0"))
        bottom -= room
    outside = [v for v in numbers if v > 0 or not apart]
    low, high = min([parameter.low, *outside]), max([parameter.high, *outside])
    function = math.log10 if parameter.log else float
    scale = Scale(function(low), function(high), bottom, top)
    if parameter.log:
        decades = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        marks = [10.0**power for power in decades] or [low, high]
    else:
        marks = scale.ticks(5)
    ticks += [(scale(function(value)), short(value)) for value in marks]

    def place(value: Value | None) -> float:
        if value is None:
            return absent
        if apart and float(value) == 0:
            return zero
        return scale(function(float(value)))

    return _Axis(name, place, ticks)


def _of_objective(objective: Objective, values: Sequence[float], frame: Frame) -> _Axis:
    bottom, top = frame.y_range
    least = 0.5 if objective.measure.unit == POINTS else 1e-3
    low, high = padded(values, least=least, share=0.03)
    scale = Scale(low, high, bottom, top) if objective.maximise else Scale(low, high, top, bottom)
    ticks = [(scale(value), short(value)) for value in scale.ticks(5)]
    return _Axis(objective.label, lambda v: scale(float(v or 0)), ticks)


def _spread(count: int, bottom: float, top: float) -> list[float]:
    if count == 1:
        return [(bottom + top) / 2]
    return [bottom + (top - bottom) * place / (count - 1) for place in range(count)]
