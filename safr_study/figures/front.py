"""The Pareto front of a study: its trials over two objectives in each panel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, cycle
from pathlib import Path
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    WHITE,
    Chart,
    Ends,
    Look,
    Page,
    Point,
    add_legend,
    chart,
    cross_saturated,
    draw_front,
    draw_intervals,
    reference_words,
    say_empty,
    set_plane,
)
from safr_study.figures.labels import OPTIONAL, Label, place_labels
from safr_study.records import RankedTrial, StudyResult
from safr_study.settings import Objective

_PANELS_IN_A_ROW = 3
_PANEL_WIDTH, _PANEL_HEIGHT = 4.6, 3.9
_LEGEND_WIDTH, _TITLE_HEIGHT = 2.6, 0.9
CHART_WIDTH, CHART_HEIGHT = 6.6, 4.2
"""Inches; the chart is that of an HTML page."""
_BASELINE_MARKERS = (("s", BLACK), ("D", GREEN), ("^", PURPLE), ("v", ORANGE), ("p", SKY))
_CHOICE_MARKERS = {"knee": ("*", 16), "compromise": ("X", 11)}
"""Marker and size in points."""
_MOST_NUMBERS = 4
"""Trial numbers named at one point."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Axes, and what is drawn on them."""

    axes: Axes
    result: StudyResult
    x: int
    """Place of the horizontal objective in the study's order."""
    y: int
    """Place of the vertical one."""
    suffix: str = ""
    """End of the artists' ids, where several panels share a page."""
    room: Sequence[Sequence[float]] = ()
    """Values of the objectives that are drawn here too, and so need room."""
    marks: list[Point] = field(default_factory=list)
    """Further marks, added by what draws them, which no label may cover."""
    lines: list[list[Point]] = field(default_factory=list)
    """Corners of further lines of horizontal and vertical pieces, likewise."""
    front: list[Point] = field(default_factory=list)
    """Corners of the front's own line."""

    def draw(self) -> None:
        """Everything but the labels."""
        # By the trials, not by the reference point, which may lie far away.
        values = [*(ranked.objectives for ranked in self.result.ranked), *self.room]
        names = self.result.objectives
        objectives = Objective(name=names[self.x]), Objective(name=names[self.y])
        set_plane(self.axes, objectives, [self.place(vector) for vector in values])
        if not self.result.ranked:
            say_empty(self.axes, "no complete trial yet")
            return
        # A front that is nowhere beyond the reference point has no area.
        tint = 0.06 if self.result.hypervolume > 0 else 0.0
        line: Look = {"color": BLUE, "linewidth": 1.4, "zorder": 2, "gid": "front"}
        members = [ranked.objectives for ranked in self.result.front]
        self.front.extend(self.draw_front(members, tint=tint, label="Pareto front", **line))
        for ranked in reversed(self.result.ranked):
            self._draw_trial(ranked)
        baselines = [ranked for ranked in self.result.ranked if ranked.trial.baseline]
        baselines.sort(key=lambda ranked: ranked.trial.number)
        for (marker, colour), ranked in zip(cycle(_BASELINE_MARKERS), baselines, strict=False):
            gid, label = f"baseline-{ranked.trial.baseline}", f"baseline {ranked.trial.baseline}"
            look: Look = {"markeredgewidth": 1.4, "zorder": 4.5}
            self.mark(ranked.objectives, marker, 11, "none", colour, gid, label, **look)
        saturated = [self._point(ranked) for ranked in self.result.ranked if ranked.trial.saturated]
        cross_saturated(self.axes, saturated, self.gid("saturated"))
        for ranked in self.result.ranked:
            if (choice := ranked.choice) is not None:
                look = {"markeredgewidth": 0.8, "zorder": 5}
                marker, size = _CHOICE_MARKERS[choice]
                at = ranked.objectives
                self.mark(at, marker, size, VERMILLION, WHITE, choice, choice, **look)

    def place(self, values: Sequence[float]) -> Point:
        """Where a vector of objectives lies in this panel."""
        return values[self.x], values[self.y]

    def draw_front(self, vectors: Sequence[Sequence[float]], **look: Any) -> list[Point]:
        """Draw the line of a front through these vectors as `canvas.draw_front` does.

        Nothing with three objectives: the front is no line there.
        """
        if len(self.result.objectives) > 2:
            return []
        return draw_front(self.axes, map(self.place, vectors), **look)

    def gid(self, name: str) -> str:
        """An artist's id."""
        return name + self.suffix

    def mark(
        self,
        values: Sequence[float],
        marker: str,
        size: float,
        fill: str,
        edge: str,
        gid: str,
        label: str | None,
        **look: Any,
    ) -> None:
        """One marker at a vector of objectives.

        Args:
            values: the vector.
            marker: matplotlib's name of it.
            size: points.
            fill: colour of its face.
            edge: colour of its edge.
            gid: beginning of its id.
            label: in the legend; ``None``: not there.
            look: more of the marker.
        """
        look |= {"markerfacecolor": fill, "markeredgecolor": edge, "markersize": size}
        at = [[value] for value in self.place(values)]
        line = Line2D(*at, linestyle="none", marker=marker, gid=self.gid(gid), label=label, **look)
        self.axes.add_line(line)

    def draw_intervals(
        self,
        number: int,
        at: Sequence[float],
        intervals: Sequence[Ends | None],
        *,
        name: str = "interval",
        **look: Any,
    ) -> None:
        """Bars through a point, with the ids ``NAME-NUMBER-x`` and ``NAME-NUMBER-y``.

        Args:
            number: of the trial.
            at: its objectives.
            intervals: ends of the interval of each objective; ``None``: there is none.
            name: of the ids.
            look: of the lines.
        """
        here = intervals[self.x], intervals[self.y]
        gids = self.gid(f"{name}-{number}-x"), self.gid(f"{name}-{number}-y")
        self.lines.extend(draw_intervals(self.axes, self.place(at), here, gids, **look))

    def add_labels(self) -> None:
        """Name the knee or compromise, the baselines and the numbers of the front, as room allows.

        The layout and the limits must be final.
        """
        by_point: dict[Point, list[RankedTrial]] = defaultdict(list)
        for ranked in self.result.ranked:
            by_point[self._point(ranked)].append(ranked)
        if not by_point:
            return
        labels = [self._label(point, here) for point, here in by_point.items()]
        place_labels(
            self.axes,
            [label for label in labels if label is not None],
            [*by_point, *self.marks],
            [line for line in (self.front, *self.lines) if line],
        )

    def _draw_trial(self, ranked: RankedTrial) -> None:
        colour, size, name = (
            (BLUE, 6.5, "on the front") if ranked.on_front else (GREY, 5.0, "dominated")
        )
        saturated, alpha = ranked.trial.saturated, 1.0 if ranked.on_front else 0.65
        fill, label = (WHITE, None) if saturated else (colour, name)
        look: Look = {"alpha": alpha, "zorder": 4 if ranked.on_front else 3}
        gid = f"trial-{ranked.trial.number}"
        self.mark(ranked.objectives, "o", size, fill, colour, gid, label, **look)

    def _label(self, point: Point, here: Sequence[RankedTrial]) -> Label | None:
        """One label for all the trials at a point; ``None`` where there is nothing to name."""
        chosen = next((ranked for ranked in here if ranked.choice is not None), None)
        baselines = [ranked.trial.baseline for ranked in here if ranked.trial.baseline]
        numbers = _numbers(here)
        lines = [numbers, *baselines] if numbers else baselines
        if chosen is not None:
            setting = [] if chosen.trial.baseline else [chosen.trial.label]
            lines = [f"{chosen.choice} {numbers}", *setting, *baselines]
        if not lines:
            return None
        return Label(
            *point,
            text="\n".join(lines),
            gid=self.gid(f"label-{here[0].trial.number}"),
            colour=VERMILLION if chosen else DARK_GREY if baselines else BLUE,
            importance=0 if chosen else 1 if baselines else OPTIONAL,
        )

    def _point(self, ranked: RankedTrial) -> Point:
        return self.place(ranked.objectives)


