"""How well rankings find the gold rationale, and what they lose: not in the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from safr_study.features.paper.compare import PAPER_K, lines_of
from safr_study.features.paper.curves import sentiment_difference
from safr_study.features.paper.numbers import PaperRow
from safr_study.records.runs import Row, RunLine
from safr_study.records.scores import Agreement, DeletionScores
from safr_study.uncertainty.intervals import Interval, t_or_normal_interval


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


def compare_rankings(
    entries: Sequence[PaperRow], lines: Sequence[RunLine]
) -> tuple[RankingOutcome, ...]:
    """Every ranking of each row that has runs with a rationale."""
    outcomes = []
    for entry in entries:
        runs = lines_of(entry, lines)
        names = [agreement.ranking for agreement in runs[0].test.agreements] if runs else []
        outcomes += [_ranking(entry.row, name, runs) for name in names]
    return tuple(outcomes)


def compare_sentiment(
    entries: Sequence[PaperRow], lines: Sequence[RunLine]
) -> tuple[SentimentOutcome, ...]:
    """Capacity of words with and without sentiment of their own, of each row that has runs."""
    outcomes = []
    for entry in entries:
        runs = lines_of(entry, lines)
        capacities = [run.sentiment_capacity for run in runs if run.sentiment_capacity is not None]
        difference = sentiment_difference(runs)
        if difference is None:
            continue
        outcomes.append(
            SentimentOutcome(
                row=entry.row,
                seeds=len(capacities),
                with_sentiment=sum(run.with_sentiment for run in capacities) / len(capacities),
                without_sentiment=sum(run.without_sentiment for run in capacities)
                / len(capacities),
                difference=difference,
            )
        )
    return tuple(outcomes)


def _ranking(row: Row, name: str, runs: Sequence[RunLine]) -> RankingOutcome:
    agreements = [one for run in runs for one in run.test.agreements if one.ranking == name]
    deletions = [deletion for run in runs if (deletion := _deletion(run, name)) is not None]

    def over(
        value: Callable[[Agreement], float], se: Callable[[Agreement], float | None]
    ) -> Interval:
        values = [value(one) for one in agreements]
        return t_or_normal_interval(values, se(agreements[0]) or 0.0)

    srs = None
    if deletions:
        values = [deletion.srs for deletion in deletions]
        srs = t_or_normal_interval(values, deletions[0].srs_se)
    return RankingOutcome(
        row=row,
        ranking=name,
        seeds=len(agreements),
        texts=agreements[0].texts,
        average_precision=over(
            lambda one: one.average_precision, lambda one: one.average_precision_se
        ),
        auroc=over(lambda one: one.auroc, lambda one: one.auroc_se),
        precision_at_gold=over(
            lambda one: one.precision_at_gold, lambda one: one.precision_at_gold_se
        ),
        srs=srs,
        saturated=sum(deletion.saturated for deletion in deletions),
    )


def _deletion(run: RunLine, ranking: str) -> DeletionScores | None:
    """The deletion of 30 % by a ranking, where it was measured."""
    if ranking == "capacity":
        return run.test.deletion(PAPER_K)
    for control in run.test.controls:
        if control.ranking == ranking:
            return next((one for one in control.deletions if one.k == PAPER_K), None)
    return None
