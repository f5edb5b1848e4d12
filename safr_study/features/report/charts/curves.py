"""Accuracy and SRS of a few models against the share of the words that is deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from safr_study.features.report.charts.drawing import (
    Frame,
    Scale,
    chart,
    grid,
    line,
    mark,
    padded,
    text,
)
from safr_study.records import Scores
from safr_study.records.scores import is_saturated
from safr_study.settings import at_k
from safr_study.text import Z95

FRAME = Frame(560, 330, right=110)
SHAPES = ("circle", "square", "triangle", "diamond", "pentagon", "ring")
_APART = 14.0
"""Pixels between the names at the ends of two lines."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One model's deletions."""

    name: str
    trial: int
    scores: Scores


def accuracy_chart(curves: Sequence[Curve]) -> str:
    """Accuracy without the top k % of the words by capacity."""
    return _chart(
        curves, "accuracy without them (points)", "Accuracy", lambda s: s.accuracy, "accuracy_top"
    )


def srs_chart(curves: Sequence[Curve]) -> str:
    """SRS: the accuracy that is lost."""
    return _chart(curves, "SRS(k) (points)", "SRS", lambda _: 0.0, "srs")


def _chart(
    curves: Sequence[Curve],
    y_name: str,
    label: str,
    start: Callable[[Scores], float],
    field: Literal["accuracy_top", "srs"],
) -> str:
    lines = []
    for curve in curves:
        points = [(0.0, start(curve.scores))]
        values = curve.scores.values
        points += [(100 * k, values[at_k(field, k)].value) for k in curve.scores.shares]
        lines.append(points)
    x = Scale(0, max(k for points in lines for k, _ in points), *FRAME.x_range)
    low, high = padded([value for points in lines for _, value in points], least=1.0)
    y = Scale(low, high, *FRAME.y_range)
    parts = [grid(FRAME, x, y, "words deleted, highest capacity first (%)", y_name)]
    ends = []
    for place, (curve, points) in enumerate(zip(curves, lines, strict=True)):
        kind = f"series s{place % 6}"
        parts.append(line([(x(k), y(value)) for k, value in points], kind, trial=curve.trial))
        values, shares = curve.scores.values, curve.scores.shares
        errors = [None, *(values[at_k("srs", k)].se for k in shares)]
        saturated = [False, *(is_saturated(values, k) for k in shares)]
        for (k, value), se, bad in zip(points, errors, saturated, strict=True):
            half = f" ± {Z95 * se:.2f}" if field == "srs" and se is not None else ""
            sentence = f"{curve.name}\n{label} at k = {k:g} %: {value:.2f}{half}"
            sentence += "\nsaturated: one class has nearly all predictions" if bad else ""
            shape = "cross" if bad else SHAPES[place % len(SHAPES)]
            at = (x(k), y(value))
            parts.append(mark(shape, kind, at, sentence, trial=curve.trial, size=0.75))
        ends.append((y(points[-1][1]), curve.name, kind))
    parts += _names(ends)
    return chart("curves", FRAME, f"{label} against the share of deleted words", parts)


def _names(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """At the right of the lines, apart from each other."""
    parts, last = [], -1e9
    for y, name, kind in sorted(ends):
        last = max(y, last + _APART)
        at = (FRAME.x_range[1] + 10, last + 4)
        parts.append(text(at, name, f"label {kind}"))
    return parts
