"""How well rankings find the gold rationale, and what they lose: not in the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safr_study.features.paper.compare import PAPER_K, lines_of
from safr_study.features.paper.curves import sentiment_difference
from safr_study.features.paper.lines import Row, RunLine
from safr_study.features.paper.numbers import PaperRow
from safr_study.records.scores import Values, is_saturated
from safr_study.settings import CONTROLS, at_k
from safr_study.uncertainty.intervals import Interval, t_or_normal_interval

_SRS = at_k("srs", PAPER_K)


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
    return run.test.values if ranking == "capacity" else run.test.rankings.get(ranking, {})


def _found(run: RunLine, ranking: str) -> Values:
    """Values of a ranking that was compared with the rationale; empty for another."""
    values = _values(run, ranking)
    return values if "rationale_texts" in values else {}
