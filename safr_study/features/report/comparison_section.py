"""The part of a report that sets the study beside others."""

from __future__ import annotations

from safr_study.features.compare.compare import StudyComparison
from safr_study.features.compare.view import comparison_page
from safr_study.features.report.charts.comparison import comparison_charts
from safr_study.features.report.charts.history import history_chart
from safr_study.render.html import paragraph, section, text_table


def comparison_section(found: StudyComparison | None) -> str:
    """Fronts overlaid, hypervolumes from one point, and what differs; nothing without others."""
    if found is None:
        return ""
    page = comparison_page(found)
    content = "".join(
        paragraph(sentence, "note" if sentence.startswith("Warning") else "said")
        for sentence in page.notes
    )
    histories = {one.name: one.history for one in found.studies if one.history}
    content += f'<figure class="hero">{comparison_charts(found)}</figure>'
    if histories:
        content += (
            f'<div class="pair"><figure>{history_chart(histories, "trials")}</figure>'
            f"<figure>{history_chart(histories, 'epochs')}</figure></div>"
        )
    content += "".join(text_table(table) for table in page.tables)
    return section("comparison", f"Beside {', '.join(found.names[1:])}", content)
