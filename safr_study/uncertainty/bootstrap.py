"""The crossed bootstrap over seeds and examples, and how often a configuration is on the front.

Both the seeds and the test examples are a sample, and every seed meets every example. A resample
draws seeds and, independently, one set of examples for all seeds and configurations (definitions,
section 3; the pigeonhole bootstrap of Owen 2007, "The pigeonhole bootstrap", Annals of Applied
Statistics 1(2)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.float64]

RESAMPLES = 10_000

_CELLS = 2_000_000
"""Weights of examples, and sums of columns, held at a time: bounds the memory, changes no draw."""


def crossed_bootstrap(
    values: Sequence[Sequence[ArrayLike]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Values:
    """Means of resampled seeds and examples.

    Each resample draws S seeds and M examples with replacement. All configurations share the
    examples; those with the same number of seeds share the drawn seeds too, so they are paired
    when their rows are the same seeds, and nothing is lost when they are not. The draws depend on
    S, M, `resamples` and `seed` alone: a configuration has the same means in any company.

    Args:
        values: `[configs][objectives]`, each `[S, M]`: the contribution of each example under each
            seed, in percentage points, for example 100 (c - c_T) for SRS. A configuration has an S
            of its own, and the same seeds in every objective.
        resamples: R.
        seed: of the draws.

    Returns:
        `[R, configs, objectives]`, in the unit of `values`.

    Raises:
        ValueError: a shape does not fit, or a value is not finite.
    """
    if not values:
        raise ValueError("a bootstrap needs at least one configuration")
    blocks = [_block(tables) for tables in values]  # [objectives, S, M] each
    texts = blocks[0].shape[2]
    if any(block.shape[2] != texts or len(block) != len(blocks[0]) for block in blocks):
        raise ValueError("all configurations need the same objectives on the same examples")
    counts = [block.shape[1] for block in blocks]
    # One stream per number of seeds: a configuration's draws do not depend on the others.
    seeds = {
        count: _draw_counts(_generator(seed, count), resamples, count) / count
        for count in set(counts)
    }
    columns = np.concatenate([block.reshape(-1, texts) for block in blocks]).T
    edges = np.cumsum([0, *(len(block) * block.shape[1] for block in blocks)])
    means = np.empty((resamples, len(blocks), len(blocks[0])))
    examples = _generator(seed, 0)
    step = max(1, _CELLS // max(texts, columns.shape[1]))
    for start in range(0, resamples, step):
        rows = slice(start, min(start + step, resamples))
        drawn = _draw_counts(examples, rows.stop - rows.start, texts) @ columns / texts
        for number, count in enumerate(counts):
            per_seed = drawn[:, edges[number] : edges[number + 1]].reshape(len(drawn), -1, count)
            means[rows, number] = np.einsum("ros,rs->ro", per_seed, seeds[count][rows])
    return means


def front_probability(objectives: ArrayLike, maximise: Sequence[bool]) -> Values:
    """P(on the front): the share of resamples in which a configuration is not dominated.

    A configuration dominates another when it is at least as good in every objective and better in
    one, so equal ones are on the front together.

    Args:
        objectives: `[R, configs, objectives]`, one resample's means per row.
        maximise: for each objective, whether higher is better.

    Returns:
        `[configs]`, in [0, 1].

    Raises:
        ValueError: a shape does not fit, or a value is not finite.
    """
    points = np.asarray(objectives, dtype=np.float64)
    if points.ndim != 3 or not points.size or points.shape[2] != len(maximise):
        raise ValueError(
            f"{len(maximise)} directions need points [R, configs, {len(maximise)}], "
            f"got {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError("objectives hold a value that is not finite; leave failed trials out")
    gains = np.moveaxis(np.where(maximise, points, -points), 1, 0)  # [configs, R, objectives]
    dominated = np.zeros(gains.shape[:2], dtype=bool)
    for rival in gains:
        no_worse = (rival >= gains).all(axis=2)
        dominated |= no_worse & (rival > gains).any(axis=2)
    return cast("Values", 1.0 - dominated.mean(axis=1))


def checked_table(values: ArrayLike) -> Values:
    """`[S, M]`, finite, neither side empty; else a ValueError."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values must be [seeds, examples], got {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("values hold a number that is not finite; leave failed runs out")
    return table


def _block(tables: Sequence[ArrayLike]) -> Values:
    arrays = [checked_table(table) for table in tables]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("the objectives of a configuration need the same seeds and examples")
    return np.stack(arrays)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))


def _draw_counts(generator: np.random.Generator, rows: int, items: int) -> Values:
    """How often each of the items is drawn in `items` draws with replacement, `[rows, items]`.

    Multinomial weights; counting draws is faster than numpy's multinomial of many categories.
    """
    drawn = generator.integers(0, items, size=(rows, items))
    drawn += np.arange(0, rows * items, items)[:, np.newaxis]
    counts = np.bincount(drawn.reshape(-1), minlength=rows * items)
    return cast("Values", counts.reshape(rows, items).astype(np.float64))
