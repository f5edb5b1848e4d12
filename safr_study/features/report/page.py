"""A study's report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from safr_study.features.report.model_sections import (
    capacity_section,
    curves_section,
    examples_section,
)
from safr_study.features.report.sections import (
    comparison_section,
    confirmation_section,
    front_section,
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
from safr_study.render.front_page import DATA, SCRIPTS, STYLES
from safr_study.render.html import document


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
    return document(title, body, styles=STYLES, scripts=SCRIPTS, data={DATA: report_json(report)})


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
