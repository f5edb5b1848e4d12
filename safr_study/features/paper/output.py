"""One reproduced item as files (Markdown, LaTeX, CSV, pictures) and as a JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from safr_study.features.paper.compare import PaperComparison, Reproduction, RowOutcome
from safr_study.features.paper.curves import GROUPS, CapacityOutcome, CurveOutcome
from safr_study.features.paper.lines import Row
from safr_study.features.paper.rows import METRICS
from safr_study.features.paper.view import paper_page, paper_title
from safr_study.features.study_base.files import write_files
from safr_study.figures.curves import Curve, curves_figure
from safr_study.figures.reproduction import Reading, TradeoffPoint, means_figure, tradeoff_figure
from safr_study.records import to_plain
from safr_study.uncertainty.intervals import Interval


def write_item(result: Reproduction, folder: Path) -> list[Path]:
    """Write ITEM-DATASET-PRESET as .md, .tex, .csv, .png and .svg.

    Raises:
        BadInput: the folder cannot be written.
    """
    stem, page = f"{result.item}-{result.dataset}-{result.preset}", paper_page(result, wide=True)
    draw = partial(draw_item, result)
    return write_files(
        folder,
        {
            f"{stem}.md": page.markdown(),
            f"{stem}.tex": page.latex(),
            f"{stem}.csv": reproduction_table(result),
            f"{stem}.png": draw,
            f"{stem}.svg": draw,
        },
    )


def draw_item(result: Reproduction, path: Path) -> None:
    """The picture of an item: curves of Figure 3, capacities of Table 3, else accuracy and SRS.

    Raises:
        BadInput: the file's name does not end in .png or .svg.
    """
    heading, caption = paper_title(result), _caption(result)
    if result.curves:
        curves = [_curve(curve) for curve in result.curves]
        curves_figure(curves, path, title=heading, caption=caption)
    elif result.capacities:
        means_figure(
            [group.replace("_", " ") for group in GROUPS],
            [_reading(outcome) for outcome in result.capacities],
            [number.paper for number in result.capacities[0].numbers],
            path,
            title=heading,
            caption=caption,
        )
    elif result.rankings:
        means_figure(
            [name.replace("_", "\n") for name in _ranking_names(result)],
            _ranking_readings(result),
            None,
            path,
            title=heading,
            caption=caption,
            axis="average precision",
        )
    elif result.comparison is not None:
        ours, papers = _points(result.comparison)
        tradeoff_figure(ours, papers, path, title=heading, caption=caption)


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
            for metric, compared in zip(row["metrics"], outcome.metrics, strict=True):
                metric["inside"], metric["verdict"] = compared.inside, compared.verdict
    for reading, capacity in zip(plain["capacities"], result.capacities, strict=True):
        reading["distance"] = capacity.distance
        for number, value in zip(reading["numbers"], capacity.numbers, strict=True):
            number["inside"] = value.inside
    return plain


def _caption(result: Reproduction) -> str:
    return (
        f"test set of {result.texts:,} texts, {result.runs} runs; bars and bands: 95 % intervals "
        "(of a row with one run: of that run alone)"
    )


def _points(comparison: PaperComparison) -> tuple[list[TradeoffPoint], list[TradeoffPoint]]:
    ours, papers = [], []
    for row in comparison.rows:
        name, accuracy, srs = row.entry.name, row.metrics[METRICS.index("accuracy")], row.srs
        ours.append(
            TradeoffPoint(
                name=name,
                at=(accuracy.ours.mean, srs.ours.mean),
                on_front=row.on_front,
                intervals=(accuracy.ours.ends, srs.ours.ends),
                saturated=row.saturated > 0,
            )
        )
        papers.append(TradeoffPoint(name, (accuracy.paper, srs.paper), row.on_paper_front))
    return ours, papers


def _curve(curve: CurveOutcome) -> Curve:
    return Curve(
        name=curve.entry.name,
        shares=tuple(point.k for point in curve.points),
        values=tuple(point.ours.mean for point in curve.points),
        deletion=curve.deletion,
        intervals=tuple(point.ours.ends for point in curve.points),
        paper=tuple(point.paper for point in curve.points),
    )


def _reading(outcome: CapacityOutcome) -> Reading:
    nearest = ", nearest" if outcome.nearest else ""
    return Reading(
        name=f"{outcome.layer}-ReLU, PAD {outcome.pad}{nearest}",
        values=tuple(number.ours for number in outcome.numbers),
        intervals=tuple(
            None if number.interval is None else number.interval.ends for number in outcome.numbers
        ),
    )


def _ranking_names(result: Reproduction) -> list[str]:
    """Rankings that every row has: without VMASK there is no keep-probability."""
    rows = {outcome.row for outcome in result.rankings}
    counts = Counter(outcome.ranking for outcome in result.rankings)
    return [name for name, count in counts.items() if count == len(rows)]


def _ranking_readings(result: Reproduction) -> list[Reading]:
    shown = _ranking_names(result)
    found = {(one.row.name, one.ranking): one.average_precision for one in result.rankings}
    return [
        Reading(
            name=row,
            values=tuple(found[row, name].mean for name in shown),
            intervals=tuple(found[row, name].ends for name in shown),
        )
        for row in dict.fromkeys(outcome.row.name for outcome in result.rankings)
    ]


def _records(result: Reproduction) -> Iterator[dict[str, Any]]:
    if result.comparison is not None:
        for outcome in result.comparison.rows:
            yield from _row_records(outcome, result.comparison)
    for reading in result.capacities:
        for number in reading.numbers:
            metric = f"capacity_{number.group}"
            yield {
                **_columns(reading.row, metric, result.runs, number.interval, number.ours),
                "paper": number.paper,
                "inside": number.inside,
                "layer": reading.layer,
                "pad": reading.pad,
                "distance": reading.distance,
                "nearest": reading.nearest,
            }
    for ranking in result.rankings:
        for metric in ("average_precision", "auroc", "precision_at_gold", "srs"):
            interval = getattr(ranking, metric)
            if interval is not None:
                yield {
                    **_columns(ranking.row, metric, ranking.seeds, interval),
                    "ranking": ranking.ranking,
                    "saturated_runs": ranking.saturated if metric == "srs" else None,
                }
    for one in result.sentiments:
        yield _columns(one.row, "capacity_with_sentiment_minus_without", one.seeds, one.difference)
    for curve in result.curves:
        for point in curve.points:
            yield {
                **_columns(curve.entry.row, "accuracy", curve.seeds, point.ours),
                "paper": point.paper,
                "inside": point.inside,
                "k": point.k,
                "deletion": curve.deletion,
                "saturated_runs": point.saturated,
            }


def _row_records(outcome: RowOutcome, comparison: PaperComparison) -> Iterator[dict[str, Any]]:
    for number in outcome.metrics:
        gain = number.difference
        yield {
            **_columns(outcome.entry.row, number.metric, len(outcome.seeds), number.ours),
            "paper": number.paper,
            "inside": number.inside,
            "difference": None if gain is None else gain.mean,
            "difference_low": None if gain is None else gain.low,
            "difference_high": None if gain is None else gain.high,
            "paper_difference": number.paper_difference,
            "noise_floor": comparison.noise[number.metric],
            "verdict": number.verdict,
            "saturated_runs": outcome.saturated,
            **{name: getattr(outcome, name) for name in _OF_ROW},
        }


_OF_ROW = ("rank", "paper_rank", "on_front", "front_probability", "on_paper_front")


def _columns(
    row: Row, metric: str, runs: int, interval: Interval | None, mean: float | None = None
) -> dict[str, Any]:
    """Columns of every number; the mean is the interval's where there is one."""
    return {
        "row": row.name,
        **to_plain(row),
        "metric": metric,
        "runs": runs,
        "ours": mean if interval is None else interval.mean,
        **{name: getattr(interval, name, None) for name in ("low", "high", "method")},
    }
