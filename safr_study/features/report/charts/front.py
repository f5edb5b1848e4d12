"""The Pareto front: every ranked trial over two objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from safr_study.features.report.charts.drawing import (
    Frame,
    Point,
    Scale,
    chart,
    grid,
    line,
    mark,
    padded,
    text,
)
from safr_study.records import RankedTrial, StudyResult
from safr_study.render.format import half_widths, trial_sentence, value_text, values_of
from safr_study.settings import POINTS, Objective
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial

FRAME = Frame(720, 470)
BASELINE_SHAPES = ("square", "triangle", "pentagon")
_LETTER, _LINE = 6.4, 12.0
"""Pixels of a label's letter and line."""
_PLACES = ((10, -8), (10, 14), (-10, -8), (-10, 14), (0, -13), (0, 22))
"""Of a label beside its mark, tried in this order."""


def front_charts(result: StudyResult, confirmation: Confirmation | None = None) -> str:
    """A chart for each pair of objectives; better is always up and to the right.

    Marks: blue circles on the front, rings off it, the knee a star, baselines squares and the like,
    a cross where a trial is saturated. Whiskers are the 95 % intervals that are known of the
    front's members. Where a study was confirmed, diamonds are the means over the new seeds.

    Args:
        result: with at least one ranked trial.
        confirmation: of the study, if there is one.
    """
    objectives = tuple(Objective(name=name) for name in result.objectives)
    pairs = combinations(range(len(objectives)), 2)
    return "\n".join(_Chart(result, objectives, pair, confirmation).svg() for pair in pairs)


@dataclass(frozen=True, slots=True)
class _Chart:
    result: StudyResult
    objectives: tuple[Objective, ...]
    pair: tuple[int, int]
    confirmation: Confirmation | None

    def svg(self) -> str:
        """The whole chart."""
        x, y = self._scale(0), self._scale(1)
        across, up = (self.objectives[axis] for axis in self.pair)
        parts = [grid(FRAME, x, y, across.axis, up.axis)]
        if len(self.objectives) == 2:
            parts += self._front_line(x, y)
        # What matters most is drawn last, on top.
        order = sorted(self.result.ranked, key=lambda r: (r.knee, r.on_front, -r.front))
        parts += [self._whiskers(ranked, x, y) for ranked in order if ranked.on_front]
        parts += self._confirmed(x, y)
        parts += [self._mark(ranked, x, y) for ranked in order]
        parts += self._labels(order, x, y)
        label = (
            f"{up.label} against {across.label} of {len(order)} trials; the table has its numbers"
        )
        return chart("front", FRAME, label, parts)

    def _scale(self, side: int) -> Scale:
        axis = self.pair[side]
        objective = self.objectives[axis]
        values = [values_of(ranked)[axis] for ranked in self.result.ranked]
        for one in self._moved:
            new = one.dev[axis]
            values += [] if new.interval is None else [new.interval.low, new.interval.high]
            values += [] if new.mean is None else [new.mean]
        least = 0.5 if objective.measure.unit == POINTS else 1e-3
        low, high = padded(values, least=least)
        start, end = FRAME.y_range if side else FRAME.x_range
        return Scale(low, high, *((start, end) if objective.maximise else (end, start)))

    @property
    def _moved(self) -> tuple[ConfirmedTrial, ...]:
        return () if self.confirmation is None else self.confirmation.trials

    def _at(self, values: Sequence[float], x: Scale, y: Scale) -> Point:
        return x(values[self.pair[0]]), y(values[self.pair[1]])

    def _front_line(self, x: Scale, y: Scale) -> list[str]:
        """What lies below and left of it is dominated."""
        corners = front_corners([self._at(values_of(r), x, y) for r in self.result.front], FRAME)
        area = [(FRAME.x_range[0], FRAME.y_range[0]), *corners]
        return [
            line(area, "dominated").replace(' fill="none"', ""),
            line(corners, "front-line"),
        ]

    def _whiskers(self, ranked: RankedTrial, x: Scale, y: Scale) -> str:
        at = self._at(values_of(ranked), x, y)
        parts = []
        known = half_widths(ranked.trial, self.objectives)
        for axis, scale, along in zip(self.pair, (x, y), (0, 1), strict=True):
            spread = known[axis]
            if spread is None:
                continue
            limits = FRAME.y_range if along else FRAME.x_range
            value = values_of(ranked)[axis]
            ends = [
                min(max(scale(value + sign * spread.half), min(limits)), max(limits))
                for sign in (-1, 1)
            ]
            points = [(at[0], end) if along else (end, at[1]) for end in ends]
            parts.append(line(points, "whisker", trial=ranked.trial.number))
        return "".join(parts)

    def _mark(self, ranked: RankedTrial, x: Scale, y: Scale) -> str:
        trial = ranked.trial
        at = self._at(values_of(ranked), x, y)
        sentence = trial_sentence(ranked, self.objectives)
        shape, kind = self._look(ranked)
        return mark(shape, kind, at, sentence, trial=trial.number)

    def _look(self, ranked: RankedTrial) -> tuple[str, str]:
        on_front = " is-front" if ranked.on_front else ""
        if ranked.trial.saturated:
            return "cross", "saturated"
        if ranked.knee:
            return "star", "knee"
        if ranked.trial.baseline is not None:
            names = sorted({
                other.trial.baseline
                for other in self.result.ranked
                if other.trial.baseline is not None
            })  # fmt: skip
            place = names.index(ranked.trial.baseline)
            return BASELINE_SHAPES[place % len(BASELINE_SHAPES)], f"base{on_front}"
        return ("circle", "member") if ranked.on_front else ("ring", "other")

    def _confirmed(self, x: Scale, y: Scale) -> list[str]:
        parts = []
        for one in self._moved:
            means = [one.dev[axis].mean for axis in self.pair]
            if None in means:
                continue
            at = x(means[0] or 0.0), y(means[1] or 0.0)
            parts.append(line([self._at(one.search, x, y), at], "moved", trial=one.trial.number))
            for axis, scale, along in zip(self.pair, (x, y), (0, 1), strict=True):
                interval = one.dev[axis].interval
                if interval is not None:
                    ends = scale(interval.low), scale(interval.high)
                    points = [(at[0], end) if along else (end, at[1]) for end in ends]
                    parts.append(line(points, "whisker new", trial=one.trial.number))
            sentence = confirmed_sentence(one, self.objectives)
            parts.append(mark("diamond", "new", at, sentence, trial=one.trial.number, size=0.8))
        return parts

    def _labels(self, order: Sequence[RankedTrial], x: Scale, y: Scale) -> list[str]:
        """Names of the knee, the baselines and the front, where there is room."""
        points = {ranked.trial.number: self._at(values_of(ranked), x, y) for ranked in order}
        taken = [(px - 7, py - 7, px + 7, py + 7) for px, py in points.values()]
        named = [r for r in order if r.on_front or r.trial.baseline is not None]
        parts = []
        for ranked in sorted(named, key=_importance):
            shown = _label(ranked)
            px, py = points[ranked.trial.number]
            for dx, dy in _PLACES:
                anchor = "start" if dx > 0 else ("end" if dx < 0 else "middle")
                width = _LETTER * len(shown)
                left = px + dx - (0 if dx > 0 else width if dx < 0 else width / 2)
                box = (left, py + dy - _LINE + 2, left + width, py + dy + 3)
                if _inside(box) and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    minor = "" if ranked.knee or ranked.trial.baseline else " minor"
                    parts.append(text((px + dx, py + dy), shown, f"label{minor}", anchor))
                    break
        return parts


