"""A study in a few sentences and key facts."""

from __future__ import annotations

from collections.abc import Iterator

from safr_study.features.report.study_report import StudyReport
from safr_study.records import RankedTrial, TrialRecord, TrialState
from safr_study.render.format import heading, value_text, values_of
from safr_study.text import duration


def lead(report: StudyReport) -> str:
    """The study's results in sentences, enough for a reader of nothing else."""
    result = report.result
    if not result.ranked:
        return "No trial is complete yet: there is no front to show."
    said = [
        f"{len(result.front)} of {len(result.ranked)} ranked trials are on the front: none of the "
        "others is at least as good in everything and better in something."
    ]
    knee = next((ranked for ranked in result.ranked if ranked.knee), None)
    if knee is not None:
        said.append(
            f"The best compromise, the knee, is {_named(knee.trial)} with {_all(knee, report)}."
        )
        said += _against_baselines(knee, report)
    if report.confirmation is not None:
        found = report.confirmation
        said.append(
            f"Under {len(found.seeds)} new seeds {len(found.stayed)} of {len(found.members)} "
            "members stay on the front."
        )
    else:
        said.append(
            "The front was chosen by these same numbers, so they look better than they are; "
            "safr-study confirm measures it anew."
        )
    if report.running:
        said.append("The study is still running; this is how it stands.")
    return " ".join(said)


def key_facts(report: StudyReport) -> Iterator[tuple[str, str, str]]:
    """Name, value and a word on it."""
    result = report.result
    knee = next((ranked for ranked in result.ranked if ranked.knee), None)
    if knee is not None:
        for objective, value in zip(report.objectives, values_of(knee), strict=True):
            yield f"{heading(objective)} of the knee", value_text(objective, value), "on dev"
    reference = ", ".join(f"{value:.4g}" for value in result.reference_point)
    yield "Hypervolume", f"{result.hypervolume:.1f}", f"from ({reference})"
    complete = report.count(TrialState.COMPLETE)
    others = [
        (report.count(TrialState.PRUNED), "stopped early"),
        (report.count(TrialState.FAILED), "failed"),
        (report.count(TrialState.RUNNING), "unfinished"),
    ]
    said = ", ".join(f"{count} {what}" for count, what in others if count)
    yield "Trials", f"{complete} of {result.asked}", said or "complete"
    epochs = sum(len(trial.epochs) for trial in report.trials)
    seconds = sum(trial.seconds or sum(e.seconds for e in trial.epochs) for trial in report.trials)
    yield "Training", f"{epochs:,} epochs", f"{duration(seconds)} of work"


def _against_baselines(knee: RankedTrial, report: StudyReport) -> Iterator[str]:
    for ranked in report.result.ranked:
        name = ranked.trial.baseline
        if name is None or ranked is knee:
            continue
        shifts = []
        for objective, mine, theirs in zip(
            report.objectives, values_of(knee), values_of(ranked), strict=True
        ):
            change = mine - theirs
            sign = "+" if change >= 0 else "−"
            shifts.append(f"{objective.label} {sign}{value_text(objective, abs(change))}")
        yield f"Against the baseline {name}: {', '.join(shifts)}."


def _named(trial: TrialRecord) -> str:
    return (
        f"the baseline {trial.baseline}"
        if trial.baseline
        else f"trial {trial.number} ({trial.label})"
    )


def _all(ranked: RankedTrial, report: StudyReport) -> str:
    pairs = zip(report.objectives, values_of(ranked), strict=True)
    return " and ".join(f"{o.label} {value_text(o, value)}" for o, value in pairs)
