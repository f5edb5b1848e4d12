"""The front before and after its confirmation: the search's values, and the means of new seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safr_study.figures.canvas import BLUE, DARK_GREY, GREY
from safr_study.figures.front import draw_panels
from safr_study.figures.panel import Panel
from safr_study.records import StudyResult

_BEFORE: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1.0, "zorder": 1.5}


@dataclass(frozen=True, slots=True)
class Move:
    """One trial, from the search's values to the means of new seeds."""

    number: int
    before: tuple[float, ...]
    """The search's objectives, in the study's order."""
    after: tuple[float, ...] | None
    """Their means over the new seeds; ``None``: it is not confirmed."""
    intervals: tuple[tuple[float, float] | None, ...]
    """Ends of the interval of each mean; ``None``: there is none."""
    member: bool
    """Whether it was on the search's first front."""
    on_front: bool
    """Whether it is on the front of the means."""


def confirmation_figure(
    result: StudyResult, moves: Sequence[Move], path: Path, *, title: str, caption: str
) -> None:
    """Draw the means as `front_figure` draws trials, with intervals, and where each came from.

    A dashed grey line is the search's front, hollow grey points are the search's values, a thin
    line leads from each to its mean. The artists have the ids of `front_figure`, and
    ``before-NUMBER``, ``move-NUMBER``, ``interval-NUMBER-x``, ``interval-NUMBER-y`` and
    ``front-before``.

    Args:
        result: the confirmed trials ranked by their means, at least one.
        moves: of the same trials, and of those that are not confirmed.
        path: ends in .png or .svg; its folder exists.
        title: of the page.
        caption: under it.

    Raises:
        BadInput: another suffix.
    """
    room = [corner for move in moves for corner in (move.before, *_ends(move))]

    def add(panel: Panel) -> None:
        _draw_front_before(panel, moves)
        for move in moves:
            _draw_before(panel, move)
            if move.after is not None:
                _draw_move(panel, move, move.after)

    draw_panels(result, path, title=title, caption=caption, room=room, add=add)


def _ends(move: Move) -> list[tuple[float, ...]]:
    """The corners of the box of all its intervals."""
    if move.after is None:
        return []
    pairs = zip(move.after, move.intervals, strict=True)
    ends = [(value, value) if interval is None else interval for value, interval in pairs]
    low, high = zip(*ends, strict=True)
    return [low, high]


def _draw_front_before(panel: Panel, moves: Sequence[Move]) -> None:
    corners = panel.steps([move.before for move in moves if move.member])
    if corners:
        panel.lines.append(corners)
        panel.axes.plot(
            *zip(*corners, strict=True),
            gid="front-before",
            label="the search's front",
            **_BEFORE,
        )


def _draw_before(panel: Panel, move: Move) -> None:
    panel.marks.append(panel.place(move.before))
    panel.axes.plot(
        *panel.place(move.before),
        "o",
        markersize=4.5,
        markerfacecolor="white",
        markeredgecolor=GREY,
        zorder=1.8,
        gid=panel.gid(f"before-{move.number}"),
        label="the search's value",
        linestyle="none",
    )


def _draw_move(panel: Panel, move: Move, after: tuple[float, ...]) -> None:
    """The way from the search's value, and the intervals at its end."""
    x, y = panel.place(after)
    from_x, from_y = panel.place(move.before)
    panel.axes.plot(
        (from_x, x),
        (from_y, y),
        color=GREY,
        linewidth=0.7,
        alpha=0.8,
        zorder=1.6,
        gid=panel.gid(f"move-{move.number}"),
    )
    across, up = move.intervals[panel.x], move.intervals[panel.y]
    look: dict[str, Any] = {
        "color": BLUE if move.on_front else DARK_GREY,
        "linewidth": 1.0,
        "alpha": 0.55,
        "zorder": 2.5,
    }
    if across is not None:
        panel.lines.append([(across[0], y), (across[1], y)])
        panel.axes.plot(across, (y, y), gid=panel.gid(f"interval-{move.number}-x"), **look)
    if up is not None:
        panel.lines.append([(x, up[0]), (x, up[1])])
        panel.axes.plot((x, x), up, gid=panel.gid(f"interval-{move.number}-y"), **look)
