"""One reproduced item as files: Markdown, LaTeX, CSV and pictures."""

from __future__ import annotations

from pathlib import Path

from safr_study.errors import BadInput
from safr_study.features.paper.compare import Comparison
from safr_study.features.paper.curves import GROUPS, CapacityOutcome, CurveOutcome
from safr_study.features.paper.notes import notes
from safr_study.features.paper.numbers import METRICS
from safr_study.features.paper.result import Reproduction, reproduction_table
from safr_study.features.paper.view import sheets, title
from safr_study.figures.capacity_means import CapacityReading, capacity_means_figure
from safr_study.figures.curves import AccuracyCurve, curves_figure
from safr_study.figures.tradeoff import TradeoffPoint, tradeoff_figure
from safr_study.render.text_table import latex, markdown
from safr_study.uncertainty.intervals import Interval


def write_item(result: Reproduction, folder: Path) -> list[Path]:
    """Write ITEM-DATASET-PRESET as .md, .tex, .csv, .png and .svg.

    Raises:
        BadInput: the folder cannot be written.
    """
    stem = f"{result.item}-{result.dataset}-{result.preset}"
    page = (title(result), sheets(result, wide=True), notes(result))
    written = [folder / f"{stem}.{suffix}" for suffix in ("md", "tex", "csv", "png", "svg")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written[0].write_text(markdown(*page), encoding="utf-8")
        written[1].write_text(latex(*page), encoding="utf-8")
        reproduction_table(result).to_csv(
            written[2], index=False, encoding="utf-8", lineterminator="\n"
        )
        for path in written[3:]:
            draw_item(result, path)
    except OSError as error:
        raise BadInput("out", f"{folder} cannot be written ({error}); choose another") from error
    return written


def draw_item(result: Reproduction, path: Path) -> None:
    """The picture of an item: curves of Figure 3, capacities of Table 3, else accuracy and SRS.

    Raises:
        BadInput: the file's name does not end in .png or .svg.
    """
    heading, caption = title(result), _caption(result)
    if result.curves:
        curves = [_curve(curve) for curve in result.curves]
        curves_figure(curves, path, title=heading, caption=caption)
    elif result.capacities:
        capacity_means_figure(
            [group.replace("_", " ") for group in GROUPS],
            [_reading(outcome) for outcome in result.capacities],
            [number.paper for number in result.capacities[0].numbers],
            path,
            title=heading,
            caption=caption,
        )
    elif result.rankings:
        capacity_means_figure(
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


def _caption(result: Reproduction) -> str:
    return (
        f"test set of {result.texts:,} texts, {result.runs} runs; bars and bands: 95 % intervals "
        "(of a row with one run: of that run alone)"
    )


def _points(comparison: Comparison) -> tuple[list[TradeoffPoint], list[TradeoffPoint]]:
    ours, papers = [], []
    for row in comparison.rows:
        accuracy, srs = row.metrics[METRICS.index("accuracy")], row.srs
        ours.append(
            TradeoffPoint(
                name=row.entry.name,
                accuracy=accuracy.ours.mean,
                srs=srs.ours.mean,
                on_front=row.on_front,
                accuracy_interval=_ends(accuracy.ours),
                srs_interval=_ends(srs.ours),
                saturated=row.saturated > 0,
            )
        )
        papers.append(
            TradeoffPoint(
                name=row.entry.name,
                accuracy=accuracy.paper,
                srs=srs.paper,
                on_front=row.on_paper_front,
            )
        )
    return ours, papers


def _curve(curve: CurveOutcome) -> AccuracyCurve:
    return AccuracyCurve(
        name=curve.entry.name,
        deletion=curve.deletion,
        shares=tuple(point.k for point in curve.points),
        accuracy=tuple(point.ours.mean for point in curve.points),
        low=tuple(point.ours.low for point in curve.points),
        high=tuple(point.ours.high for point in curve.points),
        paper=tuple(point.paper for point in curve.points),
    )


def _reading(outcome: CapacityOutcome) -> CapacityReading:
    nearest = ", nearest" if outcome.nearest else ""
    return CapacityReading(
        name=f"{outcome.layer}-ReLU, PAD {outcome.pad}{nearest}",
        values=tuple(number.ours for number in outcome.numbers),
        intervals=tuple(
            None if number.interval is None else _ends(number.interval)
            for number in outcome.numbers
        ),
    )


def _ranking_names(result: Reproduction) -> list[str]:
    """Those that every row has: without VMASK there is no keep-probability."""
    names: dict[str, set[str]] = {}
    for found in result.rankings:
        names.setdefault(found.ranking, set()).add(found.row.name)
    rows = {found.row.name for found in result.rankings}
    return [name for name, having in names.items() if having == rows]


def _ranking_readings(result: Reproduction) -> list[CapacityReading]:
    shown = _ranking_names(result)
    by_row: dict[str, dict[str, Interval]] = {}
    for found in result.rankings:
        by_row.setdefault(found.row.name, {})[found.ranking] = found.average_precision
    return [
        CapacityReading(
            name=row,
            values=tuple(found[name].mean for name in shown),
            intervals=tuple(_ends(found[name]) for name in shown),
        )
        for row, found in by_row.items()
    ]


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high
