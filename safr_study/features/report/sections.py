"""The parts of a study's report that its ledger alone is enough for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from safr_study.features.compare.compare import StudyComparison, flat_settings, shown_setting
from safr_study.features.compare.view import comparison_page
from safr_study.features.confirm.view import confirmation_page
from safr_study.features.report.study_report import StudyReport
from safr_study.figures.comparison import comparison_charts
from safr_study.figures.history import Over, history_chart, rises
from safr_study.figures.parameters import importance_chart, parallel_chart
from safr_study.records import TrialRecord
from safr_study.records.history import HistoryPoint
from safr_study.records.importance import Importance
from safr_study.records.warnings import study_warnings, warning_names
from safr_study.render.format import heading, trial_badges, trial_sentence
from safr_study.render.front_page import front_chart, front_table, trial_cells
from safr_study.render.html import (
    cell,
    definitions,
    details,
    head,
    number,
    paragraph,
    section,
    table,
    text_table,
)
from safr_study.render.inline_svg import Mark, inline_chart, legend
from safr_study.render.result_tables import infeasible_lines
from safr_study.render.rungs import result_rungs, rung_lines
from safr_study.settings import Objective


def front_section(report: StudyReport) -> str:
    """The chart of the front, and its members in a table."""
    result = report.result
    if not result.ranked:
        return section("front", "The front", paragraph("No trial is complete yet.", "empty"))
    chart, meaning = front_chart(result, report.confirmation)
    content = (
        paragraph(_axes_mean(report.objectives))
        + f'<figure class="hero">{chart}<figcaption>{meaning}</figcaption></figure>'
        + front_table(result)
        + "".join(paragraph(line, "note") for line in infeasible_lines(result))
    )
    return section("front", "The front", content)


def warnings_section(report: StudyReport) -> str:
    """Warnings of trials, in sentences; nothing without any."""
    trials = [ranked.trial for ranked in report.result.ranked]
    found = study_warnings(trials)
    if not found:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in found)
    return section("warnings", "Warnings", f'<ul class="warnings">{items}</ul>')


def history_section(report: StudyReport) -> str:
    """The hypervolume after each trial, and after each epoch."""
    if not report.history:
        return ""
    reference = ", ".join(
        f"{o.label} {value:.4g}"
        for o, value in zip(report.objectives, report.result.reference_point, strict=True)
    )
    said = (
        "The area that the front dominates above the reference point of a model that is good for "
        f"nothing ({reference}). Where the line has become flat, more trials found nothing better."
    )
    content = paragraph(said) + _history_charts({report.result.name: report.history})
    rows = [
        [
            number(point.trials, 0),
            number(point.trial, 0),
            number(point.epochs, 0),
            number(point.hypervolume, 2),
        ]
        for point in report.history
    ]
    columns = [">Trials ended", ">Last one", ">Epochs", ">Hypervolume"]
    content += details("The numbers", table(columns, rows, name="Hypervolume over time"))
    return section("history", "Hypervolume over time", content)


def importance_section(report: StudyReport) -> str:
    """Importance of each hyperparameter for each objective."""
    found = report.importance
    if not found:
        return ""
    said = (
        "PED-ANOVA: does a setting's value decide whether a trial is among the best quarter in an "
        "objective? 0 is not at all. Few trials give more than 0 to anything, so the unit is what "
        "a shuffled objective stays below 95 times in 100: bars beyond the line at 1 are more than "
        f"chance. Estimated from {found[0].trials} complete trials of this search, whose sampler "
        "looked where it hoped for the best; it is no statement about other ranges or data."
    )
    charts = "".join(
        f"<figure>{_importance_chart([one for one in found if one.objective == name], place)}"
        "</figure>"
        for place, name in enumerate(report.result.objectives)
    )
    rows = [
        [
            head(one.parameter),
            cell(Objective(name=one.objective).label),
            number(one.strength, 2),
            number(one.p, 3),
            number(one.rho, 2),
            cell(_direction(one)),
        ]
        for one in found
    ]
    columns = ["Setting", "Objective", ">Importance", ">p", ">Rank correlation", "The objective"]
    numbers = details("The numbers", table(columns, rows, sortable=True, name="Importance"))
    return section(
        "importance",
        "What matters",
        paragraph(said) + f'<div class="pair">{charts}</div>' + numbers,
    )


def parallel_section(report: StudyReport) -> str:
    """Settings and objectives of all ranked trials as lines."""
    if len(report.result.ranked) < 2:
        return ""
    said = (
        "Each line is a trial: its settings from left to right, then what it reached, better "
        "upwards. Point at a line, or walk them with the arrow keys, to follow it."
    )
    chart = parallel_chart(report.result)
    marks: dict[str, Mark | list[Mark]] = {
        f"line-{ranked.trial.number}": Mark(
            trial_sentence(ranked, report.objectives), ranked.trial.number, "thread"
        )
        for ranked in report.result.ranked
    }
    label = f"Settings and objectives of {len(marks)} trials as lines"
    drawn = inline_chart(chart, name="parallel", label=label, marks=marks)
    content = f'<figure class="wide">{drawn}</figure>{legend(chart, "parallel")}'
    return section("parallel", "Settings and what they reach", paragraph(said) + content)


def confirmation_section(report: StudyReport) -> str:
    """Values of the front's trials under new seeds."""
    found = report.confirmation
    if found is None:
        return ""
    page = confirmation_page(found, wide=True)
    content = "".join(map(text_table, page.tables))
    content += "".join(paragraph(sentence, "said") for sentence in page.notes)
    return section("confirmation", "The front under new seeds", content)


