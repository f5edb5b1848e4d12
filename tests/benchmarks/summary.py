"""What searches took on average, against each other, with intervals over their seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.searches import ALL_METHODS, BASE, WITHIN, Search

RESAMPLES = 10_000
AIM = 0.40
"""Of the epochs of random search with full training, upper end of the interval."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number over the seeds, with its 95 % percentile interval of a bootstrap over them."""

    value: float
    low: float
    high: float

    def text(self, form: str = ",.0f") -> str:
        """``120 [100, 140]``."""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """One of the searches, over all its seeds."""

    method: str
    title: str
    searches: int
    arrived: int
    """Searches that reached the target within the cap."""
    mean: Interval
    """Epochs to the target; a search that did not arrive counts with the cap."""
    median: Interval
    share: Interval
    """Of the best hypervolume when ``at`` epochs are spent."""
    ratio_of_means: Interval | None
    """Against the first search, paired by seed; ``None`` for itself."""
    ratio_of_medians: Interval | None
    stopped: float
    """Share of the ended trials that were stopped early."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All the searches that were compared."""

    cap: int
    """Epochs after which a search was given up."""
    at: int
    """Epochs at which ``share`` is taken."""
    methods: tuple[MethodSummary, ...]

    @property
    def aim_reached(self) -> tuple[str, ...]:
        """Searches whose ratio of means is at most the aim, interval included."""
        return tuple(
            one.method
            for one in self.methods
            if one.ratio_of_means is not None and one.ratio_of_means.high <= AIM
        )


def summarise(searches: Sequence[Search], *, at: int, seed: int = 0) -> Summary:
    """Compare searches that were run under the same seeds.

    A search that did not arrive is counted as if it had at the cap, which all share. Such a mean is
    a lower bound, of all methods alike; how many there are is said beside it.

    Args:
        searches: at least one of each method, all methods under the same seeds.
        at: epochs at which shares are compared.
        seed: of the bootstrap.

    Raises:
        ValueError: a method lacks a seed, or the caps differ.
    """
    by_method = {
        method.key: sorted((s for s in searches if s.method == method.key), key=lambda s: s.seed)
        for method in ALL_METHODS
        if any(s.method == method.key for s in searches)
    }
    seeds = {tuple(s.seed for s in group) for group in by_method.values()}
    caps = {s.cap for s in searches}
    if len(seeds) != 1 or len(caps) != 1 or BASE.key not in by_method:
        raise ValueError(f"searches to compare need the same seeds and cap, and a {BASE.key!r}")
    (cap,), count = caps, len(next(iter(seeds)))
    draws = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    spent = {
        key: np.array([cap if s.epochs is None else s.epochs for s in group], dtype=np.float64)
        for key, group in by_method.items()
    }
    base = spent[BASE.key]

    def interval(statistic: Callable[[Floats], Floats], *columns: Floats) -> Interval:
        """Of one column, or of the ratio of the first to the second."""
        here = [statistic(column[None, :])[0] for column in columns]
        there = [statistic(column[draws]) for column in columns]
        value = here[0] / here[1] if len(columns) > 1 else here[0]
        spread = there[0] / there[1] if len(columns) > 1 else there[0]
        low, high = np.percentile(spread, (2.5, 97.5))
        return Interval(float(value), float(low), float(high))

    def mean(rows: Floats) -> Floats:
        return np.asarray(rows.mean(axis=1))

    def median(rows: Floats) -> Floats:
        return np.asarray(np.median(rows, axis=1))

    found = []
    for method in ALL_METHODS:
        group = by_method.get(method.key)
        if group is None:
            continue
        ours, other = spent[method.key], method.key != BASE.key
        ended = sum(sum(s.states.values()) for s in group)
        found.append(
            MethodSummary(
                method=method.key,
                title=method.title,
                searches=count,
                arrived=sum(s.epochs is not None for s in group),
                mean=interval(mean, ours),
                median=interval(median, ours),
                share=interval(mean, np.array([s.share(at) for s in group])),
                ratio_of_means=interval(mean, ours, base) if other else None,
                ratio_of_medians=interval(median, ours, base) if other else None,
                stopped=sum(s.states.get("pruned", 0) for s in group) / max(1, ended),
            )
        )
    return Summary(cap=cap, at=at, methods=tuple(found))


def markdown(summary: Summary) -> str:
    """The comparison as a table."""
    rows = [
        f"| search | epochs to {WITHIN:.0%}, mean | median | ratio of means | ratio of medians "
        f"| arrived | share after {summary.at} epochs | trials stopped |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in summary.methods:
        means, medians = one.ratio_of_means, one.ratio_of_medians
        rows.append(
            f"| {one.title} | {one.mean.text()} | {one.median.text()} "
            f"| {means.text('.2f') if means else '1'} | {medians.text('.2f') if medians else '1'} "
            f"| {one.arrived} of {one.searches} | {one.share.text('.3f')} | {one.stopped:.0%} |"
        )
    return "\n".join(rows) + "\n"
