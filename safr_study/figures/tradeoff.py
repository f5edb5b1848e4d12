"""Accuracy against SRS: our rows of a table with intervals, the paper's, and both fronts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    VERMILLION,
    Point,
    add_grid,
    front_corners,
    page,
)
from safr_study.figures.labels import Label, place_labels

_WIDTH, _HEIGHT = 10.6, 5.0
"""Inches: two panels next to each other, on one scale."""


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One row of a table; percentage points."""

    name: str
    accuracy: float
    srs: float
    on_front: bool
    accuracy_interval: tuple[float, float] | None = None
    """Its ends; ``None``: not known, as for the paper's single runs."""
    srs_interval: tuple[float, float] | None = None
    saturated: bool = False
    """Some run's predictions collapsed without the top tokens."""


def tradeoff_figure(
    ours: Sequence[TradeoffPoint],
    paper: Sequence[TradeoffPoint],
    path: Path,
    *,
    title: str,
    caption: str = "",
) -> None:
    """Draw SRS over accuracy in two panels with the same axes: our runs, and the paper's numbers.

    The step line is the front, what lies below it is dominated; bars are intervals. Rows are
    numbered from 1 in their order, the legend names them. The artists have ids in an SVG:
    ``front-SIDE``, ``row-SIDE-NUMBER``, ``saturated-SIDE``, ``label-SIDE-NUMBER`` with SIDE
    ``ours`` or ``paper``, and ``caption``.

    Args:
        ours: at least one row.
        paper: the same rows.
        path: ends in .png or .svg; its folder exists.
        title: of the page.
        caption: under it.

    Raises:
        BadInput: another suffix.
    """
    with page(path, _WIDTH, _HEIGHT, title=title, caption=caption) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        panels = ((left, "ours", ours, BLUE), (right, "paper", paper, VERMILLION))
        _set_limits(left, [*ours, *paper])
        for axes, side, points, colour in panels:
            axes.set_title("ours" if side == "ours" else "the paper", loc="left", fontsize=9)
            axes.set_xlabel("test accuracy (%)")
            add_grid(axes)
            _draw(axes, side, points, colour)
        left.set_ylabel("SRS(30) on test (percentage points)")
        _add_legend(figure, left, [point.name for point in ours])
        # Labels are placed in pixels, so the layout must be final.
        figure.draw_without_rendering()
        for axes, side, points, colour in panels:
            _label(axes, side, points, colour)


def _set_limits(axes: Axes, points: Sequence[TradeoffPoint]) -> None:
    xs = [value for point in points for value in (point.accuracy_interval or (point.accuracy,))]
    ys = [value for point in points for value in (point.srs_interval or (point.srs,))]
    for values, put in ((xs, axes.set_xlim), (ys, axes.set_ylim)):
        margin = max(0.06 * (max(values) - min(values)), 0.5)
        put(min(values) - margin, max(values) + margin)


def _draw(axes: Axes, side: str, points: Sequence[TradeoffPoint], colour: str) -> None:
    corners = _corners(axes, points)
    xs, ys = zip(*corners, strict=True)
    axes.plot(xs, ys, color=colour, linewidth=1.3, gid=f"front-{side}")
    axes.fill_between(xs, ys, axes.get_ylim()[0], color=colour, alpha=0.06, linewidth=0)
    numbered = list(enumerate(points, start=1))
    for number, point in sorted(numbered, key=lambda pair: pair[1].on_front):
        shade = colour if point.on_front else GREY
        _bars(axes, point, shade)
        axes.plot(
            point.accuracy,
            point.srs,
            "o",
            markersize=6.5 if point.on_front else 5.0,
            markerfacecolor="white" if point.saturated else shade,
            markeredgecolor=shade,
            gid=f"row-{side}-{number}",
            zorder=4,
        )
    collapsed = [(point.accuracy, point.srs) for point in points if point.saturated]
    if collapsed:
        axes.plot(
            *zip(*collapsed, strict=True),
            "x",
            markersize=9,
            color=BLACK,
            gid=f"saturated-{side}",
            zorder=5,
            linestyle="none",
        )
    if side == "ours":
        _name_signs(axes, bool(collapsed))


def _bars(axes: Axes, point: TradeoffPoint, colour: str) -> None:
    line: dict[str, Any] = {"color": colour, "linewidth": 0.9, "alpha": 0.6, "zorder": 3}
    if point.accuracy_interval is not None:
        axes.plot(point.accuracy_interval, (point.srs, point.srs), **line)
    if point.srs_interval is not None:
        axes.plot((point.accuracy, point.accuracy), point.srs_interval, **line)


def _name_signs(axes: Axes, collapsed: bool) -> None:
    """Empty artists for the legend."""
    signs: list[tuple[str, dict[str, Any]]] = [
        ("on our front", {"marker": "o", "color": BLUE, "linestyle": "-"}),
        ("on the paper's front", {"marker": "o", "color": VERMILLION, "linestyle": "-"}),
        ("dominated", {"marker": "o", "color": GREY, "linestyle": "none"}),
    ]
    if collapsed:
        signs.append(
            (
                "saturated: one class\nhas over 95 % of\nthe predictions",
                {"marker": "x", "color": BLACK, "linestyle": "none"},
            )
        )
    for name, look in signs:
        axes.plot([], [], label=name, **look)


def _add_legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """The signs, then the rows by their numbers."""
    handles, signs = axes.get_legend_handles_labels()
    blank = Line2D([], [], linestyle="none")
    key = [f"{number}  {name}" for number, name in enumerate(names, start=1)]
    figure.legend(
        [*handles, *[blank] * len(key)],
        [*signs, *key],
        loc="outside right center",
        frameon=False,
        labelspacing=0.4,
    )


def _label(axes: Axes, side: str, points: Sequence[TradeoffPoint], colour: str) -> None:
    labels = [
        Label(
            point.accuracy,
            point.srs,
            text=str(number),
            gid=f"label-{side}-{number}",
            colour=colour if point.on_front else DARK_GREY,
            importance=0 if point.on_front else 1,
            required=True,
        )
        for number, point in enumerate(points, start=1)
    ]
    centres = [(point.accuracy, point.srs) for point in points]
    place_labels(axes, labels, centres, [_corners(axes, points)])


def _corners(axes: Axes, points: Sequence[TradeoffPoint]) -> list[Point]:
    return front_corners(axes, [(one.accuracy, one.srs) for one in points if one.on_front])
