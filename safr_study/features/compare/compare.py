"""Studies next to each other: one reference point, a joint front, what differs in the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from safr_study.errors import BadInput
from safr_study.features.study_base.results import load_ledger, rank_ledger
from safr_study.features.study_base.stores import Stores
from safr_study.pareto import hypervolume, rank_study
from safr_study.records import RankedTrial, StudyResult, TrialRecord
from safr_study.records.history import HistoryPoint
from safr_study.render.format import values_of
from safr_study.render.history import hypervolume_history
from safr_study.settings import Objective, StudySpec


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study as its ledger has it."""

    result: StudyResult
    spec: StudySpec
    corpus_fingerprint: str


@dataclass(frozen=True, slots=True)
class ComparedStudy:
    """One of the studies."""

    result: StudyResult
    """Its hypervolume is from the shared reference point."""
    history: tuple[HistoryPoint, ...]
    """Its hypervolume after each of its trials, from the shared reference point."""
    joint: tuple[int, ...]
    """Members of its front that no trial of the other studies dominates, by number."""
    exclusive: float
    """Loss of the joint front's hypervolume if this study were left out, 0 or more."""
    epochs: int
    """Epochs trained in all, over all seeds of all trials."""

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.result.name


@dataclass(frozen=True, slots=True)
class StudyComparison:
    """Studies over the same objectives."""

    studies: tuple[ComparedStudy, ...]
    objectives: tuple[Objective, ...]
    reference_point: tuple[float, ...]
    """Reference point of all hypervolumes, one value per objective."""
    reference_said: str
    """The choice of the reference point, as part of a sentence."""
    hypervolume: float
    """Hypervolume of the joint front."""
    differences: Mapping[str, tuple[str, ...]]
    """Settings that are not the same in all studies, by path (``train.preset``): the value in each
    study, empty where one has no such setting."""
    warnings: tuple[str, ...]
    """Sentences on why the studies are not quite comparable."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the studies."""
        return tuple(study.name for study in self.studies)


def compare(names: Sequence[str], stores: Stores, *, anyway: bool = False) -> StudyComparison:
    """Studies of this home or storage, with one reference point.

    Args:
        names: of two studies or more.
        stores: where they are.
        anyway: compare also what is of other data.

    Raises:
        BadInput: a study is unknown, or they cannot be compared.
        ServiceUnreachable: the ledgers' database does not answer.
    """
    return compare_studies([study_view(name, stores) for name in names], anyway=anyway)


def study_view(name: str, stores: Stores) -> StudyView:
    """What a comparison needs of a study.

    Raises:
        BadInput: there is no such study.
    """
    with load_ledger(name, stores) as ledger:
        return StudyView(rank_ledger(ledger), ledger.spec, ledger.facts.corpus_fingerprint)


def compare_studies(views: Sequence[StudyView], *, anyway: bool = False) -> StudyComparison:
    """Measure studies with one measure.

    Args:
        views: two or more, in the order in which they are shown.
        anyway: compare also what is of other data; the comparison then says so.

    Raises:
        BadInput: a study is given twice, the objectives differ, or the data differ.
    """
    _check_names(views)
    _check_objectives(views)
    warnings = _data_warnings(views)
    if warnings and not anyway:
        raise BadInput("study", f"{warnings[0]} Compare them with --anyway if you know why.")
    warnings += _measure_warnings(views)
    objectives = tuple(Objective(name=name) for name in views[0].result.objectives)
    reference, said = _reference(views, objectives)
    results = [_referred(view.result, reference) for view in views]
    fronts = [[_better(ranked, objectives) for ranked in result.front] for result in results]
    corner = np.multiply([objective.sign for objective in objectives], reference)
    joint = [point for front in fronts for point in front]
    whole = hypervolume(joint, corner)
    studies = []
    for place, (view, result) in enumerate(zip(views, results, strict=True)):
        others = [point for at, front in enumerate(fronts) if at != place for point in front]
        studies.append(
            ComparedStudy(
                result=result,
                history=hypervolume_history(result),
                joint=tuple(
                    ranked.trial.number
                    for ranked, point in zip(result.front, fronts[place], strict=True)
                    if not any(_dominates(other, point) for other in others)
                ),
                exclusive=max(0.0, whole - hypervolume(others, corner)),
                epochs=sum(
                    len(trial.epochs) * max(1, len(trial.replicates))
                    for trial in _trials(view.result)
                ),
            )
        )
    return StudyComparison(
        studies=tuple(studies),
        objectives=objectives,
        reference_point=reference,
        reference_said=said,
        hypervolume=whole,
        differences=_differences(views),
        warnings=tuple(warnings),
    )


