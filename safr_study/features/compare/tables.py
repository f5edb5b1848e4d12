"""A comparison of studies as tables of text and of numbers, and as a JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from safr_study.features.compare.comparison import Comparison
from safr_study.records import to_plain
from safr_study.render.format import flags, value_text, values_of
from safr_study.render.result_tables import result_table
from safr_study.render.text_table import Sheet


def comparison_sheets(found: Comparison) -> tuple[Sheet, ...]:
    """For people: the studies, the joint front, what differs between the settings."""
    made = [_studies(found), _joint(found)]
    if found.differences:
        rows = tuple((one.setting, *one.shown) for one in found.differences)
        made.append(Sheet("What differs between their settings", ("setting", *found.names), rows))
    return tuple(made)


def comparison_notes(found: Comparison) -> tuple[str, ...]:
    """What has to be said with the tables."""
    point = ", ".join(
        f"{objective.label} {value:.4g}"
        for objective, value in zip(found.objectives, found.reference_point, strict=True)
    )
    said = [
        f"All hypervolumes are from one reference point ({point}): {found.reference_said}. That "
        f"of the joint front is {found.hypervolume:.1f}."
    ]
    said.append(
        "On joint: members that no other study dominates. Of joint: the study's share of the "
        "joint front's hypervolume. Alone: what that would lose without the study."
    )
    said += [f"Warning: {sentence}" for sentence in found.warnings]
    if not found.differences:
        said.append("Their settings are the same in everything that changes a number.")
    return tuple(said)


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Everything as JSON values.

    Keys: ``objectives``, ``reference_point`` (by objective), ``reference`` (which one that is),
    ``hypervolume`` (of the joint front), ``studies``, ``differences`` (``setting`` and ``values``
    by study) and ``warnings``. Each of ``studies`` has ``study``, ``dataset``, ``complete``,
    ``epochs``, ``hypervolume``, ``share`` (of the joint one; null where that is 0), ``exclusive``,
    ``front`` and ``joint`` (trial numbers) and ``history`` (as `HistoryPoint`).
    """
    return {
        "objectives": [objective.name for objective in found.objectives],
        "reference_point": {
            objective.name: value
            for objective, value in zip(found.objectives, found.reference_point, strict=True)
        },
        "reference": found.reference_said,
        "hypervolume": found.hypervolume,
        "studies": [
            {
                "study": one.name,
                "dataset": one.result.dataset,
                "complete": len(one.result.ranked) + len(one.result.infeasible),
                "epochs": one.epochs,
                "hypervolume": one.result.hypervolume,
                "share": _share(one.result.hypervolume, found),
                "exclusive": one.exclusive,
                "front": [ranked.trial.number for ranked in one.result.front],
                "joint": list(one.joint),
                "history": to_plain(one.history),
            }
            for one in found.studies
        ],
        "differences": [
            {
                "setting": one.setting,
                "values": dict(zip(found.names, one.shown, strict=True)),
            }
            for one in found.differences
        ],
        "warnings": list(found.warnings),
    }


def write_comparison_csv(found: Comparison, path: Path) -> None:
    """Every ranked trial of every study: `result_table` with ``study`` and ``on_joint_front``."""
    tables = []
    for one in found.studies:
        table = result_table(one.result)
        table.insert(0, "study", one.name)
        table.insert(2, "on_joint_front", [number in one.joint for number in table["trial"]])
        tables.append(table.astype(object))
    merged = pd.concat(tables, ignore_index=True)
    merged.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def _studies(found: Comparison) -> Sheet:
    rows = []
    for one in found.studies:
        share = _share(one.result.hypervolume, found)
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
    columns = ("study", ">trials", ">epochs", ">front", ">on joint", ">hypervolume", ">of joint",
               ">alone")  # fmt: skip
    return Sheet(
        "Studies",
        columns,
        tuple(rows),
    )


def _joint(found: Comparison) -> Sheet:
    rows = []
    for one in found.studies:
        for ranked in one.result.front:
            if ranked.trial.number in one.joint:
                values = zip(found.objectives, values_of(ranked), strict=True)
                shown = [value_text(objective, value) for objective, value in values]
                trial = ranked.trial
                rows.append(
                    (values_of(ranked)[0] * found.objectives[0].sign,
                     (one.name, str(trial.number), trial.label, *shown, flags(ranked)))
                )  # fmt: skip
    rows.sort(key=lambda pair: -pair[0])
    columns = ("study", ">trial", "setting", *(f">{o.label}" for o in found.objectives), "note")
    return Sheet("The joint front (dev)", columns, tuple(row for _, row in rows))


def _share(hypervolume: float, found: Comparison) -> float | None:
    return hypervolume / found.hypervolume if found.hypervolume > 0 else None
