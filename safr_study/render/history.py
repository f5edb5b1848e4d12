"""The hypervolume of a study over time, after each of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import TYPE_CHECKING

from safr_study.pareto import rank_study
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.records.study import HistoryPoint

if TYPE_CHECKING:
    import pandas as pd

_ENDED = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED}


def hypervolume_history(result: StudyResult) -> tuple[HistoryPoint, ...]:
    """The study's hypervolume after each of its trials, in the order in which they ended.

    Trials whose time is not recorded come last, by number. The epochs of trials that have not
    ended are not counted.
    """
    members = (*(ranked.trial for ranked in result.ranked), *result.unranked)
    trials = [trial for trial in members if trial.state in _ENDED]
    points: list[HistoryPoint] = []
    front: list[TrialRecord] = []
    epochs = 0
    for count, trial in enumerate(sorted(trials, key=_when), start=1):
        # Who is dominated once stays so: the front is all that has to be kept.
        so_far = rank_study(
            name=result.name,
            dataset=result.dataset,
            objectives=result.objectives,
            reference_point=result.reference_point,
            trials=[*front, trial],
            asked=result.asked,
        )
        front = [ranked.trial for ranked in so_far.front]
        epochs += len(trial.epochs) * max(1, len(trial.replicates))
        points.append(HistoryPoint(trial.number, trial.ended, count, epochs, so_far.hypervolume))
    return tuple(points)


def history_table(history: Sequence[HistoryPoint]) -> pd.DataFrame:
    """One row for each trial that ended; the columns are those of a `HistoryPoint`."""
    import pandas as pd  # slow to import, and most who read a study make no table

    names = [field.name for field in fields(HistoryPoint)]
    return pd.DataFrame([astuple(point) for point in history], columns=names)


def _when(trial: TrialRecord) -> tuple[bool, float, int]:
    return trial.ended is None, trial.ended or 0.0, trial.number
