"""Fronts, places and hypervolumes by the letter of their definitions, slowly; all maximised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import numpy as np

from safr_study.pareto import top_k

Rows = Sequence[Sequence[float]]
OBJECTIVES = (2, 3, 4)


def random_sets(
    count: int, *, most: int, seed: int, infinite: bool = True
) -> Iterator[list[list[float]]]:
    """Sets of 1 to `most` points in 2, 3 and 4 objectives in turn, many with ties and copies.

    A small grid makes ties in single objectives and whole copies common; every third set has
    infinities, every fifth continuous values.
    """
    rng = np.random.default_rng(seed)
    for turn in range(count):
        shape = (int(rng.integers(1, most + 1)), OBJECTIVES[turn % 3])
        levels = int(rng.integers(1, 7))
        points = rng.integers(0, levels + 1, shape).astype(float)
        if turn % 5 == 0:
            points = rng.normal(size=shape)
        if infinite and (turn // 3) % 3 == 0:
            drawn = rng.random(shape)
            points[drawn < 0.15] = math.inf
            points[drawn > 0.85] = -math.inf
        if len(points) > 2:
            points[-1] = points[int(rng.integers(len(points)))]
        yield points.tolist()


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(
        x > y for x, y in zip(a, b, strict=True)
    )


def brute_fronts(points: Rows) -> list[int]:
    numbers: dict[int, int] = {}
    left = set(range(len(points)))
    front = 0
    while left:
        members = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        numbers.update(dict.fromkeys(members, front))
        left -= members
        front += 1
    return [numbers[i] for i in range(len(points))]


def brute_places(points: Rows, steps: int = 1_000_000) -> list[int]:
    """Fronts, then farthest first among the distinct vectors, in whole numbers throughout."""
    fronts = dict(zip(map(tuple, points), brute_fronts(points), strict=True))
    finite = [[x for x in column if math.isfinite(x)] for column in zip(*points, strict=True)]
    spans = [(min(column), max(column)) if column else (0.0, 0.0) for column in finite]

    def cell(value: float, low: float, high: float) -> int:
        if math.isinf(value):
            return 2 * steps if value > 0 else -steps
        if high == low:
            return 0
        return round(steps * (Fraction(value) - Fraction(low)) / (Fraction(high) - Fraction(low)))

    cells = {
        vector: [cell(x, *span) for x, span in zip(vector, spans, strict=True)] for vector in fronts
    }

    def distance(a: tuple[float, ...], b: tuple[float, ...]) -> int:
        return sum((x - y) ** 2 for x, y in zip(cells[a], cells[b], strict=True))

    order: list[tuple[float, ...]] = []
    for number in range(max(fronts.values(), default=-1) + 1):
        left = [vector for vector in fronts if fronts[vector] == number]
        chosen: list[tuple[float, ...]] = []
        while left:
            following = max(
                left,
                key=lambda v: (
                    min((distance(v, c) for c in chosen), default=0),
                    sum(cells[v]),
                    min(cells[v]),
                    v,
                ),
            )
            left.remove(following)
            chosen.append(following)
        order += chosen
    rows = [tuple(row) for row in points]
    before = {v: sum(rows.count(u) for u in order[:i]) for i, v in enumerate(order)}
    return [before[row] for row in rows]


def places_by_top_k(points: Rows) -> list[int]:
    """The place of each point: how many `top_k` takes before it; of equal points the best place."""
    values = np.asarray(points, dtype=float)
    places = np.full(len(values), len(values))
    before = np.zeros(len(values), dtype=bool)
    for place in range(len(values)):
        kept = top_k(points, place + 1)
        (row,) = np.flatnonzero(kept & ~before)
        equal = (values == values[row]).all(axis=1)
        places[equal] = np.minimum(places[equal], place)
        before = kept
    return [int(place) for place in places]


def grid_hypervolume(points: Rows, reference: Sequence[float]) -> float:
    """The volumes of the cells between the points' coordinates that some point dominates."""
    axes = [
        sorted({corner, *(x for x in column if x > corner)})
        for column, corner in zip(zip(*points, strict=True), reference, strict=True)
    ]
    total = 0.0
    for cell in product(*(range(len(axis) - 1) for axis in axes)):
        upper = [axis[i + 1] for axis, i in zip(axes, cell, strict=True)]
        if any(all(x >= u for x, u in zip(point, upper, strict=True)) for point in points):
            total += math.prod(u - axis[i] for u, axis, i in zip(upper, axes, cell, strict=True))
    return total
