"""Multi-objective asynchronous successive halving: which trials are worth training further.

Pure logic over numbers: it knows no cluster and no ledger, and holds nothing that the ledger does
not have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from safr_study.pareto.selection import finite_range, top_k
from safr_study.settings import POINTS, Objective, SchedulerConfig

Vector = tuple[float, ...]

_CONTROL_STREAM = 0x72756E6F
"""Keeps the draws apart from the sampler's, which come from the same study seed and number."""
_ROUNDING = 1.0 + 1e-9
"""Two decimal fractions a whole margin apart must not be more than a margin apart as floats."""


class Decision(StrEnum):
    """What becomes of a trial at a rung; the values are those in the ledger."""

    CONTINUE = "go_on"
    PRUNE = "stop"
    PAUSE = "pause"
    """Its run ends with its state kept, and it may go on later: under freeze-thaw alone."""
    CONTROL = "run_on"
    """A control trial: to be stopped, and trained to its end to measure what that costs."""


class Asha:
    """The trials at each rung, and the decision on the next one that reaches it.

    **Rule.** A trial continues while fewer than ``min_peers`` others are at the rung. After that it
    continues if its place (`pareto.top_k`) among all at the rung is one of the first
    n / reduction, rounded up, though never the last; or if none of those in these places is better
    than it by more than the margin in *every* objective, as then the difference may be noise. It
    comes after those that are equal to it and came before, or all of the many models that collapse
    into the same prediction would continue in one place. An objective in which all at the rung are
    equal has no say. So a trial that dominates all others always continues, and one that all
    others dominate by more than the margin never does.

    **Controls.** Of the trials to be stopped a share ``run_on``, drawn from (seed, number), is made
    a control, once. It counts at the rungs that it reached by its own right. At later ones it is
    neither decided on nor counted: it is there by lot, so it must neither push out others if it
    turns out well, nor make room for them if it turns out badly. So the share of controls changes
    no other trial's decision.

    **State.** All is decided by what was added, not by its order. After a restart `add`, `add_end`
    and `add_control`, called for what the ledger has in any order, give the state back.

    A vector with NaN is no measurement: it is not recorded, and its trial continues until it fails.
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
        """Rungs in epochs, ascending."""
        self._config = config
        self._signs = np.array([objective.sign for objective in objectives])
        self._in_points = np.array([objective.measure.unit == POINTS for objective in objectives])
        self._seed = seed
        self._measured: dict[int, dict[int, Vector]] = {rung: {} for rung in self.rungs}
        self._ends: dict[int, Vector] = {}
        self._controls: dict[int, int] = {}
        self._peers: dict[int, dict[int, Vector]] = {rung: {} for rung in self.rungs}
        """Trials that count at each rung; the order in which they came means nothing."""

    def add(self, number: int, epoch: int, values: Sequence[float]) -> None:
        """Note what a trial measured; only rungs matter, and the same again changes nothing.

        Args:
            number: of the trial.
            epoch: from 1. A second measurement of one epoch replaces the first.
            values: one per objective, as measured.

        Raises:
            ValueError: too few or too many values.
        """
        vector = self._vector(values)
        if vector is not None and epoch in self._measured:
            self._measured[epoch][number] = vector
            self._update(number)

    def add_end(self, number: int, values: Sequence[float]) -> None:
        """Note that a trial ended by itself: it counts at all rungs after its last, by its end.

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
            self._ends[number] = vector
            self._update(number)

    def add_control(self, number: int, epoch: int) -> None:
        """Note that a trial became a control at this rung; the same again changes nothing."""
        self._controls[number] = epoch
        self._update(number)

    def decide(
        self, number: int, epoch: int, values: Sequence[float], *, exempt: bool = False
    ) -> Decision:
        """Note what a trial measured, and decide what becomes of it.

        Args:
            number: of the trial.
            epoch: from 1; at one that is no rung every trial continues.
            values: one per objective, as measured.
            exempt: it continues in any case, as a baseline does, and counts for the others.

        Raises:
            ValueError: too few or too many values.
        """
        self.add(number, epoch, values)
        vector = self._vector(values)
        if exempt or vector is None or epoch not in self._measured or number in self._controls:
            return Decision.CONTINUE
        others = [other for peer, other in self._peers[epoch].items() if peer != number]
        if len(others) < self._config.min_peers or self._is_good(vector, others):
            return Decision.CONTINUE
        if not self._is_drawn(number):
            return Decision.PRUNE
        self.add_control(number, epoch)
        return Decision.CONTROL

    def _vector(self, values: Sequence[float]) -> Vector | None:
        vector = tuple(float(value) for value in values)
        if len(vector) != len(self._signs):
            raise ValueError(f"{len(self._signs)} objectives need as many values, got {vector}")
        return None if any(math.isnan(value) for value in vector) else vector

    def _update(self, number: int) -> None:
        """Bring the peers at all rungs up to date with what is known of a trial."""
        last = max((rung for rung in self.rungs if number in self._measured[rung]), default=0)
        until = self._controls.get(number, math.inf)
        for rung, peers in self._peers.items():
            vector = self._measured[rung].get(number)
            if vector is None and rung > last:
                vector = self._ends.get(number)
            if vector is not None and rung <= until:
                peers[number] = vector
            else:
                peers.pop(number, None)

    def _is_good(self, newcomer: Vector, others: Sequence[Vector]) -> bool:
        # The newcomer is the last row, so that it comes after those that are equal to it.
        points = self._signs * np.array([*others, newcomer])
        count = min(math.ceil(len(points) / self._config.reduction), len(points) - 1)
        best = top_k(points, count)
        return bool(best[-1]) or not self._is_beaten(points, points[best])

    def _is_beaten(self, points: NDArray[np.float64], best: NDArray[np.float64]) -> bool:
        """Whether one of the best is better than the last point by more than noise in all."""
        varied = (points != points[0]).any(axis=0)
        low, high = finite_range(points)
        # An infinity is not better than itself; a range may exceed the largest float.
        with np.errstate(invalid="ignore", over="ignore"):
            margins = self._config.margin * np.where(self._in_points, 1.0, (high - low) / 100)
            better = best - points[-1] > margins * _ROUNDING
        return bool(varied.any() and better[:, varied].all(axis=1).any())

    def _is_drawn(self, number: int) -> bool:
        draws = np.random.default_rng([_CONTROL_STREAM, self._seed, number])
        return float(draws.random()) < self._config.run_on
