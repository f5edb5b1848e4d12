"""A study's trials, ranked into its result."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from safr_study.pareto.fronts import crowding_distances, front_numbers, hypervolume
from safr_study.pareto.knee import compromise_index, knee_index
from safr_study.records import RankedTrial, StudyResult, TrialRecord, TrialState
from safr_study.settings import Objective


def rank_trials(
    trials: Sequence[TrialRecord], signs: Sequence[float] | None = None
) -> tuple[RankedTrial, ...]:
    """Rank the complete trials that keep every constraint; all the others are left out.

    Args:
        trials: in any state and order.
        signs: one per objective, 1 to maximise it, -1 to minimise it; ``None``: all maximised.

    Returns:
        By front, then by the objectives in their order, best first, then by number. One member
        of the first front is the knee; where there is none, one is the compromise, and a baseline
        only where no other may be. Neither is saturated, or no better than the majority class.

    Raises:
        ValueError: the trials have different numbers of objectives.
    """
    complete = [trial for trial in trials if _rankable(trial)]
    if not complete:
        return ()
    points = np.array([trial.values for trial in complete], dtype=np.float64)
    if signs is not None:
        points = points * np.asarray(signs, dtype=np.float64)
    fronts = front_numbers(points)
    crowding = crowding_distances(points, fronts)
    best = np.flatnonzero(fronts == 0)
    members = [complete[row] for row in best]
    sound = [not trial.saturated and trial.beats_majority for trial in members]
    searched = [trial.baseline is None for trial in members]
    knee = knee_index(points[best], sound)
    between = compromise_index(points[best], sound, searched) if knee is None else None
    at_knee, at_compromise = (None if at is None else int(best[at]) for at in (knee, between))
    numbers = [trial.number for trial in complete]
    order = np.lexsort((numbers, *-points.T[::-1], fronts))
    return tuple(
        RankedTrial(
            trial=complete[row],
            front=int(fronts[row]),
            crowding=float(crowding[row]),
            knee=row == at_knee,
            compromise=row == at_compromise,
        )
        for row in order.tolist()
    )


def rank_study(
    name: str,
    dataset: str,
    objectives: Sequence[str],
    reference_point: Sequence[float],
    trials: Sequence[TrialRecord],
    asked: int,
    constraints: Sequence[str] = (),
) -> StudyResult:
    """A study's trials, ranked, with the hypervolume of their front.

    Args:
        name: the study's.
        dataset: as the user named it.
        objectives: names in the order of the trials' values, for example ``accuracy``, ``srs@30``.
        reference_point: one value per objective, stored with the study.
        trials: all of them, in any state and order.
        asked: trials that the study was asked to finish.
        constraints: texts, in the order of the trials' violations.

    Raises:
        ValueError: objectives, reference point and values differ in number, or the reference
            point is not finite.
    """
    signs = [Objective(name=objective).sign for objective in objectives]
    ranked = rank_trials(trials, signs)
    kept = {row.trial.number for row in ranked}
    front = [np.multiply(signs, row.trial.values or ()) for row in ranked if row.on_front]
    corner = [sign * value for sign, value in zip(signs, reference_point, strict=True)]
    return StudyResult(
        name=name,
        dataset=dataset,
        objectives=tuple(objectives),
        reference_point=tuple(float(value) for value in reference_point),
        hypervolume=hypervolume(front, corner),
        ranked=ranked,
        unranked=tuple(sorted((t for t in trials if t.number not in kept), key=lambda t: t.number)),
        asked=asked,
        constraints=tuple(constraints),
    )


def rank_as_in(study: StudyResult, trials: Sequence[TrialRecord]) -> StudyResult:
    """Trials ranked over the objectives of a study and from its reference point."""
    point = study.reference_point
    return rank_study(study.name, study.dataset, study.objectives, point, trials, asked=len(trials))


def _rankable(trial: TrialRecord) -> bool:
    return (
        trial.state is TrialState.COMPLETE
        and trial.values is not None
        and all(math.isfinite(value) for value in trial.values)
        and trial.feasible
    )
