"""Tables of made-up trainings in closed form, with the habits of real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.curves import LEVELS, Curve, Pair, Vector


@dataclass(frozen=True, slots=True)
class SyntheticTable:
    """Final values as measured on SST-2, and learning curves that saturate.

    SRS rises with lambda_imp up to about 1 and falls beyond, where accuracy breaks down; a large
    lambda_inter raises it a little. SRS is learnt later than accuracy. A row has an error of its
    own (the luck of its training), an epoch another, and a rung a third: it sees fewer texts.
    """

    name: str = "synthetic"
    epochs: int = 9
    seeds: int = 2
    levels: tuple[float, ...] = LEVELS
    reference: Vector = (50.5, 0.0)
    pace: float = 3.0
    """Epochs in which two thirds of the accuracy are learnt; of SRS it is 1.6 times as many."""
    row_noise: tuple[float, float] = (1.2, 1.2)
    """Standard deviation over seeds of the final values; percentage points."""
    epoch_noise: tuple[float, float] = (1.0, 1.7)
    """From epoch to epoch."""
    rung_noise: tuple[float, float] = (1.3, 1.6)
    """Of 400 texts against all of dev, without what all trials share, which ranks nothing."""
    draw: int = 0
    """Another number gives other noise."""

    def curve(self, pair: Pair | None, seed: int) -> Curve:
        """One training."""
        return _curve(self, pair, seed)

    def final(self, pair: Pair | None) -> Vector:
        """What a training tends to."""
        if pair is None:
            return 72.0, 4.0
        imp, inter = (math.log10(max(value, 1e-5)) for value in pair)
        broken = 1 / (1 + math.exp(-3.0 * (imp - 0.75)))
        accuracy = 71.5 - 1.5 / (1 + math.exp(-4 * (imp + 0.5))) - 6.0 * broken
        srs = 7.0 + 9.5 / (1 + math.exp(-2.5 * (imp + 0.8))) - 7.0 * broken
        srs += -1.5 * math.exp(-((inter + 0.2) ** 2)) + 2.0 / (1 + math.exp(-3 * (inter - 0.8)))
        return accuracy, srs


@cache
def _curve(table: SyntheticTable, pair: Pair | None, seed: int) -> Curve:
    place = [0, 0] if pair is None else [1 + table.levels.index(value) for value in pair]
    draws = np.random.default_rng([table.draw, seed, *place])
    epochs = np.arange(1, table.epochs + 1)
    learnt = 1 - np.exp(-epochs / table.pace)
    learnt = np.stack([learnt, learnt**2], axis=1)
    start = np.array(table.reference)
    end = np.array(table.final(pair)) + draws.normal(0, table.row_noise)
    values = start + (end - start) * learnt
    values += draws.normal(0, table.epoch_noise, values.shape)
    rungs = values + draws.normal(0, table.rung_noise, values.shape)
    loss = 0.7 - (values[:, 0] - start[0]) / 100
    return Curve(
        values=tuple(map(tuple, values.tolist())),
        rung_values=tuple(map(tuple, rungs.tolist())),
        loss=tuple(loss.tolist()),
    )
