"""Our rows of the paper's tables next to the paper's: accuracy against SRS, means of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    SERIES,
    VERMILLION,
    WHITE,
    Ends,
    Look,
    Page,
    Point,
    add_grid,
    add_legend,
    cross_saturated,
    draw_front,
    draw_intervals,
    set_plane,
)
from safr_study.figures.labels import Label, place_labels
from safr_study.settings import Objective

_TRADEOFF_WIDTH, _TRADEOFF_HEIGHT = 10.6, 5.0
"""Inches: two panels next to each other, on one scale."""
_MEANS_WIDTH, _MEANS_HEIGHT = 8.4, 4.2
_SPREAD = 0.5
"""Width that the readings of one group take, of the distance between two groups."""


@dataclass(frozen=True, slots=True)
class TradeoffPoint:
    """One row of a table; percentage points."""

    name: str
    at: Point
    """Accuracy and SRS."""
    on_front: bool
    intervals: tuple[Ends | None, Ends | None] = (None, None)
    """Those of the two; ``None``: not known, as for the paper's single runs."""
    saturated: bool = False
    """Some run's predictions collapsed without the top tokens."""


Means = Mapping[str, Sequence[tuple[float, Ends | None]]]
"""Values of each reading, one per group, in [0, 1], with the ends of its interval."""


def tradeoff_figure(
    ours: Sequence[TradeoffPoint], paper: Sequence[TradeoffPoint], page: Page
) -> None:
    """Draw SRS over accuracy in two panels with the same axes: our runs, and the paper's numbers.

    The step line is the front, what lies below it is dominated; bars are intervals. Rows are
    numbered from 1 in their order, the legend names them. The artists have ids in an SVG:
    ``front-SIDE``, ``row-SIDE-NUMBER``, ``saturated-SIDE``, ``label-SIDE-NUMBER`` with SIDE
    ``ours`` or ``paper``, and ``caption``.

    Args:
        ours: at least one row.
        paper: the same rows.
        page: the picture's file and its words.

    Raises:
        BadInput: another suffix.
    """
    with page.figure(_TRADEOFF_WIDTH, _TRADEOFF_HEIGHT) as figure:
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        room = [corner for point in (*ours, *paper) for corner in _corners(point)]
        set_plane(left, (Objective(name="accuracy"), Objective(name="srs@30")), room)
        left.set(ylabel="SRS(30) on test (percentage points)")
        panels = ((left, "ours", ours, BLUE), (right, "paper", paper, VERMILLION))
        names = {"ours": "ours", "paper": "the paper"}
        fronts = []
        for axes, side, points, colour in panels:
            axes.set_title(names[side], loc="left", fontsize=9)
            axes.set_xlabel("test accuracy (%)")
            add_grid(axes)
            fronts.append(_draw_rows(axes, side, points, colour))
        for number, point in enumerate(ours, start=1):
            right.plot([], [], linestyle="none", label=f"{number}  {point.name}")
        add_legend(figure, left, right)
        # Labels are placed in pixels, so the layout must be final.
        figure.draw_without_rendering()
        for (axes, side, points, colour), front in zip(panels, fronts, strict=True):
            labels = [
                Label(
                    *point.at,
                    text=str(number),
                    gid=f"label-{side}-{number}",
                    colour=colour if point.on_front else DARK_GREY,
                    importance=0 if point.on_front else 1,
                )
                for number, point in enumerate(points, start=1)
            ]
            place_labels(axes, labels, [point.at for point in points], [front])


def means_figure(
    groups: Sequence[str],
    readings: Means,
    paper: Sequence[float] | None,
    page: Page,
    *,
    axis: str = "mean capacity at FFN1",
) -> None:
    """Draw the value of each group: a dot per reading, a line for the paper's.

    The artists have ids in an SVG: ``reading-NAME``, ``paper``, ``caption``.

    Args:
        groups: their names, as many as each reading has values.
        readings: ours.
        paper: the paper's value of each group; ``None``: it has none.
        page: the picture's file and its words.
        axis: name of the values.

    Raises:
        BadInput: another suffix.
    """
    with page.figure(_MEANS_WIDTH, _MEANS_HEIGHT) as figure:
        axes: Axes = figure.subplots()
        axes.set_ylabel(axis)
        add_grid(axes, "y")
        places = range(len(groups))
        if paper is not None:
            ends = [place - 0.36 for place in places], [place + 0.36 for place in places]
            axes.hlines(paper, *ends, color=BLACK, linewidth=1.6, label="the paper", gid="paper")
        for number, (name, values) in enumerate(readings.items()):
            shift = _SPREAD * ((number + 0.5) / len(readings) - 0.5)
            colour, marker, _ = SERIES[number % len(SERIES)]
            xs = [place + shift for place in places]
            for x, (value, interval) in zip(xs, values, strict=True):
                draw_intervals(axes, (x, value), (None, interval), color=colour, linewidth=1.2)
            look: Look = {"color": colour, "markersize": 6, "gid": f"reading-{name}"}
            axes.plot(xs, [value for value, _ in values], marker, label=name, **look)
        axes.set_xticks(list(places), list(groups))
        axes.set_ylim(bottom=0)
        add_legend(figure, axes)


def _corners(point: TradeoffPoint) -> list[Point]:
    """Two corners of the box of a row's intervals."""
    pairs = zip(point.at, point.intervals, strict=True)
    (left, right), (low, high) = ((at, at) if ends is None else ends for at, ends in pairs)
    return [(left, low), (right, high)]


def _draw_rows(axes: Axes, side: str, points: Sequence[TradeoffPoint], colour: str) -> list[Point]:
    """The front's line, the intervals and the rows; returns the line's corners."""
    members = [point.at for point in points if point.on_front]
    front: Look = {"color": colour, "linewidth": 1.3, "gid": f"front-{side}"}
    corners = draw_front(axes, members, tint=0.06, **front)
    numbered = list(enumerate(points, start=1))
    on_front = {"ours": "on our front", "paper": "on the paper's front"}[side]
    for number, point in sorted(numbered, key=lambda pair: pair[1].on_front, reverse=True):
        shade = colour if point.on_front else GREY
        bars: Look = {"color": shade, "linewidth": 0.9, "alpha": 0.6, "zorder": 3}
        draw_intervals(axes, point.at, point.intervals, **bars)
        axes.plot(
            *point.at,
            "o",
            markersize=6.5 if point.on_front else 5.0,
            markerfacecolor=WHITE if point.saturated else shade,
            markeredgecolor=shade,
            gid=f"row-{side}-{number}",
            zorder=4.1 if point.on_front else 4,
            label=on_front if point.on_front else "dominated",
        )
    cross_saturated(axes, [p.at for p in points if p.saturated], f"saturated-{side}")
    return corners
