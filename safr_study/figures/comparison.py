"""The fronts of several studies over each other as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes

from safr_study.figures.canvas import SERIES, WHITE, Chart, chart, front_corners, page, set_plane
from safr_study.figures.front import CHART_HEIGHT, CHART_WIDTH
from safr_study.settings import Objective

_WIDTH, _HEIGHT = 6.6, 4.6
"""Inches of a panel."""
_CHARACTERS = 90
"""Longest line of the caption."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PlottedFront:
    """One study's front."""

    name: str
    values: tuple[tuple[float, ...], ...]
    """The objectives of each member."""
    joint: tuple[bool, ...]
    """True where no other study dominates the member."""


def comparison_figure(
    fronts: Sequence[PlottedFront], objectives: Sequence[Objective], path: Path, *, caption: str
) -> None:
    """Draw fronts over each other, a panel for each pair of objectives.

    Filled marks are on the joint front, empty ones dominated by another study. The artists have
    ids in an SVG: ``member-STUDY-PLACE``, both from 0, and ``line-STUDY``, the step line.

    Args:
        fronts: in the order of the legend; one without members has no mark.
        objectives: of all of them.
        path: ends in .png or .svg; its folder exists.
        caption: under the picture.

    Raises:
        BadInput: another suffix.
    """
    pairs = list(combinations(range(len(objectives)), 2))
    title = f"The fronts of {', '.join(front.name for front in fronts)}"
    filled = textwrap.fill(caption, _CHARACTERS)
    with page(path, _WIDTH * len(pairs), _HEIGHT, title=title, caption=filled) as figure:
        panels = list(figure.subplots(1, len(pairs), squeeze=False).flat)
        for axes, pair in zip(panels, pairs, strict=True):
            _draw(axes, fronts, objectives, pair)
        panels[-1].legend(frameon=False)


def comparison_charts(
    fronts: Sequence[PlottedFront], objectives: Sequence[Objective]
) -> list[Chart]:
    """The panels of `comparison_figure` for an HTML page; none where no front has a member."""
    if not any(front.values for front in fronts):
        return []
    pairs = combinations(range(len(objectives)), 2)
    draws = (partial(_draw, fronts=fronts, objectives=objectives, pair=pair) for pair in pairs)
    return [chart(CHART_WIDTH, CHART_HEIGHT, draw) for draw in draws]


def _draw(
    axes: Axes, fronts: Sequence[PlottedFront], objectives: Sequence[Objective], pair: Pair
) -> None:
    members = [list(_points(front.values, pair)) for front in fronts]
    across, up = (objectives[axis] for axis in pair)
    set_plane(axes, (across, up), [point for points in members for point in points])
    for place, (front, points) in enumerate(zip(fronts, members, strict=True)):
        colour, marker, line = SERIES[place % len(SERIES)]
        axes.plot([], [], color=colour, marker=marker, linestyle=line, label=front.name)
        if not points:
            continue
        for member, (point, joint) in enumerate(zip(points, front.joint, strict=True)):
            axes.plot(
                *point, marker, markersize=6.2, markerfacecolor=colour if joint else WHITE,
                markeredgecolor=colour, markeredgewidth=1.4, zorder=4,
                gid=f"member-{place}-{member}",
            )  # fmt: skip
        if len(objectives) == 2:
            corners = zip(*front_corners(axes, points), strict=True)
            axes.plot(*corners, color=colour, linestyle=line, linewidth=1.4, gid=f"line-{place}")


def _points(values: Iterable[tuple[float, ...]], pair: Pair) -> Iterable[tuple[float, float]]:
    return ((vector[pair[0]], vector[pair[1]]) for vector in values)
