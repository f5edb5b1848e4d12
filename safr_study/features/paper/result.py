"""One item of the paper from our runs: what was compared, as a table and as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from safr_study.features.paper.compare import Comparison, RowOutcome, compare_rows
from safr_study.features.paper.curves import (
    CapacityOutcome,
    CurveOutcome,
    accuracy_curves,
    compare_capacities,
    sentiment_difference,
)
from safr_study.features.paper.numbers import PaperRow, paper
from safr_study.features.paper.rationale import (
    RankingOutcome,
    SentimentOutcome,
    compare_rankings,
    compare_sentiment,
)
from safr_study.records import to_plain
from safr_study.records.runs import Limits, Row, RunLine
from safr_study.uncertainty.intervals import Interval

TABLES = ("table1", "table2", "table6")
"""Items that are rows of accuracies and SRS."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One item of the paper, ours beside the paper's."""

    item: str
    """``table1``, ``table2``, ``table3``, ``table6``, ``figure3`` or ``rationale``."""
    dataset: str
    paper_dataset: str
    """The paper's name of it."""
    preset: str
    seeds: int
    """Asked for, of each row."""
    runs: int
    """That it is made of."""
    texts: int
    """Of our test set."""
    paper_texts: int
    limits: Limits
    max_epochs: int
    draws: int
    capacity_layer: str
    devices: Mapping[str, int]
    """Runs by device."""
    comparison: Comparison | None
    """Of the tables of accuracies and SRS."""
    capacities: tuple[CapacityOutcome, ...]
    """Of Table 3."""
    sentiment: Interval | None
    """Of Table 3: capacity of words with sentiment minus that of the others."""
    curves: tuple[CurveOutcome, ...]
    """Of Figure 3."""
    rankings: tuple[RankingOutcome, ...]
    """Of the rationale, as the next."""
    sentiments: tuple[SentimentOutcome, ...]
    failures: tuple[str, ...]
    """Runs that could not be had, a sentence each."""


def reproduce_item(
    item: str,
    entries: Sequence[PaperRow],
    lines: Sequence[RunLine],
    *,
    paper_dataset: str,
    seeds: int,
    failures: Sequence[str] = (),
) -> Reproduction:
    """Compare the runs of an item with the paper.

    Args:
        item: which.
        entries: its rows.
        lines: finished runs of these rows, of one data set and preset.
        paper_dataset: the paper's name of the data set.
        seeds: asked for.
        failures: a sentence for each run that could not be had.

    Raises:
        ValueError: there is no line.
    """
    if not lines:
        raise ValueError("no run to compare")
    first, tables = lines[0], paper()
    return Reproduction(
        item=item,
        dataset=first.dataset,
        paper_dataset=paper_dataset,
        preset=first.preset,
        seeds=seeds,
        runs=len(lines),
        texts=first.test.examples,
        paper_texts=tables.examples[paper_dataset]["test"],
        limits=first.limits,
        max_epochs=first.max_epochs,
        draws=first.evaluation.draws,
        capacity_layer=first.evaluation.capacity_layer,
        devices=dict(Counter(line.device for line in lines)),
        comparison=compare_rows(entries, lines, paper_dataset) if item in TABLES else None,
        capacities=(
            compare_capacities(lines, tables.capacities[paper_dataset]) if item == "table3" else ()
        ),
        sentiment=sentiment_difference(lines) if item == "table3" else None,
        curves=accuracy_curves(entries, lines, paper_dataset) if item == "figure3" else (),
        rankings=compare_rankings(entries, lines) if item == "rationale" else (),
        sentiments=compare_sentiment(entries, lines) if item == "rationale" else (),
        failures=tuple(failures),
    )


def reproduction_table(result: Reproduction) -> pd.DataFrame:
    """The item in tidy form, one row per (row of the paper, metric).

    Columns: ``item``, ``dataset``, ``preset``, ``row``, ``vmask``, ``lambda_imp``,
    ``lambda_inter``, ``metric``, ``runs``, ``ours``, ``low``, ``high``, ``method``, ``paper``,
    ``inside`` (the paper's number lies in [low, high]); then of the tables the difference to
    lambda (0, 0), its verdict and the row's rank and front, of Table 3 ``layer``, ``pad``,
    ``distance`` and ``nearest``, of Figure 3 ``k`` and ``deletion``, of the rationale ``ranking``.
    Missing values are empty.
    """
    head = {"item": result.item, "dataset": result.dataset, "preset": result.preset}
    return pd.DataFrame([{**head, **record} for record in _records(result)])


