"""Pieces of HTML for a notebook's cell: their styles are their own, and nothing is loaded."""

from __future__ import annotations

import base64
from html import escape

from safr_study.records import StudyResult
from safr_study.records.explanation import ExplainedWord, Explanation
from safr_study.render.format import TINT_COLOURS, tint, word_facts
from safr_study.render.result_tables import result_table
from safr_study.settings import Objective

FRONT_COLUMNS = ("trial", "label", "saturated", "knee", "baseline")
"""Columns of each member of the front, besides the objectives."""


def front_html(result: StudyResult, svg: str) -> str:
    """A study's first front: its picture and its table.

    Args:
        result: with a ranked trial at least.
        svg: the picture, an SVG element.
    """
    table = result_table(result)
    keys = [Objective(name=name).key for name in result.objectives]
    wanted = [name for key in keys for name in (key, f"{key}_half_width")]
    objectives = [name for name in wanted if name in table.columns]
    columns = [*FRONT_COLUMNS[:2], *objectives, *FRONT_COLUMNS[2:]]
    shown = table.loc[table["front"] == 0, columns].fillna("")
    # As an image, so that two pictures in one notebook do not share ids.
    picture = base64.b64encode(svg.encode()).decode()
    return (
        f'<img alt="The front of study {escape(result.name)}; its numbers are in the table" '
        f'style="max-width:100%;background:#fff" src="data:image/svg+xml;base64,{picture}">\n'
        f"{shown.to_html(index=False, border=0, float_format='{:.2f}'.format)}"
    )


def study_html(result: StudyResult, front: str, lines: tuple[str, ...]) -> str:
    """A study in one cell.

    Args:
        result: the study.
        front: from `front_html`; empty where no trial is ranked.
        lines: sentences under it.
    """
    complete = len(result.ranked) + len(result.infeasible)
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        f"<h3>Study {escape(result.name)} on {escape(result.dataset)}</h3>"
        f"<p>{complete} of {result.asked} trials complete, {len(result.front)} on the front "
        f"(dev, percentage points).</p>{front}{said}"
    )


def explanation_html(explanation: Explanation) -> str:
    """The prediction and the text, each word on a tint of its capacity."""
    largest = max((word.capacity for word in explanation.words), default=0.0)
    words = " ".join(_word(word, largest) for word in explanation.words)
    others = ", ".join(
        f"{escape(name)} {probability:.4f}"
        for name, probability in sorted(explanation.probabilities, key=lambda pair: -pair[1])
    )
    notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in explanation.notes)
    return (
        f"<p>Prediction: <strong>{escape(explanation.prediction)}</strong> ({others})</p>"
        f'<p dir="auto" style="font-size:1.15em;line-height:2">{words}</p>'
        f"<p><small>Capacity at {escape(explanation.layer_title)}, up to {largest:.2f}; bold and "
        f"underlined: the top 30 %, which SRS(30) deletes.</small></p>{notes}"
    )


def _word(word: ExplainedWord, largest: float) -> str:
    paper, ink = TINT_COLOURS[tint(word.capacity, largest)]
    tag = "strong" if word.top else "span"
    line = "text-decoration:underline;" if word.top else ""
    return (
        f'<{tag} title="{word_facts(word)}" '
        f'style="{line}background:{paper};color:{ink};padding:.1em .25em;border-radius:.2em">'
        f"{escape(word.shown)}</{tag}>"
    )
