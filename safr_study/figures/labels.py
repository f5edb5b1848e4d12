"""Labels next to points, placed so that they cover neither each other nor the points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from safr_study.figures.canvas import Point

OPTIONAL = 2
"""Importance of a label that may be left out."""
_MARKER_RADIUS = 5.0
"""Points that a label keeps from the centre of a marker."""
_DISTANCES = (9.0, 16.0, 26.0, 40.0, 58.0)
"""Points from a marker to the near edge of its label, tried in this order."""
_LEADER_FROM = 16.0
"""A label that is this far away is tied to its point by a line."""
_ANGLES = (45, 0, -45, 90, -90, 135, 180, -135)
"""Degrees, the upper right first: there the front leaves room."""


@dataclass(frozen=True, slots=True)
class Label:
    """A text for one point of the data."""

    x: float
    y: float
    text: str
    gid: str
    colour: str
    importance: int
    """0 is placed first, and from `OPTIONAL` on none is placed where it would cover something."""


def place_labels(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[Point],
    lines: Sequence[Sequence[Point]] = (),
) -> None:
    """Put each label at the nearest free place around its point, the most important first.

    Args:
        axes: final limits and layout (`Figure.draw_without_rendering` has run).
        labels: in any order; of equal importance the earlier goes first.
        points: data coordinates of every marker, which no label may cover.
        lines: each of corners, in data coordinates, with horizontal and vertical pieces between
            them, which no label may cover either.
    """
    pixels = axes.figure.dpi / 72.0
    radius = _MARKER_RADIUS * pixels
    taken = [
        Bbox.from_bounds(x - radius, y - radius, 2 * radius, 2 * radius)
        for x, y in axes.transData.transform(list(points))
    ]
    for line in lines:
        corners = axes.transData.transform(list(line))
        taken += [Bbox([start, end]).padded(1.0) for start, end in pairwise(corners)]
    for label in sorted(labels, key=lambda label: label.importance):
        chosen = _first_free(axes, label, taken)
        if chosen is not None:
            taken.append(chosen)


def _first_free(axes: Axes, label: Label, taken: Sequence[Bbox]) -> Bbox | None:
    renderer = cast("Any", axes.figure.canvas).get_renderer()
    best: tuple[int, Annotation, Bbox] | None = None
    for distance, angle in product(_DISTANCES, _ANGLES):
        note = _annotation(axes, label, distance, math.radians(angle))
        # Of the text alone: an annotation's own extent holds the line to its point too.
        note.update_positions(renderer)
        box = Text.get_window_extent(note, renderer).padded(1.0)
        inside = all(axes.bbox.contains(*corner) for corner in box.corners())
        covered = box.count_overlaps(taken)
        allowed = inside and (label.importance < OPTIONAL or not covered)
        if not allowed or (best is not None and covered >= best[0]):
            note.remove()
            continue
        if best is not None:
            best[1].remove()
        best = (covered, note, box)
        if not covered:
            break
    return None if best is None else best[2]


def _annotation(axes: Axes, label: Label, distance: float, angle: float) -> Annotation:
    right, up = math.cos(angle), math.sin(angle)
    note = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(distance * right, distance * up),
        textcoords="offset points",
        ha="center" if abs(right) < 0.1 else ("left" if right > 0 else "right"),
        va="center" if abs(up) < 0.1 else ("bottom" if up > 0 else "top"),
        color=label.colour,
        fontsize=8,
        # Where nothing else is left it crosses a line: then it stays readable.
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        arrowprops=(
            {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkB": 4}
            if distance >= _LEADER_FROM
            else None
        ),
        zorder=6,
    )
    note.set_gid(label.gid)
    note.set_in_layout(False)
    return note
