"""The parts of a study's report for which chosen models were looked at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from safr_study.features.report.inspect_models import Example, InspectedModel
from safr_study.features.report.study_report import StudyReport
from safr_study.figures.curves import Curve, curves_chart
from safr_study.records import LayerMeasures, RankedTrial
from safr_study.records.explanation import Explanation
from safr_study.records.scores import Scores, is_saturated
from safr_study.render.html import cell, details, head, number, paragraph, section, table
from safr_study.render.inline_svg import Mark, inline_chart, legend
from safr_study.render.words import TINTS, marked_word
from safr_study.settings import at_k
from safr_study.text import Z95

_FFN1 = "ffn1_pre"
_MEASURES = (
    ("mean_capacity", "Mean capacity", 4),
    ("mean_capacity_important", "Important", 4),
    ("mean_capacity_less_important", "Less important", 4),
    ("total_capacity_share", "Total / min(n, D)", 4),
    ("interference_energy", "Interference", 4),
    ("mean_cosine", "Mean |cos|", 4),
    ("effective_rank", "Effective rank", 2),
)


def curves_section(report: StudyReport) -> str:
    """Accuracy and SRS against k, of the chosen models."""
    curves = [(one, one.curve) for one in report.models if one.curve is not None]
    problems = _problems(report)
    if not curves:
        return section("curves", "Accuracy and SRS against k", problems) if problems else ""
    seen, whole = report.examples.curve_texts, report.examples.dev_texts
    texts = f"all {whole:,} dev texts" if seen == whole else f"{seen:,} of {whole:,} dev texts"
    said = (
        "What is lost when each text loses its words of the highest capacity. Deleting anything "
        "hurts, so compare the lines: the faster a model falls, the more its own ranking of the "
        f"words is worth. Measured for this page on {texts}; ± is 95 %, from the texts alone."
    )
    charts = _curves_charts(curves)
    rows = []
    for model, scores in curves:
        rows += [
            [
                head(model.name),
                number(100 * k, 0),
                number(100 * scores.values[at_k("realised_share", k)].value, 1),
                number(scores.values[at_k("accuracy_top", k)].value, 2),
                number(srs.value, 2, shown=f"{srs.value:.2f} ± {Z95 * (srs.se or 0.0):.2f}"),
                cell("saturated" if is_saturated(scores.values, k) else ""),
            ]
            for k in scores.shares
            for srs in (scores.values[at_k("srs", k)],)
        ]
    columns = ["Model", ">k %", ">Really deleted %", ">Accuracy", ">SRS", "Note"]
    numbers = details("The numbers", table(columns, rows, sortable=True, name="Curves over k"))
    return section(
        "curves", "Accuracy and SRS against k", paragraph(said) + charts + numbers + problems
    )


def capacity_section(report: StudyReport) -> str:
    """Superposition at FFN1 for the front and the baselines; every layer on request."""
    shown = [
        ranked
        for ranked in report.result.ranked
        if (ranked.on_front or ranked.trial.baseline is not None) and _layers(ranked)
    ]
    if not shown:
        return ""
    said = (
        "Capacity is 1 for a word whose direction no other word of its text shares, and near 0 "
        "for one that is drowned by the others. Important: the 30 % of each text that VMASK keeps "
        "most surely. Interference: share of the energy that lies between different words. "
        "From the ledger, measured on a fixed sample of dev."
    )
    here = [(ranked, measures) for ranked in shown for measures in _last(ranked, _FFN1)]
    columns = [">Trial", "Setting", *(f">{name}" for _, name, _ in _MEASURES), ">Gate openness"]
    rows = [
        [
            number(ranked.trial.number, 0),
            head(ranked.trial.label),
            *_measured(measures),
            number(ranked.trial.scores.value("gate_openness") if ranked.trial.scores else None, 3),
        ]
        for ranked, measures in here
    ]
    trials = [ranked.trial.number for ranked, _ in here]
    content = paragraph(said) + "<h3>At FFN1 before ReLU</h3>"
    content += table(columns, rows, sortable=True, trials=trials, name="Capacity at FFN1")
    every = [(ranked, measures) for ranked in shown for measures in _layers(ranked)]
    blocks = max(measures.block for _, measures in every) + 1
    rows = [
        [
            number(ranked.trial.number, 0),
            head(f"{ranked.trial.label}"),
            cell(measures.layer + (f", block {measures.block + 1}" if blocks > 1 else "")),
            *_measured(measures),
        ]
        for ranked, measures in every
    ]
    columns = [">Trial", "Setting", "Layer", *(f">{name}" for _, name, _ in _MEASURES)]
    content += details("Every layer", table(columns, rows, sortable=True, name="Every layer"))
    return section("capacity", "Capacity", content)


def examples_section(report: StudyReport) -> str:
    """Explanations of a few dev texts by the chosen models."""
    found = report.examples
    explained = [one for one in report.models if one.explanations]
    if not explained:
        problem = found.problem or next((one.problem for one in report.models if one.problem), None)
        return (
            section("examples", "Example explanations", paragraph(problem, "note"))
            if problem
            else ""
        )
    layer = explained[0].explanations[0].layer_title
    scale = " ".join(f'<span class="w t{step}">&nbsp;&nbsp;</span>' for step in range(TINTS))
    key = (
        f'<p class="legend">Capacity at {escape(layer)}, from 0 {scale} to the highest of the '
        "text; <strong>bold and underlined</strong>: the top 30 %, which SRS(30) deletes; "
        "<i>italic</i>: unknown to the model.</p>"
    )
    blocks = "".join(
        _example(example, [(one, one.explanations[place]) for one in explained])
        for place, example in enumerate(found.texts)
    )
    return section("examples", "Example explanations", paragraph(found.rule) + key + blocks)


def _curves_charts(models: Sequence[tuple[InspectedModel, Scores]]) -> str:
    """Accuracy, and the accuracy that is lost, at every k."""
    drawn, key = "", ""
    for place, (name, label) in enumerate(
        (("accuracy without them (points)", "Accuracy"), ("SRS(k) (points)", "SRS"))
    ):
        curves = []
        marks: dict[str, Mark | list[Mark]] = {}
        for row, (model, scores) in enumerate(models):
            kind, whole = ("srs", 0.0) if label == "SRS" else ("accuracy_top", scores.accuracy)
            measures = [scores.values[at_k(kind, k)] for k in scores.shares]
            values = [whole, *(measure.value for measure in measures)]
            errors = [measure.se for measure in measures]
            halves = ["", *("" if se is None else f" ± {Z95 * se:.2f}" for se in errors)]
            shares = (0.0, *scores.shares)
            saturated = (False, *(is_saturated(scores.values, k) for k in scores.shares))
            curves.append(Curve(model.name, shares, tuple(values), saturated=saturated))
            marks[f"curve-{row}"] = Mark(trial=model.trial)
            marks[f"points-{row}"] = [
                Mark(
                    f"{model.name}\n{label} at k = {100 * k:g} %: {value:.2f}{half}"
                    + ("\nsaturated: one class has nearly all predictions" if bad else ""),
                    model.trial,
                )
                for k, value, half, bad in zip(shares, values, halves, saturated, strict=True)
            ]
        chart = curves_chart(curves, name)
        said = f"{label} against the share of deleted words"
        inline = inline_chart(chart, name="curves", label=said, marks=marks, place=place)
        drawn += f"<figure>{inline}</figure>"
        key = legend(chart, "curves")
    return f'<div class="pair">{drawn}</div>{key}'


def _example(example: Example, models: Sequence[tuple[InspectedModel, Explanation]]) -> str:
    rows = "".join(_view(one, explanation, example.label) for one, explanation in models)
    return (
        f'<article class="example"><h3>Dev text {example.row + 1}, '
        f"labelled <bdi>{escape(example.label)}</bdi></h3>{rows}</article>"
    )


def _view(one: InspectedModel, explanation: Explanation, label: str) -> str:
    right = explanation.prediction == label
    largest = max((word.capacity for word in explanation.words), default=0.0)
    words = " ".join(marked_word(word, largest, "mark") for word in explanation.words)
    verdict = "right" if right else "wrong"
    return (
        f'<div class="view"><p class="who" data-trial="{one.trial}"><b>{escape(one.role)}</b> '
        f"trial {one.trial}<br>"
        f'<span class="{verdict}">{"✓" if right else "✗"} '
        f"<bdi>{escape(explanation.prediction)}</bdi> {explanation.probability:.2f}</span></p>"
        f'<p class="said-text" dir="auto" data-roving role="group" '
        f'aria-label="Words as seen by {escape(one.name)}">{words}</p></div>'
    )


def _problems(report: StudyReport) -> str:
    said = [one.problem for one in report.models if one.problem]
    if report.examples.problem:
        said.insert(0, report.examples.problem)
    return "".join(paragraph(sentence, "note") for sentence in dict.fromkeys(said))


def _layers(ranked: RankedTrial) -> tuple[LayerMeasures, ...]:
    return () if ranked.trial.scores is None else ranked.trial.scores.superposition


def _last(ranked: RankedTrial, layer: str) -> list[LayerMeasures]:
    """Measures of the last block, where capacity is taken."""
    found = [measures for measures in _layers(ranked) if measures.layer == layer]
    return sorted(found, key=lambda measures: measures.block)[-1:]


def _measured(measures: LayerMeasures) -> list[str]:
    return [number(getattr(measures, field), digits) for field, _, digits in _MEASURES]
