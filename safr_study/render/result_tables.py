"""A ranked study as tables and a JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from safr_study.records import (
    RankedTrial,
    RegisteredModel,
    StudyResult,
    TrialRecord,
    TrialState,
    picked,
)
from safr_study.records.warnings import needless_pair, study_warnings, trial_warnings
from safr_study.render.cost import cost_json
from safr_study.render.format import seed_half_widths, trial_badges
from safr_study.render.rungs import rung_lines, rung_reports, rung_rows
from safr_study.render.text_table import TextTable
from safr_study.render.verdict import choice_note, verdict
from safr_study.settings import Constraint, Objective

if TYPE_CHECKING:
    import pandas as pd

SENTENCES = 10
"""Trials that miss a constraint, and trials that failed, with a sentence each: the rest is
counted."""


def result_table(result: StudyResult) -> pd.DataFrame:
    """The ranked trials, one row each, in the order of the ranking.

    Columns: ``front`` (0 = not dominated), ``trial`` (its number), ``label``, one per parameter
    (empty where the trial has none), one per objective by its `Objective.key` (percentage points),
    ``saturated``, ``knee``, ``compromise``, ``baseline`` (name or empty), ``epochs`` (trained),
    ``seconds``, ``run_id`` and ``crowding`` (infinite at the ends of a front). Where trials have
    several seeds, each objective is followed by ``_half_width``, that of its 95 % interval over
    them.
    """
    import pandas as pd  # slow to import, and most readers of a study make no table

    trials = [ranked.trial for ranked in result.ranked]
    columns: dict[str, Any] = {
        "front": [ranked.front for ranked in result.ranked],
        "trial": [trial.number for trial in trials],
        "label": [trial.label for trial in trials],
    }
    for name in dict.fromkeys(name for trial in trials for name in trial.parameters):
        # A nullable array, so that a whole number next to a missing one stays whole.
        columns[name] = pd.array([trial.parameters.get(name) for trial in trials])
    for place, name in enumerate(result.objectives):
        key = Objective(name=name).key
        columns[key] = [ranked.objectives[place] for ranked in result.ranked]
        if any(trial.replicates for trial in trials):
            halves = (seed_half_widths(trial) for trial in trials)
            columns[f"{key}_half_width"] = [half and half[place] for half in halves]
    columns |= {
        "saturated": [trial.saturated for trial in trials],
        "knee": [ranked.knee for ranked in result.ranked],
        "compromise": [ranked.compromise for ranked in result.ranked],
        "baseline": [trial.baseline for trial in trials],
        "epochs": [len(trial.epochs) for trial in trials],
        "seconds": [trial.seconds for trial in trials],
        "run_id": [trial.run_id for trial in trials],
        "crowding": [ranked.crowding for ranked in result.ranked],
    }
    return pd.DataFrame(columns)


def infeasible_lines(result: StudyResult) -> list[str]:
    """Complete trials without a place in the ranking, and the constraint that each misses.

    One sentence each, with by how much, for the first few; then how many more there are.
    """
    constraints = [Constraint.parse_text(text) for text in result.constraints]
    lines = []
    for trial in result.infeasible[:SENTENCES]:
        # A study without the texts still says that it is so.
        named = zip(constraints, trial.violations, strict=False)
        missed = " and ".join(one.missed(by) for one, by in named if by > 0)
        reason = missed or "misses a constraint of the space"
        lines.append(f"Trial {trial.number} ({trial.label}) is not ranked: it {reason}.")
    more = len(result.infeasible) - SENTENCES
    if more > 0:
        lines.append(f"{more} more trials are not ranked, as they miss a constraint.")
    return lines


def result_notes(result: StudyResult) -> list[str]:
    """Lines under a ranking: a front without a knee, hypervolume, unranked trials, warnings.

    Above it stands the `verdict`, where there is one.
    """
    reference = ", ".join(f"{value:.2f}" for value in result.reference_point)
    lines = [note] if (note := choice_note(result)) else []
    lines += [f"Hypervolume {result.hypervolume:.1f} against the reference point ({reference})."]
    if result.ranked and result.hypervolume <= 0:
        lines.append(
            "No trial is better in every objective than that point, which a model that always "
            "names the same class reaches: train longer, or on more texts."
        )
    if result.confirmed_seeds:
        seeds = len(result.confirmed_seeds)
        lines.append(
            f"These are the search's own numbers. Confirmed with {seeds} new seeds: "
            f"`safr-study confirm {result.name} --seeds {seeds}` shows "
            "their means, and which trial is the knee or the compromise by them; the study's "
            "aliases go by those."
        )
    if result.recommended:
        numbers = ", ".join(map(str, result.recommended))
        lines.append(
            "The front as the search expects it without the luck of single trainings: "
            f"{'trial' if len(result.recommended) == 1 else 'trials'} {numbers}."
        )
    lines += rung_lines(result)
    lines += infeasible_lines(result)
    shown = [ranked.trial for ranked in result.ranked]
    lines += [*needless_pair(shown), *study_warnings(shown)]
    failed = [trial for trial in result.unranked if trial.failure is not None]
    lines += [
        f"Trial {trial.number} ({trial.label}) failed: {trial.failure}"
        for trial in failed[:SENTENCES]
    ]
    if len(failed) > SENTENCES:
        lines.append(f"{len(failed) - SENTENCES} more trials failed; --json has their sentences.")
    return lines


def ranking_table(result: StudyResult, *, rows: int | None = None) -> TextTable:
    """The ranking for people; ``rows`` of it, the best."""
    complete = len(result.ranked) + len(result.infeasible)
    feasible = f" ({len(result.ranked)} feasible)" if result.constraints else ""
    pruned = sum(trial.state is TrialState.PRUNED for trial in result.unranked)
    stopped = f"{pruned} stopped early, " if pruned else ""
    labels = [Objective(name=name).label for name in result.objectives]
    shown = result.ranked[:rows]
    return TextTable(
        f"Study {result.name}: {complete} of {result.asked} trials complete{feasible}, "
        f"{stopped}{len(result.front)} on the front (dev, percentage points)",
        (">front", ">trial", "setting", *(f">{label}" for label in labels), "note"),
        [
            (
                str(ranked.front),
                str(ranked.trial.number),
                ranked.trial.label,
                *_value_texts(ranked),
                trial_badges(ranked),
            )
            for ranked in shown
        ],
        keys=(1,),
        styles=["bold" if ranked.on_front else "dim" for ranked in shown],
    )


def models_table(models: Iterable[RegisteredModel]) -> TextTable:
    """Registered versions for people."""
    rows = [
        (
            model.name,
            model.version,
            *(model.tags.get(name, "") for name in ("study", "trial")),
            f"{seeds} new seeds" if (seeds := model.tags.get("confirmed_seeds")) else "search",
            ", ".join(sorted(model.aliases)),
        )
        for model in models
    ]
    columns = ("model", ">version", "study", ">trial", "by", "aliases")
    return TextTable("Registered models", columns, rows, keys=(0, 1))


def result_json(result: StudyResult) -> dict[str, Any]:
    """The ranked study as JSON values.

    Keys: ``study``, ``dataset``, ``objectives`` (names), ``reference_point`` (by objective),
    ``constraints`` (texts), ``hypervolume``, ``asked``, ``complete`` (how many, ranked or not),
    ``front`` (trial numbers), ``knee`` (trial number; null where the front has none),
    ``compromise`` (trial number; null where there is a knee), ``unbeaten`` (``baselines`` or
    ``majority`` where no trial beats them, else null), ``verdict`` (that as a sentence, or null),
    ``confirmed_seeds`` (under which `confirm` retrained the front; all numbers here are the
    search's own), ``rungs`` (as `rung_rows`), ``cost`` (as `cost_json`), ``trials`` (ranked, best
    first) and ``unranked``. A study under freeze-thaw has ``recommended`` too (numbers of the
    trials that it expects to be the front without the luck of single trainings).

    Each of ``trials`` has ``trial`` (number), ``label``, ``state``, ``baseline`` (name or null),
    ``parameters``, ``seed``, ``violations`` (by constraint: above 0 where it is missed), ``values``
    (by objective), ``half_widths`` (of their 95 % intervals over the seeds; null with one seed),
    ``replicates`` (each seed's values), ``front`` (number), ``on_front``, ``knee``, ``compromise``,
    ``crowding`` (null = infinite), ``saturated``, ``warnings`` (sentences), ``scores`` (everything
    measured), ``epochs`` (trained), ``seconds``, ``device``, ``checkpoint`` and ``run_id``. Each of
    ``unranked`` has the first ten (``values`` null unless complete), ``failure`` (a sentence or
    null), ``epochs``, ``seconds``, ``device`` and ``run_id``.
    """
    return {
        "study": result.name,
        **picked(result, "dataset", "objectives"),
        "reference_point": dict(zip(result.objectives, result.reference_point, strict=True)),
        **picked(result, "constraints", "hypervolume", "asked"),
        "complete": len(result.ranked) + len(result.infeasible),
        "front": [ranked.trial.number for ranked in result.front],
        "knee": _number(result.knee),
        "compromise": _number(result.compromise),
        "unbeaten": result.unbeaten,
        "verdict": verdict(result),
        "confirmed_seeds": list(result.confirmed_seeds),
        **({} if result.recommended is None else {"recommended": list(result.recommended)}),
        "rungs": rung_rows(rung_reports(result)),
        "cost": None if result.cost is None else cost_json(result.cost),
        "trials": [_ranked_json(ranked, result) for ranked in result.ranked],
        "unranked": [
            {**_trial_json(trial, result), "failure": trial.failure, **_run_json(trial)}
            for trial in result.unranked
        ],
    }


def _ranked_json(ranked: RankedTrial, result: StudyResult) -> dict[str, Any]:
    trial = ranked.trial
    return {
        **_trial_json(trial, result),
        **picked(ranked, "front", "on_front", "knee", "compromise"),
        "crowding": ranked.crowding if math.isfinite(ranked.crowding) else None,
        "saturated": trial.saturated,
        "warnings": list(trial_warnings(trial)),
        **picked(trial, "scores", "checkpoint"),
        **_run_json(trial),
    }


def _trial_json(trial: TrialRecord, result: StudyResult) -> dict[str, Any]:
    values = trial.values  # noqa: PD011 (a record, not a DataFrame)
    halves = seed_half_widths(trial)
    return {
        "trial": trial.number,
        **picked(trial, "label", "state", "baseline", "parameters", "seed"),
        "violations": dict(zip(result.constraints, trial.violations, strict=False)),
        "values": dict(zip(result.objectives, values, strict=True)) if values else None,
        "half_widths": dict(zip(result.objectives, halves, strict=True)) if halves else None,
        **picked(trial, "replicates"),
    }


def _run_json(trial: TrialRecord) -> dict[str, Any]:
    return {"epochs": len(trial.epochs), **picked(trial, "seconds", "device", "run_id")}


def _number(ranked: RankedTrial | None) -> int | None:
    return None if ranked is None else ranked.trial.number


def _value_texts(ranked: RankedTrial) -> list[str]:
    values, halves = ranked.objectives, seed_half_widths(ranked.trial)
    if halves is None:
        return [f"{value:.2f}" for value in values]
    return [f"{value:.2f} ± {half:.2f}" for value, half in zip(values, halves, strict=True)]
