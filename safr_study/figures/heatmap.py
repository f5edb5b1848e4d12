"""Figure 2c of the SAFR paper: the interference between the words of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm

from safr_study.figures.canvas import LIGHT_GREY
from safr_study.figures.words import label, mark_label
from safr_study.records.explanation import ExplainedWord, LayerView

COLOURS = "cividis"
"""Perceptually uniform, and the same to people with a colour vision deficiency."""


def draw_heatmap(
    axes: Axes, words: Sequence[ExplainedWord], view: LayerView, *, kind: str = "heatmap"
) -> QuadMesh:
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
    mesh = axes.pcolormesh(
        cells,
        cmap=COLOURS,
        norm=PowerNorm(0.5, 0.0, largest or 1.0),
        edgecolors="white",
        linewidth=0.4,
        gid=kind,
    )
    axes.invert_yaxis()
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set(xticks=[], yticks=[])
    return mesh


def add_words(
    axes: Axes,
    words: Sequence[ExplainedWord],
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
    labels = [label(word) for word in words]
    axes.set_xticks(centres, labels)
    axes.tick_params(length=0)
    for text, word in zip(axes.get_xticklabels(), words, strict=True):
        mark_label(text, word, f"{kind}column-word")
        text.set(
            rotation=turn, ha="right", va="center" if turn == 90 else "top", rotation_mode="anchor"
        )
        text.set_fontsize(size)
    if rows:
        axes.set_yticks(centres, labels)
        for text, word in zip(axes.get_yticklabels(), words, strict=True):
            mark_label(text, word, f"{kind}row-word")
            text.set_fontsize(size)


def add_colour_bar(axes: Axes, mesh: QuadMesh) -> None:
    """The scale next to the map, its marks at equal steps of the colour."""
    bar = axes.figure.colorbar(mesh, ax=axes, shrink=0.9, pad=0.02)
    marks = np.linspace(0, 1, 5) ** 2 * cast("float", mesh.norm.vmax)
    bar.set_ticks(marks.tolist(), labels=[f"{mark:.2g}" for mark in marks])
    bar.set_label("interference (hᵢ·hⱼ)², colour linear in |hᵢ·hⱼ|")
    bar.outline.set_visible(False)
