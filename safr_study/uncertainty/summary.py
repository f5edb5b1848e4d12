"""One summary of runs under several seeds: intervals, paired differences, chances of the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from safr_study.uncertainty.bootstrap import (
    RESAMPLES,
    Values,
    crossed_bootstrap,
    front_probability,
)
from safr_study.uncertainty.intervals import (
    BOOTSTRAP_SEEDS,
    Interval,
    K,
    intervals,
    t_interval,
    t_or_normal_interval,
)

_TIE_DECIMALS = 9
"""Means closer than this are a tie: they differ by the rounding of sums alone."""


@dataclass(frozen=True, slots=True)
class SeedValues:
    """One metric of one configuration under S seeds."""

    values: Sequence[float]
    """One number per seed, `[S]`."""
    seeds: tuple[int, ...] = ()
    """Seed of each value, where differences are to be paired."""
    table: Values | None = None
    """What each text adds under each seed, `[S, M]`; ``None`` where that is not known."""
    se: float | None = None
    """Standard error of the first value over its texts: it replaces an interval over seeds
    where there is a single one; ``None``: nothing does."""

    @classmethod
    def of_texts(cls, table: Values, seeds: Sequence[int]) -> SeedValues:
        """A metric whose values are the means of what its texts add, `[S, M]`.

        The standard error of one run is sd / sqrt(M), as in definitions, section 3.
        """
        se = float(table[0].std()) / float(np.sqrt(table.shape[1]))
        return cls(table.mean(axis=1), tuple(seeds), table, se)

    def texts(self, count: int) -> Values:
        """What each of so many texts adds: without a table the value of the seed."""
        if self.table is not None:
            return self.table
        values = np.asarray(self.values, dtype=np.float64)
        return np.repeat(values[:, np.newaxis], count, axis=1)

    def minus(self, base: SeedValues) -> SeedValues | None:
        """The difference of two metrics over texts, paired on the seeds that both have.

        ``None``: they have none in common.

        Raises:
            ValueError: they are not over the same texts.
        """
        if self.table is None or base.table is None or self.table.shape[1] != base.table.shape[1]:
            raise ValueError("a paired difference needs the same texts on both sides")
        common = sorted(set(self.seeds) & set(base.seeds))
        if not common:
            return None
        first = self.table[[self.seeds.index(seed) for seed in common]]
        second = base.table[[base.seeds.index(seed) for seed in common]]
        return SeedValues.of_texts(first - second, common)


def summarise(measured: Mapping[K, SeedValues]) -> dict[K, Interval | None]:
    """The 95 % interval of each metric over its seeds, with one bootstrap for all that need it.

    From 10 seeds on the crossed bootstrap, where it is known what each text adds; else Student-t.
    A single run has a normal interval by its standard error, or none (``None``).
    """
    resampled = intervals(
        {
            key: one.table
            for key, one in measured.items()
            if one.table is not None and len(one.values) >= BOOTSTRAP_SEEDS
        }
    )
    return {
        key: resampled[key]
        if key in resampled
        else t_interval(one.values)
        if one.se is None
        else t_or_normal_interval(one.values, one.se)
        for key, one in measured.items()
    }


def front_chances(
    configurations: Sequence[Sequence[SeedValues]],
    maximise: Sequence[bool],
    texts: int = 1,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[float]:
    """Share of the resamples of seeds and texts in which each configuration is on the front.

    One crossed bootstrap serves all objectives and configurations. It tells how stable the front
    is when seeds and texts are drawn again; it is not the probability that a configuration is on
    the true front. S seeds understate the variance between seeds by (S - 1) / S, so with few of
    them the shares are too close to 0 and 1; with one seed, redrawing that seed changes nothing
    and the shares speak of the texts alone.

    Args:
        configurations: of each its objectives, all with the configuration's seeds.
        maximise: for each objective, whether higher is better.
        texts: M; an objective without a table is its value for every one of them.
        resamples: R.
        seed: of the draws.

    Raises:
        ValueError: a shape does not fit, or a value is not finite.
    """
    if not configurations:
        return []
    tables = [[one.texts(texts) for one in objectives] for objectives in configurations]
    means = crossed_bootstrap(tables, resamples=resamples, seed=seed)
    return list(map(float, front_probability(means.round(_TIE_DECIMALS), maximise)))
