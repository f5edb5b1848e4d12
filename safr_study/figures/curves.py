"""Accuracy against the share of deleted tokens (the paper's Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLUE,
    DARK_GREY,
    GREEN,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    blank_figure,
    checked_suffix,
    save_figure,
    style,
)

_COLOURS = (DARK_GREY, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_MARKERS = "osD^vpP"
_WIDTH, _HEIGHT = 8.4, 4.6
"""Inches."""


@dataclass(frozen=True, slots=True)
class AccuracyCurve:
    """One line: a model under one kind of deletion. All sequences are of one length."""

    name: str
    """Of the model; its two lines share a colour."""
    deletion: Literal["top", "random"]
    shares: tuple[float, ...]
    """k, ascending, in [0, 1]."""
    accuracy: tuple[float, ...]
    """Percentage points."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Of the interval."""
    paper: tuple[float | None, ...]
    """The paper's accuracy at the same k, where it has one."""


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
    checked_suffix(path)
    with style():
        figure = blank_figure(_WIDTH, _HEIGHT)
        axes: Axes = figure.subplots()
        axes.set_xlabel("tokens deleted, k (%)")
        axes.set_ylabel("test accuracy (%)")
        axes.grid(color=LIGHT_GREY, linewidth=0.6)
        axes.set_axisbelow(True)
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
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        figure.supxlabel(caption, fontsize=8, color=DARK_GREY, gid="caption")
        save_figure(figure, path)


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