def comparison_section(comparison: StudyComparison | None) -> str:
    """Fronts overlaid, hypervolumes from one point, and what differs; nothing without others."""
    if comparison is None:
        return ""
    page = comparison_page(comparison)
    content = "".join(
        paragraph(sentence, "note" if sentence.startswith("Warning") else "said")
        for sentence in page.notes
    )
    objectives, studies = comparison.objectives, comparison.studies
    marks: dict[str, Mark | list[Mark]] = {}
    for place, study in enumerate(studies):
        for member, ranked in enumerate(study.result.front):
            joint = ranked.trial.number in study.joint
            marks[f"member-{place}-{member}"] = Mark(
                f"{study.name}: {trial_sentence(ranked, objectives)}\n"
                + ("on the joint front" if joint else "dominated by another study")
            )
    fronts = [(study.result, study.joint) for study in studies]
    label = f"The fronts of {', '.join(comparison.names)}"
    for place, chart in enumerate(comparison_charts(fronts)):
        drawn = inline_chart(chart, name="fronts", label=label, marks=marks, place=place)
        key = legend(chart, f"fronts{place}")
        content += f'<figure class="hero">{drawn}<figcaption>{key}</figcaption></figure>'
    histories = {study.name: study.history for study in studies if study.history}
    content += _history_charts(histories, first=2) if histories else ""
    content += "".join(map(text_table, page.tables))
    return section("comparison", f"Beside {', '.join(comparison.names[1:])}", content)


def stopping_section(report: StudyReport) -> str:
    """Decisions of early stopping, and their cost."""
    lines = rung_lines(report.result)
    if not lines:
        return ""
    rows = []
    for one in result_rungs(report.result):
        counts = (one.rung, one.judged, one.stopped, one.ran_on, one.ended)
        missed = one.hypervolume_missed if one.run_ons_ended else None
        rows.append(
            [
                *(number(count, 0) for count in counts),
                *(number(correlation.tau, 2) for correlation in one.correlations),
                number(missed, 2),
            ]
        )
    taus = [f">τ {Objective(name=name).label}" for name in report.result.objectives]
    columns = [">Epoch", ">Judged", ">Stopped", ">Run on", ">Ended", *taus, ">Missed"]
    said = (
        "A trial is stopped at a rung if others are better in every objective. Some of those run "
        "on, to show what stopping costs. τ: whether the order at the rung is that of the end (1: "
        "the same). Missed: hypervolume that run-ons would have added to the front."
    )
    content = paragraph(said) + table(columns, rows, name="Early stopping")
    return section("stopping", "Early stopping", content)


def trials_section(report: StudyReport) -> str:
    """Every trial, ranked or not."""
    result, objectives = report.result, report.objectives
    names = list(dict.fromkeys(n for trial in report.trials for n in trial.parameters))
    rows = []
    for ranked in result.ranked:
        trial = ranked.trial
        special = dict.fromkeys(
            filter(None, [*trial_badges(ranked).split(", "), *warning_names(trial)])
        )
        rows.append(
            [
                *trial_cells(ranked, objectives, intervals=False),
                *(_parameter(trial, name) for name in names),
                number(len(trial.epochs), 0),
                number(trial.seconds, 0),
                cell(", ".join(special)),
            ]
        )
    columns = [
        *(">Trial", "Setting", *(f">{heading(o)}" for o in objectives), ">Front"),
        *(f">{name}" for name in names),
        *(">Epochs", ">Seconds", "Note"),
    ]
    numbers = [ranked.trial.number for ranked in result.ranked]
    content = table(columns, rows, sortable=True, trials=numbers, name="Ranked trials")
    if not rows:
        content = paragraph("No trial is ranked yet.", "empty")
    others = [
        [
            number(trial.number, 0),
            head(trial.label),
            cell(_state(trial)),
            number(len(trial.epochs), 0),
            number(trial.epochs[-1].dev_accuracy if trial.epochs else None, 2),
            cell(trial.failure or ""),
        ]
        for trial in result.unranked
    ]
    if others:
        columns = [">Trial", "Setting", "State", ">Epochs", ">Last dev accuracy", "Why"]
        said = f"<h3>{len(others)} without a place in the ranking</h3>"
        content += said + table(columns, others, sortable=True, name="Trials without a rank")
    return section("trials", "All trials", content)


