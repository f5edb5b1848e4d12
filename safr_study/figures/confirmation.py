"""The front before and after its confirmation: the search's values, and the means of new seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D

from safr_study.figures.canvas import BLUE, DARK_GREY, GREEN, GREY, WHITE, Look, Page
from safr_study.figures.front import Panel, draw_panels
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial

Trials = Sequence[ConfirmedTrial]

_BEFORE: Look = {"color": GREY, "linestyle": "--", "linewidth": 1.0, "zorder": 1.5}


def confirmation_figure(confirmation: Confirmation, page: Page) -> None:
    """Draw the means as `front_figure` draws trials, with intervals, and where each came from.

    A dashed grey line is the search's front, hollow grey points are the search's values, a thin
    line leads from each to its mean. The artists have the ids of `front_figure`, and
    ``before-NUMBER``, ``move-NUMBER``, ``interval-NUMBER-x``, ``interval-NUMBER-y`` and
    ``front-before``.

    Args:
        confirmation: with at least one trial that is confirmed; the others are shown where they
            were.
        page: the picture's file and its words.

    Raises:
        BadInput: another suffix.
    """
    confirmed = [one for one in confirmation.trials if one.ranked is not None]

    def add(panel: Panel) -> None:
        members = [one.search for one in confirmation.members]
        label = "the search's front"
        panel.lines.append(panel.draw_front(members, gid="front-before", label=label, **_BEFORE))
        for one in confirmation.trials:
            panel.marks.append(panel.place(one.search))
            gid, label = f"before-{one.trial.number}", "the search's value"
            panel.mark(one.search, "o", 4.5, WHITE, GREY, gid, label, zorder=1.8)
        for one in confirmed:
            way = {"color": GREY, "alpha": 0.8, "zorder": 1.6}
            colour = BLUE if one.on_front else DARK_GREY
            _draw_means(panel, one, way, color=colour, alpha=0.55)

    room = [one.search for one in confirmation.trials] + mean_corners(confirmed)
    draw_panels(confirmation.result, page, room=room, add=add)


def draw_confirmed(panel: Panel, trials: Trials) -> None:
    """Add the means of new seeds to a panel of the search's values, as diamonds.

    Those of fewer seeds than were asked for are drawn too. The artists have the ids
    ``confirmed-NUMBER``, ``move-NUMBER``, ``interval-NUMBER-x`` and ``interval-NUMBER-y``.
    """
    for one in trials:
        if (means := _means(one)) is None:
            continue
        way = {"color": GREEN, "linestyle": ":", "zorder": 2.4}
        _draw_means(panel, one, way, color=GREEN, alpha=0.6)
        panel.marks.append(panel.place(means))
        gid, look = f"confirmed-{one.trial.number}", {"markeredgewidth": 0.6, "zorder": 4.2}
        panel.mark(means, "D", 5.5, GREEN, WHITE, gid, "mean over new seeds", **look)


def mean_corners(trials: Trials) -> list[tuple[float, ...]]:
    """Two corners of the box of each trial's intervals, for which a panel needs room."""
    corners: list[tuple[float, ...]] = []
    for one in trials:
        if (means := _means(one)) is not None:
            pairs = zip(one.dev, means, strict=True)
            ends = [new.shown.ends if new.shown else (mean, mean) for new, mean in pairs]
            corners += zip(*ends, strict=True)
    return corners


def _means(one: ConfirmedTrial) -> tuple[float, ...] | None:
    """The mean of each objective; ``None`` where one has none."""
    means = tuple(new.mean for new in one.dev if new.mean is not None)
    return means if len(means) == len(one.dev) else None


def _draw_means(panel: Panel, one: ConfirmedTrial, way: Look, **look: Any) -> None:
    """The way from the search's value to the mean, and the intervals through the mean."""
    means, number = _means(one), one.trial.number
    assert means is not None
    ends = zip(panel.place(one.search), panel.place(means), strict=True)
    panel.axes.add_line(Line2D(*ends, linewidth=0.7, gid=panel.gid(f"move-{number}"), **way))
    intervals = [None if new.shown is None else new.shown.ends for new in one.dev]
    panel.draw_intervals(number, means, intervals, linewidth=1.0, zorder=2.5, **look)
