"""A study's report as one HTML page that needs no network, and its front as a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from safr_study.features.report.charts.front import front_charts
from safr_study.features.report.comparison_section import comparison_section
from safr_study.features.report.model_sections import (
    capacity_section,
    curves_section,
    examples_section,
)
from safr_study.features.report.sections import (
    confirmation_section,
    front_legend,
    front_section,
    front_table,
    history_section,
    importance_section,
    parallel_section,
    provenance_section,
    stopping_section,
    trials_section,
    warnings_section,
)
from safr_study.features.report.study_report import StudyReport, report_json
from safr_study.features.report.summary import key_facts, lead
from safr_study.records import StudyResult
from safr_study.render.html import document, paragraph
from safr_study.render.result_tables import result_json
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation

DATA = "study-data"
"""Id of the element that holds the page's numbers as JSON."""
_STYLES = ("base.css", "study.css")
_SCRIPTS = ("sort.js", "study.js")


def study_page(report: StudyReport) -> str:
    """The whole report. Its numbers are embedded as JSON too, in the element `DATA`.

    What comes from users (names, texts, settings) is escaped; nothing is loaded, and a policy in
    the page forbids it. Without scripts everything is readable, but not sortable.
    """
    sections = list(_sections(report))
    links = "".join(
        f'<li><a href="#h-{name}">{escape(said)}</a></li>' for name, said, _ in sections
    )
    result = report.result
    body = (
        '<div class="page">\n'
        f'<nav aria-label="Contents"><ol>{links}</ol></nav>\n'
        f"<main>\n{_header(report)}\n"
        + "\n".join(content for _, _, content in sections)
        + f"\n{_footer(report)}\n</main>\n</div>"
    )
    title = f"{result.name} on {result.dataset}: a study of accuracy and interpretability"
    return document(title, body, styles=_STYLES, scripts=_SCRIPTS, data={DATA: report_json(report)})


def front_page(result: StudyResult, confirmation: Confirmation | None = None) -> str:
    """The front alone as a page of its own, with its table: small, and interactive.

    For whoever keeps it beside a study, for example as an artifact of its run.

    Args:
        result: the ranked study; without a ranked trial the page says so.
        confirmation: of the study, if there is one.
    """
    heading = f"The front of {result.name} on {result.dataset}"
    if result.ranked:
        objectives = tuple(Objective(name=name) for name in result.objectives)
        content = (
            front_charts(result, confirmation)
            + front_legend(result, confirmation)
            + front_table(result, objectives)
        )
    else:
        content = paragraph("No trial is complete yet.", "empty")
    body = f'<main class="alone"><h1>{escape(heading)}</h1>\n{content}</main>'
    data = {DATA: result_json(result)}
    return document(heading, body, styles=_STYLES, scripts=_SCRIPTS, data=data)


def _sections(report: StudyReport) -> Iterator[tuple[str, str, str]]:
    """Name, short title and HTML of each part that the study has."""
    made = (
        ("front", "The front", front_section(report)),
        ("warnings", "Warnings", warnings_section(report)),
        ("confirmation", "Confirmed", confirmation_section(report)),
        ("comparison", "Compared", comparison_section(report.comparison)),
        ("history", "Hypervolume", history_section(report)),
        ("importance", "What matters", importance_section(report)),
        ("parallel", "Settings", parallel_section(report)),
        ("curves", "Deletion curves", curves_section(report)),
        ("capacity", "Capacity", capacity_section(report)),
        ("examples", "Examples", examples_section(report)),
        ("stopping", "Early stopping", stopping_section(report)),
        ("trials", "All trials", trials_section(report)),
        ("provenance", "Provenance", provenance_section(report)),
    )
    return (part for part in made if part[2])


def _header(report: StudyReport) -> str:
    result = report.result
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}"
        + (f"<small>{escape(more)}</small>" if more else "")
        + "</dd></div>"
        for name, value, more in key_facts(report)
    )
    return (
        f'<header><p class="kicker">Study on {escape(result.dataset)}</p>'
        f"<h1>{escape(result.name)}</h1>"
        f'<p class="lead">{escape(lead(report))}</p><dl class="key">{facts}</dl></header>'
    )


def _footer(report: StudyReport) -> str:
    return (
        f"<footer><p>Written {escape(report.written)} by safr-study {escape(report.safr_study)}. "
        "This file loads nothing and sends nothing. "
        f'<button type="button" data-save="{DATA}" '
        f'data-name="{escape(report.result.name)}-report.json" hidden>'
        "Save its numbers as JSON</button></p></footer>"
    )
