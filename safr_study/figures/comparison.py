"""The fronts of several studies over each other as a picture."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    SERIES,
    WHITE,
    Chart,
    Page,
    chart,
    draw_front,
    set_plane,
)
from safr_study.figures.front import CHART_HEIGHT, CHART_WIDTH, pairs_of
from safr_study.records import StudyResult
from safr_study.settings import Objective

_WIDTH, _HEIGHT = 6.6, 4.6
"""Inches of a panel."""


ComparedFront = tuple[StudyResult, Collection[int]]
"""A study, and the numbers of its front's members that no other study dominates."""


def comparison_figure(fronts: Sequence[ComparedFront], path: Path, *, caption: str) -> None:
    """Draw fronts over each other, a panel for each pair of objectives.

    Filled marks are on the joint front, empty ones dominated by another study. The artists have
    ids in an SVG: ``member-STUDY-PLACE``, both from 0, and ``line-STUDY``, the step line.

    Args:
        fronts: in the order of the legend, of the same objectives; one without members has no
            mark.
        path: ends in .png or .svg; its folder exists.
        caption: under the picture.

    Raises:
        BadInput: another suffix.
    """
    pairs = pairs_of(fronts[0][0])
    title = f"The fronts of {', '.join(study.name for study, _ in fronts)}"
    with Page(path, title, caption).figure(_WIDTH * len(pairs), _HEIGHT) as figure:
        panels = list(figure.subplots(1, len(pairs), squeeze=False).flat)
        for axes, pair in zip(panels, pairs, strict=True):
            _draw(axes, fronts, pair)
        panels[-1].legend(frameon=False)


def comparison_charts(fronts: Sequence[ComparedFront]) -> list[Chart]:
    """The panels of `comparison_figure` for an HTML page; none where no front has a member."""
    if not any(study.front for study, _ in fronts):
        return []
    draws = (partial(_draw, fronts=fronts, pair=pair) for pair in pairs_of(fronts[0][0]))
    return [chart(CHART_WIDTH, CHART_HEIGHT, draw) for draw in draws]


def _draw(axes: Axes, fronts: Sequence[ComparedFront], pair: tuple[int, int]) -> None:
    x, y = (Objective(name=fronts[0][0].objectives[axis]) for axis in pair)
    members = [
        [(ranked.objectives[pair[0]], ranked.objectives[pair[1]]) for ranked in study.front]
        for study, _ in fronts
    ]
    set_plane(axes, (x, y), [point for points in members for point in points])
    for place, ((study, joint), points) in enumerate(zip(fronts, members, strict=True)):
        colour, marker, line = SERIES[place % len(SERIES)]
        axes.plot([], [], color=colour, marker=marker, linestyle=line, label=study.name)
        for member, (ranked, point) in enumerate(zip(study.front, points, strict=True)):
            axes.plot(
                *point, marker, markersize=6.2, markeredgecolor=colour, markeredgewidth=1.4,
                markerfacecolor=colour if ranked.trial.number in joint else WHITE, zorder=4,
                gid=f"member-{place}-{member}",
            )  # fmt: skip
        if len(study.objectives) == 2:
            look = {"color": colour, "linestyle": line, "linewidth": 1.4}
            draw_front(axes, points, gid=f"line-{place}", **look)
