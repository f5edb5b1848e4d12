"""A training epoch by epoch, and a table of many: what a search is replayed over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from safr_study.pareto import hypervolume
from safr_study.records import EpochReport, LossTerms
from safr_study.settings import TrainConfig

Floats = NDArray[np.float64]
Vector = tuple[float, ...]
Pair = tuple[float, float]
"""lambda_imp and lambda_inter."""

LEVELS = (0.0, 0.0001, 0.00068, 0.0046, 0.032, 0.22, 1.5, 10.0)
"""Of both lambdas: none, and the range of the space ``lambda`` in equal steps of the logarithm."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One training; all sequences begin with the first epoch and are of one length."""

    values: tuple[Vector, ...]
    """Accuracy and SRS on all of dev, percentage points."""
    rung_values: tuple[Vector, ...]
    """The same on the texts of a rung."""
    loss: tuple[float, ...]
    """On dev, which decides between epochs of equal accuracy."""

    def reports(self, train: TrainConfig, rungs: Sequence[int]) -> tuple[EpochReport, ...]:
        """What a worker would report of these epochs, as early stopping and rungs have it.

        The rule of the best epoch is that of the training: the highest dev accuracy, ties to the
        lower loss.

        Args:
            train: its epochs at most, and its patience.
            rungs: epochs after which the objectives are reported.
        """
        epochs = zip(self._bests(train), self.values, self.rung_values, self.loss, strict=False)
        return tuple(
            EpochReport(
                epoch=epoch,
                train=LossTerms(loss, loss, None, None),
                dev_accuracy=values[0],
                dev_loss=loss,
                gate_openness=None,
                mean_norm=1.0,
                best=best,
                seconds=1.0,
                objectives=at_rung if epoch in rungs else None,
            )
            for epoch, (best, values, at_rung, loss) in enumerate(epochs, start=1)
        )

    def end(self, train: TrainConfig) -> Vector:
        """The objectives of a trial that is trained to its end: those of its best epoch."""
        bests = self._bests(train)
        return self.values[max(index for index, best in enumerate(bests) if best)]

    def _bests(self, train: TrainConfig) -> list[bool]:
        """Of each epoch that is trained, whether it was the best until then."""
        found: list[bool] = []
        best, best_rank = 0, (-math.inf, 0.0)
        for epoch, (values, loss) in enumerate(zip(self.values, self.loss, strict=True), start=1):
            if epoch > train.epochs or epoch - 1 - best >= train.patience:
                break
            rank = (values[0], -loss)
            if rank > best_rank:
                best, best_rank = epoch, rank
            found.append(best == epoch)
        return found


class Table(Protocol):
    """Trainings over a grid of the two lambdas, and one without VMASK, under some seeds."""

    @property
    def name(self) -> str:
        """For titles and file names."""

    @property
    def epochs(self) -> int:
        """Of each training."""

    @property
    def reference(self) -> Vector:
        """Against which hypervolumes are measured."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Of both lambdas, ascending; the first is 0."""

    @property
    def seeds(self) -> int:
        """Trainings of each pair."""

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        """One training.

        Args:
            pair: two of the levels; ``None``: the model without VMASK.
            seed: in [0, seeds).
        """


def settings_of(table: Table) -> list[Pair | None]:
    """Every setting of a table, the one without VMASK first."""
    return [None, *((a, b) for a in table.levels for b in table.levels)]


@dataclass(frozen=True, eq=False)
class OverTable:
    """What a table that is made of another one has of it."""

    table: Table

    @property
    def epochs(self) -> int:
        """Of each training."""
        return self.table.epochs

    @property
    def reference(self) -> Vector:
        """The other's."""
        return self.table.reference

    @property
    def levels(self) -> tuple[float, ...]:
        """The other's."""
        return self.table.levels


@dataclass(frozen=True)
class MeanTable(OverTable):
    """Another table with one training of each pair: the mean over its seeds, epoch by epoch.

    The luck of single trainings is smaller in it, so a search over it is one for good settings.
    """

    @property
    def name(self) -> str:
        """The other's, and what was done."""
        return f"{self.table.name}, mean of {self.table.seeds} seeds"

    @property
    def seeds(self) -> int:
        """One."""
        return 1

    def curve(self, pair: Pair | None, seed: int) -> Curve:  # noqa: ARG002
        """The mean training."""
        return _mean_curve(self.table, pair)


@cache
def _mean_curve(table: Table, pair: Pair | None) -> Curve:
    return mean_curve([table.curve(pair, seed) for seed in range(table.seeds)])


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Epoch by epoch, of curves of one length."""
    return curve_of([np.mean(parts, axis=0) for parts in zip(*map(arrays_of, curves), strict=True)])


def arrays_of(curve: Curve) -> tuple[Floats, Floats, Floats]:
    """Values `[E, 2]`, values at rungs `[E, 2]`, and losses `[E]`."""
    return np.array(curve.values), np.array(curve.rung_values), np.array(curve.loss)


def curve_of(arrays: Sequence[Floats]) -> Curve:
    """The inverse of `arrays_of`."""
    values, at_rungs, loss = (array.tolist() for array in arrays)
    return Curve(tuple(map(tuple, values)), tuple(map(tuple, at_rungs)), tuple(loss))


def snap(value: float, levels: Sequence[float]) -> float:
    """The level nearest to a lambda in the logarithm; exactly 0 is a level of its own.

    What lies more than half a step below the lowest level above 0 is 0 too.

    Args:
        value: at least 0.
        levels: ascending, the first is 0.
    """
    above = levels[1:]
    if value <= 0 or (len(above) > 1 and value < above[0] / math.sqrt(above[1] / above[0])):
        return 0.0
    return min(above, key=lambda level: (abs(math.log(value / level)), level))


def pair_of(imp: float | None, inter: float | None, levels: Sequence[float]) -> Pair | None:
    """The setting of a table that stands for two lambdas.

    Args:
        imp: ``None``: without VMASK.
        inter: ``None`` is 0.
        levels: of the table.
    """
    return None if imp is None else (snap(imp, levels), snap(inter or 0.0, levels))


def best_hypervolume(
    table: Table, train: TrainConfig, *, seeds: Sequence[int], without_vmask: Sequence[int]
) -> float:
    """Of the ends of all trainings that a search can be given: it cannot have more.

    Args:
        table: of the trainings.
        train: how long they are.
        seeds: of the pairs' rows.
        without_vmask: seeds of the rows without VMASK.
    """
    found: list[tuple[Pair | None, int]] = [(None, seed) for seed in without_vmask]
    found += [((a, b), s) for s in seeds for a in table.levels for b in table.levels]
    return hypervolume([table.curve(*row).end(train) for row in found], table.reference)
