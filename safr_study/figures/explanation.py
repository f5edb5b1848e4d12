"""Figures 2a to 2c and 4 to 6 of the SAFR paper for one text, as files or as SVG elements."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import cast

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from safr_study.figures.canvas import (
    BLUE,
    DARK_GREY,
    SKY,
    Page,
    blank_figure,
    save_figure,
    style,
    svg_text,
    titled_figure,
)
from safr_study.figures.word_graph import GraphFacts, draw_graph, edge_legend
from safr_study.figures.words import (
    COLOURS,
    add_colour_bar,
    add_details,
    add_words,
    draw_bars,
    draw_heatmap,
    left_out,
)
from safr_study.records.explanation import Explanation, LayerView, visible

_BARS_HEIGHT = 2.9
_GRAPH_LINES = 5
"""Line breaks below the graph."""
_LAYER_WORDS = 24
"""Words of a small panel."""
_LAYER_WIDTH, _LAYER_BARS, _LAYER_MAP = 3.2, 1.5, 3.2
"""Inches of a layer's column, of its bars and of its map."""


def explanation_figure(explanation: Explanation, path: Path) -> None:
    """Draw Figures 2a, 2b and 2c of a text on one page.

    Ids in an SVG: those of `draw_bars`, `draw_graph`, `draw_heatmap` and `titled_figure`,
    and ``note-bars``, ``note-graph`` and ``note-heatmap`` below the panels.

    Args:
        explanation: of at least one word.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    side = _side(explanation)
    width = 2 * side + 1.8
    title = f"{_quoted(explanation)}: {explanation.prediction} ({explanation.probability:.2f})"
    height = _BARS_HEIGHT + side + 2.0
    with Page(path, title, _caption(explanation)).figure(width, height) as figure:
        grid = figure.add_gridspec(2, 2, height_ratios=[_BARS_HEIGHT, side + 0.8])
        _add_bars(figure.add_subplot(grid[0, :]), explanation, "a")
        graph = figure.add_subplot(grid[1, 0])
        _add_heatmap(figure.add_subplot(grid[1, 1]), explanation, "c")
        _add_graph(graph, explanation, "b")


def layers_figure(explanation: Explanation, path: Path) -> None:
    """Draw Figures 4 to 6 of a text: capacity and interference in all layers, on one page.

    One column per layer, one row of bars and maps per block; capacities share their scale. The
    layers are the paper's: embedding, VMASK, attention, FFN1 and FFN2; FFN1 after ReLU only where
    that is the chosen layer. Ids in an SVG: ``LAYER-BLOCK-bar-POSITION`` and
    ``LAYER-BLOCK-heatmap``.

    Args:
        explanation: of at least one word, with its layers.
        path: ends in .png or .svg; its folder exists.

    Raises:
        BadInput: another suffix.
    """
    with style():
        save_figure(_layers(explanation), path)


def explanation_svgs(explanation: Explanation) -> dict[str, str]:
    """The same pictures as SVG elements for an HTML page.

    Keys: ``bars``, ``graph`` and ``heatmap``, and ``layers`` where the explanation has them; none
    for a text without words.
    """
    if not explanation.words:
        return {}
    side = _side(explanation)
    sizes = {
        "bars": (2 * side + 1.0, _BARS_HEIGHT + 0.6),
        "graph": (side + 0.2, side + 1.0),
        "heatmap": (side + 1.4, side + 0.8),
    }
    adders = {"bars": _add_bars, "graph": _add_graph, "heatmap": _add_heatmap}
    drawn = {}
    with style():
        for name, size in sizes.items():
            figure = blank_figure(*size)
            adders[name](figure.add_subplot(), explanation, "")
            drawn[name] = svg_text(figure)
        if explanation.layers:
            drawn["layers"] = svg_text(_layers(explanation))
    return drawn


def _quoted(explanation: Explanation) -> str:
    """The text's beginning."""
    return f"“{textwrap.shorten(visible(explanation.text), 120, placeholder=' …')}”"


def _side(explanation: Explanation) -> float:
    """Inches of the graph and of the heat map."""
    return min(max(4.2, 3.6 + 0.11 * len(explanation.pictured)), 8.0)


def _add_bars(axes: Axes, explanation: Explanation, letter: str) -> None:
    words = explanation.pictured
    draw_bars(axes, words, explanation.view)
    add_details(axes, words, explanation.view)
    axes.set_ylabel("capacity")
    _set_title(axes, letter, f"Capacity of each word at {explanation.layer_title}")
    handles = [
        Patch(color=BLUE, label="top 30 % (bold): what SRS(30) deletes"),
        Patch(color=SKY, label="the others"),
    ]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    _set_note(axes, left_out(words, explanation.words), "note-bars")


