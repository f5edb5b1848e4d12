"""Table 3, Figure 3 and the rankings against the gold rationale, from our runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from safr_study.features.paper.lines import MeanCapacities, Row, RunLine
from safr_study.features.paper.rows import PAPER_K, Metric, PaperRow, lines_of
from safr_study.records.scores import Values, is_saturated
from safr_study.settings import CONTROLS, at_k
from safr_study.uncertainty.intervals import Interval, t_interval, t_or_normal_interval

Group = Literal["all", "important", "less_important"]
GROUPS: tuple[Group, ...] = get_args(Group)
Side = Literal["pre", "post"]
"""Side of the ReLU, before or after."""
Pad = Literal["out", "in"]
"""Whether PAD takes part."""
Deletion = Literal["top", "random"]
_SRS = at_k("srs", PAPER_K)


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
    layer: Side
    pad: Pad
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


@dataclass(frozen=True, slots=True)
class RankingOutcome:
    """One ranking of a row's models; intervals over the seeds, of one run over its texts."""

    row: Row
    ranking: str
    seeds: int
    texts: int
    """Test texts with a rationale that is neither empty nor the whole text."""
    average_precision: Interval
    """Average precision of the ranking, in [0, 1]."""
    auroc: Interval
    precision_at_gold: Interval
    srs: Interval | None
    """SRS(30) by this ranking, percentage points."""
    saturated: int
    """Runs whose predictions collapsed without the top 30 % of this ranking."""


@dataclass(frozen=True, slots=True)
class SentimentOutcome:
    """Mean capacity of the rationale's words against the other words of their text."""

    row: Row
    seeds: int
    with_sentiment: float
    without_sentiment: float
    difference: Interval


def compare_capacities(
    lines: Sequence[RunLine], published: MeanCapacities
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

    def number(layer: Side, pad: Pad, group: Group) -> CapacityNumber:
        means = [getattr(getattr(run, layer), f"pad_{pad}") for run in measured]
        values = [float(getattr(mean, group)) for mean in means]
        paper = getattr(published, group)
        return CapacityNumber(group, float(np.mean(values)), t_interval(values), paper)

    outcomes = [
        CapacityOutcome(lines[0].row, side, pad, tuple(number(side, pad, one) for one in GROUPS))
        for side in get_args(Side)
        for pad in get_args(Pad)
    ]
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
    return tuple(
        CurveOutcome(entry, deletion, len(runs), _points(runs, deletion, entry.numbers[dataset]))
        for entry in entries
        if (runs := lines_of(entry, lines))
        for deletion in get_args(Deletion)
    )


def compare_rankings(
    entries: Sequence[PaperRow], lines: Sequence[RunLine]
) -> tuple[RankingOutcome, ...]:
    """Every ranking of each row that has runs with a rationale."""
    outcomes = []
    for entry in entries:
        runs = lines_of(entry, lines)
        names = [name for name in ("capacity", *CONTROLS) if runs and _found(runs[0], name)]
        outcomes += [_ranking(entry.row, name, runs) for name in names]
    return tuple(outcomes)


def compare_sentiment(
    entries: Sequence[PaperRow], lines: Sequence[RunLine]
) -> tuple[SentimentOutcome, ...]:
    """Capacity of words with and without sentiment of their own, of each row that has runs."""
    outcomes = []
    for entry in entries:
        runs = lines_of(entry, lines)
        found = [run.sentiment_capacity for run in runs if run.sentiment_capacity is not None]
        difference, count = sentiment_difference(runs), len(found)
        if difference is not None:
            marked, others = (
                sum(getattr(run, f"{side}_sentiment") for run in found) / count
                for side in ("with", "without")
            )
            outcomes.append(SentimentOutcome(entry.row, count, marked, others, difference))
    return tuple(outcomes)


def _ranking(row: Row, name: str, runs: Sequence[RunLine]) -> RankingOutcome:
    measured = [values for run in runs if (values := _found(run, name))]
    deleted = [values for run in runs if _SRS in (values := _values(run, name))]

    def over(values: Sequence[Values], metric: str) -> Interval:
        measures = [one[metric] for one in values]
        return t_or_normal_interval([one.value for one in measures], measures[0].se or 0.0)

    return RankingOutcome(
        row=row,
        ranking=name,
        seeds=len(measured),
        texts=int(measured[0]["rationale_texts"].value),
        average_precision=over(measured, "average_precision"),
        auroc=over(measured, "auroc"),
        precision_at_gold=over(measured, "precision_at_gold"),
        srs=over(deleted, _SRS) if deleted else None,
        saturated=sum(is_saturated(values, PAPER_K) for values in deleted),
    )


def _values(run: RunLine, ranking: str) -> Values:
    return run.curve.values if ranking == "capacity" else run.curve.rankings.get(ranking, {})


def _found(run: RunLine, ranking: str) -> Values:
    """Values of a ranking that was compared with the rationale; empty for another."""
    values = _values(run, ranking)
    return values if "rationale_texts" in values else {}


def _points(
    runs: Sequence[RunLine], deletion: Deletion, numbers: Mapping[Metric, float]
) -> tuple[CurvePoint, ...]:
    examples = runs[0].curve.examples
    top = deletion == "top"
    at_30 = numbers["accuracy_capacity_deletion" if top else "accuracy_random_deletion"]
    published = {0.0: numbers["accuracy"], PAPER_K: at_30}
    # The k above 0 that all the runs have.
    shares = sorted(set.intersection(*({k for k in run.curve.shares if k} for run in runs)))
    points = []
    for k in (0.0, *shares):
        name = at_k(f"accuracy_{deletion}", k) if k else "accuracy"
        measures = [run.curve.values[name] for run in runs if name in run.curve.values]
        if len(measures) == len(runs):
            # Of a random deletion the mean over draws has an error of its own.
            se = measures[0].se or _binomial_se(measures[0].value, examples)
            ours = t_or_normal_interval([measure.value for measure in measures], se)
            saturated = sum(top and k > 0 and is_saturated(run.curve.values, k) for run in runs)
            points.append(CurvePoint(k, ours, published.get(k), saturated))
    return tuple(points)


def _binomial_se(percent: float, examples: int) -> float:
    """Standard error of one run's accuracy, both in percentage points."""
    share = percent / 100
    return 100 * float(np.sqrt(share * (1 - share) / examples))
