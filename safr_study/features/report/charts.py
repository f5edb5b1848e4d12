"""The charts of a report, drawn by `figures`, with a sentence for each of their marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from safr_study.features.compare import StudyComparison
from safr_study.features.report.inspect_models import InspectedModel
from safr_study.figures.comparison import comparison_charts
from safr_study.figures.curves import Curve, curves_chart
from safr_study.figures.history import Over, history_chart, rises
from safr_study.figures.parameters import importance_chart, parallel_chart
from safr_study.records import StudyResult
from safr_study.records.scores import Scores, is_saturated
from safr_study.records.study import HistoryPoint, Importance
from safr_study.render.format import trial_sentence
from safr_study.render.inline_svg import Mark, inline_chart, legend
from safr_study.settings import Objective, at_k
from safr_study.text import Z95

Drawn = tuple[list[Markup], Markup]
"""Charts that belong together, and the meaning of their signs."""


def history_charts(histories: Mapping[str, Sequence[HistoryPoint]], first: int = 0) -> Drawn:
    """Hypervolumes over trials and over epochs; ``first`` is the place of the first chart."""
    several = len(histories) > 1
    marks = {}
    for place, (name, history) in enumerate(histories.items()):
        for point in rises(history):
            said = (
                f"{f'{name}: ' if several else ''}Hypervolume {point.hypervolume:.1f}\n"
                f"after trial {point.trial}, number {point.trials} to end\n"
                f"{point.epochs} epochs trained"
            )
            gid = f"rise-{place}-{point.trial}" if several else f"rise-{point.trial}"
            marks[gid] = Mark(said, None if several else point.trial)
    overs: tuple[Over, ...] = ("trials", "epochs")
    charts = [history_chart(histories, over) for over in overs]
    drawn = [
        inline_chart(
            chart, name="history", label=f"Hypervolume over {over}", marks=marks, place=place
        )
        for place, (chart, over) in enumerate(zip(charts, overs, strict=True), start=first)
    ]
    return drawn, legend(charts[-1], f"history{first}") if several else Markup()


def importance_charts(importance: Sequence[Importance], objectives: Sequence[str]) -> Drawn:
    """Importance of each hyperparameter, a chart for each objective."""
    drawn = []
    for place, name in enumerate(objectives):
        label = Objective(name=name).label
        of_objective = [one for one in importance if one.objective == name]
        marks = {}
        for row, one in enumerate(of_objective):
            rho = "" if one.rho is None else f", rank correlation {one.rho:+.2f}"
            said = (
                f"{one.parameter} for {label}\n"
                f"{one.strength:.2f} times the level of chance (p = {one.p:.3f})\n"
                f"{label}: {direction(one)}{rho}\n"
                f"from {one.trials} trials"
            )
            marks[f"parameter-{row}"] = Mark(said, kind="bar")
        said = f"Importance of each hyperparameter for {label}"
        chart = importance_chart(of_objective)
        drawn.append(inline_chart(chart, name="importance", label=said, marks=marks, place=place))
    return drawn, Markup()


def direction(one: Importance) -> str:
    """Direction of the objective as the parameter grows."""
    if one.rho is None:
        return "no order"
    if abs(one.rho) < 0.2:
        return "no direction"
    return "rises with it" if one.rho > 0 else "falls with it"


def parallel_lines(result: StudyResult, objectives: tuple[Objective, ...]) -> Drawn:
    """Settings and objectives of all ranked trials as lines."""
    chart = parallel_chart(result)
    marks = {
        f"line-{ranked.trial.number}": Mark(
            trial_sentence(ranked, objectives), ranked.trial.number, "thread"
        )
        for ranked in result.ranked
    }
    label = f"Settings and objectives of {len(marks)} trials as lines"
    return [inline_chart(chart, name="parallel", label=label, marks=marks)], legend(
        chart, "parallel"
    )


def compared_fronts(comparison: StudyComparison) -> list[Drawn]:
    """The fronts over each other, a chart for each pair of objectives."""
    objectives, studies = comparison.objectives, comparison.studies
    marks = {
        f"member-{place}-{member}": Mark(
            f"{study.name}: {trial_sentence(ranked, objectives)}\n"
            + (
                "on the joint front"
                if ranked.trial.number in study.joint
                else "dominated by another study"
            )
        )
        for place, study in enumerate(studies)
        for member, ranked in enumerate(study.result.front)
    }
    charts = comparison_charts([(study.result, study.joint) for study in studies])
    label = f"The fronts of {', '.join(comparison.names)}"
    return [
        (
            [inline_chart(chart, name="fronts", label=label, marks=marks, place=place)],
            legend(chart, f"fronts{place}"),
        )
        for place, chart in enumerate(charts)
    ]


def curves_charts(models: Sequence[tuple[InspectedModel, Scores]]) -> Drawn:
    """Accuracy, and the accuracy that is lost, at every k."""
    drawn, key = [], Markup()
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
        drawn.append(inline_chart(chart, name="curves", label=said, marks=marks, place=place))
        key = legend(chart, "curves")
    return drawn, key
