"""The trials of a ledger as points of the space's box, each with objectives.

Optuna's GP and NSGA-II know complete and running trials alone. A trial that was stopped or failed
would teach them nothing, and they would ask for the same settings again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from safr_study.sampling.unit_cube import box, to_box
from safr_study.settings import SearchSpace

EPOCH = "epoch:"
"""Key of a trial's report of an epoch, before the epoch's number."""


def impute_trials(
    trials: Sequence[FrozenTrial], space: SearchSpace, directions: Sequence[StudyDirection]
) -> list[FrozenTrial]:
    """The trials that have a place in the box: complete or running, the others left out.

    A stopped trial is complete with the objectives of its last rung, each moved by what the
    complete trials gained since that rung on average. One that failed, or of whose rung nothing is
    known, has the worst of each objective among the complete trials. Constraints that were not
    measured are as on average.
    """
    known = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    if space.constraints:
        known = [trial for trial in known if len(trial.constraints) == len(space.constraints)]
    complete = {id(trial) for trial in known}
    points = []
    for trial in trials:
        place = to_box(trial.params, space)
        if place is None or trial.state is TrialState.WAITING:
            continue
        if trial.state is TrialState.RUNNING:
            points.append(
                create_trial(state=TrialState.RUNNING, params=dict(place), distributions=box(space))
            )
        elif known and (id(trial) in complete or trial.state is not TrialState.COMPLETE):
            points.append(
                create_trial(
                    params=dict(place),
                    distributions=box(space),
                    values=_objectives(trial, known, directions),
                    constraints=_constraints(trial, known) if space.constraints else None,
                )
            )
    return points


def _objectives(
    trial: FrozenTrial, known: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> list[float]:
    if trial.state is TrialState.COMPLETE:
        return list(trial.values)
    rungs = _at_rungs(trial)
    if trial.state is TrialState.PRUNED and rungs:
        last = max(rungs)
        others = [(other, _at_rungs(other)) for other in known]
        gains = [np.subtract(other.values, at[last]) for other, at in others if last in at]
        if gains:
            return cast("list[float]", np.add(rungs[last], np.mean(gains, axis=0)).tolist())
    ends: NDArray[np.float64] = np.array([other.values for other in known])
    return [
        float(column.min() if direction is StudyDirection.MAXIMIZE else column.max())
        for column, direction in zip(ends.T, directions, strict=True)
    ]


def _constraints(trial: FrozenTrial, known: Sequence[FrozenTrial]) -> dict[str, float]:
    keys = sorted(known[0].constraints)
    if trial.constraints.keys() == set(keys):
        return {key: trial.constraints[key] for key in keys}
    return {key: float(np.mean([other.constraints[key] for other in known])) for key in keys}


def _at_rungs(trial: FrozenTrial) -> Mapping[int, Sequence[float]]:
    """Objectives by epoch."""
    return {
        int(key.removeprefix(EPOCH)): report["objectives"]
        for key, report in trial.user_attrs.items()
        if key.startswith(EPOCH) and report.get("objectives") is not None
    }
