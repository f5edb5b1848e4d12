"""The Pareto front of a study as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from safr_study.figures.canvas import DARK_GREY, blank_figure, checked_suffix, save_figure, style
from safr_study.figures.panel import Panel
from safr_study.records import StudyResult
from safr_study.settings import Objective

_PANELS_IN_A_ROW = 3
_PANEL_WIDTH, _PANEL_HEIGHT = 4.6, 3.9
_LEGEND_WIDTH, _TITLE_HEIGHT = 2.6, 0.9
"""Inches."""
_TITLE_CHARACTERS = 72
"""Of one line of the title: a data set may be a long path."""


def front_figure(result: StudyResult, path: Path) -> None:
    """Draw the complete trials of a study over their objectives, one panel for each pair.

    With two objectives the front is a step line: what lies below it is dominated. With more, the
    panels show the trials of the front (over all objectives) as filled points, without a line.
    The artists have ids in an SVG: ``front``, ``knee``, ``baseline-NAME``, ``trial-NUMBER``,
    ``label-NUMBER``, ``saturated``, ``caption``; where there are several panels, all but the last
    are followed by ``-X-Y``, the keys of the panel's objectives.

    Args:
        result: at least two objectives; no complete trial gives an empty page that says so.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    title = f"Study {result.name} on {result.dataset}"
    draw_panels(result, path, title=title, caption=_caption(result))


def draw_panels(
    result: StudyResult,
    path: Path,
    *,
    title: str,
    caption: str,
    room: Sequence[Sequence[float]] = (),
    add: Callable[[Panel], None] | None = None,
) -> None:
    """Draw a study's complete trials, and more in the same panels.

    Args:
        result: as for `front_figure`.
        path: as for `front_figure`.
        title: of the page.
        caption: under it.
        room: values of the objectives that ``add`` draws, for which the axes need room.
        add: draws into a panel, before the labels are placed.

    Raises:
        BadInput: another suffix than .png or .svg.
    """
    checked_suffix(path)
    pairs = list(combinations(range(len(result.objectives)), 2))
    columns = min(len(pairs), _PANELS_IN_A_ROW)
    rows = -(-len(pairs) // columns)
    with style():
        figure = blank_figure(
            _LEGEND_WIDTH + _PANEL_WIDTH * columns, _TITLE_HEIGHT + _PANEL_HEIGHT * rows
        )
        grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
        for spare in grid[len(pairs) :]:
            spare.remove()
        panels = [
            Panel(axes, result, *pair, room=room) for axes, pair in zip(grid, pairs, strict=False)
        ]
        for panel in panels:
            panel.draw()
            if add is not None:
                add(panel)
        _add_legend(figure, panels[0].axes)
        filled = textwrap.fill(title, _TITLE_CHARACTERS)
        figure.suptitle(filled, fontweight="bold", x=0.01, ha="left")
        figure.supxlabel(caption, fontsize=8, color=DARK_GREY, gid="caption")
        # Labels are placed in pixels, so the layout must be final.
        figure.draw_without_rendering()
        for panel in panels:
            panel.add_labels()
        save_figure(figure, path)


def _add_legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    entries = dict(zip(names, handles, strict=True))
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside right upper",
            frameon=False,
            labelspacing=0.9,
        )


def _caption(result: StudyResult) -> str:
    reference = ", ".join(
        f"{Objective(name=name).label} {value:.4g}{' %' if name == 'accuracy' else ''}"
        for name, value in zip(result.objectives, result.reference_point, strict=True)
    )
    return (
        f"{len(result.ranked)} complete {'trial' if len(result.ranked) == 1 else 'trials'}, "
        f"{len(result.front)} on the front (# = trial); "
        f"hypervolume {result.hypervolume:.5g} from the reference point ({reference})"
    )
