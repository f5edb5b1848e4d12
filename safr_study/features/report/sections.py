"""The parts of a study's report that its ledger alone is enough for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from safr_study.features.compare.comparison import flat_settings, shown_setting
from safr_study.features.confirm.view import notes as confirmation_notes
from safr_study.features.confirm.view import sheets as confirmation_tables
from safr_study.features.report.charts.drawing import SHAPES, short
from safr_study.features.report.charts.front import BASELINE_SHAPES, front_charts
from safr_study.features.report.charts.history import history_chart
from safr_study.features.report.charts.importance import direction, importance_chart
from safr_study.features.report.charts.parallel import parallel_chart
from safr_study.features.report.study_report import StudyReport
from safr_study.records import RankedTrial, StudyResult, TrialRecord
from safr_study.records.warnings import study_warnings, warning_names
from safr_study.render.format import decimals, flags, heading, spreads, value_text, values_of
from safr_study.render.html import (
    cell,
    definitions,
    details,
    head,
    number,
    paragraph,
    section,
    sheet_table,
    table,
)
from safr_study.render.result_tables import infeasible_lines
from safr_study.render.rungs import result_rungs, rung_lines
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation


def front_section(report: StudyReport) -> str:
    """The chart of the front, and its members in a table."""
    result = report.result
    if not result.ranked:
        return section("front", "The front", paragraph("No trial is complete yet.", "empty"))
    content = (
        paragraph(_axes_mean(report.objectives))
        + f'<figure class="hero">{front_charts(result, report.confirmation)}'
        f"<figcaption>{front_legend(result, report.confirmation)}</figcaption></figure>"
        + front_table(result, report.objectives)
        + "".join(paragraph(line, "note") for line in infeasible_lines(result))
    )
    return section("front", "The front", content)


def front_legend(result: StudyResult, confirmation: Confirmation | None) -> str:
    """What the marks mean."""
    baselines = sorted({r.trial.baseline for r in result.ranked if r.trial.baseline is not None})
    entries = [("circle", "member", "on the front"), ("ring", "other", "off it")]
    if any(ranked.knee for ranked in result.ranked):
        entries.insert(0, ("star", "knee", "knee, the best compromise"))
    entries += [
        (BASELINE_SHAPES[place % len(BASELINE_SHAPES)], "base", f"baseline {name}")
        for place, name in enumerate(baselines)
    ]
    if any(ranked.trial.saturated for ranked in result.ranked):
        entries.append(("cross", "saturated", "saturated: predictions collapsed"))
    if confirmation is not None:
        entries.append(("diamond", "new", "mean over new seeds"))
    return legend(entries) + paragraph(_whiskers_mean(result, confirmation))


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """Marks with what they mean: shape, class of the style sheet, words."""
    items = "".join(
        f'<li><svg viewBox="-10 -10 20 20" aria-hidden="true"><g class="mark {kind}">'
        f'<path d="{SHAPES[shape]}"/></g></svg>{escape(words)}</li>'
        for shape, kind, words in entries
    )
    return f'<ul class="legend-marks">{items}</ul>'


def front_table(result: StudyResult, objectives: tuple[Objective, ...]) -> str:
    """The members of the front and the baselines, best first objective first."""
    shown = [r for r in result.ranked if r.on_front or r.trial.baseline is not None]
    rows = [[*_trial_cells(one, objectives, intervals=True), cell(flags(one))] for one in shown]
    columns = [">Trial", "Setting", *(f">{heading(o)}" for o in objectives), ">Front", "Note"]
    numbers = [one.trial.number for one in shown]
    return table(columns, rows, sortable=True, trials=numbers, name="The front and the baselines")


def warnings_section(report: StudyReport) -> str:
    """What is wrong with trials, in sentences; nothing where nothing is."""
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
    named = {report.result.name: report.history}
    reference = ", ".join(
        f"{o.label} {value:.4g}"
        for o, value in zip(report.objectives, report.result.reference_point, strict=True)
    )
    said = (
        "The area that the front dominates above the reference point of a model that is good for "
        f"nothing ({reference}). Where the line has become flat, more trials found nothing better."
    )
    content = paragraph(said) + (
        f'<div class="pair"><figure>{history_chart(named, "trials")}</figure>'
        f"<figure>{history_chart(named, 'epochs')}</figure></div>"
    )
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
    """How much each hyperparameter says about each objective."""
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
        f"<figure>{importance_chart([one for one in found if one.objective == name])}</figure>"
        for name in report.result.objectives
    )
    rows = [
        [
            head(one.parameter),
            cell(Objective(name=one.objective).label),
            number(one.strength, 2),
            number(one.p, 3),
            number(one.rho, 2),
            cell(direction(one)),
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
    drawn = parallel_chart(report.result, report.spec.space)
    content = (
        paragraph(said)
        + f'<figure class="wide">{drawn}</figure>'
        + legend(
            [
                ("star", "knee", "knee"),
                ("circle", "member", "on the front"),
                ("square", "base", "baseline"),
                ("ring", "other", "other trials"),
            ]
        )
    )
    return section("parallel", "Settings and what they reach", content)


def confirmation_section(report: StudyReport) -> str:
    """What new seeds say of the front."""
    found = report.confirmation
    if found is None:
        return ""
    content = "".join(sheet_table(sheet) for sheet in confirmation_tables(found, wide=True))
    content += "".join(paragraph(sentence, "said") for sentence in confirmation_notes(found))
    return section("confirmation", "The front under new seeds", content)


def stopping_section(report: StudyReport) -> str:
    """What early stopping decided, and what it cost."""
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
        special = dict.fromkeys(filter(None, [*flags(ranked).split(", "), *warning_names(trial)]))
        rows.append(
            [
                *_trial_cells(ranked, objectives, intervals=False),
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
    """What made these numbers, and how to make them again."""
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


def _trial_cells(
    ranked: RankedTrial, objectives: tuple[Objective, ...], *, intervals: bool
) -> list[str]:
    trial = ranked.trial
    known = spreads(trial, objectives) if intervals else (None,) * len(objectives)
    values = zip(objectives, values_of(ranked), known, strict=True)
    return [
        number(trial.number, 0),
        head(trial.label),
        *(
            number(value, decimals(objective), shown=value_text(objective, value, spread))
            for objective, value, spread in values
        ),
        number(ranked.front, 0),
    ]


def _parameter(trial: TrialRecord, name: str) -> str:
    value = trial.parameters.get(name)
    if isinstance(value, (bool, str)):
        shown = value if isinstance(value, str) else str(value).lower()
        return f'<td class="number"><bdi>{escape(shown)}</bdi></td>'
    return number(value, 0, shown=None if value is None else short(float(f"{value:.4g}")))


def _state(trial: TrialRecord) -> str:
    if trial.stopped_at is not None:
        return f"{'run on after' if trial.control else 'stopped at'} epoch {trial.stopped_at}"
    return "misses a constraint" if not trial.feasible else trial.state.value


def _axes_mean(objectives: Sequence[Objective]) -> str:
    """What the axes are, for a reader who knows neither."""
    said = ["Both axes are measured on dev; better is up and to the right."]
    shares = [objective for objective in objectives if objective.metric == "srs"]
    if shares and shares[0].k is not None:
        said.append(
            f"{shares[0].label}: the accuracy that is lost when each text loses the "
            f"{100 * shares[0].k:g} % of its words with the highest capacity, so whether the "
            "model's own ranking of its words is worth anything."
        )
    return " ".join(said)


def _whiskers_mean(result: StudyResult, confirmation: Confirmation | None) -> str:
    repeated = any(ranked.trial.replicates for ranked in result.front)
    covered = "over each trial's seeds" if repeated else "from the dev texts alone, not the seeds"
    said = f"Thin lines: 95 % intervals of the front's members, {covered}."
    if confirmation is not None:
        said += " Diamonds: means over the new seeds of the confirmation, with their intervals."
    if len(result.objectives) == 2:
        said += " What lies in the shaded area is dominated."
    return said
