"""The front before and after its confirmation: the search's values, and the means of new seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from matplotlib.lines import Line2D

from safr_study.figures.canvas import BLUE, DARK_GREY, GREEN, GREY, WHITE
from safr_study.figures.front import Ends, Panel, draw_panels
from safr_study.records import StudyResult
from safr_study.uncertainty.confirmation import ConfirmedTrial

_BEFORE: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1.0, "zorder": 1.5}


@dataclass(frozen=True, slots=True)
class Move:
    """One trial, from the search's values to the means of new seeds."""

    number: int
    before: tuple[float, ...]
    """The search's objectives, in the study's order."""
    after: tuple[float, ...] | None
    """Their means over the new seeds; ``None``: it is not confirmed."""
    intervals: tuple[Ends | None, ...]
    """Ends of the interval of each mean; ``None``: there is none."""
    member: bool
    """True for members of the search's first front."""
    on_front: bool
    """True for members of the front of the means."""

    @classmethod
    def of(cls, one: ConfirmedTrial, *, partly: bool = False) -> Self:
        """The move of a trial; ``partly``: also to means of fewer seeds than were asked for."""
        means = tuple(new.mean for new in one.dev if new.mean is not None)
        measured = len(means) == len(one.search) if partly else one.ranked is not None
        return cls(
            number=one.trial.number,
            before=one.search,
            after=means if measured else None,
            intervals=tuple(
                None if new.interval is None else (new.interval.low, new.interval.high)
                for new in one.dev
            ),
            member=one.member,
            on_front=one.on_front,
        )

    @property
    def corners(self) -> list[tuple[float, ...]]:
        """Two corners of the box of all its intervals; none where it is not confirmed."""
        if self.after is None:
            return []
        pairs = zip(self.after, self.intervals, strict=True)
        ends = [(value, value) if interval is None else interval for value, interval in pairs]
        low, high = zip(*ends, strict=True)
        return [low, high]


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

    def add(panel: Panel) -> None:
        _draw_front_before(panel, moves)
        for move in moves:
            _draw_before(panel, move)
            if move.after is not None:
                _draw_way(panel, move, move.after, color=GREY, alpha=0.8, zorder=1.6)
                colour = BLUE if move.on_front else DARK_GREY
                panel.draw_intervals(
                    move.number, move.after, move.intervals,
                    color=colour, linewidth=1.0, alpha=0.55, zorder=2.5,
                )  # fmt: skip

    room = [corner for move in moves for corner in (move.before, *move.corners)]
    draw_panels(result, path, title=title, caption=caption, room=room, add=add)


def draw_confirmed(panel: Panel, moves: Sequence[Move]) -> None:
    """Add the means of new seeds to a panel of the search's values, as diamonds.

    The artists have the ids ``confirmed-NUMBER``, ``move-NUMBER``, ``interval-NUMBER-x`` and
    ``interval-NUMBER-y``.
    """
    for move in moves:
        if move.after is None:
            continue
        _draw_way(panel, move, move.after, color=GREEN, linestyle=":", zorder=2.4)
        panel.draw_intervals(
            move.number, move.after, move.intervals,
            color=GREEN, linewidth=1.0, alpha=0.6, zorder=2.5,
        )  # fmt: skip
        panel.marks.append(panel.place(move.after))
        panel.mark(
            panel.place(move.after),
            "D",
            5.5,
            color=GREEN,
            markeredgecolor=WHITE,
            markeredgewidth=0.6,
            zorder=4.2,
            gid=panel.gid(f"confirmed-{move.number}"),
            label="mean over new seeds",
        )


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
    point = panel.place(move.before)
    panel.marks.append(point)
    panel.mark(
        point,
        "o",
        4.5,
        markerfacecolor=WHITE,
        markeredgecolor=GREY,
        zorder=1.8,
        gid=panel.gid(f"before-{move.number}"),
        label="the search's value",
    )


def _draw_way(panel: Panel, move: Move, after: Sequence[float], **look: Any) -> None:
    ends = zip(panel.place(move.before), panel.place(after), strict=True)
    gid = panel.gid(f"move-{move.number}")
    panel.axes.add_line(Line2D(*ends, linewidth=0.7, gid=gid, **look))
