"""Table 3 and Figure 3 from our runs: mean capacities, and accuracy against k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from safr_study.features.paper.compare import PAPER_K, lines_of
from safr_study.features.paper.lines import Row, RunLine
from safr_study.features.paper.numbers import PaperCapacity, PaperNumbers, PaperRow
from safr_study.records.scores import is_saturated
from safr_study.settings import at_k
from safr_study.uncertainty.intervals import Interval, t_interval, t_or_normal_interval

Group = Literal["all", "important", "less_important"]
GROUPS: tuple[Group, ...] = ("all", "important", "less_important")
Deletion = Literal["top", "random"]


@dataclass(frozen=True, slots=True)
class CapacityNumber:
    """The mean capacity of one group of tokens, in [0, 1]."""

    group: Group
    ours: float
    """Mean over the seeds."""
    interval: Interval | None
    """Student-t over the seeds; ``None`` for one."""
    paper: float

    @property
    def inside(self) -> bool | None:
        """Whether our interval holds the paper's number."""
        return None if self.interval is None else self.interval.contains(self.paper)


@dataclass(frozen=True, slots=True)
class CapacityOutcome:
    """One reading of Table 3: where capacity is taken, and whether PAD takes part."""

    row: Row
    layer: Literal["pre", "post"]
    """Side of the ReLU, before or after."""
    pad: Literal["out", "in"]
    numbers: tuple[CapacityNumber, ...]
    """Numbers in the order of `GROUPS`."""
    nearest: bool = False
    """The smallest distance of all readings."""

    @property
    def distance(self) -> float:
        """Mean distance of our three numbers from the paper's."""
        return float(np.mean([abs(number.ours - number.paper) for number in self.numbers]))


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy after one deletion, in percentage points."""

    k: float
    """Share of the tokens."""
    ours: Interval
    paper: float | None
    """The number of Table 1, at k = 0 and 0.3; ``None`` elsewhere."""
    saturated: int
    """Runs whose predictions collapsed, for top deletions."""

    @property
    def inside(self) -> bool | None:
        """Whether our interval holds the paper's number; ``None``: there is none."""
        return None if self.paper is None else self.ours.contains(self.paper)


@dataclass(frozen=True, slots=True)
class CurveOutcome:
    """One line of Figure 3."""

    entry: PaperRow
    deletion: Deletion
    seeds: int
    points: tuple[CurvePoint, ...]
    """Points from k = 0, ascending."""


def compare_capacities(
    lines: Sequence[RunLine], published: PaperCapacity
) -> tuple[CapacityOutcome, ...]:
    """Table 3 in its four readings.

    Args:
        lines: of one row, which has VMASK.
        published: the paper's three numbers.

    Raises:
        ValueError: there is no line with capacities.
    """
    measured = [line.capacities for line in lines if line.capacities is not None]
    if not measured:
        raise ValueError("no run with capacities to compare")
    outcomes = []
    for layer in ("pre", "post"):
        for pad in ("out", "in"):
            by_run = [getattr(getattr(run, layer), f"pad_{pad}") for run in measured]
            numbers = []
            for group in GROUPS:
                values = [float(getattr(means, group)) for means in by_run]
                numbers.append(
                    CapacityNumber(
                        group=group,
                        ours=float(np.mean(values)),
                        interval=t_interval(values),
                        paper=getattr(published, group),
                    )
                )
            outcomes.append(CapacityOutcome(lines[0].row, layer, pad, tuple(numbers)))
    best = min(outcome.distance for outcome in outcomes)
    return tuple(replace(outcome, nearest=outcome.distance == best) for outcome in outcomes)


def sentiment_difference(lines: Sequence[RunLine]) -> Interval | None:
    """Capacity of words with sentiment minus that of the others of their text, in [-1, 1].

    Over the seeds; of one run from its standard error over texts. ``None``: not measured.
    """
    capacities = [line.sentiment_capacity for line in lines if line.sentiment_capacity is not None]
    if not capacities:
        return None
    return t_or_normal_interval([run.difference for run in capacities], capacities[0].difference_se)


def accuracy_curves(
    entries: Sequence[PaperRow], lines: Sequence[RunLine], dataset: str
) -> tuple[CurveOutcome, ...]:
    """Accuracy against k of each row that has a run, for top and random deletions.

    Args:
        entries: of Table 1.
        lines: on the same test texts.
        dataset: the paper's name of it.
    """
    curves = []
    for entry in entries:
        runs = lines_of(entry, lines)
        if runs:
            numbers = entry.numbers[dataset]
            curves += [
                CurveOutcome(entry, deletion, len(runs), _points(runs, deletion, numbers))
                for deletion in ("top", "random")
            ]
    return tuple(curves)


def _points(
    runs: Sequence[RunLine], deletion: Deletion, numbers: PaperNumbers
) -> tuple[CurvePoint, ...]:
    examples = runs[0].test.examples
    published = {
        "top": numbers.accuracy_capacity_deletion,
        "random": numbers.accuracy_random_deletion,
    }[deletion]
    points = [
        CurvePoint(
            k=0.0,
            ours=t_or_normal_interval(
                [run.test.accuracy for run in runs], runs[0].test.values["accuracy"].se or 0.0
            ),
            paper=numbers.accuracy,
            saturated=0,
        )
    ]
    for k in _shares(runs):
        name = at_k(f"accuracy_{deletion}", k)
        measures = [run.test.values[name] for run in runs if name in run.test.values]
        if len(measures) == len(runs):
            # Of a random deletion the mean over draws has an error of its own.
            se = measures[0].se or _binomial_se(measures[0].value, examples)
            points.append(
                CurvePoint(
                    k=k,
                    ours=t_or_normal_interval([measure.value for measure in measures], se),
                    paper=published if k == PAPER_K else None,
                    saturated=sum(is_saturated(run.test.values, k) for run in runs)
                    if deletion == "top"
                    else 0,
                )
            )
    return tuple(points)


def _shares(runs: Sequence[RunLine]) -> list[float]:
    """The k above 0 that all the runs have."""
    shares = [{k for k in run.test.shares if k} for run in runs]
    return sorted(set.intersection(*shares))


def _binomial_se(percent: float, examples: int) -> float:
    """Standard error of one run's accuracy, both in percentage points."""
    share = percent / 100
    return 100 * float(np.sqrt(share * (1 - share) / examples))
