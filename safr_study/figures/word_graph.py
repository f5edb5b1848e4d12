"""Figure 2b of the SAFR paper: the words as circles, their correlations as edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.text import Text
from numpy.typing import NDArray
from scipy import stats

from safr_study.figures.canvas import BLUE, VERMILLION, Look
from safr_study.figures.words import label, mark_label
from safr_study.records.explanation import ExplainedWord, LayerView

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]

WEAKEST = 0.1
"""|cosine| from which two words are called correlated."""
EDGES_PER_WORD = 2
"""So many times the number of words: the strongest edges, beside each word's own strongest."""
SMALLEST_RADIUS = 4.0
"""Points, of a word of capacity 0."""

_FONT_SIZES = (9.0, 8.0, 7.0, 6.0, 5.0)
"""Tried in turn until no two labels overlap."""
_EDGES: dict[bool, Look] = {
    True: {"color": VERMILLION, "linestyle": "-"},
    False: {"color": BLUE, "linestyle": (0.0, (4.0, 2.0))},
}
"""Looks of positive correlations and of the others."""
_FILLS = (("#CBE6F6", "#3A7CA5"), ("#FBE3C4", "#A5713A"))
"""Colour and rim of a word, of the first text and of the second."""
_PAPER = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.6, "linewidth": 0}
"""Paper behind a word that is wider than its circle, so that no edge crosses its letters."""
_AIR = 5.0
"""Points around a word."""
_PUSHES = 2000
_SMALLEST_OVERLAP = 1e-9


class Edge(NamedTuple):
    """Two correlated words, by their place among the drawn."""

    first: int
    second: int
    cosine: float


class GraphFacts(NamedTuple):
    """Facts of the graph for its caption."""

    edges: int
    pairs: int
    """Pairs of all the words drawn."""
    order: float | None
    """Spearman's rank correlation of the edges' lengths and their |cosine|; ``None`` with fewer
    than three edges or where all are alike. In general the plane has no places for a perfect -1."""


def drawn_pairs(cosine: Array, of_second: Marks | None = None) -> list[Edge]:
    """The correlated pairs that get an edge, the strongest first.

    With all of them nothing could be seen: the strongest of all, and the strongest positive and
    the strongest negative one of each word, so that no correlated word is alone and both signs
    are seen. Of a pair of texts each word's strongest link to the other text too.

    Args:
        cosine: `[n, n]`; NaN means no correlation.
        of_second: `[n]`, the words of the second text.
    """
    count = len(cosine)
    signed = np.nan_to_num(cosine)
    np.fill_diagonal(signed, 0.0)
    own = np.zeros_like(signed, dtype=bool)
    for sign in (1, -1):
        own[np.arange(count), (sign * signed).argmax(axis=1)] = True
    if of_second is not None:
        links = np.abs(signed) * (of_second[:, None] != of_second)
        own[np.arange(count), links.argmax(axis=1)] = True
    own |= own.T
    first, second = np.triu_indices(count, 1)
    values = signed[first, second]
    order = np.argsort(-np.abs(values), kind="stable")
    kept = own[first, second]
    kept[order[: EDGES_PER_WORD * count]] = True
    kept &= np.abs(values) >= WEAKEST
    return [
        Edge(int(first[pair]), int(second[pair]), float(values[pair]))
        for pair in order[kept[order]]
    ]


