"""A study's report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from safr_study.errors import BadInput
from safr_study.features.compare import comparison_page
from safr_study.features.confirm.view import confirmation_page
from safr_study.features.report import charts
from safr_study.features.report.inspect_models import Say
from safr_study.features.report.report import (
    ReportRequest,
    StudyReport,
    report_json,
    study_report,
)
from safr_study.features.study_base.results import check_file
from safr_study.features.study_base.stores import Stores
from safr_study.records import RankedTrial, StudyResult, TrialRecord, TrialState
from safr_study.records.scores import is_saturated
from safr_study.records.warnings import needless_pair, study_warnings, warning_names
from safr_study.render.class_tables import class_table, quality_table
from safr_study.render.cost import cost_sentence
from safr_study.render.format import heading, shown_setting, trial_badges, value_text
from safr_study.render.front_page import DATA, SCRIPTS, STYLES, front_chart
from safr_study.render.html import document, number
from safr_study.render.result_tables import infeasible_lines
from safr_study.render.rungs import rung_reports
from safr_study.render.scorecard import scorecard_table
from safr_study.render.verdict import COMPROMISE, no_knee, verdict
from safr_study.settings import Objective, at_k, flat_settings
from safr_study.text import Z95, duration, plural

_LAYER_MEASURES = (
    ("mean_capacity", "Mean capacity", 4),
    ("mean_capacity_important", "Important", 4),
    ("mean_capacity_less_important", "Less important", 4),
    ("total_capacity_share", "Total / min(n, D)", 4),
    ("interference_energy", "Interference", 4),
    ("mean_cosine", "Mean |cos|", 4),
    ("effective_rank", "Effective rank", 2),
)


def write_report(
    request: ReportRequest, stores: Stores, *, say: Say = lambda _: None
) -> dict[str, Any]:
    """Make the page and write it, whole or not at all.

    Args:
        request: what was asked for.
        stores: where the studies are.
        say: told what is done next.

    Returns:
        Facts for programs: where the page is (``written``, ``bytes``), and what it has.

    Raises:
        BadInput: a study is unknown, they cannot be compared, or the file cannot be written.
        ServiceUnreachable: the ledger's database does not answer.
    """
    check_file("out", request.out, (".html", ".htm"), "is no page; end it in .html")
    report = study_report(request, stores, say=say)
    say("writing the page")
    page = study_page(report).encode()
    unfinished = request.out.with_name(f".{request.out.name}.part")
    try:
        unfinished.write_bytes(page)
        unfinished.replace(request.out)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise BadInput("out", f"{request.out} cannot be written ({error.strerror})") from error
    result, compared = report.result, report.comparison
    return {
        "written": str(request.out),
        "bytes": len(page),
        "study": result.name,
        "dataset": result.dataset,
        "trials": len(report.trials),
        "front": [ranked.trial.number for ranked in result.front],
        "hypervolume": result.hypervolume,
        "models": [{"trial": one.trial, "role": one.role} for one in report.models],
        "texts": len(report.examples.texts),
        "compared": [] if compared is None else list(compared.names[1:]),
        "missing": report.missing,
    }


def study_page(report: StudyReport) -> str:
    """The whole report. Its numbers are embedded as JSON too, in the element `DATA`.

    What comes from users (names, texts, settings) is escaped; nothing is loaded, and a policy in
    the page forbids it. Without scripts everything is readable, but not sortable.
    """
    result, found, compared = report.result, report.confirmation, report.comparison
    trials = [ranked.trial for ranked in result.ranked]
    rungs = rung_reports(result)
    members = [r.trial for r in result.ranked if r.on_front or r.trial.baseline is not None]
    layers = [(t, one) for t in members if t.scores is not None for one in t.scores.superposition]
    qualities = {
        f"{t.number} {t.label}": t.scores for t in members if t.scores and t.scores.confusion
    }
    # Capacity is taken in the last block: the last of a trial stays.
    at_ffn1 = {t.number: (t, one) for t, one in layers if one.layer == "ffn1_pre"}
    parameters = list(dict.fromkeys(n for trial in report.trials for n in trial.parameters))
    settings = flat_settings(report.spec.model_dump(mode="json"))
    return document(
        "features/report/report.html",
        f"{result.name} on {result.dataset}: a study of accuracy and interpretability",
        styles=STYLES,
        scripts=SCRIPTS,
        data={DATA: report_json(report)},
        data_id=DATA,
        report=report,
        lead=lead(report),
        key_facts=list(key_facts(report)),
        charts=charts,
        front_chart=front_chart,
        infeasible=infeasible_lines(result),
        warned=(*needless_pair(trials), *study_warnings(trials)),
        confirmed=found and confirmation_page(found, wide=True),
        compared=compared and comparison_page(compared),
        histories={o.name: o.history for o in compared.studies if o.history} if compared else {},
        label=lambda name: Objective(name=name).label,
        measured=[(one, one.curve) for one in report.models if one.curve is not None],
        at_k=lambda scores, metric, k: scores.values[at_k(metric, k)],
        is_saturated=is_saturated,
        z95=Z95,
        missing=report.missing,
        card=report.scorecard,
        card_table=report.scorecard
        and scorecard_table(report.scorecard.models, report.scorecard.k),
        explained=[one for one in report.models if one.explanations],
        qualities=qualities,
        quality_table=quality_table,
        class_tables=[
            class_table(scores, report.examples.class_names, f"{name}; percentage points")
            for name, scores in qualities.items()
        ],
        layers=layers,
        at_ffn1=list(at_ffn1.values()),
        layer_measures=[(name, digits) for name, _, digits in _LAYER_MEASURES],
        layer_columns=[f">{title}" for _, title, _ in _LAYER_MEASURES],
        rungs=rungs if any(one.stopped + one.ran_on for one in rungs) else (),
        tau_columns=[f">τ {objective.label}" for objective in report.objectives],
        parameters=parameters,
        parameter_columns=[f">{name}" for name in parameters],
        parameter_cell=_parameter_cell,
        trial_notes=_trial_notes,
        facts=_facts(report),
        settings={name: shown_setting(value) for name, value in settings.items()},
    )


def lead(report: StudyReport) -> str:
    """The study's results in sentences, enough for a reader of nothing else.

    Once a confirmation has whole trials, they are its means over the new seeds: the search's own
    numbers chose the front, and look better than they are.
    """
    result = judged(report)
    if not result.ranked:
        return "No trial is complete yet: there is no front to show."
    said = [found] if (found := verdict(result)) else []
    said.append(_of_front(report))
    if (chosen := result.choice) is not None:
        what = (
            "Its knee, the member farthest beyond the line through its ends,"
            if chosen.knee
            else f"It has no knee, as {no_knee(result)}; its compromise, {COMPROMISE},"
        )
        said.append(f"{what} is {_named(chosen.trial)} with {_all(chosen, report)}.")
        said += _against_baselines(chosen, report)
    if result is report.result:
        said.append(
            "The front was chosen by these same numbers, so they look better than they are; "
            "safr-study confirm measures it anew."
        )
    if report.running:
        said.append("The study is still running; this is how it stands.")
    return " ".join(said)


def judged(report: StudyReport) -> StudyResult:
    """The trials by their means over new seeds, where some are confirmed; else by the search."""
    new = report.confirmation
    return report.result if new is None or not new.result.ranked else new.result


def _of_front(report: StudyReport) -> str:
    result, new = judged(report), report.confirmation
    if new is None or result is report.result:
        return (
            f"{len(result.front)} of {len(result.ranked)} ranked trials are on the front: none of "
            "the others is at least as good in everything and better in something."
        )
    return (
        f"By the means over {plural(len(new.seeds), 'new seed')} {len(result.front)} of "
        f"{len(result.ranked)} confirmed trials are on the front; of the {len(new.members)} that "
        f"the search had found {len(new.stayed)} stay."
    )


def key_facts(report: StudyReport) -> Iterator[tuple[str, str, str]]:
    """Name, value and a word on it."""
    result = report.result
    best = judged(report)
    if (chosen := best.choice) is not None:
        searched = {one.trial.number: one.objectives for one in result.ranked}
        before = searched.get(chosen.trial.number)
        for axis, objective in enumerate(report.objectives):
            said = "on dev"
            if best is not result:
                said = "mean of new seeds"
                said += f"; {value_text(objective, before[axis])} in the search" if before else ""
            yield (
                f"{heading(objective)} of the {chosen.choice}",
                value_text(objective, chosen.objectives[axis]),
                said,
            )
    reference = ", ".join(f"{value:.4g}" for value in result.reference_point)
    yield "Hypervolume", f"{result.hypervolume:.1f}", f"from ({reference})"
    complete = result.count(TrialState.COMPLETE)
    others = [
        (result.count(TrialState.PRUNED), "stopped early"),
        (result.count(TrialState.FAILED), "failed"),
        (result.count(TrialState.RUNNING), "unfinished"),
    ]
    said = ", ".join(f"{count} {what}" for count, what in others if count)
    yield "Trials", f"{complete} of {result.asked}", said or "complete"
    epochs = sum(len(trial.epochs) for trial in report.trials)
    seconds = sum(trial.seconds or sum(e.seconds for e in trial.epochs) for trial in report.trials)
    yield "Training", f"{epochs:,} epochs", f"{duration(seconds)} of work"
    if result.cost is not None:
        name, _, said = cost_sentence(result.cost).partition(": ")
        spent, _, rest = said.partition(", of these ")
        yield name, spent, f"of these {rest}" if rest else "for trials that reached their end"


def _against_baselines(chosen: RankedTrial, report: StudyReport) -> Iterator[str]:
    for ranked in judged(report).ranked:
        name = ranked.trial.baseline
        if name is None or ranked is chosen:
            continue
        shifts = []
        for objective, mine, theirs in zip(
            report.objectives, chosen.objectives, ranked.objectives, strict=True
        ):
            change = mine - theirs
            sign = "+" if change >= 0 else "−"
            shift = f"{objective.label} {sign}{value_text(objective, abs(change))}"
            # Where lower is better, a sign alone reads as the opposite of what it is.
            if not objective.maximise and change:
                shift += " (worse)" if change > 0 else " (better)"
            shifts.append(shift)
        yield f"Against the baseline {name}: {', '.join(shifts)}."


def _named(trial: TrialRecord) -> str:
    return (
        f"the baseline {trial.baseline}"
        if trial.baseline
        else f"trial {trial.number} ({trial.label})"
    )


def _all(ranked: RankedTrial, report: StudyReport) -> str:
    pairs = zip(report.objectives, ranked.objectives, strict=True)
    return " and ".join(f"{o.label} {value_text(o, value)}" for o, value in pairs)


def _trial_notes(ranked: RankedTrial) -> str:
    notes = [*trial_badges(ranked).split(", "), *warning_names(ranked.trial)]
    return ", ".join(dict.fromkeys(filter(None, notes)))


def _parameter_cell(value: float | str | bool | None) -> Markup:
    if isinstance(value, (bool, str)):
        shown = value if isinstance(value, str) else str(value).lower()
        return Markup('<td class="number"><bdi>{}</bdi></td>').format(shown)
    if value is None:
        return number(None)
    rounded = float(f"{value:.4g}")
    return number(value, shown=f"{rounded:,.6g}" if abs(rounded) < 1e5 else f"{rounded:.3g}")


def _facts(report: StudyReport) -> dict[str, str]:
    """Source of the numbers."""
    spec, facts = report.spec, report.provenance
    versions = facts.get("versions")
    known = versions.items() if isinstance(versions, Mapping) else ()
    return {
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