def front_figure(result: StudyResult, path: Path) -> None:
    """Draw the complete trials of a study over their objectives, one panel for each pair.

    With two objectives the front is a step line: what lies below it is dominated. With more, the
    panels show the trials of the front (over all objectives) as filled points, without a line. The
    artists have ids in an SVG: ``front``, ``knee`` or ``compromise``, ``baseline-NAME``,
    ``trial-NUMBER``, ``label-NUMBER``, ``saturated``, ``caption``; where there are several panels,
    all but the last are followed by ``-X-Y``, the keys of the panel's objectives.

    Args:
        result: at least two objectives; no complete trial gives an empty page that says so.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    draw_panels(result, Page(path, f"Study {result.name} on {result.dataset}", _caption(result)))


def draw_panels(
    result: StudyResult,
    page: Page,
    *,
    room: Sequence[Sequence[float]] = (),
    add: Callable[[Panel], None] = lambda _: None,
) -> None:
    """Draw a study's complete trials, and more in the same panels.

    Args:
        result: as for `front_figure`.
        page: the picture's file and its words.
        room: values of the objectives that ``add`` draws, for which the axes need room.
        add: draws into a panel, before the labels are placed.

    Raises:
        BadInput: another suffix than .png or .svg.
    """
    pairs = pairs_of(result)
    columns = min(len(pairs), _PANELS_IN_A_ROW)
    rows = -(-len(pairs) // columns)
    width = _LEGEND_WIDTH + _PANEL_WIDTH * columns
    height = _TITLE_HEIGHT + _PANEL_HEIGHT * rows
    with page.figure(width, height) as figure:
        grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
        for spare in grid[len(pairs) :]:
            spare.remove()
        panels = []
        for axes, (x, y) in zip(grid, pairs, strict=False):
            keys = [Objective(name=result.objectives[place]).key for place in (x, y)]
            suffix = f"-{'-'.join(keys)}" if len(pairs) > 1 else ""
            panels.append(Panel(axes, result, x, y, suffix, room))
        for panel in panels:
            panel.draw()
            add(panel)
        add_legend(figure, panels[0].axes)
        # Labels are placed in pixels, so the layout must be final.
        figure.draw_without_rendering()
        for panel in panels:
            panel.add_labels()


def front_charts(
    result: StudyResult,
    *,
    room: Sequence[Sequence[float]] = (),
    add: Callable[[Panel], None] = lambda _: None,
) -> list[Chart]:
    """The panels of `front_figure` for an HTML page, one chart each; ids have no suffix.

    Args:
        result: at least two objectives and one ranked trial.
        room: as for `draw_panels`.
        add: as for `draw_panels`.
    """

    def draw(axes: Axes, *, x: int, y: int) -> None:
        panel = Panel(axes, result, x, y, room=room)
        panel.draw()
        add(panel)
        cast("Figure", axes.figure).draw_without_rendering()
        panel.add_labels()

    return [chart(CHART_WIDTH, CHART_HEIGHT, partial(draw, x=x, y=y)) for x, y in pairs_of(result)]


def pairs_of(result: StudyResult) -> list[tuple[int, int]]:
    """Places of the two objectives of each panel."""
    return list(combinations(range(len(result.objectives)), 2))


def _numbers(here: Sequence[RankedTrial]) -> str:
    """``#2 #5`` for the front's trials at one point, the first few of them."""
    numbers = sorted(ranked.trial.number for ranked in here if ranked.on_front)
    shown = " ".join(f"#{number}" for number in numbers[:_MOST_NUMBERS])
    hidden = len(numbers) - _MOST_NUMBERS
    return f"{shown} +{hidden}" if hidden > 0 else shown


def _caption(result: StudyResult) -> str:
    return (
        f"{len(result.ranked)} complete {'trial' if len(result.ranked) == 1 else 'trials'}, "
        f"{len(result.front)} on the front (# = trial); "
        f"{reference_words(result)}"
    )