def front_corners(points: Sequence[Point], frame: Frame) -> list[Point]:
    """Corners of the line under which a front dominates, from the left edge to the bottom.

    Args:
        points: pixels of the front's members, at least one.
        frame: of the chart.
    """
    ordered = sorted(set(points))
    left, bottom = frame.x_range[0], frame.y_range[0]
    corners = [(left, ordered[0][1])]
    for here, after in pairwise([*ordered, (left, bottom)]):
        corners += [here, (here[0], after[1])]
    return corners


def confirmed_sentence(one: ConfirmedTrial, objectives: tuple[Objective, ...]) -> str:
    """Several lines about what new seeds say of a trial."""
    lines = [f"Trial {one.trial.number} under {len(one.finished)} new seeds: {one.trial.label}"]
    for objective, new in zip(objectives, one.dev, strict=True):
        if new.mean is None:
            continue
        shown = f"{objective.label} {value_text(objective, new.mean)}"
        if new.interval is not None:
            ends = (value_text(objective, end) for end in (new.interval.low, new.interval.high))
            shown += f" [{', '.join(ends)}] (95 %)"
        lines.append(shown)
    if one.front_probability is not None:
        lines.append(f"probability of being on the front {one.front_probability:.2f}")
    return "\n".join(lines)


def _importance(ranked: RankedTrial) -> tuple[bool, bool, int]:
    return not ranked.knee, ranked.trial.baseline is None, ranked.trial.number


def _label(ranked: RankedTrial) -> str:
    trial = ranked.trial
    shown = trial.baseline or f"#{trial.number}"
    return f"knee {shown}" if ranked.knee else shown


Box = tuple[float, float, float, float]


def _inside(box: Box) -> bool:
    left, right = FRAME.x_range
    bottom, top = FRAME.y_range
    return box[0] >= left and box[2] <= right + 10 and box[1] >= top - 10 and box[3] <= bottom


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
