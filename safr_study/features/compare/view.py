"""A comparison of studies for people, as files and as a JSON document."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from safr_study.errors import BadInput
from safr_study.features.compare.compare import StudyComparison
from safr_study.features.study_base.files import write_files
from safr_study.figures.comparison import comparison_figure
from safr_study.records import to_plain
from safr_study.render.format import trial_badges, value_text, values_of
from safr_study.render.result_tables import result_table
from safr_study.render.text_table import TextPage, TextTable


def comparison_page(comparison: StudyComparison) -> TextPage:
    """The studies, the joint front, and what differs between the settings."""
    tables = [_studies(comparison), _joint(comparison)]
    if comparison.differences:
        rows = [(setting, *shown) for setting, shown in comparison.differences.items()]
        columns = ("setting", *comparison.names)
        tables.append(TextTable("What differs between their settings", columns, rows))
    notes = [
        f"All hypervolumes are from one reference point ({_reference(comparison)}): "
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
        f"hypervolume from ({_reference(comparison)}): {volumes}; "
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
    return {
        "objectives": [objective.name for objective in comparison.objectives],
        "reference_point": {
            objective.name: value
            for objective, value in zip(
                comparison.objectives, comparison.reference_point, strict=True
            )
        },
        "reference": comparison.reference_said,
        "hypervolume": comparison.hypervolume,
        "studies": [
            {
                "study": one.name,
                "dataset": one.result.dataset,
                "complete": len(one.result.ranked) + len(one.result.infeasible),
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
            {
                "setting": setting,
                "values": dict(zip(comparison.names, shown, strict=True)),
            }
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


def _studies(comparison: StudyComparison) -> TextTable:
    rows = []
    for one in comparison.studies:
        share = _share(one.result.hypervolume, comparison)
        rows.append(
            (
                one.name,
                str(len(one.result.ranked) + len(one.result.infeasible)),
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
    members.sort(key=lambda member: -values_of(member[1])[0] * comparison.objectives[0].sign)
    rows = [
        (
            name,
            str(ranked.trial.number),
            ranked.trial.label,
            *map(value_text, comparison.objectives, values_of(ranked)),
            trial_badges(ranked),
        )
        for name, ranked in members
    ]
    columns = (
        "study",
        ">trial",
        "setting",
        *(f">{o.label}" for o in comparison.objectives),
        "note",
    )
    return TextTable("The joint front (dev)", columns, rows)


def _reference(comparison: StudyComparison) -> str:
    pairs = zip(comparison.objectives, comparison.reference_point, strict=True)
    return ", ".join(f"{objective.label} {value:.4g}" for objective, value in pairs)


def _share(hypervolume: float, comparison: StudyComparison) -> float | None:
    return hypervolume / comparison.hypervolume if comparison.hypervolume > 0 else None
