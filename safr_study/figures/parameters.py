"""Hyperparameters of a study: its trials as lines over them, and how much each one matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    VERMILLION,
    WHITE,
    Chart,
    Page,
    add_legend,
    chart,
    say_empty,
)
from safr_study.records import RankedTrial, StudyResult
from safr_study.records.study import Importance
from safr_study.settings import Objective

_HEIGHT = 4.4
_AXIS_WIDTH, _LEAST_WIDTH = 1.7, 6.0
_CHART_AXIS_WIDTH, _CHART_HEIGHT = 1.25, 3.8
"""Inches; the chart is that of an HTML page."""
_BARS_WIDTH, _BAR, _BARS_REST = 4.6, 0.27, 0.75
"""Inches of the chart of importance, of a bar, and what the axis needs beside the bars."""
_LEAST_END = 1.6
"""Right end of its axis at least, so that the level of chance is seen."""
_ABSENT = -0.12
"""Height of a parameter that a trial does not have; the others are in [0, 1]."""
_WIDE = 10.0
"""A positive parameter that spans more than this factor is drawn by its logarithm."""
_LOOKS = {
    "knee": (VERMILLION, "-", 2.2, 1.0),
    "compromise": (VERMILLION, (0, (6, 2)), 2.2, 1.0),
    "on the front": (BLUE, "-", 1.6, 0.9),
    "baseline": (BLACK, (0, (5, 3)), 1.4, 0.9),
    "dominated": (GREY, "-", 0.9, 0.5),
}
"""Colour, line, width and opacity of the trials, what is drawn on top first."""

_Ticks = tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    heights: NDArray[np.float64]
    """`[n]`: of the trials."""
    ticks: _Ticks
    """Height and text."""


def parallel_figure(result: StudyResult, path: Path) -> None:
    """Draw one line per ranked trial through its parameters and its objectives.

    An exact zero has a place of its own under a logarithmic axis, and so has what a trial lacks;
    better is up on the objectives' axes. The artists have ids in an SVG: ``line-NUMBER``,
    ``axis-NAME``, ``caption``.

    Args:
        result: a study; no ranked trial gives an empty page that says so.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    scales = _axes(result)
    width = max(_LEAST_WIDTH, _AXIS_WIDTH * len(scales))
    title = f"Study {result.name} on {result.dataset}"
    caption = "better is up on the axes of the objectives"
    with Page(path, title, caption).figure(width, _HEIGHT) as figure:
        axes = figure.subplots()
        _draw(axes, result, scales)
        add_legend(figure, axes)


def parallel_chart(result: StudyResult) -> Chart:
    """The picture of `parallel_figure` for an HTML page.

    Args:
        result: with at least one ranked trial.
    """
    scales = _axes(result)
    width = max(_LEAST_WIDTH, _CHART_AXIS_WIDTH * len(scales))
    return chart(width, _CHART_HEIGHT, lambda axes: _draw(axes, result, scales))


def importance_chart(importance: Sequence[Importance]) -> Chart:
    """Bars of the parameters of one objective, the strongest on top, for an HTML page.

    The line at 1 is the level of chance; what lies below is grey. The artists have the ids
    ``parameter-PLACE``, the row of a bar, from 0 in the order given, and ``chance``.

    Args:
        importance: of one objective, at least one.
    """
    return chart(
        _BARS_WIDTH,
        _BARS_REST + _BAR * len(importance),
        lambda axes: _draw_importance(axes, importance),
    )


def _draw(axes: Axes, result: StudyResult, scales: Sequence[_Axis]) -> None:
    axes.set_axis_off()
    if not result.ranked:
        say_empty(axes, "no ranked trial yet")
        return
    kinds = list(_LOOKS)
    rows = [(_kind(ranked), row) for row, ranked in enumerate(result.ranked)]
    # What matters most is drawn last, on top.
    for kind, row in sorted(rows, key=lambda pair: (-kinds.index(pair[0]), -pair[1])):
        colour, line, width, alpha = _LOOKS[kind]
        axes.plot(
            range(len(scales)),
            [scale.heights[row] for scale in scales],
            color=colour,
            linestyle=line,
            linewidth=width,
            alpha=alpha,
            label=kind,
            gid=f"line-{result.ranked[row].trial.number}",
        )
    for place, scale in enumerate(scales):
        axes.plot([place] * 2, [0, 1], color=DARK_GREY, linewidth=1, gid=f"axis-{scale.name}")
        axes.text(place, 1.07, scale.name, ha="center", va="bottom", fontweight="bold")
        for height, text in scale.ticks:
            box = {"facecolor": WHITE, "linewidth": 0, "pad": 1.2, "alpha": 0.8}
            axes.text(place, height, text, ha="center", va="center", fontsize=8, bbox=box)
    axes.set(xlim=(-0.3, len(scales) - 0.7), ylim=(_ABSENT - 0.05, 1.15))