def _check_names(views: Sequence[StudyView]) -> None:
    names = [view.result.name for view in views]
    if len(names) < 2:
        raise BadInput("study", "a comparison needs two studies or more; name another")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput("study", f"{twice[0]!r} is given twice; name each study once")


def _check_objectives(views: Sequence[StudyView]) -> None:
    first = views[0].result
    for view in views[1:]:
        if view.result.objectives != first.objectives:
            raise BadInput(
                "study",
                f"{view.result.name!r} has the objectives {', '.join(view.result.objectives)}, "
                f"{first.name!r} has {', '.join(first.objectives)}: their fronts have no axes in "
                "common; compare studies over the same objectives",
            )


def _data_warnings(views: Sequence[StudyView]) -> list[str]:
    first = views[0]
    said = []
    for view in views[1:]:
        names = f"{first.result.name!r} and {view.result.name!r}"
        if view.result.dataset != first.result.dataset:
            said.append(
                f"{names} are of other data sets ({first.result.dataset}, {view.result.dataset}): "
                "an accuracy on one says nothing about the other."
            )
        elif view.corpus_fingerprint != first.corpus_fingerprint:
            said.append(
                f"{names} were trained or measured on other texts of {view.result.dataset} (the "
                "corpus's fingerprint differs: limits, splits, length, or the data changed)."
            )
    return said


def _measure_warnings(views: Sequence[StudyView]) -> list[str]:
    """What makes equal names mean different numbers."""
    said = []
    for what, values in (
        ("presets", [view.spec.train.preset for view in views]),
        ("ways of measuring", [view.spec.evaluation.fingerprint() for view in views]),
    ):
        if len(set(values)) > 1:
            shown = f" ({', '.join(values)})" if what == "presets" else ""
            said.append(
                f"The studies have different {what}{shown}: part of what differs comes from that."
            )
    unequal = {view.spec.seeds_per_trial for view in views}
    if len(unequal) > 1:
        said.append(
            "The studies train a different number of seeds per trial: the best of noisier numbers "
            "looks better than it is."
        )
    return said


def _reference(
    views: Sequence[StudyView], objectives: Sequence[Objective]
) -> tuple[tuple[float, ...], str]:
    stored = [view.result.reference_point for view in views]
    if len(set(stored)) == 1:
        return stored[0], "the one that is stored with each of the studies"
    worst = tuple(
        min(column) if objective.maximise else max(column)
        for objective, column in zip(objectives, zip(*stored, strict=True), strict=True)
    )
    return worst, "the worst of the studies' own in each objective, as theirs differ"


def _referred(result: StudyResult, reference: tuple[float, ...]) -> StudyResult:
    """The same study, its hypervolume from another point."""
    measured = rank_study(
        name=result.name,
        dataset=result.dataset,
        objectives=result.objectives,
        reference_point=reference,
        trials=_trials(result),
        asked=result.asked,
    )
    return replace(result, reference_point=reference, hypervolume=measured.hypervolume)


def _trials(result: StudyResult) -> list[TrialRecord]:
    return [*(ranked.trial for ranked in result.ranked), *result.unranked]


def _better(ranked: RankedTrial, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """The values, every objective maximised."""
    values = zip(objectives, values_of(ranked), strict=True)
    return tuple(objective.sign * value for objective, value in values)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _differences(views: Sequence[StudyView]) -> dict[str, tuple[str, ...]]:
    settings = [
        {"trials": view.spec.trials, **flat_settings(view.spec.settings_that_change_numbers())}
        for view in views
    ]
    names = dict.fromkeys(name for one in settings for name in one)
    values = {
        name: tuple(shown_setting(one[name]) if name in one else "" for one in settings)
        for name in names
    }
    return {name: shown for name, shown in values.items() if len(set(shown)) > 1}


def flat_settings(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested settings by their paths: ``train.shape.heads``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        here = f"{path}.{name}" if path else str(name)
        if isinstance(value, Mapping) and value:
            found |= flat_settings(value, here)
        else:
            found[here] = value
    return found


def shown_setting(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(
            " ".join(map(shown_setting, one.values()))
            if isinstance(one, Mapping)
            else shown_setting(one)
            for one in value
        )
    return "none" if value is None else str(value)
