"""Our runs next to the paper's numbers: an item's levels, differences, order and fronts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from safr_study.features.paper.curves import (
    CapacityOutcome,
    CurveOutcome,
    RankingOutcome,
    SentimentOutcome,
    accuracy_curves,
    compare_capacities,
    compare_rankings,
    compare_sentiment,
    sentiment_difference,
)
from safr_study.features.paper.lines import VMASK_ROW, Limits, RunLine
from safr_study.features.paper.rows import (
    METRICS,
    PAPER_K,
    Metric,
    PaperRow,
    RunRequest,
    lines_of,
    paper,
    paper_dataset,
)
from safr_study.pareto import front_numbers
from safr_study.records.scores import is_saturated
from safr_study.uncertainty.bootstrap import Values
from safr_study.uncertainty.intervals import Interval, noise_floor
from safr_study.uncertainty.summary import SeedValues, front_chances, summarise

TABLES = ("table1", "table2", "table6")
"""Items that are rows of accuracies and SRS."""
Verdict = Literal["holds", "inside the noise", "does not hold"]

_FRONT: tuple[Metric, ...] = ("accuracy", "srs")
"""Objectives of the paper's fronts, both maximised."""


@dataclass(frozen=True, slots=True)
class MetricOutcome:
    """One number of a row, ours and the paper's; percentage points."""

    metric: Metric
    ours: Interval
    """Our mean and interval over the seeds; a single run has a normal one by its standard error."""
    paper: float
    difference: Interval | None
    """Difference to the lambda (0, 0) row, paired on texts and seeds; ``None`` for that row itself,
    or where no seed is common."""
    paper_difference: float | None

    @property
    def inside(self) -> bool:
        """Whether our interval holds the paper's number."""
        return self.ours.contains(self.paper)

    @property
    def verdict(self) -> Verdict | None:
        """Whether the paper's difference to lambda (0, 0) is found again.

        ``holds``: ours has the paper's sign and its interval excludes 0; ``inside the noise``: the
        interval includes 0; ``does not hold``: the opposite sign, and the interval excludes 0.
        """
        if self.difference is None or self.paper_difference is None:
            return None
        if self.difference.contains(0.0):
            return "inside the noise"
        same = (self.difference.mean > 0) == (self.paper_difference > 0)
        return "holds" if same and self.paper_difference else "does not hold"


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """One row of a table."""

    entry: PaperRow
    seeds: tuple[int, ...]
    metrics: tuple[MetricOutcome, ...]
    """Outcomes in the order of `METRICS`."""
    saturated: int
    """Runs whose predictions collapsed at k = 30 %."""
    rank: int
    """Rank by our SRS among the rows shown, 1 = highest; ties share the better one."""
    paper_rank: int
    on_front: bool
    """Whether our means in (accuracy, SRS) are on the front of the rows shown."""
    front_probability: float
    """Share of the resamples of seeds and texts in which it is not dominated."""
    on_paper_front: bool
    """Whether the paper's numbers are on the front of the rows shown."""

    @property
    def accuracy(self) -> MetricOutcome:
        """The accuracy on whole texts."""
        return self.metrics[METRICS.index("accuracy")]

    @property
    def srs(self) -> MetricOutcome:
        """The number that the paper is about."""
        return self.metrics[METRICS.index("srs")]

    @property
    def same_sign(self) -> bool:
        """Whether SRS has the paper's sign."""
        return (self.srs.ours.mean > 0) == (self.srs.paper > 0)

    @property
    def same_gain(self) -> bool | None:
        """Whether SRS's difference to lambda (0, 0) has the paper's sign, noise or not."""
        if self.srs.difference is None or self.srs.paper_difference is None:
            return None
        return (self.srs.difference.mean > 0) == (self.srs.paper_difference > 0)


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """Agreement of the rows' order by SRS with the paper's."""

    pairs: int
    agreeing: int
    """Pairs of rows whose order is the paper's; ties in one alone do not agree."""
    tau: float | None
    """Kendall tau-b; ``None`` with fewer than three rows, or all equal."""
    p: float | None
    """Two-sided, of no association."""


