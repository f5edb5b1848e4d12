"""How the hypervolume grew: a step line over trials, or over epochs of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from safr_study.features.report.charts.drawing import (
    Frame,
    Scale,
    chart,
    grid,
    line,
    mark,
    steps,
    text,
)
from safr_study.records.history import HistoryPoint

FRAME = Frame(560, 300)
_NAMES = {"trials": "trials ended", "epochs": "epochs of training"}
_LETTERS = 1.03
"""Room above the highest line, as a factor."""


def history_chart(
    histories: Mapping[str, Sequence[HistoryPoint]], over: Literal["trials", "epochs"]
) -> str:
    """One step line for each study; its rises are marks.

    Args:
        histories: by the study's name, in the order in which trials ended; at least one point.
        over: the horizontal axis.
    """
    ends = [getattr(history[-1], over) for history in histories.values() if history]
    heights = [point.hypervolume for history in histories.values() for point in history]
    x = Scale(0, max(1, *ends, 1), *FRAME.x_range)
    y = Scale(0, max(1e-9, *heights, 0.0) * _LETTERS, *FRAME.y_range)
    parts = [grid(FRAME, x, y, _NAMES[over], "hypervolume", whole=True)]
    for place, (name, history) in enumerate(histories.items()):
        kind = f"series s{place % 6}"
        reached = [(x(0), y(0))]
        reached += [(x(getattr(point, over)), y(point.hypervolume)) for point in history]
        parts.append(line(steps(reached), kind))
        parts += _marks(name if len(histories) > 1 else "", history, reached[1:], kind)
        if len(histories) > 1:
            right, last = reached[-1]
            parts.append(text((right - 4, last - 6), name, f"label {kind}", "end"))
    label = f"Hypervolume over {_NAMES[over]}"
    return chart("history", FRAME, label, parts)


def _marks(
    name: str, history: Sequence[HistoryPoint], places: Sequence[tuple[float, float]], kind: str
) -> list[str]:
    parts, before = [], 0.0
    for point, at in zip(history, places, strict=True):
        if point.hypervolume > before:
            sentence = (
                f"{f'{name}: ' if name else ''}Hypervolume {point.hypervolume:.1f}\n"
                f"after trial {point.trial}, the {_ordinal(point.trials)} to end\n"
                f"{point.epochs} epochs trained"
            )
            trial = None if name else point.trial
            parts.append(mark("ring", kind, at, sentence, trial=trial, size=0.8))
        before = point.hypervolume
    return parts


def _ordinal(number: int) -> str:
    ending = (
        "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{ending}"
