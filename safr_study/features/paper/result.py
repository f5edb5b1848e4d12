"""One item of the paper from our runs: everything that is compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from safr_study.features.paper.compare import PaperComparison, compare_rows
from safr_study.features.paper.curves import (
    CapacityOutcome,
    CurveOutcome,
    accuracy_curves,
    compare_capacities,
    sentiment_difference,
)
from safr_study.features.paper.lines import Limits, RunLine
from safr_study.features.paper.numbers import PaperRow, paper
from safr_study.features.paper.rationale import (
    RankingOutcome,
    SentimentOutcome,
    compare_rankings,
    compare_sentiment,
)
from safr_study.uncertainty.intervals import Interval

TABLES = ("table1", "table2", "table6")
"""Items that are rows of accuracies and SRS."""


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
