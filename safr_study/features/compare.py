"""Studies next to each other: one reference point, a joint front, what differs in the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from safr_study.errors import BadInput
from safr_study.features.study_base.results import load_ledger, rank_ledger, write_files
from safr_study.features.study_base.stores import Stores
from safr_study.figures.comparison import comparison_figure
from safr_study.pareto import front_numbers, hypervolume
from safr_study.records import StudyResult, TrialState, to_plain
from safr_study.records.study import HistoryPoint
from safr_study.render.format import shown_setting, trial_badges, value_text
from safr_study.render.history import hypervolume_history
from safr_study.render.result_tables import result_table
from safr_study.render.text_table import TextPage, TextTable
from safr_study.settings import Objective, StudySpec, flat_settings
from safr_study.settings.metrics import OF_CLASSES

_ACROSS_KINDS = {"accuracy", "consistency", "naopc", *OF_CLASSES}
"""Objectives that mean the same for models of different kinds."""


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


def study_view(name: str, stores: Stores) -> StudyView:
    """What a comparison needs of a study of this home or storage.

    Raises:
        BadInput: there is no such study.
        ServiceUnreachable: the ledger's database does not answer.
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
    _check(views)
    warnings = _data_warnings(views)
    if warnings and not anyway:
        raise BadInput("study", f"{warnings[0]} Compare them with --anyway if you know why.")
    warnings += _measure_warnings(views)
    objectives = tuple(Objective(name=name) for name in views[0].result.objectives)
    reference, said = _reference(views, objectives)
    signs = np.array([objective.sign for objective in objectives])
    # Every objective maximised.
    points = np.array([ranked.objectives for view in views for ranked in view.result.front])
    points = signs * points.reshape(-1, len(signs))
    owners = np.repeat(np.arange(len(views)), [len(view.result.front) for view in views])
    on_joint, corner = front_numbers(points) == 0, signs * reference
    whole = hypervolume(points, corner)
    studies = []
    for place, view in enumerate(views):
        own = owners == place
        volume = hypervolume(points[own], corner)
        result = replace(view.result, reference_point=reference, hypervolume=volume)
        members = zip(result.front, on_joint[own], strict=True)
        studies.append(
            ComparedStudy(
                result=result,
                history=hypervolume_history(result),
                joint=tuple(ranked.trial.number for ranked, on_front in members if on_front),
                exclusive=max(0.0, whole - hypervolume(points[~own], corner)),
                epochs=sum(len(t.epochs) * max(1, len(t.replicates)) for t in result.trials),
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


def comparison_page(comparison: StudyComparison) -> TextPage:
    """The studies, the joint front, and what differs between the settings."""
    tables = [_studies(comparison), _joint(comparison)]
    if comparison.differences:
        rows = [(setting, *shown) for setting, shown in comparison.differences.items()]
        columns = ("setting", *comparison.names)
        tables.append(TextTable("What differs between their settings", columns, rows))
    notes = [
        f"All hypervolumes are from one reference point ({_shown_reference(comparison)}): "
        f"{comparison.reference_said}. That of the joint front is {comparison.hypervolume:.1f}.",
        "On joint: members that no other study dominates. Of joint: the study's share of the "
        "joint front's hypervolume. Alone: what that would lose without the study.",
        *(f"Warning: {sentence}" for sentence in comparison.warnings),
    ]
    if not comparison.differences:
        notes.append("Their settings are the same in everything that changes a number.")
    return TextPage(f"Studies {', '.join(comparison.names)}", tuple(tables), tuple(notes))


def write_comparison(comparison: StudyComparison, folder: Path) -> list[Path]:
    """The fronts over each other as PNG and SVG, and all ranked trials as CSV.

    Raises:
        BadInput: the folder cannot be written, or no study has a ranked trial.
    """
    if not any(study.result.ranked for study in comparison.studies):
        raise BadInput("study", "none of them has a ranked trial yet: nothing to draw")
    volumes = ", ".join(f"{one.name} {one.result.hypervolume:.5g}" for one in comparison.studies)
    caption = (
        f"hypervolume from ({_shown_reference(comparison)}): {volumes}; "
        f"joint front {comparison.hypervolume:.5g}"
    )
    fronts = [(study.result, study.joint) for study in comparison.studies]
    draw = partial(comparison_figure, fronts, caption=caption)
    stem = f"compare-{'-'.join(comparison.names)}"[:200]
    return write_files(
        folder,
        {f"{stem}.png": draw, f"{stem}.svg": draw, f"{stem}.csv": comparison_table(comparison)},
    )


def comparison_json(comparison: StudyComparison) -> dict[str, Any]:
    """Everything as JSON values.

    Keys: ``objectives``, ``reference_point`` (by objective), ``reference`` (which one that is),
    ``hypervolume`` (of the joint front), ``studies``, ``differences`` (``setting`` and ``values``
    by study) and ``warnings``. Each of ``studies`` has ``study``, ``dataset``, ``complete``,
    ``epochs``, ``hypervolume``, ``share`` (of the joint one; null where that is 0), ``exclusive``,
    ``front`` and ``joint`` (trial numbers) and ``history`` (as `HistoryPoint`).
    """
    names = [objective.name for objective in comparison.objectives]
    return {
        "objectives": names,
        "reference_point": dict(zip(names, comparison.reference_point, strict=True)),
        "reference": comparison.reference_said,
        "hypervolume": comparison.hypervolume,
        "studies": [
            {
                "study": one.name,
                "dataset": one.result.dataset,
                "complete": one.result.count(TrialState.COMPLETE),
                "epochs": one.epochs,
                "hypervolume": one.result.hypervolume,
                "share": _share(one.result.hypervolume, comparison),
                "exclusive": one.exclusive,
                "front": [ranked.trial.number for ranked in one.result.front],
                "joint": list(one.joint),
                "history": to_plain(one.history),
            }
            for one in comparison.studies
        ],
        "differences": [
            {"setting": setting, "values": dict(zip(comparison.names, shown, strict=True))}
            for setting, shown in comparison.differences.items()
        ],
        "warnings": list(comparison.warnings),
    }


def comparison_table(comparison: StudyComparison) -> pd.DataFrame:
    """Every ranked trial of every study: `result_table` with ``study`` and ``on_joint_front``."""
    tables = []
    for one in comparison.studies:
        table = result_table(one.result)
        table.insert(0, "study", one.name)
        table.insert(2, "on_joint_front", [number in one.joint for number in table["trial"]])
        tables.append(table.astype(object))
    return pd.concat(tables, ignore_index=True)


def _check(views: Sequence[StudyView]) -> None:
    names = [view.result.name for view in views]
    if len(names) < 2:
        raise BadInput("study", "a comparison needs two studies or more; name another")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput("study", f"{twice[0]!r} is given twice; name each study once")
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
        ("ways of measuring", [view.spec.evaluation for view in views]),
    ):
        if any(value != values[0] for value in values):
            shown = f" ({', '.join(map(str, values))})" if what == "presets" else ""
            said.append(
                f"The studies have different {what}{shown}: part of what differs comes from that."
            )
    kinds = [view.spec.corpus.encoder or "from scratch" for view in views]
    if len(set(kinds)) > 1:
        objectives = [Objective(name=name) for name in views[0].result.objectives]
        explaining = [one.label for one in objectives if one.name not in _ACROSS_KINDS]
        said.append(
            f"The studies have models of different kinds ({', '.join(kinds)}): of what is measured "
            "of explanations NAOPC alone may be set side by side across kinds, as it lies between "
            "each model's own worst and best"
            + (f"; not so {', '.join(explaining)}." if explaining else ".")
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


def _studies(comparison: StudyComparison) -> TextTable:
    rows = []
    for one in comparison.studies:
        share = _share(one.result.hypervolume, comparison)
        rows.append(
            (
                one.name,
                str(one.result.count(TrialState.COMPLETE)),
                f"{one.epochs:,}",
                str(len(one.result.front)),
                str(len(one.joint)),
                f"{one.result.hypervolume:.1f}",
                "" if share is None else f"{100 * share:.1f} %",
                f"{one.exclusive:.1f}",
            )
        )
    numbers = ("trials", "epochs", "front", "on joint", "hypervolume", "of joint", "alone")
    return TextTable("Studies", ("study", *(f">{name}" for name in numbers)), rows)


def _joint(comparison: StudyComparison) -> TextTable:
    members = [
        (one.name, ranked)
        for one in comparison.studies
        for ranked in one.result.front
        if ranked.trial.number in one.joint
    ]
    members.sort(key=lambda member: -member[1].objectives[0] * comparison.objectives[0].sign)
    rows = [
        (
            name,
            str(ranked.trial.number),
            ranked.trial.label,
            *map(value_text, comparison.objectives, ranked.objectives),
            trial_badges(ranked),
        )
        for name, ranked in members
    ]
    values = (f">{objective.label}" for objective in comparison.objectives)
    columns = ("study", ">trial", "setting", *values, "note")
    return TextTable("The joint front (dev)", columns, rows)


def _shown_reference(comparison: StudyComparison) -> str:
    pairs = zip(comparison.objectives, comparison.reference_point, strict=True)
    return ", ".join(f"{objective.label} {value:.4g}" for objective, value in pairs)


def _share(hypervolume: float, comparison: StudyComparison) -> float | None:
    return hypervolume / comparison.hypervolume if comparison.hypervolume > 0 else None
