"""A confirmation as files (Markdown, CSV, pictures) and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from safr_study.features.confirm.view import confirmation_notes, confirmation_page
from safr_study.features.study_base.results import write_files
from safr_study.figures.canvas import Page
from safr_study.figures.confirmation import confirmation_figure
from safr_study.records import picked, to_plain
from safr_study.records.run import Measured, RunResult, run_to_plain
from safr_study.render.verdict import verdict
from safr_study.settings import Objective
from safr_study.uncertainty.confirmation import Confirmation, ConfirmedTrial, Estimate


def write_confirmation(confirmation: Confirmation, folder: Path) -> list[Path]:
    """Write STUDY-confirmed as .md, .csv, .png and .svg, and STUDY-confirmed-runs.csv.

    The pictures are left out where no trial is confirmed.

    Raises:
        BadInput: the folder cannot be written.
    """
    stem = f"{confirmation.study}-confirmed"
    title = f"Study {confirmation.study} on {confirmation.dataset}, confirmed"

    def draw(path: Path) -> None:
        confirmation_figure(confirmation, Page(path, title, _caption(confirmation)))

    pictures = {f"{stem}.png": draw, f"{stem}.svg": draw} if confirmation.result.ranked else {}
    return write_files(
        folder,
        {
            f"{stem}.md": confirmation_page(confirmation, wide=True).markdown(),
            f"{stem}.csv": trials_table(confirmation),
            f"{stem}-runs.csv": runs_table(confirmation),
            **pictures,
        },
    )


def trials_table(confirmation: Confirmation) -> pd.DataFrame:
    """One row for each trial.

    Columns: ``trial``, ``label``, ``baseline`` (name or empty), ``was_on_front`` (the search's),
    ``confirmed``, ``on_front`` (of the means), ``front_probability``, ``knee``, ``compromise``,
    ``seeds`` (finished), ``failed`` and ``saturated`` (runs); then of each objective by its
    `Objective.key`: ``KEY_search``, ``KEY_mean``, ``KEY_low``, ``KEY_high``, ``KEY_method``,
    ``KEY_change`` (mean minus search), and ``test_KEY_mean``, ``test_KEY_low``, ``test_KEY_high``;
    of each metric beside the objectives ``mean``, ``low`` and ``high`` in the same way.
    """
    return pd.DataFrame([_row(confirmation, one) for one in confirmation.trials])


def runs_table(confirmation: Confirmation) -> pd.DataFrame:
    """One row for each run: trial, seed, how it ran, its model.

    Also every objective and every metric beside them, on dev and test.
    """
    rows = [
        {
            "trial": run.trial,
            "label": one.trial.label,
            "seed": run.seed,
            **_values(confirmation, "dev", run.dev),
            **_values(confirmation, "test", run.test),
            **picked(run, "saturated", "epochs", "seconds", "device", "ended", "test_read"),
            "sha256": None if run.checkpoint is None else run.checkpoint.sha256,
            "failure": run.failure,
        }
        for one in confirmation.trials
        for run in one.runs
    ]
    return pd.DataFrame(rows)


def confirmation_json(confirmation: Confirmation) -> dict[str, Any]:
    """Everything as JSON values.

    Keys: ``study``, ``dataset``, ``objectives``, ``seeds``, ``dev_texts``, ``test_texts``,
    ``front_before`` and ``front`` (trial numbers), ``stayed`` (how many), ``knee`` (number or
    null), ``compromise`` (number, where there is no knee), ``unbeaten`` and ``verdict`` (as of
    `result_json`), ``trials``, ``test_readings`` and ``notes`` (sentences). Each of ``trials`` has
    what `trials_table` has, its objectives as ``dev`` and ``test`` by name with the points of each
    seed (``beside`` has those of the other metrics in the same way), ``parameters`` and ``runs``.
    """
    result = confirmation.result
    numbered = {"knee": result.knee, "compromise": result.compromise}
    return {
        **picked(confirmation, "study", "dataset"),
        "objectives": [objective.name for objective in confirmation.objectives],
        **picked(confirmation, "seeds", "dev_texts", "test_texts"),
        "front_before": [one.trial.number for one in confirmation.members],
        "front": [ranked.trial.number for ranked in result.front],
        "stayed": len(confirmation.stayed),
        **{role: one and one.trial.number for role, one in numbered.items()},
        "unbeaten": result.unbeaten,
        "verdict": verdict(result),
        "trials": [_trial_json(confirmation, one) for one in confirmation.trials],
        "test_readings": to_plain(confirmation.readings),
        "notes": list(confirmation_notes(confirmation)),
    }


def _caption(confirmation: Confirmation) -> str:
    seeds, stayed = len(confirmation.seeds), len(confirmation.stayed)
    return (
        f"means over {seeds} new seeds on {confirmation.dev_texts:,} dev texts; bars: 95 % "
        f"intervals; {stayed} of {len(confirmation.members)} members stay on the front"
    )


def _row(confirmation: Confirmation, one: ConfirmedTrial) -> dict[str, Any]:
    row = _facts(one)
    for axis, objective in enumerate(confirmation.objectives):
        row |= {f"{objective.key}_{name}": value for name, value in _on_dev(one, axis).items()}
    others = (
        ("test_", confirmation.objectives, one.test),
        ("", confirmation.beside, one.dev_beside),
        ("test_", confirmation.beside, one.test_beside),
    )
    for split, metrics, found in others:
        for metric, new in zip(metrics, found or [Estimate(None)] * len(metrics), strict=True):
            ends = _ends(new)
            row |= {f"{split}{metric.key}_{name}": ends[name] for name in ("mean", "low", "high")}
    return row


def _trial_json(confirmation: Confirmation, one: ConfirmedTrial) -> dict[str, Any]:
    names = [objective.name for objective in confirmation.objectives]
    dev = {name: _on_dev(one, axis, **_points(one.dev[axis])) for axis, name in enumerate(names)}
    beside = {
        "dev": _by_name(confirmation.beside, one.dev_beside),
        "test": _by_name(confirmation.beside, one.test_beside) or None,
    }
    return {
        **_facts(one),
        "parameters": dict(one.trial.parameters),
        "dev": dev,
        "test": _by_name(confirmation.objectives, one.test) or None,
        "beside": beside if confirmation.beside else None,
        "runs": [_run_json(run) for run in one.runs],
    }


def _by_name(metrics: Sequence[Objective], found: Sequence[Estimate]) -> dict[str, Any]:
    """Estimates by the metrics' names; none where a split was not read."""
    pairs = zip(metrics, found, strict=False)
    return {metric.name: {**_ends(new), **_points(new)} for metric, new in pairs}


def _on_dev(one: ConfirmedTrial, axis: int, **points: Any) -> dict[str, Any]:
    """What the search and the new seeds say of an objective."""
    ends = _ends(one.dev[axis])
    return {"search": one.search[axis], **ends, **points, "change": one.shifts[axis]}


def _facts(one: ConfirmedTrial) -> dict[str, Any]:
    return {
        "trial": one.trial.number,
        **picked(one.trial, "label", "baseline"),
        "was_on_front": one.member,
        "confirmed": one.ranked is not None,
        **picked(one, "on_front", "front_probability"),
        "knee": one.ranked is not None and one.ranked.knee,
        "compromise": one.ranked is not None and one.ranked.compromise,
        "seeds": len(one.finished),
        "failed": len(one.failures),
        "saturated": one.saturated,
    }


def _points(new: Estimate) -> dict[str, Any]:
    return {"points": [] if new.interval is None else list(new.interval.points)}


def _ends(new: Estimate) -> dict[str, Any]:
    ends = {name: getattr(new.interval, name, None) for name in ("low", "high", "method")}
    return {"mean": new.mean, **ends}


def _run_json(run: RunResult) -> dict[str, Any]:
    plain = run_to_plain(run)
    for split in ("dev", "test"):
        # The bits of every text are the ledger's.
        if plain[split] is not None:
            del plain[split]["answers"]
    return plain


def _values(confirmation: Confirmation, split: str, measured: Measured | None) -> dict[str, Any]:
    empty = (None,) * len(confirmation.objectives)
    numbers = empty if measured is None else measured.values  # noqa: PD011 (a record)
    beside = (
        None if measured is None else measured.value_of(metric.name)
        for metric in confirmation.beside
    )
    metrics = (*confirmation.objectives, *confirmation.beside)
    pairs = zip(metrics, (*numbers, *beside), strict=True)
    return {f"{split}_{metric.key}": value for metric, value in pairs}
