"""The observations that a sampler's model is fitted to, from the trials of a ledger.

The time of a fit grows with the trials, that of a Gaussian process with their cube: of a long study
a window is enough. Optuna's GP and NSGA-II know complete and running trials alone; one that was
stopped or failed would teach them nothing, and they would ask for the same settings again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from safr_study.errors import BadInput
from safr_study.pareto import top_k
from safr_study.sampling.unit_cube import box, to_box
from safr_study.settings import SearchSpace, StudySpec

EPOCH = "epoch:"
"""Key of a trial's report of an epoch, before the epoch's number."""
_WARM = "warm_start"
"""Attribute of a trial of another study: the sampler knows it, this study does not count it."""
WINDOW = 150
"""Finished trials that a model is fitted to; a study of up to so many is taken whole."""
BEST = 50
"""The best complete ones of the whole study among them, spread along its fronts; the others are
the newest."""


def trial_window(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> Sequence[FrozenTrial]:
    """The trials to learn from, in their order: all open ones, and ``WINDOW`` finished ones.

    Args:
        trials: all of the study, by number.
        directions: of its objectives.
    """
    finished = [trial for trial in trials if trial.state.is_finished()]
    if len(finished) <= WINDOW:
        return trials
    feasible = [
        trial
        for trial in finished
        if trial.state is TrialState.COMPLETE
        and not any(violation > 0 for violation in trial.constraints.values())
    ]
    signs = [1.0 if way is StudyDirection.MAXIMIZE else -1.0 for way in directions]
    points = np.reshape([trial.values for trial in feasible], (-1, len(signs))) * signs
    # Of equal trials the older ones come first.
    numbers = {feasible[row].number for row in np.flatnonzero(top_k(points, BEST))}
    newest = [trial.number for trial in finished if trial.number not in numbers]
    numbers.update(newest[len(numbers) - WINDOW :])
    return [t for t in trials if t.number in numbers or not t.state.is_finished()]


def is_known(trial: FrozenTrial) -> bool:
    """Whether a trial is another study's, which the sampler knows and this one does not count."""
    return _WARM in trial.user_attrs


def impute_trials(
    trials: Sequence[FrozenTrial], space: SearchSpace, directions: Sequence[StudyDirection]
) -> list[FrozenTrial]:
    """The trials as points of the space's box, each with objectives or running.

    Those without a place in the box are left out. A stopped trial is complete with the objectives
    of its last rung, each moved by what the complete trials gained since that rung on average. One
    that failed, or of whose rung nothing is known, has the worst of each objective among the
    complete trials. Constraints that were not measured are as on average.
    """

    def is_measured(trial: FrozenTrial) -> bool:
        count = len(space.constraints)
        return trial.state is TrialState.COMPLETE and count in (0, len(trial.constraints))

    measured = [trial for trial in trials if is_measured(trial)]
    points = []
    for trial in trials:
        place = to_box(trial.params, space)
        if place is None or trial.state is TrialState.WAITING:
            continue
        outcome: dict[str, Any] = {"state": TrialState.RUNNING}
        if trial.state is not TrialState.RUNNING:
            if not measured or (trial.state is TrialState.COMPLETE and not is_measured(trial)):
                continue
            outcome = {
                "values": _objectives(trial, measured, directions),
                "constraints": _constraints(trial, measured) if space.constraints else None,
            }
        points.append(create_trial(params=dict(place), distributions=box(space), **outcome))
    return points


def _objectives(
    trial: FrozenTrial, measured: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> list[float]:
    if trial.state is TrialState.COMPLETE:
        return list(trial.values)
    rungs = _at_rungs(trial)
    if trial.state is TrialState.PRUNED and rungs:
        last = max(rungs)
        others = [(other, _at_rungs(other)) for other in measured]
        gains = [np.subtract(other.values, at[last]) for other, at in others if last in at]
        if gains:
            return cast("list[float]", np.add(rungs[last], np.mean(gains, axis=0)).tolist())
    ends: NDArray[np.float64] = np.array([other.values for other in measured])
    return [
        float(column.min() if direction is StudyDirection.MAXIMIZE else column.max())
        for column, direction in zip(ends.T, directions, strict=True)
    ]


def _constraints(trial: FrozenTrial, measured: Sequence[FrozenTrial]) -> dict[str, float]:
    own, keys = trial.constraints, sorted(measured[0].constraints)
    if own.keys() == set(keys):
        return {key: own[key] for key in keys}
    return {key: float(np.mean([other.constraints[key] for other in measured])) for key in keys}


def _at_rungs(trial: FrozenTrial) -> Mapping[int, Sequence[float]]:
    """Objectives by epoch."""
    return {
        int(key.removeprefix(EPOCH)): report["objectives"]
        for key, report in trial.user_attrs.items()
        if key.startswith(EPOCH) and report.get("objectives") is not None
    }


def warm_trials(study: Study, theirs: StudySpec, ours: StudySpec) -> list[FrozenTrial]:
    """The complete trials of a study, for the sampler of another over the same space.

    Args:
        study: the one that was.
        theirs: its settings.
        ours: settings of the new one.

    Raises:
        BadInput: their parameters, constraints or objectives are others.
    """
    same = (
        theirs.objectives == ours.objectives
        and theirs.space.parameters == ours.space.parameters
        and theirs.space.constraints == ours.space.constraints
    )
    if not same:
        raise BadInput(
            "from",
            f"study {theirs.name!r} has other objectives, parameters or constraints than this "
            "one; a study can start from one of the same space and objectives alone",
        )
    return [
        create_trial(
            params=trial.params,
            distributions=trial.distributions,
            values=trial.values,
            user_attrs={_WARM: theirs.name},
            system_attrs=trial.system_attrs,
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ]
