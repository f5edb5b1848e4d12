"""The fronts of several studies over each other as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from matplotlib.axes import Axes

from safr_study.figures.canvas import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREEN,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    blank_figure,
    checked_suffix,
    save_figure,
    style,
)
from safr_study.settings import Objective

_LOOKS = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (BLACK, "^", ":"),
    (GREEN, "D", "-."),
    (PURPLE, "p", "-"),
    (ORANGE, "v", "--"),
)
"""Colour, marker and line of a study: told apart without colour too."""
_WIDTH, _HEIGHT = 6.6, 4.6
"""Of a panel, inches."""
_CHARACTERS = 90
"""Of a line of the caption."""


@dataclass(frozen=True, slots=True)
class Front:
    """One study's front."""

    name: str
    values: tuple[tuple[float, ...], ...]
    """The objectives of each member."""
    joint: tuple[bool, ...]
    """Whether no other study dominates it."""


def comparison_figure(
    fronts: Sequence[Front], objectives: Sequence[Objective], path: Path, *, caption: str
) -> None:
    """Draw fronts over each other, a panel for each pair of objectives.

    Filled marks are on the joint front, empty ones dominated by another study. The artists of a
    study have the id ``front-PLACE`` in an SVG, from 0; its step line ``line-PLACE``.

    Args:
        fronts: in the order of the legend; one without members has no mark.
        objectives: of all of them.
        path: ends in .png or .svg; its folder exists.
        caption: under the picture.

    Raises:
        BadInput: another suffix.
    """
    checked_suffix(path)
    pairs = list(combinations(range(len(objectives)), 2))
    with style():
        figure = blank_figure(_WIDTH * len(pairs), _HEIGHT)
        panels = list(figure.subplots(1, len(pairs), squeeze=False).flat)
        for axes, pair in zip(panels, pairs, strict=True):
            _draw(axes, fronts, objectives, pair)
        panels[-1].legend(frameon=False)
        title = textwrap.fill(f"The fronts of {', '.join(f.name for f in fronts)}", _CHARACTERS)
        figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
        figure.supxlabel(
            textwrap.fill(caption, _CHARACTERS), fontsize=8, color=DARK_GREY, gid="caption"
        )
        save_figure(figure, path)


def _draw(
    axes: Axes, fronts: Sequence[Front], objectives: Sequence[Objective], pair: tuple[int, int]
) -> None:
    across, up = (objectives[axis] for axis in pair)
    axes.set(xlabel=across.axis, ylabel=up.axis)
    axes.grid(color=LIGHT_GREY, linewidth=0.6)
    axes.set_axisbelow(True)
    for place, front in enumerate(fronts):
        colour, marker, line = _LOOKS[place % len(_LOOKS)]
        points = [(values[pair[0]], values[pair[1]]) for values in front.values]
        faces = [colour if joint else "white" for joint in front.joint]
        if not points:
            continue
        xs, ys = zip(*points, strict=True)
        axes.scatter(
            xs, ys, s=38, marker=marker, c=faces, edgecolors=colour, linewidths=1.4, zorder=4,
            gid=f"front-{place}",
        )  # fmt: skip
        if len(objectives) == 2:
            ordered = sorted(points, key=lambda point: across.sign * point[0])
            x, y = zip(*ordered, strict=True)
            # Up to each member in x it is the next one's y that is reached.
            axes.step(x, y, where="pre", color=colour, linestyle=line, linewidth=1.4,
                      gid=f"line-{place}")  # fmt: skip
        axes.plot([], [], color=colour, marker=marker, linestyle=line, label=front.name)
    axes.xaxis.set_inverted(not across.maximise)
    axes.yaxis.set_inverted(not up.maximise)
