"""The importance of each hyperparameter for each objective, with its level of chance."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, create_trial
from scipy.stats import spearmanr

from safr_study.ledger.ledger import Ledger
from safr_study.records.study import Importance
from safr_study.sampling import experimental_allowed
from safr_study.sampling.unit_cube import box, to_box
from safr_study.settings import SearchSpace

LEAST_TRIALS = 10
"""Fewer say nothing about anything."""
SHUFFLES = 200
"""Shuffles of each objective, for the level of chance."""
_BEST_SHARE, _BEST_AT_LEAST = 0.25, 5
"""Share and least number of the trials that count as the best; PED-ANOVA's authors want five."""
_Floats = NDArray[np.float64]


def parameter_importance(ledger: Ledger, *, shuffles: int = SHUFFLES) -> tuple[Importance, ...]:
    """How much each parameter decides whether a trial is among the best in each objective.

    PED-ANOVA over the complete trials' points in the space's box (see `box`), in which a parameter
    has a place also where it is exactly zero or does not exist; baselines outside the box are left
    out. With few trials it is above 0 for anything, so each number is next to what shuffled
    objectives reach.

    Args:
        ledger: the study.
        shuffles: of each objective; their order is fixed by the study's settings alone.

    Returns:
        By objective in the study's order, then by parameter in the space's; empty with fewer than
        `LEAST_TRIALS` trials, or where no parameter varies.
    """
    spec = ledger.spec
    points = _points(ledger, spec.space)
    if len(points) < LEAST_TRIALS:
        return ()
    values = np.array([point.values for point in points])
    study = optuna.create_study(directions=["minimize"] * len(spec.objectives))
    study.add_trials(points)
    names = [
        name for name in spec.space.parameters if len({point.params[name] for point in points}) > 1
    ]
    if not names:
        return ()
    rng = np.random.default_rng(0)
    found = []
    for axis, objective in enumerate(spec.objectives):
        # PED-ANOVA takes low for good.
        losses = -objective.sign * values[:, axis]
        real = _divergences(study, names, losses)
        shuffled = [_divergences(study, names, rng.permutation(losses)) for _ in range(shuffles)]
        for name in names:
            by_chance = np.array([one[name] for one in shuffled])
            reached = int((by_chance >= real[name]).sum())
            found.append(
                Importance(
                    parameter=name,
                    objective=objective.name,
                    divergence=real[name],
                    chance=float(np.quantile(by_chance, 0.95)),
                    p=(reached + 1) / (shuffles + 1),
                    rho=_rho(points, name, values[:, axis]),
                    trials=len(points),
                )
            )
    return tuple(found)


def _points(ledger: Ledger, space: SearchSpace) -> list[FrozenTrial]:
    """Complete trials that have a place in the box, as points of it."""
    complete = ledger.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    placed = [(trial, to_box(trial.params, space)) for trial in complete]
    return [
        create_trial(params=dict(place), distributions=box(space), values=trial.values)
        for trial, place in placed
        if trial.number >= ledger.known and place is not None
    ]


def _divergences(study: optuna.Study, names: list[str], losses: _Floats) -> Mapping[str, float]:
    share = max(_BEST_SHARE, _BEST_AT_LEAST / len(losses))
    with experimental_allowed(), warnings.catch_warnings():
        # That low is taken for good is known, and what `losses` are made for.
        warnings.filterwarnings("ignore", message=".*computes the importances of params.*")
        # Where most values are equal the best are the rest too: the divergence is 0, as it should.
        warnings.filterwarnings("ignore", message=".*select the same set.*")
        return get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=share),
            params=names,
            target=lambda trial: float(losses[trial.number]),
            normalize=False,
        )


def _rho(points: list[FrozenTrial], name: str, values: _Floats) -> float | None:
    if isinstance(points[0].distributions[name], CategoricalDistribution) or not np.ptp(values):
        return None
    places = np.array([float(point.params[name]) for point in points])
    rho = float(spearmanr(places, values).statistic)
    return None if math.isnan(rho) else rho
