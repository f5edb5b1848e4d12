"""Figures 4 to 6 of the SAFR paper: capacity and interference across the layers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from safr_study.figures.bars import draw_bars
from safr_study.figures.canvas import DARK_GREY, blank_figure
from safr_study.figures.heatmap import COLOURS, add_words, draw_heatmap
from safr_study.figures.words import left_out
from safr_study.records.explanation import Explanation, LayerView

MOST_WORDS = 24
"""Words of a small panel."""
_WIDTH, _BARS, _MAP = 3.2, 1.5, 3.2
"""Inches of a column, of its bars and of its map."""


def layers_page(explanation: Explanation) -> Figure:
    """One column per layer, one row of bars and maps per block; capacities share their scale.

    The layers are the paper's: embedding, VMASK, attention, FFN1 and FFN2; FFN1 after ReLU only
    where that is the chosen layer. Ids in an SVG: ``LAYER-BLOCK-bar-POSITION`` and
    ``LAYER-BLOCK-heatmap``.

    Args:
        explanation: of at least one word, with its layers; built and saved inside `style`.
    """
    rows = _rows(explanation)
    columns = max(map(len, rows))
    figure = blank_figure(_WIDTH * columns + 1.4, (_BARS + _MAP + 0.9) * len(rows) + 1.0)
    grid = figure.add_gridspec(2 * len(rows), columns, height_ratios=[_BARS, _MAP] * len(rows))
    words = explanation.highest(MOST_WORDS)
    maps: list[Axes] = []
    for row, views in enumerate(rows):
        # The columns of the blocks are below each other.
        for column, view in enumerate(views, start=columns - len(views)):
            bars = figure.add_subplot(grid[2 * row, column])
            kind = f"{view.layer}-{view.block}"
            draw_bars(bars, words, view, kind=f"{kind}-bar")
            bars.set_ylim(0, 1.02)
            bars.set_title(view.title(explanation.source.blocks), fontweight="bold")
            cells = figure.add_subplot(grid[2 * row + 1, column])
            mesh = draw_heatmap(cells, words, view, kind=f"{kind}-heatmap")
            first = column == columns - len(views)
            add_words(cells, words, kind=f"{kind}-", rows=first, size=7.5, turn=90.0)
            cells.set_title(f"largest (hᵢ·hⱼ)² {mesh.norm.vmax:.2g}", fontsize=8, color=DARK_GREY)
            if first:
                bars.set_ylabel("capacity")
            else:
                bars.set_yticklabels([])
            maps.append(cells)
    _add_scale(figure, maps)
    shown = textwrap.shorten(
        " ".join(word.shown for word in explanation.words), 120, placeholder=" …"
    )
    figure.suptitle(
        f"“{shown}” through the layers: capacity, and interference between the words",
        fontweight="bold",
        x=0.01,
        ha="left",
    )
    note = f"Dark bars and bold words: the top 30 % at {explanation.layer_title}. " + left_out(
        words, explanation.words
    )
    figure.supxlabel(note, fontsize=8, color=DARK_GREY, x=0.01, ha="left", gid="caption")
    return figure


def _rows(explanation: Explanation) -> list[list[LayerView]]:
    """The views by block, what comes before the blocks with the first."""
    ffn1 = explanation.view.layer if explanation.view.layer.startswith("ffn1") else "ffn1_pre"
    wanted = ("embedding", "vmask", "attention", ffn1, "ffn2")
    views = [view for view in explanation.layers if view.layer in wanted]
    return [
        [view for view in views if view.block == block]
        for block in range(explanation.source.blocks)
    ]


def _add_scale(figure: Figure, maps: Sequence[Axes]) -> None:
    scale = ScalarMappable(PowerNorm(0.5, 0.0, 1.0), COLOURS)
    bar = figure.colorbar(scale, ax=list(maps), shrink=0.5, pad=0.01, aspect=30)
    marks = [0.0, 0.0625, 0.25, 0.5625, 1.0]
    bar.set_ticks(marks, labels=["0", "1/16", "1/4", "9/16", "1"])
    bar.set_label("interference / largest of its panel")
    bar.outline.set_visible(False)
