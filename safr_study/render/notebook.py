"""Pieces of HTML for a notebook's cell: their styles are their own, and nothing is loaded."""

from __future__ import annotations

import base64

from markupsafe import Markup

from safr_study.records import StudyResult
from safr_study.records.explanation import Explanation
from safr_study.render.html import rendered
from safr_study.render.result_tables import result_table
from safr_study.settings import Objective

FRONT_COLUMNS = ("trial", "label", "saturated", "knee", "baseline")
"""Columns of each member of the front, besides the objectives."""


def front_html(result: StudyResult, svg: str) -> Markup:
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
    return Markup(
        '<img alt="The front of study {}; its numbers are in the table" '
        'style="max-width:100%;background:#fff" src="data:image/svg+xml;base64,{}">\n{}'
    ).format(
        result.name,
        picture,
        Markup(shown.to_html(index=False, border=0, float_format="{:.2f}".format)),
    )


def study_html(result: StudyResult, front: Markup | None, lines: tuple[str, ...]) -> str:
    """A study in one cell.

    Args:
        result: the study.
        front: from `front_html`; ``None`` where no trial is ranked.
        lines: sentences under it.
    """
    return rendered("render/assets/study_cell.html", result=result, front=front, lines=lines)


def explanation_html(explanation: Explanation) -> str:
    """The prediction and the text, each word on a tint of its capacity."""
    largest = max((word.capacity for word in explanation.words), default=0.0)
    return rendered("render/assets/explanation_cell.html", explanation=explanation, largest=largest)
