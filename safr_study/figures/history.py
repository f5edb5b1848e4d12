"""The hypervolume of a study over its trials and over its epochs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from safr_study.figures.canvas import (
    BLUE,
    DARK_GREY,
    LIGHT_GREY,
    SKY,
    blank_figure,
    checked_suffix,
    save_figure,
    style,
)
from safr_study.records import StudyResult
from safr_study.records.history import HistoryPoint
from safr_study.settings import Objective

_WIDTH, _HEIGHT = 9.2, 4.0
"""Inches."""
_TITLE_CHARACTERS = 72


def history_figure(result: StudyResult, history: Sequence[HistoryPoint], path: Path) -> None:
    """Draw how the hypervolume grew, as a step line over trials and over epochs of training.

    The artists have ids in an SVG: ``history-trials`` and ``history-epochs``, the step lines, and
    ``caption``, which names the reference point.

    Args:
        result: the study; names it and its reference point.
        history: of its trials, in the order in which they ended; none gives an empty page that
            says so.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    checked_suffix(path)
    heights = [0.0, *(point.hypervolume for point in history)]
    with style():
        figure = blank_figure(_WIDTH, _HEIGHT)
        left, right = figure.subplots(1, 2, sharey=True)
        trials = [0, *(point.trials for point in history)]
        epochs = [0, *(point.epochs for point in history)]
        _draw(left, trials, heights, "trials ended", "history-trials")
        _draw(right, epochs, heights, "epochs of training, of the trials ended", "history-epochs")
        left.set_ylabel("hypervolume")
        title = textwrap.fill(
            f"Study {result.name} on {result.dataset}: hypervolume over time", _TITLE_CHARACTERS
        )
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        figure.supxlabel(_caption(result), fontsize=8, color=DARK_GREY, gid="caption")
        save_figure(figure, path)


def _draw(axes: Axes, places: Sequence[int], heights: Sequence[float], name: str, gid: str) -> None:
    axes.set_xlabel(name)
    axes.grid(color=LIGHT_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(places) == 1:
        axes.text(0.5, 0.5, "no trial has ended yet", transform=axes.transAxes, ha="center")
        axes.set(xticks=[], yticks=[])
        return
    axes.step(places, heights, where="post", color=BLUE, linewidth=1.6, gid=gid)
    axes.fill_between(places, heights, step="post", color=SKY, alpha=0.12, linewidth=0)
    axes.plot(places[-1], heights[-1], "o", color=BLUE, markersize=4)
    axes.set_xlim(0, max(1, places[-1]) * 1.02)
    axes.set_ylim(0, max(1.0, *heights) * 1.06)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _caption(result: StudyResult) -> str:
    reference = ", ".join(
        f"{Objective(name=name).label} {value:.4g}"
        for name, value in zip(result.objectives, result.reference_point, strict=True)
    )
    return f"hypervolume {result.hypervolume:.5g} from the reference point ({reference})"
