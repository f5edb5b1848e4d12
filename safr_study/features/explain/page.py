"""One text's explanation as a page: a single file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from itertools import combinations

import numpy as np

from safr_study.records.explanation import MOST_PICTURED, Explanation
from safr_study.render.html import cell, definitions, document, head, number, section, table
from safr_study.render.inline_svg import inline_svg
from safr_study.render.words import TINTS, marked_word, word_facts

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
    title = f"{explanation.prediction} ({explanation.probability:.2f})"
    parts = [
        f"<h1>Prediction: <strong>{escape(explanation.prediction)}</strong> "
        f"<small>probability {explanation.probability:.4f}</small></h1>",
        _text(explanation) if explanation.words else "",
        *(f'<p class="note">{escape(note)}</p>' for note in explanation.notes),
        _probabilities(explanation),
        *(_figure(name, svg, explanation) for name, svg in pictures.items()),
        _words_table(explanation) if explanation.words else "",
        _layers_table(explanation) if explanation.words and explanation.layers else "",
        _pairs_table(explanation) if len(explanation.words) > 1 else "",
        _provenance(explanation),
    ]
    body = "\n".join(filter(None, parts))
    return document(f"{title}: a SAFR explanation", f"<main>\n{body}\n</main>")


def _text(explanation: Explanation) -> str:
    capacities = [word.capacity for word in explanation.words]
    spans = " ".join(marked_word(word, max(capacities)) for word in explanation.words)
    scale = " ".join(f'<span class="w t{step}">&nbsp;&nbsp;</span>' for step in range(TINTS))
    return (
        f'<p class="text" dir="auto">{spans}</p>\n'
        f'<p class="legend">Capacity at {escape(explanation.layer_title)}: 0 {scale} '
        f"{max(capacities):.2f}; <strong>bold and underlined</strong>: the top 30 %, which SRS(30) "
        "deletes; <i>italic</i>: unknown to the model.</p>"
    )


def _probabilities(explanation: Explanation) -> str:
    rows = [
        [cell(name), number(probability, 4)]
        for name, probability in sorted(explanation.probabilities, key=lambda pair: -pair[1])
    ]
    return section("classes", "Classes", table(["Class", "Probability"], rows))


def _figure(name: str, svg: str, explanation: Explanation) -> str:
    heading, caption = _CAPTIONS[name]
    drawn = inline_svg(svg, name=name, label=heading, titles=_titles(explanation))
    return section(
        name,
        heading,
        f'<figure><div class="picture" tabindex="0" role="group" aria-label="{escape(heading)}, '
        f'picture; its numbers are in the tables below">{drawn}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>",
    )


def _titles(explanation: Explanation) -> dict[str, str | list[str]]:
    """Sentences of the pictures' marks, by their ids."""
    words = explanation.highest(MOST_PICTURED)
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


def _words_table(explanation: Explanation) -> str:
    rows = [
        [
            number(word.position + 1, 0),
            head(word.shown),
            number(word.capacity, 4),
            number(word.rank + 1, 0),
            cell("yes" if word.top else ""),
            number(word.keep_probability, 4),
            cell("" if word.known else "unknown"),
        ]
        for word in explanation.words
    ]
    columns = ["Place", "Word", "Capacity", "Rank", "Top 30 %", "Keep-probability", "Note"]
    return section("words", "All words", table(columns, rows, sortable=True))


def _layers_table(explanation: Explanation) -> str:
    blocks = explanation.source.blocks
    columns = ["Place", "Word", *(view.title(blocks) for view in explanation.layers)]
    rows = [
        [
            number(word.position + 1, 0),
            head(word.shown),
            *(number(view.capacity[word.position], 4) for view in explanation.layers),
        ]
        for word in explanation.words
    ]
    drawn = table(columns, rows, sortable=True)
    return section("layer-capacities", "Capacity in every layer", drawn)


def _pairs_table(explanation: Explanation) -> str:
    words, view = explanation.words, explanation.view
    first, second = np.triu_indices(len(words), 1)
    columns = (view.cosine, view.dot, view.interference)
    values = np.stack([column[first, second] for column in columns], axis=1)
    strongest = np.argsort(-np.nan_to_num(np.abs(values[:, 0])), kind="stable")[:STRONGEST_PAIRS]
    rows = [
        [
            head(words[first[pair]].shown),
            cell(words[second[pair]].shown),
            *(number(None if np.isnan(value) else value, 4) for value in values[pair].tolist()),
        ]
        for pair in strongest
    ]
    heading = f"The {len(rows)} strongest of {len(first)} pairs"
    names = ["Word", "Word", "Cosine", "Dot product", "Interference"]
    note = "<p>By |cosine|; <code>safr-study explain --json</code> has all of them.</p>"
    return section("pairs", heading, note + table(names, rows, sortable=True))


def _provenance(explanation: Explanation) -> str:
    source = explanation.source
    facts = {
        "Model": source.reference,
        "Weights (SHA-256)": source.sha256,
        "Epoch": str(source.epoch),
        "Preset": source.preset,
        "Layer": explanation.layer_title,
        "Trained on": source.dataset,
        "Data (SHA-256)": source.corpus_fingerprint,
        "Words read": f"at most {source.max_len}",
        "Made by": f"safr-study {source.safr_study}",
    }
    return section("provenance", "Where this comes from", definitions(facts))
