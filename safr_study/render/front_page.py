"""The front of a study in HTML: its chart, a page of its own, and cells of a notebook."""

from __future__ import annotations

import base64
from typing import Any

from markupsafe import Markup

from safr_study.figures.canvas import BLUE
from safr_study.figures.confirmation import draw_confirmed, mean_corners
from safr_study.figures.front import Panel, front_charts
from safr_study.records import StudyResult
from safr_study.render.format import half_widths, trial_sentence, value_text
from safr_study.render.html import document, rendered
from safr_study.render.inline_svg import Mark, inline_chart, legend
from safr_study.render.result_tables import result_json, result_table
from safr_study.render.verdict import choice_note, verdict
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial

DATA = "study-data"
"""Id of the element that holds a page's numbers as JSON."""
STYLES = ("base.css", "study.css")
SCRIPTS = ("sort.js", "study.js")
FRONT_COLUMNS = ("trial", "label", "saturated", "knee", "compromise", "baseline")
"""Columns of each member of the front, besides the objectives."""

Objectives = tuple[Objective, ...]


def front_page(result: StudyResult) -> str:
    """The front alone as a page of its own, with its table: small, and interactive.

    Without a ranked trial the page says so.
    """
    charts, meaning = front_chart(result, None) if result.ranked else ("", "")
    return document(
        "render/assets/front.html",
        f"The front of {result.name} on {result.dataset}",
        styles=STYLES,
        scripts=SCRIPTS,
        data={DATA: result_json(result)},
        result=result,
        found=[said for said in (verdict(result), choice_note(result)) if said],
        objectives=[Objective(name=name) for name in result.objectives],
        charts=charts,
        meaning=meaning,
    )


def front_chart(result: StudyResult, confirmation: Confirmation | None) -> tuple[Markup, Markup]:
    """A chart for each pair of objectives, and what its signs mean.

    Args:
        result: with at least one ranked trial.
        confirmation: of the study, if there is one: its means are drawn too.
    """
    objectives = tuple(Objective(name=name) for name in result.objectives)
    confirmed = () if confirmation is None else confirmation.trials

    def add(panel: Panel) -> None:
        for ranked in result.front:
            values = ranked.objectives
            ends = [
                None if spread is None else (value - spread.half, value + spread.half)
                for value, spread in zip(values, half_widths(ranked.trial, objectives), strict=True)
            ]
            look: dict[str, Any] = {"color": BLUE, "linewidth": 0.9, "alpha": 0.25, "zorder": 2.2}
            panel.draw_intervals(ranked.trial.number, values, ends, name="whisker", **look)
        # Labels may cross the whiskers, which cross nearly everything.
        panel.lines.clear()
        draw_confirmed(panel, confirmed)

    marks = {
        f"trial-{ranked.trial.number}": Mark(
            trial_sentence(ranked, objectives), ranked.trial.number, ranked.choice or ""
        )
        for ranked in result.ranked
    }
    for one in confirmed:
        number = one.trial.number
        marks[f"confirmed-{number}"] = Mark(_confirmed_sentence(one, objectives), number)
        lines = (f"move-{number}", f"interval-{number}-x", f"interval-{number}-y")
        marks |= {gid: Mark(trial=number) for gid in lines}
    for ranked in result.front:
        number = ranked.trial.number
        marks |= {f"whisker-{number}-{axis}": Mark(trial=number) for axis in "xy"}
        # Where there is room for few names, the others keep theirs.
        if not (ranked.choice or ranked.trial.baseline):
            marks[f"label-{number}"] = Mark(kind="minor")
    charts = front_charts(result, room=mean_corners(confirmed), add=add)
    label = f"The front of {len(result.ranked)} trials; the table has its numbers"
    drawn = Markup("\n").join(
        inline_chart(chart, name="front", label=label, marks=marks, place=place)
        for place, chart in enumerate(charts)
    )
    said = _whiskers(result, confirmation)
    return drawn, legend(charts[0], "front") + Markup("<p>{}</p>").format(said)


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
        lines: sentences under it; above it is its verdict.
    """
    return rendered(
        "render/assets/study_cell.html",
        result=result,
        verdict=verdict(result),
        front=front,
        lines=lines,
    )


def _confirmed_sentence(one: ConfirmedTrial, objectives: Objectives) -> str:
    """Several lines about what new seeds say of a trial."""
    lines = [f"Trial {one.trial.number} under {len(one.finished)} new seeds: {one.trial.label}"]
    for objective, new in zip(objectives, one.dev, strict=True):
        if new.mean is None:
            continue
        shown = f"{objective.label} {value_text(objective, new.mean)}"
        if new.shown is not None:
            ends = (value_text(objective, end) for end in new.shown.ends)
            shown += f" [{', '.join(ends)}] (95 %)"
        lines.append(shown)
    if one.front_probability is not None:
        lines.append(f"probability of being on the front {one.front_probability:.2f}")
    return "\n".join(lines)


def _whiskers(result: StudyResult, confirmation: Confirmation | None) -> str:
    repeated = any(ranked.trial.replicates for ranked in result.front)
    covered = "over each trial's seeds" if repeated else "from the dev texts alone, not the seeds"
    said = f"Thin lines: 95 % intervals of the front's members, {covered}."
    if confirmation is not None:
        said += " Diamonds: means over the new seeds of the confirmation, with their intervals."
        new = confirmation.result.choice
        if new is not None and (
            result.choice is None or new.trial.number != result.choice.trial.number
        ):
            said += (
                f" The {new.choice} of these means is trial {new.trial.number}; marked is what the "
                "search chose."
            )
    if len(result.objectives) == 2:
        said += " What lies in the shaded area is dominated."
    return said
