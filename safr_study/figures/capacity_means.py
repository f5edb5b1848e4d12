"""A value for each of some groups in several readings: capacities (Table 3), rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    add_grid,
    page,
)

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
_WIDTH, _HEIGHT = 8.4, 4.2
"""Inches."""
_SPREAD = 0.5
"""Width that the readings of one group take, of the distance between two groups."""


@dataclass(frozen=True, slots=True)
class CapacityReading:
    """The values of one reading, one per group, each in [0, 1]."""

    name: str
    values: tuple[float, ...]
    intervals: tuple[tuple[float, float] | None, ...]


def capacity_means_figure(
    groups: Sequence[str],
    readings: Sequence[CapacityReading],
    paper: Sequence[float] | None,
    path: Path,
    *,
    title: str,
    caption: str = "",
    axis: str = "mean capacity at FFN1",
) -> None:
    """Draw the value of each group: a dot per reading, a line for the paper's.

    The artists have ids in an SVG: ``reading-NAME``, ``paper``, ``caption``.

    Args:
        groups: their names, as many as each reading has values.
        readings: ours.
        paper: the paper's value of each group; ``None``: it has none.
        path: ends in .png or .svg; its folder exists.
        title: of the page.
        caption: under it.
        axis: name of the values.

    Raises:
        BadInput: another suffix.
    """
    with page(path, _WIDTH, _HEIGHT, title=title, caption=caption) as figure:
        axes: Axes = figure.subplots()
        axes.set_ylabel(axis)
        add_grid(axes, "y")
        places = range(len(groups))
        if paper is not None:
            axes.hlines(
                paper,
                [place - 0.36 for place in places],
                [place + 0.36 for place in places],
                color=BLACK,
                linewidth=1.6,
                label="the paper",
                gid="paper",
            )
        for number, reading in enumerate(readings):
            shift = _SPREAD * ((number + 0.5) / len(readings) - 0.5)
            _draw(axes, reading, [place + shift for place in places], _COLOURS[number % 4])
        axes.set_xticks(list(places), list(groups))
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside right center", frameon=False, labelspacing=0.8)


def _draw(axes: Axes, reading: CapacityReading, xs: Sequence[float], colour: str) -> None:
    for x, ends in zip(xs, reading.intervals, strict=True):
        if ends is not None:
            axes.plot((x, x), ends, color=colour, linewidth=1.2)
    axes.plot(
        xs,
        reading.values,
        "o",
        color=colour,
        markersize=6,
        label=reading.name,
        gid=f"reading-{reading.name}",
    )
