"""Figures 2a and 2c of the SAFR paper: capacity of a text's words, interference between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.text import Text

from safr_study.figures.canvas import BLACK, BLUE, DARK_GREY, LIGHT_GREY, SKY, add_grid
from safr_study.records.explanation import ExplainedWord, LayerView

COLOURS = "cividis"
"""Perceptually uniform, and the same to people with a colour vision deficiency."""

Words = Sequence[ExplainedWord]

_LONGEST = 16
"""Characters of a word in a picture."""
_FEWEST = 5
"""Words for which there is always room, so that a single bar stays a bar."""
_WITH_VALUES = 24
"""Words next to which there is room for their values."""
_UPRIGHT = 12
"""Words next to which there is room for horizontal labels of _SHORT characters in all."""
_SHORT = 70


def label(word: ExplainedWord) -> str:
    """The word as a picture writes it."""
    shown = word.shown
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def mark_label(text: Text, word: ExplainedWord, kind: str) -> None:
    """Style a word's label, and give it the id ``KIND-POSITION``."""
    text.set_gid(f"{kind}-{word.position}")
    text.set_color(BLACK if word.known else DARK_GREY)
    text.set_fontstyle("normal" if word.known else "italic")
    text.set_fontweight("bold" if word.top else "normal")


def left_out(drawn: Words, words: Words) -> str:
    """A sentence where words are missing from a picture, else nothing."""
    if len(drawn) == len(words):
        return ""
    return f"Shown: the {len(drawn)} of {len(words)} words with the highest capacity."


def draw_bars(axes: Axes, words: Words, view: LayerView, *, kind: str = "bar") -> None:
    """One bar per word in the order of the text; its length is the capacity.

    The bars have the ids ``KIND-POSITION`` in an SVG.

    Args:
        axes: their y axis begins at 0.
        words: at least one; those that are drawn.
        view: the layer that the capacities are of.
        kind: of the ids.
    """
    capacities = view.capacity[[word.position for word in words]]
    colours = [BLUE if word.top else SKY for word in words]
    bars = axes.bar(range(len(words)), capacities, width=0.8, color=colours)
    for bar, word in zip(bars, words, strict=True):
        bar.set_gid(f"{kind}-{word.position}")
    axes.set_xlim(-0.6, max(len(words), _FEWEST) - 0.4)
    axes.set_ylim(0, 1.12 * max(float(capacities.max()), 1e-3))
    add_grid(axes, "y")
    axes.set_xticks([])


def add_details(axes: Axes, words: Words, view: LayerView) -> None:
    """The words below their bars, with the ids ``bar-word-POSITION``, and the values above."""
    upright = len(words) <= _UPRIGHT and sum(len(label(word)) for word in words) <= _SHORT
    _name(axes.xaxis, range(len(words)), words, "bar-word", **({} if upright else _slanted(50)))
    if len(words) <= _WITH_VALUES:
        for place, word in enumerate(words):
            axes.annotate(
                f"{view.capacity[word.position]:.2f}",
                (place, view.capacity[word.position]),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
                color=DARK_GREY,
                gid=f"bar-value-{word.position}",
            )


def draw_heatmap(axes: Axes, words: Words, view: LayerView, *, kind: str = "heatmap") -> QuadMesh:
    """A cell per pair of different words, its colour by (h_i . h_j)^2.

    A few pairs often interfere a hundred times more than the others, so the colour is linear in
    the root, |h_i . h_j|. The diagonal is no interference and stays blank. In an SVG the mesh has
    the id ``KIND``, its paths are the cells row by row.

    Args:
        axes: empty.
        words: at least one; those that are drawn.
        view: the layer.
        kind: the id.
    """
    places = [word.position for word in words]
    cells = np.ma.masked_array(
        view.interference[np.ix_(places, places)], np.eye(len(words), dtype=bool)
    )
    largest = float(cells.max()) if len(words) > 1 else 0.0
    axes.set_facecolor(LIGHT_GREY)
    norm = PowerNorm(0.5, 0.0, largest or 1.0)
    mesh = axes.pcolormesh(
        cells, cmap=COLOURS, norm=norm, edgecolors="white", linewidth=0.4, gid=kind
    )
    axes.invert_yaxis()
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set(xticks=[], yticks=[])
    return mesh


def add_words(
    axes: Axes,
    words: Words,
    *,
    kind: str = "",
    rows: bool = True,
    size: float = 9.0,
    turn: float = 50.0,
) -> None:
    """The words along both axes, or below the columns alone, turned by so many degrees.

    The labels have the ids ``row-word-POSITION`` and ``column-word-POSITION``, ``kind`` before.
    """
    centres = np.arange(len(words)) + 0.5
    _name(axes.xaxis, centres, words, f"{kind}column-word", fontsize=size, **_slanted(turn))
    if rows:
        _name(axes.yaxis, centres, words, f"{kind}row-word", fontsize=size)


def add_colour_bar(scale: ScalarMappable, panels: Sequence[Axes], name: str, **look: Any) -> None:
    """The scale of some maps next to them, its marks at equal steps of the colour."""
    figure = cast("Figure", panels[0].figure)
    bar = figure.colorbar(scale, ax=list(panels), **look)
    marks = np.linspace(0, 1, 5) ** 2 * cast("float", scale.norm.vmax)
    bar.set_ticks(marks.tolist(), labels=[f"{mark:.2g}" for mark in marks])
    bar.set_label(name)
    cast("Any", bar.outline).set_visible(False)


def _name(axis: Axis, places: Iterable[float], words: Words, kind: str, **look: Any) -> None:
    """A word at each place of an axis, with the ids ``KIND-POSITION``."""
    axis.set_ticks(list(places), [label(word) for word in words])
    axis.set_tick_params(length=0)
    for text, word in zip(axis.get_ticklabels(), words, strict=True):
        mark_label(text, word, kind)
        text.set(**look)


def _slanted(turn: float) -> dict[str, Any]:
    """Labels that end at their mark."""
    va = "center" if turn == 90 else "top"
    return {"rotation": turn, "ha": "right", "va": va, "rotation_mode": "anchor"}
