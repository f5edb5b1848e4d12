"""A table without the luck of single rows: what settings are worth, and a luck for each trial.

The best hypervolume of a table with few rows a setting hangs on its luckiest rows: good settings
alone do not reach it. Here a setting's truth is the mean over its rows. What a trial is given is
this truth and the residual of a row that is drawn from the whole table, as a curve, so that errors
keep their size and their likeness from epoch to epoch. A search is judged by what the settings on
the front that it sees, or recommends, are worth on average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from benchmarks.curves import (
    Curve,
    Floats,
    MeanTable,
    OverTable,
    Pair,
    Table,
    Vector,
    arrays_of,
    curve_of,
    pair_of,
    settings_of,
)
from safr_study.errors import BadInput
from safr_study.pareto import hypervolume
from safr_study.records import TrialRecord
from safr_study.settings import TrainConfig

Judge = Callable[[Sequence[TrialRecord]], float]
"""What the front of a search is worth."""


@dataclass(frozen=True, eq=False)
class HonestTable(OverTable):
    """Another table's settings, each with every residual of that table.

    Its seeds are the other table's rows: the residual of each can be drawn by every setting.
    """

    train: TrainConfig

    @property
    def name(self) -> str:
        """The other's, and what was done."""
        return f"{self.table.name}, means of {self.table.seeds} seeds and residuals"

    @property
    def seeds(self) -> int:
        """Rows of the other table."""
        return len(self._residuals)

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        """The truth of a setting and one residual, in values, at rungs and in loss alike."""
        truth = arrays_of(MeanTable(self.table).curve(pair, 0))
        return curve_of(
            [mean + error for mean, error in zip(truth, self._residuals[seed], strict=True)]
        )

    @cached_property
    def _residuals(self) -> list[tuple[Floats, ...]]:
        """Of every row, as if the mean had not been fitted to it: n rows lose 1/n of variance."""
        n = need_seeds(self.table)
        scale = math.sqrt(n / (n - 1))
        return [
            tuple(
                scale * (row - mean)
                for row, mean in zip(
                    arrays_of(self.table.curve(pair, seed)),
                    arrays_of(MeanTable(self.table).curve(pair, 0)),
                    strict=True,
                )
            )
            for pair in settings_of(self.table)
            for seed in range(n)
        ]

    @cached_property
    def worths(self) -> dict[Pair | None, Vector]:
        """What a training of each setting ends with on average, over all residuals."""
        return {
            pair: tuple(
                np.mean(
                    [self.curve(pair, seed).end(self.train) for seed in range(self.seeds)], axis=0
                ).tolist()
            )
            for pair in settings_of(self.table)
        }

    @cached_property
    def best(self) -> float:
        """Hypervolume of what all settings are worth."""
        return hypervolume(list(self.worths.values()), self.reference)

    def judge(self, front: Sequence[TrialRecord]) -> float:
        """Hypervolume of what the settings of these trials are worth."""
        return hypervolume(
            [self.worths[pair] for pair in set(map(self._setting, front))], self.reference
        )

    def _setting(self, trial: TrialRecord) -> Pair | None:
        imp, inter = (trial.parameters.get(name) for name in ("lambda_imp", "lambda_inter"))
        return pair_of(
            None if imp is None else float(imp),
            None if inter is None else float(inter),
            self.levels,
        )


def need_seeds(table: Table) -> int:
    """The seeds of a table whose settings have a mean and residuals.

    Raises:
        BadInput: it has one alone.
    """
    if table.seeds < 2:
        raise BadInput(
            "target", "honest needs two seeds of each setting; give more --rows, or train further"
        )
    return table.seeds


@lru_cache(maxsize=4)
def honest_table(table: Table, train: TrainConfig) -> HonestTable:
    """The honest form of a table: worked out once in a process."""
    return HonestTable(table, train)


@dataclass(frozen=True)
class SomeSeeds(OverTable):
    """Another table's trainings under some of its seeds alone."""

    kept: tuple[int, ...]
    """Seeds of the other table, each once."""

    def __post_init__(self) -> None:
        if not self.kept or len(set(self.kept)) < len(self.kept):
            raise BadInput("rows", f"seeds {list(self.kept)} repeat or are none; name each once")
        if not set(self.kept) <= set(range(self.table.seeds)):
            raise BadInput("rows", f"the table has seeds 0 to {self.table.seeds - 1} alone")

    @property
    def name(self) -> str:
        """The other's, and which seeds."""
        return f"{self.table.name}, seeds {', '.join(map(str, self.kept))}"

    @property
    def seeds(self) -> int:
        """How many are kept."""
        return len(self.kept)

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        """One training."""
        return self.table.curve(pair, self.kept[seed])
