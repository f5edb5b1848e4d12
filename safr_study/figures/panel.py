"""One panel of the front's picture: a study's trials over two of its objectives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
)
from safr_study.figures.labels import Label, place_labels
from safr_study.records import RankedTrial, StudyResult
from safr_study.settings import POINTS, Objective

Point = tuple[float, float]

_BASELINE_MARKERS = (("s", BLACK), ("D", GREEN), ("^", PURPLE), ("v", ORANGE), ("p", SKY))
_SMALLEST_MARGIN, _SMALLEST_SHARE = 0.5, 0.01
"""Left around the trials, so that equal ones have room: percentage points, and other units."""
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
    room: Sequence[Sequence[float]] = ()
    """Values of the objectives that are drawn here too, and so need room."""
    marks: list[Point] = field(default_factory=list)
    """Further marks, added by who draws them, which no label may cover."""
    lines: list[list[Point]] = field(default_factory=list)
    """Corners of further lines of horizontal and vertical pieces, likewise."""

    def draw(self) -> None:
        """Everything but the labels."""
        axes = self.axes
        axes.set_xlabel(self._objectives[0].axis)
        axes.set_ylabel(self._objectives[1].axis)
        axes.grid(color=LIGHT_GREY, linewidth=0.6)
        axes.set_axisbelow(True)
        if not self.result.ranked:
            axes.text(0.5, 0.5, "no complete trial yet", transform=axes.transAxes, ha="center")
            axes.set(xticks=[], yticks=[])
            return
        # By the trials, not by the reference point, which may lie far away.
        points = [ranked.trial.values or () for ranked in self.result.ranked]
        xs, ys = zip(*map(self.place, [*points, *self.room]), strict=True)
        axes.set(
            xlim=_with_margin(xs, self._objectives[0]), ylim=_with_margin(ys, self._objectives[1])
        )
        # Better is always to the right and upwards.
        axes.xaxis.set_inverted(not self._objectives[0].maximise)
        axes.yaxis.set_inverted(not self._objectives[1].maximise)
        self._draw_front()
        for ranked in reversed(self.result.ranked):
            self._draw_trial(ranked)
        self._draw_baselines()
        self._draw_saturated()
        self._draw_knee()

    def place(self, values: Sequence[float]) -> Point:
        """Where a vector of objectives lies in this panel."""
        return values[self.x], values[self.y]

    def steps(self, vectors: Sequence[Sequence[float]]) -> list[Point]:
        """Corners of the front's line through these vectors, from the left edge to the bottom.

        None with three objectives: the front is no line there.
        """
        if len(self.result.objectives) > 2 or not vectors:
            return []
        left, bottom = self.axes.get_xlim()[0], self.axes.get_ylim()[0]
        across = self._objectives[0].sign
        members = sorted(set(map(self.place, vectors)), key=lambda point: across * point[0])
        corners = [(left, members[0][1])]
        for (x, y), (_, y_next) in pairwise([*members, (left, bottom)]):
            corners += [(x, y), (x, y_next)]
        return corners

    def gid(self, name: str) -> str:
        """An artist's id: its name, and the objectives of the panel where there are several."""
        if len(self.result.objectives) == 2:
            return name
        x, y = self._objectives
        return f"{name}-{x.key}-{y.key}"

    def add_labels(self) -> None:
        """Name the knee, the baselines and the numbers of the front, as room allows.

        The layout and the limits must be final.
        """
        by_point: dict[Point, list[RankedTrial]] = defaultdict(list)
        for ranked in self.result.ranked:
            by_point[self._point(ranked)].append(ranked)
        if not by_point:
            return
        found = [self._label(point, here) for point, here in by_point.items()]
        labels = [label for label in found if label is not None]
        place_labels(
            self.axes,
            labels,
            [*by_point, *self.marks],
            [line for line in (self._front_corners(), *self.lines) if line],
        )

    def _draw_front(self) -> None:
        corners = self._front_corners()
        if not corners:
            return
        xs, ys = zip(*corners, strict=True)
        self.axes.plot(
            xs, ys, color=BLUE, linewidth=1.4, zorder=2, gid="front", label="Pareto front"
        )
        # A front that is nowhere beyond the reference point has no area.
        if self.result.hypervolume > 0:
            self.axes.fill_between(
                xs, ys, self.axes.get_ylim()[0], color=SKY, alpha=0.12, linewidth=0, zorder=1
            )

    def _front_corners(self) -> list[Point]:
        return self.steps([ranked.trial.values or () for ranked in self.result.front])

    def _draw_trial(self, ranked: RankedTrial) -> None:
        colour, size, name = (
            (BLUE, 6.5, "on the front") if ranked.on_front else (GREY, 5.0, "dominated")
        )
        self.axes.plot(
            *self._point(ranked),
            "o",
            markersize=size,
            markerfacecolor="white" if ranked.trial.saturated else colour,
            markeredgecolor=colour,
            alpha=1.0 if ranked.on_front else 0.65,
            zorder=4 if ranked.on_front else 3,
            gid=self.gid(f"trial-{ranked.trial.number}"),
            label=None if ranked.trial.saturated else name,
            linestyle="none",
        )

    def _draw_baselines(self) -> None:
        baselines = [ranked for ranked in self.result.ranked if ranked.trial.baseline]
        baselines.sort(key=lambda ranked: ranked.trial.number)
        for place, ranked in enumerate(baselines):
            marker, colour = _BASELINE_MARKERS[place % len(_BASELINE_MARKERS)]
            self.axes.plot(
                *self._point(ranked),
                marker,
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=colour,
                markeredgewidth=1.4,
                zorder=4.5,
                gid=self.gid(f"baseline-{ranked.trial.baseline}"),
                label=f"baseline {ranked.trial.baseline}",
                linestyle="none",
            )

    def _draw_saturated(self) -> None:
        points = [self._point(ranked) for ranked in self.result.ranked if ranked.trial.saturated]
        if points:
            self.axes.plot(
                *zip(*points, strict=True),
                "x",
                markersize=9,
                color=BLACK,
                markeredgewidth=1.1,
                zorder=4.6,
                gid=self.gid("saturated"),
                label="saturated: one class\nhas over 95 % of\nthe predictions",
                linestyle="none",
            )

    def _draw_knee(self) -> None:
        for ranked in self.result.ranked:
            if ranked.knee:
                self.axes.plot(
                    *self._point(ranked),
                    "*",
                    markersize=16,
                    color=VERMILLION,
                    markeredgecolor="white",
                    markeredgewidth=0.8,
                    zorder=5,
                    gid=self.gid("knee"),
                    label="knee",
                    linestyle="none",
                )

    def _label(self, point: Point, here: Sequence[RankedTrial]) -> Label | None:
        """For all the trials at one point; ``None`` where there is nothing to name."""
        knee = next((ranked for ranked in here if ranked.knee), None)
        baselines = [ranked.trial.baseline for ranked in here if ranked.trial.baseline]
        numbers = _numbers(here)
        lines = [numbers, *baselines] if numbers else baselines
        if knee is not None:
            setting = [] if knee.trial.baseline else [knee.trial.label]
            lines = [f"knee {numbers}", *setting, *baselines]
        if not lines:
            return None
        return Label(
            *point,
            text="\n".join(lines),
            gid=self.gid(f"label-{here[0].trial.number}"),
            colour=VERMILLION if knee else DARK_GREY if baselines else BLUE,
            importance=0 if knee else 1 if baselines else 2,
            required=bool(knee or baselines),
        )

    def _point(self, ranked: RankedTrial) -> Point:
        return self.place(ranked.trial.values or ())

    @property
    def _objectives(self) -> tuple[Objective, Objective]:
        """Of the horizontal and the vertical axis."""
        names = self.result.objectives
        return Objective(name=names[self.x]), Objective(name=names[self.y])


def _with_margin(values: Sequence[float], objective: Objective) -> tuple[float, float]:
    smallest = _SMALLEST_MARGIN if objective.measure.unit == POINTS else _SMALLEST_SHARE
    margin = max(0.1 * (max(values) - min(values)), smallest)
    return min(values) - margin, max(values) + margin


def _numbers(here: Sequence[RankedTrial]) -> str:
    """``#2 #5`` for the front's trials at one point, the first few of them."""
    numbers = sorted(ranked.trial.number for ranked in here if ranked.on_front)
    shown = " ".join(f"#{number}" for number in numbers[:_MOST_NUMBERS])
    hidden = len(numbers) - _MOST_NUMBERS
    return f"{shown} +{hidden}" if hidden > 0 else shown
