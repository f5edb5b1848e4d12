"""The ranked trials of a study as lines over its parameters and objectives."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safr_study.figures.canvas import (
    BLUE,
    DARK_GREY,
    GREY,
    LIGHT_GREY,
    VERMILLION,
    blank_figure,
    checked_suffix,
    save_figure,
    style,
)
from safr_study.records import RankedTrial, StudyResult
from safr_study.settings import Objective

_HEIGHT = 4.4
_AXIS_WIDTH, _LEAST_WIDTH = 1.7, 6.0
"""Inches."""
_TITLE_CHARACTERS = 72
_ABSENT = -0.12
"""Height of a parameter that a trial has not; the others are in [0, 1]."""
_WIDE = 10.0
"""A positive parameter that spans more than this factor is drawn by its logarithm."""


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    heights: NDArray[np.float64]
    """`[n]`: of the trials."""
    ticks: tuple[tuple[float, str], ...]
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
    checked_suffix(path)
    axes_of = _axes(result)
    with style():
        figure = blank_figure(max(_LEAST_WIDTH, _AXIS_WIDTH * len(axes_of)), _HEIGHT)
        axes = figure.subplots()
        axes.set_axis_off()
        if not result.ranked:
            axes.text(0.5, 0.5, "no ranked trial yet", transform=axes.transAxes, ha="center")
        # The front last, over the others.
        for row, ranked in reversed(list(enumerate(result.ranked))):
            colour, width, alpha = _look(ranked)
            heights = [axis.heights[row] for axis in axes_of]
            axes.plot(
                range(len(axes_of)),
                heights,
                color=colour,
                linewidth=width,
                alpha=alpha,
                gid=f"line-{ranked.trial.number}",
            )
        for place, axis in enumerate(axes_of):
            axes.plot([place] * 2, [0, 1], color=DARK_GREY, linewidth=1, gid=f"axis-{axis.name}")
            axes.text(place, 1.12, axis.name, ha="center", va="bottom", fontweight="bold")
            for height, text in axis.ticks:
                box = {"facecolor": "white", "edgecolor": LIGHT_GREY, "pad": 1.2, "alpha": 0.85}
                axes.text(place, height, text, ha="center", va="center", fontsize=8, bbox=box)
        axes.set(xlim=(-0.5, len(axes_of) - 0.5), ylim=(_ABSENT - 0.1, 1.25))
        title = textwrap.fill(f"Study {result.name} on {result.dataset}", _TITLE_CHARACTERS)
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        caption = "blue: the front; vermillion: its knee; grey: dominated; better is up"
        figure.supxlabel(caption, fontsize=8, color=DARK_GREY, gid="caption")
        save_figure(figure, path)


def _look(ranked: RankedTrial) -> tuple[str, float, float]:
    if ranked.knee:
        return VERMILLION, 2.2, 1.0
    return (BLUE, 1.6, 0.9) if ranked.on_front else (GREY, 0.9, 0.5)


def _axes(result: StudyResult) -> list[_Axis]:
    trials = [ranked.trial for ranked in result.ranked]
    names = dict.fromkeys(name for trial in trials for name in trial.parameters)
    found = [_parameter(name, [trial.parameters.get(name) for trial in trials]) for name in names]
    for place, name in enumerate(result.objectives):
        objective = Objective(name=name)
        values = np.array([(trial.values or ())[place] for trial in trials], np.float64)
        found.append(_objective(objective, values))
    # An axis on which all are equal says nothing.
    return [axis for axis in found if len(axis.ticks) > 1] or found


def _objective(objective: Objective, values: NDArray[np.float64]) -> _Axis:
    heights = _scaled(objective.sign * values)
    ends = _ends(values, heights)
    return _Axis(objective.label, heights, tuple((h, f"{v:.4g}") for h, v in ends))


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
    ticks = [(_ABSENT, "none")] if np.isnan(values).any() else []
    if logarithmic:
        # The lowest tenth of the axis is for exact zeros.
        heights[values > 0] = 0.1 + 0.9 * _scaled(np.log(positive))
        heights[values == 0] = 0.0
        ticks += [(0.0, "0")] if (values == 0).any() else []
        ticks += [(h, f"{v:.3g}") for h, v in _ends(positive, heights[values > 0])]
    else:
        known = ~np.isnan(values)
        heights[known] = _scaled(values[known])
        ticks += [(h, f"{v:.3g}") for h, v in _ends(values[known], heights[known])]
    return _Axis(name, heights, tuple(ticks))


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """To [0, 1]; equal values to the middle."""
    width = np.ptp(values) if len(values) else 0.0
    return (values - values.min()) / width if width > 0 else np.full(len(values), 0.5)


def _ends(values: NDArray[np.float64], heights: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Height and value of the lowest and the highest."""
    if not len(values):
        return []
    pairs = {
        (float(heights[row]), float(values[row])) for row in (values.argmin(), values.argmax())
    }
    return sorted(pairs)