def draw_graph(
    axes: Axes,
    words: Sequence[ExplainedWord],
    view: LayerView,
    *,
    second_from: int | None = None,
) -> GraphFacts:
    """Circles whose radius grows with capacity, and edges that are short where |cosine| is high.

    A radius is SMALLEST_RADIUS plus a part linear in capacity. Positive correlations are
    vermillion and solid, negative ones blue and dashed. Edge lengths follow the order of |cosine|,
    not its value, as far as the plane and the labels allow. Ids in an SVG: ``node-POSITION``,
    ``node-word-POSITION``, ``edge-POSITION-POSITION`` (the earlier word first).

    Args:
        axes: of final size (`Figure.draw_without_rendering` has run); its units become points.
        words: at least one; those that are drawn.
        view: the layer.
        second_from: position of the first word of the second text of a pair, whose circles have
            another colour.
    """
    places = [word.position for word in words]
    second = None if second_from is None else np.array(places) >= second_from
    cosine = view.cosine[np.ix_(places, places)]
    edges = drawn_pairs(cosine, second)
    room = _in_points(axes)
    axes.set(xlim=(0, room[0]), ylim=(0, room[1]))
    radii = _radii(view.capacity[places], room)
    wished = stress_layout(_targets(np.nan_to_num(np.abs(cosine))))
    texts = [axes.text(0, 0, label(word), ha="center", va="center", zorder=4) for word in words]
    for text, word in zip(texts, words, strict=True):
        mark_label(text, word, "node-word")
        text.set_in_layout(False)
    centres = _place(wished, radii, texts, room)
    fills = [False] * len(words) if second is None else second.tolist()
    for word, text, centre, radius, of_second in zip(
        words, texts, centres.tolist(), radii, fills, strict=True
    ):
        text.set_position(centre)
        if _text_halves(text)[0] > radius:
            text.set_bbox(_PAPER)
        fill, rim = _FILLS[of_second]
        look = {"facecolor": fill, "edgecolor": rim, "linewidth": 0.8, "zorder": 3}
        circle = Circle(centre, float(radius), gid=f"node-{word.position}", **look)
        axes.add_patch(circle).set_in_layout(False)
    for edge in edges:
        _draw_edge(axes, edge, words, centres)
    return _facts(edges, centres)


def edge_legend(*, pair: bool = False) -> list[Line2D]:
    """The two kinds of edges, and of a pair of texts the two kinds of words, for a legend."""
    edges = [
        Line2D([], [], linewidth=1.8, label=f"{sign} correlation", **_EDGES[sign == "positive"])
        for sign in ("positive", "negative")
    ]
    look: Look = {"linewidth": 0, "marker": "o", "markersize": 8}
    words = [
        Line2D([], [], label=f"{text} text", markerfacecolor=fill, markeredgecolor=rim, **look)
        for text, (fill, rim) in zip(("first", "second"), _FILLS, strict=True)
    ]
    return [*edges, *words] if pair else edges


def _draw_edge(axes: Axes, edge: Edge, words: Sequence[ExplainedWord], centres: Array) -> None:
    ends = centres[[edge.first, edge.second]]
    line = Line2D(
        ends[:, 0].tolist(),
        ends[:, 1].tolist(),
        **_EDGES[edge.cosine > 0],
        linewidth=0.5 + 1.9 * abs(edge.cosine),
        alpha=0.4 + 0.45 * abs(edge.cosine),
        zorder=2,
        gid=f"edge-{words[edge.first].position}-{words[edge.second].position}",
    )
    axes.add_line(line).set_in_layout(False)


def _in_points(axes: Axes) -> tuple[float, float]:
    box = axes.get_window_extent()
    points = 72.0 / axes.figure.dpi
    return box.width * points, box.height * points


def _radii(capacities: Array, room: tuple[float, float]) -> Array:
    largest = min(room) / (5.0 * np.sqrt(len(capacities) + 1.0))
    scale = float(capacities.max()) or 1.0
    radii: Array = SMALLEST_RADIUS + (largest - SMALLEST_RADIUS) * capacities / scale
    return radii


def _targets(strength: Array) -> Array:
    """Wished distances `[n, n]` in [0.2, 1]: 1 - 0.8 q^2, q the share of the weaker pairs.

    By rank, because most pairs of a text are about equally correlated: as many equal distances
    have no room in the plane, while an order has. The square keeps the strong pairs apart.
    """
    ordered = np.sort(strength[np.triu_indices(len(strength), 1)])
    shares = np.searchsorted(ordered, strength) / max(1, len(ordered))
    targets: Array = 1.0 - 0.8 * np.clip(shares, 0.0, 1.0) ** 2
    return targets


def _place(wished: Array, radii: Array, texts: Sequence[Text], room: tuple[float, float]) -> Array:
    """Centres in points, with labels and circles apart; the labels are shrunk if they must."""
    for size in _FONT_SIZES:
        for text in texts:
            text.set_fontsize(size)
        wide = np.array([_text_halves(text) for text in texts])
        halves: Array = np.maximum(wide, radii[:, None]) + _AIR
        # The same order of neighbours, as large as the room.
        low, high = wished.min(axis=0), wished.max(axis=0)
        scale = ((np.asarray(room) - 2 * halves.max(axis=0)) / np.maximum(high - low, 1e-9)).min()
        centres: Array = (wished - (low + high) / 2) * max(scale, 1.0) + np.asarray(room) / 2
        apart = separate(centres, halves, room)
        if apart is not None:
            return apart
    return centres


