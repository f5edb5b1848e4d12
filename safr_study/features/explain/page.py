"""One text's explanation as a page: a single file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from safr_study.records.explanation import Explanation
from safr_study.render.format import word_facts
from safr_study.render.html import document
from safr_study.render.inline_svg import inline_svg

STRONGEST_PAIRS = 20
"""Rows of the table of pairs."""

_CAPTIONS = {
    "bars": ("Capacity of each word", "Figure 2a of the paper: one bar per word, in text order."),
    "graph": (
        "Correlations between the words",
        "Figure 2b: a circle grows with the word's capacity; a solid vermillion edge is a positive "
        "correlation, a dashed blue one a negative; a shorter edge is a stronger correlation.",
    ),
    "heatmap": (
        "Interference between the words",
        "Figure 2c: (hᵢ·hⱼ)² for each pair of words; bright is strong.",
    ),
    "layers": (
        "Through the layers",
        "Figures 4 to 6: capacity and interference in every layer, each map on its own scale.",
    ),
}


def explanation_page(explanation: Explanation, pictures: Mapping[str, str]) -> str:
    """The HTML of an explanation: pictures, and every number in a table.

    The words' numbers are also the pictures' accessible form. Nothing is loaded: a policy in the
    page forbids it. What the user wrote is escaped.

    Args:
        explanation: the numbers.
        pictures: SVG elements by name: ``bars``, ``graph``, ``heatmap``, ``layers``; any may be
            missing.
    """
    titles = _titles(explanation)
    drawn = [
        (
            name,
            *_CAPTIONS[name],
            inline_svg(svg, name=name, label=_CAPTIONS[name][0], titles=titles),
        )
        for name, svg in pictures.items()
    ]
    return document(
        "features/explain/explanation.html",
        f"{explanation.prediction} ({explanation.probability:.2f}): a SAFR explanation",
        explanation=explanation,
        pictures=drawn,
        layer_titles=[view.title(explanation.source) for view in explanation.layers],
        pairs=_strongest(explanation),
    )


def _titles(explanation: Explanation) -> dict[str, str | list[str]]:
    """Sentences of the pictures' marks, by their ids."""
    words = explanation.pictured
    cosine, interference = explanation.view.cosine, explanation.view.interference
    titles: dict[str, str | list[str]] = {
        f"{kind}-{word.position}": f"{word.shown}: {word_facts(word)}"
        for word in words
        for kind in ("bar", "node")
    }
    titles["heatmap"] = [
        f"{row.shown}, {column.shown}: {interference[row.position, column.position]:.4g}"
        for row in words
        for column in words
    ]
    return titles | {
        f"edge-{first.position}-{second.position}": (
            f"{first.shown}, {second.shown}: cosine {cosine[first.position, second.position]:.3f}"
        )
        for first, second in combinations(words, 2)
    }


def _strongest(explanation: Explanation) -> list[tuple[int, int, float | None, float, float]]:
    view = explanation.view
    cosine, interference = view.cosine, view.interference
    return [
        (
            i,
            j,
            None if np.isnan(cosine[i, j]) else float(cosine[i, j]),
            float(view.dot[i, j]),
            float(interference[i, j]),
        )
        for i, j in explanation.strongest(STRONGEST_PAIRS)
    ]
