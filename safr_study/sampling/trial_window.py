"""The trials of a long study that a model is fitted to: enough to learn from, and no more.

The time of a fit grows with the trials, that of a Gaussian process with their cube. Studies of up
to ``WINDOW`` finished trials are taken whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from safr_study.pareto import top_k

WINDOW = 150
"""Finished trials that a model is fitted to."""
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