def _text_halves(text: Text) -> tuple[float, float]:
    """Half the width and height of a label in points."""
    figure = cast("Any", text.figure)
    box = text.get_window_extent(figure.canvas.get_renderer())
    return box.width * 36.0 / figure.dpi, box.height * 36.0 / figure.dpi


def _facts(edges: Sequence[Edge], centres: Array) -> GraphFacts:
    strength = np.array([abs(edge.cosine) for edge in edges])
    ends = np.array([(edge.first, edge.second) for edge in edges], dtype=int).reshape(-1, 2)
    lengths = np.linalg.norm(centres[ends[:, 0]] - centres[ends[:, 1]], axis=1)
    alike = len(edges) < 3 or np.ptp(lengths) == 0 or np.ptp(strength) == 0
    return GraphFacts(
        edges=len(edges),
        pairs=len(centres) * (len(centres) - 1) // 2,
        order=None if alike else float(stats.spearmanr(lengths, strength).statistic),
    )


def stress_layout(targets: Array) -> Array:
    """Places whose distances are close to the wished ones.

    They minimise the stress of Kamada and Kawai (1989). In general no places in the plane have
    just these distances. The same targets give the same places.

    Args:
        targets: `[n, n]`, symmetric, above 0 off the diagonal.

    Returns:
        `[n, 2]`, centred on 0.
    """
    count = len(targets)
    if count < 2:
        return np.zeros((count, 2))
    wished = {row: dict(enumerate(values)) for row, values in enumerate(targets.tolist())}
    start = dict(enumerate(_classical(targets)))
    found = nx.kamada_kawai_layout(nx.complete_graph(count), dist=wished, pos=start)
    places = np.array([found[row] for row in range(count)])
    # The library scales them to [-1, 1]: back to the size that fits the targets best.
    pairs = np.triu_indices(count, 1)
    ratios = np.linalg.norm(places[:, None] - places[None, :], axis=2)[pairs] / targets[pairs]
    centred: Array = (places - places.mean(axis=0)) * ratios.sum() / (ratios**2).sum()
    return centred


def separate(centres: Array, halves: Array, room: tuple[float, float]) -> Array | None:
    """Move boxes apart by small steps until none overlaps another, all within the room.

    Args:
        centres: `[n, 2]`.
        halves: `[n, 2]`, half the width and height of each box.
        room: width and height; its lower left corner is 0, 0.

    Returns:
        New centres `[n, 2]`, or ``None`` where the room does not suffice.
    """
    moved = centres.copy()
    low, high = halves, np.asarray(room) - halves
    if (high < low).any():
        return None
    upper = np.triu(np.ones((len(moved), len(moved)), dtype=bool), 1)
    reach = halves[:, None] + halves[None, :]  # [n, n, 2]
    for _ in range(_PUSHES):
        moved = np.clip(moved, low, high)
        gap = moved[:, None] - moved[None, :]
        overlap = reach - np.abs(gap)
        touching = (overlap > _SMALLEST_OVERLAP).all(axis=2) & upper
        if not touching.any():
            return moved
        # Along the axis that needs less; boxes at one place part in the order of the text.
        axis = overlap.argmin(axis=2)[..., None] == np.arange(2)
        side = np.where(gap == 0, -1.0, np.sign(gap))
        push = np.where(axis & touching[..., None], side * (overlap / 2 + 0.1), 0.0)
        pushed = push.sum(axis=1) - push.sum(axis=0)
        moved = moved + 0.6 * pushed
    return None


def _classical(targets: Array) -> Array:
    """Torgerson's scaling `[n, 2]`: the two main axes of the doubly centred squares."""
    squares = np.where(np.eye(len(targets), dtype=bool), 0.0, targets) ** 2
    means = squares.mean(axis=0)
    values, vectors = np.linalg.eigh(-0.5 * (squares - means[:, None] - means + means.mean()))
    axes = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    # Equal words would stay on one point for ever: part them a little.
    spread = np.random.default_rng(1).normal(scale=1e-3 * targets.max(), size=axes.shape)
    places: Array = axes * np.where(signs == 0, 1.0, signs) + spread
    return places
