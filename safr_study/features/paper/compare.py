"""Our runs beside the paper's numbers: levels, differences, order, fronts, and what agrees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from safr_study.features.paper.numbers import METRICS, Metric, PaperRow
from safr_study.pareto import front_numbers
from safr_study.records.runs import VMASK_ROW, RunLine
from safr_study.uncertainty.bootstrap import front_probability_over_seeds
from safr_study.uncertainty.intervals import Interval, noise_floor, normal_interval
from safr_study.uncertainty.intervals_over_seeds import intervals

PAPER_K = 0.3
Verdict = Literal["holds", "inside the noise", "does not hold"]

Table = NDArray[np.float64]
"""`[S, M]`: what each text adds to a metric under each seed, percentage points."""


@dataclass(frozen=True, slots=True)
class MetricOutcome:
    """One number of a row, ours and the paper's; percentage points."""

    metric: Metric
    ours: Interval
    """Over the seeds; of one run from its standard error, method ``normal``."""
    paper: float
    difference: Interval | None
    """To the lambda (0, 0) row, paired on texts and seeds; ``None`` for that row itself, or where
    no seed is common."""
    paper_difference: float | None

    @property
    def inside(self) -> bool:
        """Whether our interval holds the paper's number."""
        return self.ours.low <= self.paper <= self.ours.high

    @property
    def verdict(self) -> Verdict | None:
        """Whether the paper's difference to lambda (0, 0) is found again.

        ``holds``: ours has the paper's sign and its interval excludes 0; ``inside the noise``: the
        interval includes 0; ``does not hold``: the opposite sign, and the interval excludes 0.
        """
        if self.difference is None or self.paper_difference is None:
            return None
        if self.difference.low <= 0.0 <= self.difference.high:
            return "inside the noise"
        same = (self.difference.mean > 0) == (self.paper_difference > 0)
        return "holds" if same and self.paper_difference else "does not hold"


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """One row of a table."""

    entry: PaperRow
    seeds: tuple[int, ...]
    metrics: tuple[MetricOutcome, ...]
    """In the order of `METRICS`."""
    saturated: int
    """Runs whose predictions collapsed at k = 30 %."""
    rank: int
    """By our SRS among the rows shown, 1 = highest; ties share the better one."""
    paper_rank: int
    on_front: bool
    """Of our means in (accuracy, SRS) among the rows shown."""
    front_probability: float
    """Share of the resamples of seeds and texts in which it is not dominated."""
    on_paper_front: bool
    """Of the paper's numbers of the rows shown."""

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
    """Whether the rows stand in the paper's order by SRS."""

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


def compare_rows(
    entries: Sequence[PaperRow], lines: Sequence[RunLine], dataset: str
) -> PaperComparison:
    """Rows of the paper beside our runs of them.

    Args:
        entries: of Tables 1, 2 or 6.
        lines: all on the same test texts; those of other rows are left out.
        dataset: the paper's name of it.

    Raises:
        ValueError: there is no run of any of the rows, or the runs' texts differ.
    """
    runs = {entry.row: lines_of(entry, lines) for entry in entries}
    shown = [entry for entry in entries if runs[entry.row]]
    if not shown:
        raise ValueError("no run of these rows to compare")
    tables = {entry.row: _tables(runs[entry.row]) for entry in shown}
    ours = _estimates({entry.name: tables[entry.row] for entry in shown})
    base = next((entry for entry in shown if entry.row == VMASK_ROW), None)
    differences = {}
    if base is not None:
        pairs = {entry.name: _paired(runs[entry.row], runs[base.row]) for entry in shown}
        del pairs[base.name]
        differences = _estimates({name: pair for name, pair in pairs.items() if pair is not None})
    metrics = {
        entry.name: tuple(
            MetricOutcome(
                metric=metric,
                ours=ours[entry.name, metric],
                paper=entry.numbers[dataset].value(metric),
                difference=differences.get((entry.name, metric)),
                paper_difference=None
                if base is None or entry is base
                else entry.numbers[dataset].value(metric) - base.numbers[dataset].value(metric),
            )
            for metric in METRICS
        )
        for entry in shown
    }
    # Means closer than this are a tie: they differ by the rounding of sums alone.
    points = np.round(
        [[ours[entry.name, metric].mean for metric in ("accuracy", "srs")] for entry in shown], 9
    )
    papers = [[entry.numbers[dataset].accuracy, entry.numbers[dataset].srs] for entry in shown]
    chances = front_probability_over_seeds(
        [[tables[entry.row][metric] for entry in shown] for metric in ("accuracy", "srs")],
        [True, True],
    )
    on_front, on_paper_front = front_numbers(points) == 0, front_numbers(papers) == 0
    srs, paper_srs = points[:, 1], np.array(papers)[:, 1]
    return PaperComparison(
        rows=tuple(
            RowOutcome(
                entry=entry,
                seeds=tuple(line.seed for line in runs[entry.row]),
                metrics=metrics[entry.name],
                saturated=sum(line.test.deletion(PAPER_K).saturated for line in runs[entry.row]),
                rank=1 + int((srs > srs[place]).sum()),
                paper_rank=1 + int((paper_srs > paper_srs[place]).sum()),
                on_front=bool(on_front[place]),
                front_probability=float(chances[place]),
                on_paper_front=bool(on_paper_front[place]),
            )
            for place, entry in enumerate(shown)
        ),
        absent=tuple(entry.name for entry in entries if not runs[entry.row]),
        order=_order(srs, paper_srs),
        noise={
            metric: None if base is None else noise_floor(tables[base.row][metric].mean(axis=1))
            for metric in METRICS
        },
    )


def lines_of(entry: PaperRow, lines: Sequence[RunLine]) -> list[RunLine]:
    """The runs of a row, by seed."""
    return sorted((line for line in lines if line.row == entry.row), key=lambda line: line.seed)


def _tables(runs: Sequence[RunLine]) -> dict[Metric, Table]:
    """By metric `[S, M]`; the mean of a row of it is the run's number."""
    full = np.array([line.right.whole() for line in runs], dtype=np.float64)
    top = np.array([line.right.without_top() for line in runs], dtype=np.float64)
    random = np.array([line.right.without_random(line.evaluation.draws) for line in runs])
    return {
        "accuracy": 100 * full,
        "accuracy_random_deletion": 100 * random,
        "accuracy_capacity_deletion": 100 * top,
        "srs": 100 * (full - top),
    }


def _paired(runs: Sequence[RunLine], base: Sequence[RunLine]) -> dict[Metric, Table] | None:
    """Row minus base over the seeds that both have; ``None`` where they share none."""
    common = sorted({line.seed for line in runs} & {line.seed for line in base})
    if not common:
        return None
    first, second = (
        _tables([line for line in side if line.seed in common]) for side in (runs, base)
    )
    return {metric: first[metric] - second[metric] for metric in METRICS}


def _estimates(
    tables: Mapping[str, Mapping[Metric, Table]],
) -> dict[tuple[str, Metric], Interval]:
    """The interval of every table, in one bootstrap; of one run from its texts."""
    keys = {
        f"{name} {metric}": (name, metric)
        for name, by_metric in tables.items()
        for metric in by_metric
    }
    found = intervals({key: tables[name][metric] for key, (name, metric) in keys.items()})
    return {
        place: found[key] or _one_run(tables[place[0]][place[1]][0]) for key, place in keys.items()
    }


def _one_run(values: NDArray[np.float64]) -> Interval:
    """value +- z SE from the texts of one run `[M]`: sd / sqrt(M), as in definitions, section 3."""
    return normal_interval(float(values.mean()), float(values.std()) / math.sqrt(len(values)))


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