def _draw_importance(axes: Axes, importance: Sequence[Importance]) -> None:
    objective = Objective(name=importance[0].objective)
    order = sorted(range(len(importance)), key=lambda place: -importance[place].strength)
    end = max(_LEAST_END, *(1.05 * one.strength for one in importance))
    for row, place in enumerate(order):
        strength = importance[place].strength
        axes.barh(row, strength, height=0.62, color=BLUE if strength > 1 else GREY)
        # A short bar is pointed at along its whole row.
        axes.barh(row, end, height=0.96, color="none", gid=f"parameter-{place}")
    axes.axvline(1, color=DARK_GREY, linestyle="--", linewidth=1, gid="chance")
    axes.set_yticks(range(len(order)), [importance[place].parameter for place in order])
    axes.tick_params(axis="y", length=0)
    axes.set(
        xlim=(0, end),
        ylim=(len(order) - 0.5, -0.5),
        xlabel=f"importance for {objective.label} (1 = chance)",
    )


def _kind(ranked: RankedTrial) -> str:
    if ranked.choice is not None:
        return ranked.choice
    if ranked.on_front:
        return "on the front"
    return "dominated" if ranked.trial.baseline is None else "baseline"


def _axes(result: StudyResult) -> list[_Axis]:
    trials = [ranked.trial for ranked in result.ranked]
    names = dict.fromkeys(name for trial in trials for name in trial.parameters)
    axes = [_parameter(name, [trial.parameters.get(name) for trial in trials]) for name in names]
    for place, name in enumerate(result.objectives):
        objective = Objective(name=name)
        values = np.array([ranked.objectives[place] for ranked in result.ranked], np.float64)
        heights = _scaled(objective.sign * values)
        axes.append(_Axis(objective.label, heights, _ticks(values, heights)))
    # An axis on which all are equal says nothing.
    return [axis for axis in axes if len(axis.ticks) > 1] or axes


def _parameter(name: str, values: Sequence[object]) -> _Axis:
    numbers = [
        float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan
        for value in values
    ]
    if all(value is None or np.isfinite(one) for value, one in zip(values, numbers, strict=True)):
        return _numeric(name, np.array(numbers, np.float64))
    choices = sorted({str(value) for value in values})
    step = 1 / max(1, len(choices) - 1)
    heights = np.array([step * choices.index(str(value)) for value in values])
    return _Axis(name, heights, tuple((step * n, text) for n, text in enumerate(choices)))


def _numeric(name: str, values: NDArray[np.float64]) -> _Axis:
    positive = values[values > 0]
    logarithmic = bool(len(positive)) and positive.max() / positive.min() > _WIDE
    logarithmic &= not (values < 0).any()
    heights = np.full(len(values), _ABSENT)
    ticks: _Ticks = ((_ABSENT, "none"),) if np.isnan(values).any() else ()
    if logarithmic:
        # The lowest tenth of the axis is for exact zeros.
        heights[values > 0] = 0.1 + 0.9 * _scaled(np.log(positive))
        heights[values == 0] = 0.0
        ticks += ((0.0, "0"),) if (values == 0).any() else ()
        ticks += _ticks(positive, heights[values > 0], logarithmic=True)
    else:
        known = ~np.isnan(values)
        heights[known] = _scaled(values[known])
        ticks += _ticks(values[known], heights[known])
    return _Axis(name, heights, ticks)


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values scaled to [0, 1]; equal values to the middle."""
    width = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / width if width > 0 else np.full(len(values), 0.5)


def _ticks(
    values: NDArray[np.float64], heights: NDArray[np.float64], *, logarithmic: bool = False
) -> _Ticks:
    """Heights and texts of round values in the range, of its two ends where there are too few."""
    if not len(values):
        return ()
    low, high = values.min(), values.max()
    if low == high:
        return ((float(heights[0]), f"{low:.4g}"),)
    locator = LogLocator(numticks=6) if logarithmic else MaxNLocator(5)
    marks = [mark for mark in locator.tick_values(low, high) if low <= mark <= high]
    if len(marks) < 2:
        marks = [low, high]
    scale = np.log if logarithmic else np.asarray
    ends = heights[values.argmin()], heights[values.argmax()]
    at = np.interp(scale(marks), scale([low, high]), ends)
    return tuple((float(y), f"{mark:.4g}") for y, mark in zip(at, marks, strict=True))