def reproduction_json(result: Reproduction) -> dict[str, Any]:
    """The item as JSON values: all fields of `Reproduction`, and what follows from them."""
    plain: dict[str, Any] = to_plain(result)
    if result.comparison is not None:
        for row, outcome in zip(plain["comparison"]["rows"], result.comparison.rows, strict=True):
            row["name"] = outcome.entry.name
            row["same_sign"], row["same_gain"] = outcome.same_sign, outcome.same_gain
            for metric, found in zip(row["metrics"], outcome.metrics, strict=True):
                metric["inside"], metric["verdict"] = found.inside, found.verdict
    for reading, capacity in zip(plain["capacities"], result.capacities, strict=True):
        reading["distance"] = capacity.distance
        for number, value in zip(reading["numbers"], capacity.numbers, strict=True):
            number["inside"] = value.inside
    return plain


def _records(result: Reproduction) -> Iterator[dict[str, Any]]:
    if result.comparison is not None:
        for outcome in result.comparison.rows:
            yield from _row_records(outcome, result.comparison)
    for reading in result.capacities:
        for number in reading.numbers:
            yield {
                **_row_columns(reading.row),
                "metric": f"capacity_{number.group}",
                "runs": result.runs,
                **_ours(number.interval, number.ours),
                "paper": number.paper,
                "inside": number.inside,
                "layer": reading.layer,
                "pad": reading.pad,
                "distance": reading.distance,
                "nearest": reading.nearest,
            }
    yield from _rationale_records(result)
    for curve in result.curves:
        for point in curve.points:
            yield {
                **_row_columns(curve.entry.row),
                "metric": "accuracy",
                "runs": curve.seeds,
                **_ours(point.ours, point.ours.mean),
                "paper": point.paper,
                "inside": None
                if point.paper is None
                else point.ours.low <= point.paper <= point.ours.high,
                "k": point.k,
                "deletion": curve.deletion,
                "saturated_runs": point.saturated,
            }


def _rationale_records(result: Reproduction) -> Iterator[dict[str, Any]]:
    for found in result.rankings:
        for metric in ("average_precision", "auroc", "precision_at_gold", "srs"):
            interval = getattr(found, metric)
            if interval is not None:
                yield {
                    **_row_columns(found.row),
                    "metric": metric,
                    "runs": found.seeds,
                    **_ours(interval, interval.mean),
                    "ranking": found.ranking,
                    "saturated_runs": found.saturated if metric == "srs" else None,
                }
    for one in result.sentiments:
        yield {
            **_row_columns(one.row),
            "metric": "capacity_with_sentiment_minus_without",
            "runs": one.seeds,
            **_ours(one.difference, one.difference.mean),
        }


def _row_records(outcome: RowOutcome, comparison: Comparison) -> Iterator[dict[str, Any]]:
    for found in outcome.metrics:
        gain = found.difference
        yield {
            **_row_columns(outcome.entry.row),
            "metric": found.metric,
            "runs": len(outcome.seeds),
            **_ours(found.ours, found.ours.mean),
            "paper": found.paper,
            "inside": found.inside,
            "difference": None if gain is None else gain.mean,
            "difference_low": None if gain is None else gain.low,
            "difference_high": None if gain is None else gain.high,
            "paper_difference": found.paper_difference,
            "noise_floor": comparison.noise[found.metric],
            "verdict": found.verdict,
            "saturated_runs": outcome.saturated,
            "rank": outcome.rank,
            "paper_rank": outcome.paper_rank,
            "on_front": outcome.on_front,
            "front_probability": outcome.front_probability,
            "on_paper_front": outcome.on_paper_front,
        }


def _row_columns(row: Row) -> dict[str, Any]:
    return {"row": row.name, **to_plain(row)}


def _ours(interval: Interval | None, mean: float) -> dict[str, Any]:
    return {
        "ours": mean,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "method": None if interval is None else interval.method,
    }
