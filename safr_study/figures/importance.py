"""Importance of hyperparameters for an objective: bars in units of chance."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from safr_study.figures.canvas import BLUE, DARK_GREY, GREY, Chart, chart
from safr_study.records.study import Importance
from safr_study.settings import Objective

_WIDTH, _ROW, _REST = 4.6, 0.27, 0.75
"""Inches: of the chart, of a bar, and what the axis needs beside the bars."""
_LEAST_END = 1.6
"""Right end of the axis at least, so that the level of chance is seen."""


def importance_chart(importance: Sequence[Importance]) -> Chart:
    """Bars of the parameters of one objective, the strongest on top, for an HTML page.

    The line at 1 is the level of chance; what lies below is grey. The artists have the ids
    ``parameter-PLACE``, the row of a bar, from 0 in the order given, and ``chance``.

    Args:
        importance: of one objective, at least one.
    """
    return chart(_WIDTH, _REST + _ROW * len(importance), lambda axes: _draw(axes, importance))


def _draw(axes: Axes, importance: Sequence[Importance]) -> None:
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
