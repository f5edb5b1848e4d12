"""The words of a text on the tints of their capacities."""

from __future__ import annotations

from html import escape

from safr_study.records.explanation import ExplainedWord

TINT_COLOURS = (
    ("#f7fbff", "#000000"),
    ("#deebf7", "#000000"),
    ("#b5d4e9", "#000000"),
    ("#7ab6d9", "#000000"),
    ("#2b7bba", "#ffffff"),
    ("#08418a", "#ffffff"),
)
"""Paper and ink by rising capacity, where no style sheet is at hand; as ``.t0`` to ``.t5`` of
``base.css``. Blues that are told apart by lightness alone."""
TINTS = len(TINT_COLOURS)
"""Steps of the colour scale, from no tint to the darkest."""


def tint(capacity: float, largest: float) -> int:
    """Step of the colour scale, from 0 to TINTS - 1, linear in the capacity.

    Args:
        capacity: at least 0.
        largest: of the text; its word gets the last step.
    """
    return min(TINTS - 1, int(TINTS * capacity / largest)) if largest > 0 else 0


def marked_word(word: ExplainedWord, largest: float, kind: str = "") -> str:
    """A word on its tint; the top 30 % by capacity are marked without colour as well.

    Args:
        word: of a text.
        largest: capacity of the text.
        kind: more classes of the style sheet.
    """
    step = tint(word.capacity, largest)
    classes = f"w t{step}{'' if word.known else ' unknown'}{f' {kind}' if kind else ''}"
    tag = "strong" if word.top else "span"
    return f'<{tag} class="{classes}" title="{word_facts(word)}">{escape(word.shown)}</{tag}>'


def word_facts(word: ExplainedWord) -> str:
    """The word's numbers in one line."""
    keep = (
        "" if word.keep_probability is None else f", keep-probability {word.keep_probability:.3f}"
    )
    return f"capacity {word.capacity:.3f}, rank {word.rank + 1}{keep}"
