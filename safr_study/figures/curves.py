"""Accuracy and SRS against the share of deleted tokens (the paper's Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    ORANGE,
    PURPLE,
    SERIES,
    SKY,
    VERMILLION,
    Chart,
    add_grid,
    chart,
    page,
)

_COLOURS = (DARK_GREY, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "osD^vpP"
_WIDTH, _HEIGHT = 8.4, 4.6
_CHART_WIDTH, _CHART_HEIGHT = 4.6, 2.9
"""Inches; the chart is that of an HTML page."""


@dataclass(frozen=True, slots=True)
class AccuracyCurve:
    """One line: a model under one kind of deletion. All sequences are of one length."""

    name: str
    """Name of the model; its two lines share a colour."""
    deletion: Literal["top", "random"]
    shares: tuple[float, ...]
    """k, ascending, in [0, 1]."""
    accuracy: tuple[float, ...]
    """Percentage points."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Upper ends of the interval."""
    paper: tuple[float | None, ...]
    """The paper's accuracy at the same k, where it has one."""


@dataclass(frozen=True, slots=True)
class ModelCurve:
    """One line of a chart: a model whose words of the highest capacity are deleted."""

    name: str
    shares: tuple[float, ...]
    """k, ascending, in [0, 1]."""
    values: tuple[float, ...]
    """Percentage points, one for each share."""
    saturated: tuple[bool, ...]
    """True where the predictions have collapsed at that share."""


def curves_figure(
    curves: Sequence[AccuracyCurve], path: Path, *, title: str, caption: str = ""
) -> None:
    """Draw accuracy against k: solid for top deletions, dashed for random ones, bands = intervals.

    The paper's numbers are hollow markers. The artists have ids in an SVG: ``curve-NAME-DELETION``,
    ``band-NAME-DELETION``, ``paper-NAME-DELETION``, ``caption``.

    Args:
        curves: at least one.
        path: ends in .png or .svg; its folder exists.
        title: of the page.
        caption: under it.

    Raises:
        BadInput: another suffix.
    """
    with page(path, _WIDTH, _HEIGHT, title=title, caption=caption) as figure:
        axes: Axes = figure.subplots()
        axes.set(xlabel="tokens deleted, k (%)", ylabel="test accuracy (%)")
        add_grid(axes)
        names = list(dict.fromkeys(curve.name for curve in curves))
        for curve in curves:
            place = names.index(curve.name) % len(_COLOURS)
            _draw(axes, curve, _COLOURS[place], _MARKERS[place])
        if any(value is not None for curve in curves for value in curve.paper):
            axes.plot(
                [],
                [],
                "*",
                markersize=9,
                markerfacecolor="white",
                markeredgecolor=DARK_GREY,
                label="the paper\n(filled: top)",
                linestyle="none",
            )
        axes.set_xticks([100 * share for share in curves[0].shares])
        figure.legend(loc="outside right center", frameon=False, labelspacing=0.8)


def curves_chart(curves: Sequence[ModelCurve], name: str) -> Chart:
    """Draw the models' values against k for an HTML page.

    The artists have the ids ``curve-PLACE``, from 0, and ``points-PLACE``, one marker per share.

    Args:
        curves: at least one.
        name: of the vertical axis.
    """

    def draw(axes: Axes) -> None:
        axes.set(xlabel="words deleted, highest capacity first (%)", ylabel=name)
        add_grid(axes)
        for place, curve in enumerate(curves):
            colour, marker, line = SERIES[place % len(SERIES)]
            percent = [100 * share for share in curve.shares]
            axes.plot(percent, curve.values, color=colour, linestyle=line, gid=f"curve-{place}")
            axes.plot(
                percent, curve.values, color=colour, marker=marker, markersize=5, linestyle="none",
                gid=f"points-{place}",
            )  # fmt: skip
            axes.plot([], [], color=colour, marker=marker, linestyle=line, label=curve.name)
            bad = [
                (k, value)
                for k, value, saturated in zip(percent, curve.values, curve.saturated, strict=True)
                if saturated
            ]
            if bad:
                axes.plot(*zip(*bad, strict=True), "x", color=BLACK, markersize=9,
                          linestyle="none", label="saturated: predictions collapsed")  # fmt: skip

    return chart(_CHART_WIDTH, _CHART_HEIGHT, draw)


def _draw(axes: Axes, curve: AccuracyCurve, colour: str, marker: str) -> None:
    percent = [100 * share for share in curve.shares]
    top = curve.deletion == "top"
    gid = f"{curve.name}-{curve.deletion}"
    axes.fill_between(
        percent,
        curve.low,
        curve.high,
        color=colour,
        alpha=0.18 if top else 0.08,
        linewidth=0,
        gid=f"band-{gid}",
    )
    axes.plot(
        percent,
        curve.accuracy,
        f"{marker}{'-' if top else '--'}",
        color=colour,
        markersize=4.5,
        markerfacecolor=colour if top else "white",
        linewidth=1.5 if top else 1.1,
        label=f"{curve.name}, {curve.deletion}",
        gid=f"curve-{gid}",
        zorder=4 if top else 3,
    )
    known = [(k, value) for k, value in zip(percent, curve.paper, strict=True) if value is not None]
    if known:
        axes.plot(
            *zip(*known, strict=True),
            "*",
            markersize=11,
            markeredgecolor=DARK_GREY if top else colour,
            markeredgewidth=0.7 if top else 1.2,
            markerfacecolor=colour if top else "white",
            linestyle="none",
            gid=f"paper-{gid}",
            zorder=5,
        )