def _add_graph(axes: Axes, explanation: Explanation, letter: str) -> None:
    """The last to be added: everything else must be in its place."""
    words = explanation.pictured
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    _set_title(axes, letter, "Correlations between the words")
    # Room for what is only known when all else is in its place.
    _set_note(axes, "\n" * _GRAPH_LINES, "note-graph")
    figure = cast("Figure", axes.figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    facts = draw_graph(axes, words, explanation.view, second_from=explanation.second_from)
    axes.legend(
        handles=edge_legend(pair=explanation.texts is not None),
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=2,
        frameon=False,
        borderaxespad=0.4,
        borderpad=0,
        fontsize=7.5,
    )
    _set_note(axes, _graph_note(facts, explanation), "note-graph")


def _add_heatmap(axes: Axes, explanation: Explanation, letter: str) -> None:
    words = explanation.pictured
    mesh = draw_heatmap(axes, words, explanation.view)
    axes.set_aspect("equal")
    axes.set_anchor("N")
    add_words(axes, words)
    name = "interference (hᵢ·hⱼ)², colour linear in |hᵢ·hⱼ|"
    add_colour_bar(mesh, [axes], name, shrink=0.9, pad=0.02)
    _set_title(axes, letter, f"Interference at {explanation.layer_title}")
    _set_note(axes, left_out(words, explanation.words), "note-heatmap")


def _set_title(axes: Axes, letter: str, title: str) -> None:
    axes.set_title(f"{letter}  {title}".strip(), loc="left", fontsize=9.5, fontweight="bold")


def _set_note(axes: Axes, note: str, gid: str) -> None:
    axes.set_xlabel(note, fontsize=7.5, color=DARK_GREY, loc="left", gid=gid)


def _graph_note(facts: GraphFacts, explanation: Explanation) -> str:
    words = explanation.pictured
    capacities = [word.capacity for word in words]
    lines = [
        "",  # The legend's.
        left_out(words, explanation.words),
        f"Circle: its radius grows with capacity ({min(capacities):.2f} to {max(capacities):.2f}).",
    ]
    if facts.edges:
        lines += [
            "Edge: shorter and thicker = a stronger correlation (cosine of the words' vectors).",
            f"{facts.edges} of {facts.pairs} pairs: the strongest of all and of each word.",
        ]
    elif facts.pairs:
        lines.append("No two words are correlated (|cosine| of 0.1 or more).")
    if facts.order is not None:
        lines.append(
            f"Rank correlation of length and strength: {facts.order:.2f} (perfect would be -1)."
        )
    return "\n".join([lines[0], *filter(None, lines)])


def _caption(explanation: Explanation) -> str:
    source = explanation.source
    parts = [
        f"Model {source.reference} (weights {source.sha256[:12]}, preset {source.preset}, "
        f"trained on {source.dataset}).",
        *explanation.notes,
    ]
    if any(not word.known for word in explanation.words):
        parts.append("Italics: unknown words.")
    return " ".join(parts)


def _layers(explanation: Explanation) -> Figure:
    """The page of `layers_figure`; built and saved inside `style`."""
    blocks = _layers_by_block(explanation)
    columns = max(map(len, blocks))
    words = explanation.highest(_LAYER_WORDS)
    figure = titled_figure(
        _LAYER_WIDTH * columns + 1.4,
        (_LAYER_BARS + _LAYER_MAP + 0.9) * len(blocks) + 1.0,
        f"{_quoted(explanation)} through the layers: capacity, and interference between the words",
        f"Dark bars and bold words: the top 30 % at {explanation.layer_title}. "
        + left_out(words, explanation.words),
    )
    heights = [_LAYER_BARS, _LAYER_MAP] * len(blocks)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    maps: list[Axes] = []
    for row, views in enumerate(blocks):
        # The columns of the blocks are below each other.
        for column, view in enumerate(views, start=columns - len(views)):
            first = column == columns - len(views)
            bars = figure.add_subplot(grid[2 * row, column])
            kind = f"{view.layer}-{view.block}"
            draw_bars(bars, words, view, kind=f"{kind}-bar")
            bars.set_ylim(0, 1.02)
            bars.set_title(view.title(explanation.source), fontweight="bold")
            bars.set_ylabel("capacity" if first else "")
            bars.tick_params(labelleft=first)
            cells = figure.add_subplot(grid[2 * row + 1, column])
            mesh = draw_heatmap(cells, words, view, kind=f"{kind}-heatmap")
            add_words(cells, words, kind=f"{kind}-", rows=first, size=7.5, turn=90.0)
            cells.set_title(f"largest (hᵢ·hⱼ)² {mesh.norm.vmax:.2g}", fontsize=8, color=DARK_GREY)
            maps.append(cells)
    scale = ScalarMappable(PowerNorm(0.5, 0.0, 1.0), COLOURS)
    name = "interference / largest of its panel"
    add_colour_bar(scale, maps, name, shrink=0.5, pad=0.01, aspect=30)
    return figure


def _layers_by_block(explanation: Explanation) -> list[list[LayerView]]:
    """The views by block, what comes before the blocks with the first."""
    ffn1 = explanation.view.layer if explanation.view.layer.startswith("ffn1") else "ffn1_pre"
    wanted = ("embedding", "vmask", "attention", ffn1, "ffn2")
    views = [view for view in explanation.layers if view.layer in wanted]
    return [
        [view for view in views if view.block == block]
        for block in range(explanation.source.blocks)
    ]
