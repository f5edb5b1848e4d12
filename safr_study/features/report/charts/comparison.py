"""The fronts of several studies over each other."""

from __future__ import annotations

from itertools import combinations

from safr_study.features.compare.compare import StudyComparison
from safr_study.features.report.charts.drawing import (
    SHAPES,
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
from safr_study.features.report.charts.front import front_corners
from safr_study.render.format import trial_sentence, values_of
from safr_study.settings import POINTS

FRAME = Frame(720, 440)
OF_STUDIES = ("circle", "square", "triangle", "diamond", "pentagon", "ring")


def comparison_charts(found: StudyComparison) -> str:
    """A chart for each pair of objectives: the members of every front, in its study's shape."""
    pairs = combinations(range(len(found.objectives)), 2)
    return "\n".join(_chart(found, pair) for pair in pairs)


def _chart(found: StudyComparison, pair: tuple[int, int]) -> str:
    scales = []
    for side, axis in enumerate(pair):
        objective = found.objectives[axis]
        known = [values_of(r)[axis] for one in found.studies for r in one.result.front]
        if not known:
            return ""
        least = 0.5 if objective.measure.unit == POINTS else 1e-3
        low, high = padded(known, least=least)
        start, end = FRAME.y_range if side else FRAME.x_range
        scales.append(Scale(low, high, *((start, end) if objective.maximise else (end, start))))
    x, y = scales
    parts = [grid(FRAME, x, y, *(found.objectives[axis].axis for axis in pair))]
    for place, one in enumerate(found.studies):
        kind = f"series s{place % len(OF_STUDIES)}"
        points: list[Point] = []
        marks = []
        for ranked in one.result.front:
            values = values_of(ranked)
            at = (x(values[pair[0]]), y(values[pair[1]]))
            points.append(at)
            joint = ranked.trial.number in one.joint
            sentence = f"{one.name}: {trial_sentence(ranked, found.objectives)}"
            sentence += "\non the joint front" if joint else "\ndominated by another study"
            shape = OF_STUDIES[place % len(OF_STUDIES)]
            marks.append(mark(shape, kind if joint else f"{kind} beaten", at, sentence))
        if len(found.objectives) == 2 and points:
            parts.append(line(front_corners(points, FRAME), kind))
        parts += marks
        below = FRAME.top + 14 + 18 * place
        parts.append(_key(OF_STUDIES[place % len(OF_STUDIES)], kind, one.name, below))
    label = f"The fronts of {', '.join(found.names)}"
    return chart("fronts", FRAME, label, parts)


def _key(shape: str, kind: str, name: str, below: float) -> str:
    """A line of the key, in the upper right, where no front leaves room for a trial."""
    right = FRAME.x_range[1]
    return (
        f'<g class="mark {kind}" aria-hidden="true" transform="translate({right - 8:.1f} '
        f'{below - 4:.1f})"><path d="{SHAPES[shape]}"/></g>'
        + text((right - 20, below), name, f"label {kind}", "end")
    )
