"""One reproduced item as files: Markdown, LaTeX, CSV and pictures."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from safr_study.features.paper.compare import Reproduction, RowOutcome
from safr_study.features.paper.curves import GROUPS
from safr_study.features.paper.numbers import reproduction_table
from safr_study.features.paper.view import paper_page, paper_title
from safr_study.features.study_base.results import write_files
from safr_study.figures.canvas import Page
from safr_study.figures.curves import Curve, curves_figure
from safr_study.figures.reproduction import Means, TradeoffPoint, means_figure, tradeoff_figure


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
    of_all = "" if result.measured == result.texts else f"{result.measured:,} texts of the "
    caption = (
        f"{of_all}test set of {result.texts:,} texts, {result.runs} runs; bars and bands: "
        "95 % intervals (of a row with one run: of that run alone)"
    )
    page = Page(path, paper_title(result), caption)
    if result.curves:
        curves_figure(_curves(result), page)
    elif result.capacities:
        groups = [group.replace("_", " ") for group in GROUPS]
        papers = [number.paper for number in result.capacities[0].numbers]
        means_figure(groups, _capacities(result), papers, page)
    elif result.rankings:
        shown = _shown_rankings(result)
        groups = [name.replace("_", "\n") for name in shown]
        means_figure(groups, _precisions(result, shown), None, page, axis="average precision")
    elif result.comparison is not None:
        rows = result.comparison.rows
        tradeoff_figure([*map(_our_point, rows)], [*map(_paper_point, rows)], page)


def _our_point(row: RowOutcome) -> TradeoffPoint:
    accuracy, srs = row.accuracy.ours, row.srs.ours
    return TradeoffPoint(
        name=row.entry.name,
        at=(accuracy.mean, srs.mean),
        on_front=row.on_front,
        intervals=(accuracy.ends, srs.ends),
        saturated=row.saturated > 0,
    )


def _paper_point(row: RowOutcome) -> TradeoffPoint:
    return TradeoffPoint(row.entry.name, (row.accuracy.paper, row.srs.paper), row.on_paper_front)


def _curves(result: Reproduction) -> list[Curve]:
    return [
        Curve(
            name=curve.entry.name,
            shares=tuple(point.k for point in curve.points),
            values=tuple(point.ours.mean for point in curve.points),
            deletion=curve.deletion,
            intervals=tuple(point.ours.ends for point in curve.points),
            paper=tuple(point.paper for point in curve.points),
        )
        for curve in result.curves
    ]


def _capacities(result: Reproduction) -> Means:
    return {
        f"{one.layer}-ReLU, PAD {one.pad}{', nearest' if one.nearest else ''}": [
            (number.ours, None if number.interval is None else number.interval.ends)
            for number in one.numbers
        ]
        for one in result.capacities
    }


def _shown_rankings(result: Reproduction) -> list[str]:
    """Rankings that every row has: without VMASK there is no keep-probability."""
    rows = {outcome.row for outcome in result.rankings}
    counts = Counter(outcome.ranking for outcome in result.rankings)
    return [name for name, count in counts.items() if count == len(rows)]


def _precisions(result: Reproduction, rankings: list[str]) -> Means:
    found = {(one.row.name, one.ranking): one.average_precision for one in result.rankings}
    return {
        row: [(found[row, name].mean, found[row, name].ends) for name in rankings]
        for row in dict.fromkeys(outcome.row.name for outcome in result.rankings)
    }
