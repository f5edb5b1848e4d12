"""Words of a text in a picture: labels, and those that are left out."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.text import Text

from safr_study.figures.canvas import BLACK, DARK_GREY
from safr_study.records.explanation import ExplainedWord

_LONGEST = 16
"""Characters of a word in a picture."""


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


def left_out(drawn: Sequence[ExplainedWord], words: Sequence[ExplainedWord]) -> str:
    """A sentence where words are missing from a picture, else nothing."""
    if len(drawn) == len(words):
        return ""
    return f"Shown: the {len(drawn)} of {len(words)} words with the highest capacity."
