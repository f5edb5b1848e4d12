"""Multi-objective asynchronous successive halving: which trials are worth training on.

Pure logic over numbers: it knows no cluster and no ledger, and keeps nothing that the ledger does
not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from safr_study.pareto.selection import finite_range, leading
from safr_study.sampling.rung_scores import Standings
from safr_study.settings import POINTS, Objective, SchedulerConfig

Vector = tuple[float, ...]

_CONTROL_STREAM = 0x72756E6F
"""Keeps the draws apart from the sampler's, which come from the same study seed and number."""
_ROUNDING = 1.0 + 1e-9
"""Two decimal fractions a whole margin apart must not be more than a margin apart as floats."""


class Decision(StrEnum):
    """What becomes of a trial at a rung."""

    CONTINUE = "go_on"
    PRUNE = "stop"
    CONTROL = "run_on"
    """It was to be stopped, and is trained to its end to measure what stopping costs."""


class Asha:
    """The trials at each rung, and the decision on the next one that reaches it.

    **Rule.** A trial goes on while fewer than ``min_peers`` others stand at the rung. After that it
    goes on if its place (`pareto.places`) among all at the rung is one of the first n / reduction,
    rounded up, though never the last; or if none of those in these places is better than it by more
    than the margin in *every* objective, as then the difference may be noise. It stands behind
    those that are equal to it and came before, or all of the many models that collapse into the
    same prediction would go on in one place. An objective in which all at the rung are equal has
    no say. So a trial that dominates all others always goes on, and one that all others dominate by
    more than the margin never does.

    **Control trials.** A share ``run_on`` of the trials to be pruned, drawn from (seed, number), is
    trained to its end, once. It stands at the rungs that it reached by its own right. At later ones
    it is neither judged nor counted: it is there by lot, so it must neither push out others if it
    turns out well, nor make room for them if it turns out badly. So the share of control trials
    changes no other trial's decision.

    **State.** All is decided by what was added, not by its order. After a restart `add`, `ended`
    and `add_control`, called for what the ledger has in any order, give the state back.

    A vector with NaN is no measurement: it is not kept, and its trial goes on until it fails.
    """

    def __init__(
        self, config: SchedulerConfig, objectives: Sequence[Objective], *, epochs: int, seed: int
    ) -> None:
        """Begin with empty rungs.

        Args:
            config: rungs and caution.
            objectives: in the order of all values; each in its own direction and unit.
            epochs: the most that a trial may take; all rungs lie below.
            seed: of the study.
        """
        self.rungs: tuple[int, ...] = config.rungs(epochs)
        """In epochs, ascending."""
        self._config = config
        self._signs = np.array([objective.sign for objective in objectives])
        self._in_points = np.array([objective.measure.unit == POINTS for objective in objectives])
        self._seed = seed
        self._measured: dict[int, dict[int, Vector]] = {rung: {} for rung in self.rungs}
        self._ended: dict[int, Vector] = {}
        self._controls: dict[int, int] = {}
        self._standings = {rung: Standings(len(objectives)) for rung in self.rungs}

    def add(self, number: int, epoch: int, values: Sequence[float]) -> None:
        """Note what a trial measured; only rungs matter, and the same again changes nothing.

        Args:
            number: of the trial.
            epoch: from 1. A second measurement of one epoch takes the first one's place.
            values: one per objective, as measured.

        Raises:
            ValueError: too few or too many values.
        """
        vector = self._vector(values)
        if vector is not None and epoch in self._measured:
            self._measured[epoch][number] = vector
            self._stand(number)

    def ended(self, number: int, values: Sequence[float]) -> None:
        """Note that a trial ended by itself: it stands at all rungs after its last with its values.

        Otherwise the later rungs would hold only those that learn slowly. Not for trials that were
        stopped or failed.

        Args:
            number: of the trial.
            values: one per objective, at its end.

        Raises:
            ValueError: too few or too many values.
        """
        vector = self._vector(values)
        if vector is not None:
            self._ended[number] = vector
            self._stand(number)

    def add_control(self, number: int, epoch: int) -> None:
        """Note that a trial became a control at this rung; the same again changes nothing."""
        self._controls[number] = epoch
        self._stand(number)

    def decide(
        self, number: int, epoch: int, values: Sequence[float], *, exempt: bool = False
    ) -> Decision:
        """Note what a trial measured, and decide what becomes of it.

        Args:
            number: of the trial.
            epoch: from 1; at one that is no rung every trial goes on.
            values: one per objective, as measured.
            exempt: it goes on in any case, as a baseline does, and counts for the others.

        Raises:
            ValueError: too few or too many values.
        """
        self.add(number, epoch, values)
        vector = self._vector(values)
        if exempt or vector is None or epoch not in self._measured or number in self._controls:
            return Decision.CONTINUE
        others = self._standings[epoch].without(number)
        if len(others) < self._config.min_peers or self._holds_up(np.array(vector), others):
            return Decision.CONTINUE
        if not self._drawn(number):
            return Decision.PRUNE
        self.add_control(number, epoch)
        return Decision.CONTROL

    def _vector(self, values: Sequence[float]) -> Vector | None:
        vector = tuple(float(value) for value in values)
        if len(vector) != len(self._signs):
            raise ValueError(f"{len(self._signs)} objectives need as many values, got {vector}")
        return None if any(math.isnan(value) for value in vector) else vector

    def _stand(self, number: int) -> None:
        """Bring the standings up to date with what is known of a trial."""
        last = max((rung for rung in self.rungs if number in self._measured[rung]), default=0)
        until = self._controls.get(number, math.inf)
        for rung, standings in self._standings.items():
            vector = self._measured[rung].get(number)
            if vector is None and rung > last:
                vector = self._ended.get(number)
            standings.put(number, vector if rung <= until else None)

    def _holds_up(self, newcomer: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
        # The newcomer is the last row, so that it stands behind those that are equal to it.
        points = self._signs * np.vstack([others, newcomer])
        kept = min(math.ceil(len(points) / self._config.reduction), len(points) - 1)
        first = leading(points, kept)
        return bool(first[-1]) or not self._beaten(points, points[first])

    def _beaten(self, points: NDArray[np.float64], best: NDArray[np.float64]) -> bool:
        """Whether one of the best is better than the last point by more than noise in all."""
        varied = (points != points[0]).any(axis=0)
        low, high = finite_range(points)
        # An infinity is not better than itself; a range may exceed the largest float.
        with np.errstate(invalid="ignore", over="ignore"):
            margins = self._config.margin * np.where(self._in_points, 1.0, (high - low) / 100)
            better = best - points[-1] > margins * _ROUNDING
        return bool(varied.any() and better[:, varied].all(axis=1).any())

    def _drawn(self, number: int) -> bool:
        draws = np.random.default_rng([_CONTROL_STREAM, self._seed, number])
        return float(draws.random()) < self._config.run_on