def provenance_section(report: StudyReport) -> str:
    """Source of the numbers, and the commands that repeat them."""
    spec, facts = report.spec, report.provenance
    versions = facts.get("versions")
    known = versions.items() if isinstance(versions, Mapping) else ()
    listed = {
        "Data": spec.corpus.dataset,
        "Encoded texts (SHA-256)": str(facts.get("corpus_fingerprint", "not recorded")),
        "Preset": spec.train.preset,
        "Objectives": ", ".join(
            f"{o.label} ({'higher' if o.maximise else 'lower'} is better)" for o in spec.objectives
        ),
        "Capacity at": spec.evaluation.capacity_layer,
        "Sampler, scheduler": f"{spec.sampler}, {spec.scheduler.name}",
        "Seed": f"{spec.seed}, {spec.seeds_per_trial} per trial",
        "Source": str(facts.get("commit") or "an installed package, no checkout"),
        "Versions": ", ".join(f"{name} {version}" for name, version in known) or "not recorded",
    }
    content = (
        "<h3>The command that repeats the study</h3>"
        f'<pre tabindex="0"><code>{escape(report.command)}</code></pre>'
        "<h3>The command that makes this page</h3>"
        f'<pre tabindex="0"><code>{escape(report.report_command)}</code></pre>'
        + definitions(listed)
        + details(
            "All settings",
            definitions(
                {
                    name: shown_setting(value)
                    for name, value in flat_settings(spec.model_dump(mode="json")).items()
                },
                kind="settings",
            ),
        )
    )
    return section("provenance", "Provenance", content)


def _parameter(trial: TrialRecord, name: str) -> str:
    value = trial.parameters.get(name)
    if isinstance(value, (bool, str)):
        shown = value if isinstance(value, str) else str(value).lower()
        return f'<td class="number"><bdi>{escape(shown)}</bdi></td>'
    return number(value, 0, shown=None if value is None else _short(float(f"{value:.4g}")))


def _short(value: float) -> str:
    return f"{value:,.6g}" if abs(value) < 1e5 else f"{value:.3g}"


def _state(trial: TrialRecord) -> str:
    if trial.stopped_at is not None:
        return f"{'run on after' if trial.control else 'stopped at'} epoch {trial.stopped_at}"
    return "misses a constraint" if not trial.feasible else trial.state.value


def _axes_mean(objectives: Sequence[Objective]) -> str:
    """Meaning of the axes."""
    said = ["Both axes are measured on dev; better is up and to the right."]
    shares = [objective for objective in objectives if objective.metric == "srs"]
    if shares and shares[0].k is not None:
        said.append(
            f"{shares[0].label}: the accuracy that is lost when each text loses the "
            f"{100 * shares[0].k:g} % of its words with the highest capacity, so whether the "
            "model's own ranking of its words is worth anything."
        )
    return " ".join(said)


def _history_charts(histories: Mapping[str, Sequence[HistoryPoint]], first: int = 0) -> str:
    """Hypervolumes over trials and over epochs; ``first`` is the place of the first chart."""
    several = len(histories) > 1
    marks: dict[str, Mark | list[Mark]] = {}
    for place, (name, history) in enumerate(histories.items()):
        for point in rises(history):
            said = (
                f"{f'{name}: ' if several else ''}Hypervolume {point.hypervolume:.1f}\n"
                f"after trial {point.trial}, number {point.trials} to end\n"
                f"{point.epochs} epochs trained"
            )
            gid = f"rise-{place}-{point.trial}" if several else f"rise-{point.trial}"
            marks[gid] = Mark(said, None if several else point.trial)
    drawn = ""
    overs: tuple[Over, ...] = ("trials", "epochs")
    for place, over in enumerate(overs, start=first):
        chart = history_chart(histories, over)
        label = f"Hypervolume over {over}"
        inline = inline_chart(chart, name="history", label=label, marks=marks, place=place)
        drawn += f"<figure>{inline}</figure>"
    key = legend(chart, f"history{first}") if several else ""
    return f'<div class="pair">{drawn}</div>{key}'


def _importance_chart(importance: Sequence[Importance], place: int) -> str:
    marks: dict[str, Mark | list[Mark]] = {}
    for row, one in enumerate(importance):
        label = Objective(name=one.objective).label
        rho = "" if one.rho is None else f", rank correlation {one.rho:+.2f}"
        said = (
            f"{one.parameter} for {label}\n"
            f"{one.strength:.2f} times the level of chance (p = {one.p:.3f})\n"
            f"{label}: {_direction(one)}{rho}\n"
            f"from {one.trials} trials"
        )
        marks[f"parameter-{row}"] = Mark(said, kind="bar")
    label = f"Importance of each hyperparameter for {Objective(name=importance[0].objective).label}"
    chart = importance_chart(importance)
    return inline_chart(chart, name="importance", label=label, marks=marks, place=place)


def _direction(one: Importance) -> str:
    """Direction of the objective as the parameter grows."""
    if one.rho is None:
        return "no order"
    if abs(one.rho) < 0.2:
        return "no direction"
    return "rises with it" if one.rho > 0 else "falls with it"
