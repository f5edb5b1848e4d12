"""Figure 2a of the SAFR paper: the capacity of each word."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from safr_study.figures.canvas import BLUE, DARK_GREY, SKY, add_grid
from safr_study.figures.words import label, mark_label
from safr_study.records.explanation import ExplainedWord, LayerView

_FEWEST = 5
"""Words for which there is always room, so that a single bar stays a bar."""
_WITH_VALUES = 24
"""Words next to which there is room for their values."""
_UPRIGHT = 12
"""Words next to which there is room for horizontal labels of _SHORT characters in all."""
_SHORT = 70


def draw_bars(
    axes: Axes, words: Sequence[ExplainedWord], view: LayerView, *, kind: str = "bar"
) -> None:
    """One bar per word in the order of the text; its length is the capacity.

    The bars have the ids ``KIND-POSITION`` in an SVG.

    Args:
        axes: their y axis begins at 0.
        words: at least one; those that are drawn.
        view: the layer that the capacities are of.
        kind: of the ids.
    """
    capacities = view.capacity[[word.position for word in words]]
    bars = axes.bar(
        range(len(words)),
        capacities,
        width=0.8,
        color=[BLUE if word.top else SKY for word in words],
    )
    for bar, word in zip(bars, words, strict=True):
        bar.set_gid(f"{kind}-{word.position}")
    axes.set_xlim(-0.6, max(len(words), _FEWEST) - 0.4)
    axes.set_ylim(0, 1.12 * max(float(capacities.max()), 1e-3))
    add_grid(axes, "y")
    axes.set_xticks([])


def add_details(axes: Axes, words: Sequence[ExplainedWord], view: LayerView) -> None:
    """The words below their bars, with the ids ``bar-word-POSITION``, and the values above."""
    labels = [label(word) for word in words]
    upright = len(words) <= _UPRIGHT and sum(map(len, labels)) <= _SHORT
    axes.set_xticks(range(len(words)), labels)
    axes.tick_params(axis="x", length=0)
    for text, word in zip(axes.get_xticklabels(), words, strict=True):
        mark_label(text, word, "bar-word")
        if not upright:
            text.set(rotation=50, ha="right", va="top", rotation_mode="anchor")
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
