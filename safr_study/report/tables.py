"""A ranked study as a table, a CSV file and a JSON document."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from safr_study.records import RankedTrial, StudyResult, TrialRecord, to_plain
from safr_study.records.warnings import trial_warnings
from safr_study.settings import Objective


def result_table(result: StudyResult) -> pd.DataFrame:
    """The complete trials, one row each, in the order of the ranking.

    Columns: ``front`` (0 = not dominated), ``trial`` (its number), ``label``, one per parameter
    (empty where the trial has none), one per objective by its `Objective.key` (percentage points),
    ``saturated``, ``knee``, ``baseline`` (name or empty), ``epochs`` (trained), ``seconds``,
    ``run_id`` and ``crowding`` (infinite at the ends of a front).
    """
    trials = [ranked.trial for ranked in result.ranked]
    columns: dict[str, Any] = {
        "front": [ranked.front for ranked in result.ranked],
        "trial": [trial.number for trial in trials],
        "label": [trial.label for trial in trials],
    }
    for name in dict.fromkeys(name for trial in trials for name in trial.parameters):
        # A nullable array, so that a whole number beside a missing one stays whole.
        columns[name] = pd.array([trial.parameters.get(name) for trial in trials])
    for place, name in enumerate(result.objectives):
        columns[Objective(name=name).key] = [_values(trial)[place] for trial in trials]
    columns |= {
        "saturated": [trial.saturated for trial in trials],
        "knee": [ranked.knee for ranked in result.ranked],
        "baseline": [trial.baseline for trial in trials],
        "epochs": [len(trial.epochs) for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "run_id": [trial.run_id for trial in trials],
        "crowding": [ranked.crowding for ranked in result.ranked],
    }
    return pd.DataFrame(columns)


def write_csv(result: StudyResult, path: Path) -> None:
    """Write `result_table` as CSV with a header; missing values are empty, floats are exact."""
    result_table(result).to_csv(path, index=False, encoding="utf-8", lineterminator="\n")


def result_json(result: StudyResult) -> dict[str, Any]:
    """The ranked study as JSON values.

    Keys: ``study``, ``dataset``, ``objectives`` (names), ``reference_point`` (by objective),
    ``hypervolume``, ``asked``, ``complete`` (how many), ``front`` (trial numbers), ``knee`` (trial
    number or null), ``trials`` (ranked, best first) and ``unranked``.

    Each of ``trials`` has ``trial`` (number), ``label``, ``state``, ``baseline`` (name or null),
    ``parameters``, ``seed``, ``values`` (by objective), ``front`` (number), ``on_front``, ``knee``,
    ``crowding`` (null = infinite), ``saturated``, ``warnings`` (sentences), ``scores`` (everything
    measured), ``epochs`` (trained), ``seconds``, ``device``, ``checkpoint`` and ``run_id``. Each of
    ``unranked`` has the first six, ``failure`` (a sentence or null), ``epochs``, ``seconds``,
    ``device`` and ``run_id``.
    """
    knees = [ranked.trial.number for ranked in result.ranked if ranked.knee]
    return {
        "study": result.name,
        "dataset": result.dataset,
        "objectives": list(result.objectives),
        "reference_point": dict(zip(result.objectives, result.reference_point, strict=True)),
        "hypervolume": result.hypervolume,
        "asked": result.asked,
        "complete": len(result.ranked),
        "front": [ranked.trial.number for ranked in result.front],
        "knee": knees[0] if knees else None,
        "trials": [_ranked_json(ranked, result.objectives) for ranked in result.ranked],
        "unranked": [
            {**_trial_json(trial), "failure": trial.failure, **_run_json(trial)}
            for trial in result.unranked
        ],
    }


def _ranked_json(ranked: RankedTrial, objectives: tuple[str, ...]) -> dict[str, Any]:
    trial = ranked.trial
    return {
        **_trial_json(trial),
        "values": dict(zip(objectives, _values(trial), strict=True)),
        "front": ranked.front,
        "on_front": ranked.on_front,
        "knee": ranked.knee,
        "crowding": ranked.crowding if math.isfinite(ranked.crowding) else None,
        "saturated": trial.saturated,
        "warnings": list(trial_warnings(trial)),
        "scores": to_plain(trial.scores),
        "checkpoint": to_plain(trial.checkpoint),
        **_run_json(trial),
    }


def _trial_json(trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "label": trial.label,
        "state": trial.state.value,
        "baseline": trial.baseline,
        "parameters": dict(trial.parameters),
        "seed": trial.seed,
    }


def _run_json(trial: TrialRecord) -> dict[str, Any]:
    return {
        "epochs": len(trial.epochs),
        "seconds": trial.seconds,
        "device": trial.device,
        "run_id": trial.run_id,
    }


def _values(trial: TrialRecord) -> tuple[float, ...]:
    """A ranked trial always has them."""
    return trial.values or ()  # noqa: PD011 (a record, not a DataFrame)
