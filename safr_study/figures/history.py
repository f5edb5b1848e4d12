"""The hypervolume of studies over their trials and over their epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from safr_study.figures.canvas import (
    SERIES,
    SKY,
    Chart,
    Page,
    add_grid,
    chart,
    reference_words,
    say_empty,
)
from safr_study.records import StudyResult
from safr_study.records.study import HistoryPoint

Over = Literal["trials", "epochs"]
Histories = Mapping[str, Sequence[HistoryPoint]]

_WIDTH, _HEIGHT = 9.2, 4.0
_CHART_WIDTH, _CHART_HEIGHT = 4.6, 2.7
"""Inches; the chart is that of an HTML page."""
_NAMES: dict[Over, str] = {
    "trials": "trials ended",
    "epochs": "epochs of training, of the trials ended",
}


def history_figure(result: StudyResult, history: Sequence[HistoryPoint], path: Path) -> None:
    """Draw how the hypervolume grew, as a step line over trials and over epochs of training.

    The artists have ids in an SVG: ``history-trials`` and ``history-epochs``, the step lines,
    ``rise-TRIAL`` where the hypervolume rose, and ``caption``, which names the reference point.

    Args:
        result: the study; names it and its reference point.
        history: of its trials, in the order in which they ended; none gives an empty page that
            says so.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    title = f"Study {result.name} on {result.dataset}: hypervolume over time"
    with Page(path, title, reference_words(result)).figure(_WIDTH, _HEIGHT) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        _draw(left, {result.name: history}, "trials")
        _draw(right, {result.name: history}, "epochs")
        right.set_ylabel("")


def history_chart(histories: Histories, over: Over) -> Chart:
    """A panel of `history_figure` for an HTML page, with a line for each study.

    With several studies the rises have the ids ``rise-PLACE-TRIAL``, from 0.

    Args:
        histories: by the study's name, in the order in which trials ended; at least one point.
        over: the horizontal axis.
    """
    return chart(_CHART_WIDTH, _CHART_HEIGHT, lambda axes: _draw(axes, histories, over))


def rises(history: Sequence[HistoryPoint]) -> list[HistoryPoint]:
    """The points at which the hypervolume is above all before."""
    heights = [0.0, *(point.hypervolume for point in history)]
    return [
        point for point, before in zip(history, heights, strict=False) if point.hypervolume > before
    ]


def _draw(axes: Axes, histories: Histories, over: Over) -> None:
    axes.set(xlabel=_NAMES[over], ylabel="hypervolume")
    add_grid(axes)
    if not any(histories.values()):
        say_empty(axes, "no trial has ended yet")
        return
    several = len(histories) > 1
    for place, (name, history) in enumerate(histories.items()):
        colour, marker, line = SERIES[place % len(SERIES)]
        ends = [0, *(getattr(point, over) for point in history)]
        heights = [0.0, *(point.hypervolume for point in history)]
        gid = f"history-{place}" if several else f"history-{over}"
        axes.step(ends, heights, where="post", color=colour, linestyle=line, linewidth=1.6, gid=gid)
        for point in rises(history):
            gid = f"rise-{place}-{point.trial}" if several else f"rise-{point.trial}"
            at = getattr(point, over), point.hypervolume
            axes.plot(*at, marker if several else "o", color=colour, markersize=4, gid=gid)
        if several:
            axes.plot([], [], color=colour, marker=marker, linestyle=line, label=name)
        else:
            axes.fill_between(ends, heights, step="post", color=SKY, alpha=0.12, linewidth=0)
    longest = max(getattr(history[-1], over) for history in histories.values() if history)
    highest = max(point.hypervolume for history in histories.values() for point in history)
    axes.set(xlim=(0, max(1, longest) * 1.02), ylim=(0, max(1.0, highest) * 1.06))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
