"""Accuracy and SRS against the share of deleted tokens (the paper's Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    DARK_GREY,
    SERIES,
    WHITE,
    Chart,
    Ends,
    Look,
    Page,
    add_grid,
    add_legend,
    chart,
    cross_saturated,
)

_WIDTH, _HEIGHT = 8.4, 4.6
_CHART_WIDTH, _CHART_HEIGHT = 4.6, 2.9
"""Inches; the chart is that of an HTML page."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: a model under one kind of deletion. All sequences are of one length."""

    name: str
    """Name of the model; its lines share a colour and a marker."""
    shares: tuple[float, ...]
    """k, ascending, in [0, 1]."""
    values: tuple[float, ...]
    """Percentage points, one for each share."""
    deletion: Literal["top", "random"] = "top"
    intervals: tuple[Ends, ...] = ()
    """Ends of each value's interval; none: not drawn."""
    paper: tuple[float | None, ...] = ()
    """The paper's value at the same k, where it has one."""
    saturated: tuple[bool, ...] = ()
    """True where the predictions have collapsed at that share; none: not told."""


def curves_figure(curves: Sequence[Curve], page: Page) -> None:
    """Draw accuracy against k: solid for top deletions, dashed for random ones, bands = intervals.

    The paper's numbers are stars, filled for top deletions. The artists have ids in an SVG:
    ``curve-ID``, ``points-ID``, ``band-ID`` and ``paper-ID`` with ID NAME-DELETION, ``caption``.

    Args:
        curves: at least one.
        page: the picture's file and its words.

    Raises:
        BadInput: another suffix.
    """
    with page.figure(_WIDTH, _HEIGHT) as figure:
        axes: Axes = figure.subplots()
        axes.set(xlabel="tokens deleted, k (%)", ylabel="test accuracy (%)")
        add_grid(axes)
        names = list(dict.fromkeys(curve.name for curve in curves))
        for curve in curves:
            place, line = names.index(curve.name), "-" if curve.deletion == "top" else "--"
            name = f"{curve.name}, {curve.deletion}"
            _draw(axes, curve, place, line, name, f"{curve.name}-{curve.deletion}")
        if any(value is not None for curve in curves for value in curve.paper):
            axes.plot([], [], label="the paper\n(filled: top)", **_star(DARK_GREY, filled=False))
        axes.set_xticks([100 * share for share in curves[0].shares])
        add_legend(figure, axes)


def curves_chart(curves: Sequence[Curve], name: str) -> Chart:
    """Draw the models' values against k for an HTML page.

    The artists have the ids ``curve-PLACE``, from 0, and ``points-PLACE``, one marker per share.

    Args:
        curves: at least one, of top deletions.
        name: of the vertical axis.
    """

    def draw(axes: Axes) -> None:
        axes.set(xlabel="words deleted, highest capacity first (%)", ylabel=name)
        add_grid(axes)
        for place, curve in enumerate(curves):
            _draw(axes, curve, place, SERIES[place % len(SERIES)][2], curve.name, str(place))

    return chart(_CHART_WIDTH, _CHART_HEIGHT, draw)


def _draw(axes: Axes, curve: Curve, place: int, line: str, name: str, gid: str) -> None:
    colour, marker, _ = SERIES[place % len(SERIES)]
    top = curve.deletion == "top"
    percent = [100 * share for share in curve.shares]
    points = list(zip(percent, curve.values, strict=True))
    if curve.intervals:
        low, high = zip(*curve.intervals, strict=True)
        band: Look = {"color": colour, "alpha": 0.18 if top else 0.08, "linewidth": 0}
        axes.fill_between(percent, low, high, gid=f"band-{gid}", **band)
    axes.plot(percent, curve.values, color=colour, linestyle=line, gid=f"curve-{gid}")
    sign: Look = {
        "color": colour,
        "marker": marker,
        "markersize": 5,
        "markerfacecolor": colour if top else WHITE,
        "zorder": 4 if top else 3,
    }
    axes.plot(percent, curve.values, linestyle="none", gid=f"points-{gid}", **sign)
    axes.plot([], [], linestyle=line, label=name, **sign)
    known = [
        (k, value) for k, value in zip(percent, curve.paper, strict=False) if value is not None
    ]
    if known:
        star = _star(colour, filled=top)
        axes.plot(*zip(*known, strict=True), gid=f"paper-{gid}", zorder=5, **star)
    bad = [point for point, saturated in zip(points, curve.saturated, strict=False) if saturated]
    cross_saturated(axes, bad)


def _star(colour: str, *, filled: bool) -> Look:
    """Looks of a number of the paper."""
    return {
        "marker": "*",
        "markersize": 11,
        "markeredgecolor": DARK_GREY if filled else colour,
        "markeredgewidth": 0.7 if filled else 1.2,
        "markerfacecolor": colour if filled else WHITE,
        "linestyle": "none",
    }