@dataclass(frozen=True, slots=True)
class PaperComparison:
    """The rows of an item, compared."""

    rows: tuple[RowOutcome, ...]
    absent: tuple[str, ...]
    """Rows without a run."""
    order: OrderOutcome
    noise: Mapping[Metric, float | None]
    """Noise floor: sd over the seeds of lambda (0, 0); ``None`` with fewer than two of them."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One item of the paper: our numbers and the paper's."""

    item: str
    """``table1``, ``table2``, ``table3``, ``table6``, ``figure3`` or ``rationale``."""
    dataset: str
    paper_dataset: str
    """The paper's name of it."""
    preset: str
    seeds: int
    """Seeds asked for, per row."""
    runs: int
    """Number of runs that the item is made of."""
    texts: int
    """Texts of our test set."""
    measured: int
    """Texts of it that the item is measured on."""
    paper_texts: int
    limits: Limits
    max_epochs: int
    draws: int
    capacity_layer: str
    devices: Mapping[str, int]
    """Runs by device."""
    comparison: PaperComparison | None
    """Rows compared, in the tables of accuracies and SRS."""
    capacities: tuple[CapacityOutcome, ...]
    """Readings of Table 3."""
    sentiment: Interval | None
    """Table 3: capacity of words with sentiment minus that of the others."""
    curves: tuple[CurveOutcome, ...]
    """Lines of Figure 3."""
    rankings: tuple[RankingOutcome, ...]
    """Rankings against the rationale."""
    sentiments: tuple[SentimentOutcome, ...]
    failures: tuple[str, ...]
    """Runs that could not be had, a sentence each."""


def reproduce_item(
    request: RunRequest, lines: Sequence[RunLine], failures: Sequence[str] = ()
) -> Reproduction:
    """Compare the runs of an item with the paper.

    Args:
        request: asks for the item.
        lines: finished runs of its rows, of one data set and preset.
        failures: a sentence for each run that could not be had.

    Raises:
        ValueError: there is no line.
    """
    if not lines:
        raise ValueError("no run to compare")
    first, tables, item, entries = lines[0], paper(), request.item, request.rows
    of_paper = paper_dataset(request.spec.dataset)
    return Reproduction(
        item=item,
        dataset=first.dataset,
        paper_dataset=of_paper,
        preset=first.preset,
        seeds=request.seeds,
        runs=len(lines),
        texts=first.test.examples,
        measured=(first.test if item in TABLES else first.curve).examples,
        paper_texts=tables.examples[of_paper]["test"],
        limits=first.limits,
        max_epochs=first.max_epochs,
        draws=first.evaluation.draws,
        capacity_layer=first.evaluation.capacity_layer,
        devices=dict(Counter(line.device for line in lines)),
        comparison=compare_rows(entries, lines, of_paper) if item in TABLES else None,
        capacities=(
            compare_capacities(lines, tables.capacities[of_paper]) if item == "table3" else ()
        ),
        sentiment=sentiment_difference(lines) if item == "table3" else None,
        curves=accuracy_curves(entries, lines, of_paper) if item == "figure3" else (),
        rankings=compare_rankings(entries, lines) if item == "rationale" else (),
        sentiments=compare_sentiment(entries, lines) if item == "rationale" else (),
        failures=tuple(failures),
    )


