"""One reproduced item in tidy form, as a table and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from safr_study.features.paper.compare import Reproduction
from safr_study.features.paper.lines import Row
from safr_study.records import picked, to_plain
from safr_study.uncertainty.intervals import Interval

Record = dict[str, Any]


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
    return pd.DataFrame([{**head, **record} for record in tidy_records(result)])


def reproduction_json(result: Reproduction) -> dict[str, Any]:
    """The item as JSON values: all fields of `Reproduction`, and what follows from them.

    ``measured`` is there where that is a part of the texts.
    """
    plain: dict[str, Any] = to_plain(result)
    if result.measured == result.texts:
        del plain["measured"]
    if result.comparison is not None:
        for row, outcome in zip(plain["comparison"]["rows"], result.comparison.rows, strict=True):
            row |= {"name": outcome.entry.name, **picked(outcome, "same_sign", "same_gain")}
            for metric, compared in zip(row["metrics"], outcome.metrics, strict=True):
                metric |= picked(compared, "inside", "verdict")
    for reading, capacity in zip(plain["capacities"], result.capacities, strict=True):
        reading["distance"] = capacity.distance
        for number, value in zip(reading["numbers"], capacity.numbers, strict=True):
            number["inside"] = value.inside
    return plain


def tidy_records(result: Reproduction) -> Iterator[Record]:
    """The rows of `reproduction_table`, without the item's name."""
    if result.comparison is not None:
        for outcome in result.comparison.rows:
            for number in outcome.metrics:
                gain = number.difference
                yield {
                    **_of_row(outcome.entry.row, number.metric, len(outcome.seeds), number.ours),
                    **picked(number, "paper", "inside"),
                    "difference": None if gain is None else gain.mean,
                    "difference_low": None if gain is None else gain.low,
                    "difference_high": None if gain is None else gain.high,
                    "paper_difference": number.paper_difference,
                    "noise_floor": result.comparison.noise[number.metric],
                    "verdict": number.verdict,
                    "saturated_runs": outcome.saturated,
                    **picked(outcome, "rank", "paper_rank"),
                    **picked(outcome, "on_front", "front_probability", "on_paper_front"),
                }
    for reading in result.capacities:
        for mean in reading.numbers:
            metric = f"capacity_{mean.group}"
            yield {
                **_of_row(reading.row, metric, result.runs, mean.interval, mean.ours),
                **picked(mean, "paper", "inside"),
                **picked(reading, "layer", "pad", "distance", "nearest"),
            }
    for ranking in result.rankings:
        for metric in ("average_precision", "auroc", "precision_at_gold", "srs"):
            interval = getattr(ranking, metric)
            if interval is not None:
                yield {
                    **_of_row(ranking.row, metric, ranking.seeds, interval),
                    "ranking": ranking.ranking,
                    "saturated_runs": ranking.saturated if metric == "srs" else None,
                }
    for one in result.sentiments:
        yield _of_row(one.row, "capacity_with_sentiment_minus_without", one.seeds, one.difference)
    for curve in result.curves:
        for point in curve.points:
            yield {
                **_of_row(curve.entry.row, "accuracy", curve.seeds, point.ours),
                **picked(point, "paper", "inside", "k"),
                "deletion": curve.deletion,
                "saturated_runs": point.saturated,
            }


def _of_row(
    row: Row, metric: str, runs: int, interval: Interval | None, mean: float | None = None
) -> Record:
    """Columns of every number; the mean is the interval's where there is one."""
    return {
        "row": row.name,
        **to_plain(row),
        "metric": metric,
        "runs": runs,
        "ours": mean if interval is None else interval.mean,
        **{name: getattr(interval, name, None) for name in ("low", "high", "method")},
    }