def compare_rows(
    entries: Sequence[PaperRow], lines: Sequence[RunLine], dataset: str
) -> PaperComparison:
    """Rows of the paper compared with our runs of them.

    Args:
        entries: of Tables 1, 2 or 6.
        lines: all on the same test texts; those of other rows are left out.
        dataset: the paper's name of it.

    Raises:
        ValueError: there is no run of any of the rows, or the runs' texts differ.
    """
    runs = {entry.name: lines_of(entry, lines) for entry in entries}
    published = {entry.name: entry.numbers[dataset] for entry in entries if runs[entry.name]}
    if not published:
        raise ValueError("no run of these rows to compare")
    base = VMASK_ROW.name if VMASK_ROW.name in published else None
    measured = {
        (name, metric): values
        for name in published
        for metric, values in _measured(runs[name]).items()
    }
    pairs = {
        (name, metric): values.minus(measured[base, metric])
        for (name, metric), values in measured.items()
        if base is not None and name != base
    }
    ours = {key: one for key, one in summarise(measured).items() if one is not None}
    differences = summarise({key: pair for key, pair in pairs.items() if pair is not None})
    metrics = {
        name: tuple(
            MetricOutcome(
                metric=metric,
                ours=ours[name, metric],
                paper=numbers[metric],
                difference=differences.get((name, metric)),
                paper_difference=None
                if base is None or name == base
                else numbers[metric] - published[base][metric],
            )
            for metric in METRICS
        )
        for name, numbers in published.items()
    }
    # Means closer than this are a tie: they differ by the rounding of sums alone.
    points = np.round([[ours[name, axis].mean for axis in _FRONT] for name in metrics], 9)
    papers = np.array([[numbers[axis] for axis in _FRONT] for numbers in published.values()])
    chances = front_chances(
        [[measured[name, axis] for axis in _FRONT] for name in metrics], [True, True]
    )
    on_front, on_paper_front = front_numbers(points) == 0, front_numbers(papers) == 0
    srs, paper_srs = points[:, 1], papers[:, 1]
    shown = [entry for entry in entries if entry.name in metrics]
    return PaperComparison(
        rows=tuple(
            RowOutcome(
                entry=entry,
                seeds=tuple(line.seed for line in runs[entry.name]),
                metrics=metrics[entry.name],
                saturated=sum(is_saturated(run.test.values, PAPER_K) for run in runs[entry.name]),
                rank=1 + int((srs > srs[place]).sum()),
                paper_rank=1 + int((paper_srs > paper_srs[place]).sum()),
                on_front=bool(on_front[place]),
                front_probability=chances[place],
                on_paper_front=bool(on_paper_front[place]),
            )
            for place, entry in enumerate(shown)
        ),
        absent=tuple(name for name in runs if name not in metrics),
        order=_order(srs, paper_srs),
        noise={
            metric: None if base is None else noise_floor(measured[base, metric].values)
            for metric in METRICS
        },
    )


def _measured(runs: Sequence[RunLine]) -> dict[Metric, SeedValues]:
    """The metrics of a row, from what each text adds to them."""
    full = np.array([line.right.whole() for line in runs], dtype=np.float64)
    top = np.array([line.right.without_top(PAPER_K) for line in runs], dtype=np.float64)
    random = np.array([line.right.without_random(PAPER_K) for line in runs])
    tables: dict[Metric, Values] = {
        "accuracy": 100 * full,
        "accuracy_random_deletion": 100 * random,
        "accuracy_capacity_deletion": 100 * top,
        "srs": 100 * (full - top),
    }
    seeds = [line.seed for line in runs]
    return {metric: SeedValues.of_texts(table, seeds) for metric, table in tables.items()}


def _order(ours: NDArray[np.float64], papers: NDArray[np.float64]) -> OrderOutcome:
    first, second = np.triu_indices(len(ours), k=1)
    agreeing = np.sign(ours[first] - ours[second]) == np.sign(papers[first] - papers[second])
    tau, p = kendalltau(ours, papers) if len(ours) > 2 else (math.nan, math.nan)
    return OrderOutcome(
        pairs=len(first),
        agreeing=int(agreeing.sum()),
        tau=float(tau) if math.isfinite(tau) else None,
        p=float(p) if math.isfinite(p) else None,
    )
