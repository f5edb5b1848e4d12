"""The sentences under a reproduced item: what agrees with the paper, and how to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from safr_study.features.paper.compare import Comparison
from safr_study.features.paper.numbers import METRICS, Metric
from safr_study.features.paper.result import Reproduction
from safr_study.text import plural
from safr_study.uncertainty.intervals import Interval

METRIC_NAMES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "accuracy_random_deletion": "accuracy without random 30 %",
    "accuracy_capacity_deletion": "accuracy without top 30 %",
    "srs": "SRS(30)",
}
_METHODS = {
    "student-t": "the 95 % Student-t interval over the seeds, on this test set",
    "crossed bootstrap": "the 95 % crossed bootstrap interval over seeds and texts",
    "normal": "1.96 standard errors of a single run; it and its verdict speak of the texts alone, "
    "not of other seeds",
}


def notes(result: Reproduction) -> tuple[str, ...]:
    """What has to be known to read the tables, and what agrees with the paper."""
    return tuple(_notes(result))


def any_saturated(result: Reproduction) -> bool:
    """Whether any run of the item predicts one class without the top tokens."""
    rows = () if result.comparison is None else result.comparison.rows
    points = (point for curve in result.curves for point in curve.points)
    rankings = any(found.saturated for found in result.rankings)
    return rankings or any(row.saturated for row in rows) or any(p.saturated for p in points)


def _notes(result: Reproduction) -> Iterator[str]:
    if result.comparison is not None:
        yield from _agreement_notes(result.comparison)
    if result.sentiment is not None:
        found = result.sentiment
        yield (
            "Capacity of words with sentiment minus that of the other words of their text: "
            f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]."
        )
    if any_saturated(result):
        yield (
            "Saturated: without the top tokens over 95 % of the predictions are one class, so SRS "
            "shows a collapsed prediction, not a good ranking."
        )
    yield from _reading_notes(result)
    yield from result.failures
    if result.comparison is not None and result.comparison.absent:
        yield f"No run of: {', '.join(result.comparison.absent)}."


def _agreement_notes(comparison: Comparison) -> Iterator[str]:
    rows, order = comparison.rows, comparison.order
    inside = ", ".join(
        f"{METRIC_NAMES[metric]} {sum(row.metrics[place].inside for row in rows)}"
        for place, metric in enumerate(METRICS)
    )
    yield f"The paper's number is inside our interval, of {plural(len(rows), 'row')}: {inside}."
    gains = [row.same_gain for row in rows if row.same_gain is not None]
    yield (
        f"SRS has the paper's sign in {sum(row.same_sign for row in rows)} of "
        f"{plural(len(rows), 'row')}"
        + (f", its difference to lambda (0, 0) in {sum(gains)} of {len(gains)}." if gains else ".")
    )
    words = Counter(row.srs.verdict for row in rows if row.srs.verdict is not None)
    if words:
        verdicts = ", ".join(f"{word} {count}" for word, count in sorted(words.items()))
        yield (
            f"SRS against lambda (0, 0): {verdicts}. Holds: the paper's sign, and our paired "
            "interval excludes 0; inside the noise: it includes 0; does not hold: the opposite "
            "sign, 0 excluded."
        )
    if order.pairs:
        tau = "" if order.tau is None else f"; Kendall tau-b {order.tau:.2f}"
        p = "" if order.p is None else f", p {order.p:.2g}"
        yield (
            f"Order by SRS: {order.agreeing} of {order.pairs} pairs of rows as in the paper"
            f"{tau}{p}."
        )
    floors = [
        f"{METRIC_NAMES[metric]} {value:.2f}"
        for metric, value in comparison.noise.items()
        if value is not None
    ]
    yield (
        "The p value takes rows for independent, which they are not: they share texts and seeds. "
        "With few seeds P(front) is too near to 0 and 1."
    )
    if floors:
        yield f"Noise floor, sd over the seeds of lambda (0, 0): {', '.join(floors)}."


def _reading_notes(result: Reproduction) -> Iterator[str]:
    methods = dict.fromkeys(interval.method for interval in _intervals(result))
    fewer = [
        f"{row.entry.name} {len(row.seeds)}"
        for row in (() if result.comparison is None else result.comparison.rows)
        if len(row.seeds) < result.seeds
    ]
    if fewer:
        yield f"Fewer runs than {result.seeds}: {', '.join(fewer)}."
    for method in methods:
        some = "" if len(methods) == 1 else f" ({'one run' if method == 'normal' else 'seeds'})"
        yield f"Our interval{some}: {_METHODS[method]}."
    if result.capacities and not methods:
        yield "One run: no interval over seeds."
    if result.rankings:
        yield (
            "The rationale of a text: its words with a sentiment of their own in the treebank; "
            f"{plural(result.runs, 'run')}, capacity at {result.capacity_layer}."
        )
    else:
        yield (
            "The paper: single runs with one random draw. Ours: "
            f"{plural(result.runs, 'run')}, {result.draws} random draws, "
            f"capacity at {result.capacity_layer}."
        )
    if result.preset == "reference":
        yield "Preset reference: the semantics of the code that the paper's authors released."
    else:
        yield (
            "Preset masked: PAD takes no part and the best dev epoch is kept. The paper's numbers "
            "come from its authors' code (preset reference), so part of a difference may be that."
        )
    yield (
        "The test set is read for rows that were fixed beforehand, as in the paper; nothing is "
        "chosen by it."
    )
    if result.texts != result.paper_texts:
        yield f"Test set: {result.texts:,} texts, the paper's has {result.paper_texts:,}."
    limits = {"train": result.limits.train, "dev": result.limits.dev, "test": result.limits.test}
    limited = [f"{name} {limit:,}" for name, limit in limits.items() if limit is not None]
    if limited:
        yield f"Limited to fewer texts than the paper's: {', '.join(limited)}."
    if result.dataset == "sst2":
        yield "Data: the full SST-2; the paper's went through a filter (use sst2-treebank)."
    yield f"Early stopping on dev, at most {result.max_epochs} epochs."
    if len(result.devices) > 1:
        devices = ", ".join(f"{name} {count}" for name, count in sorted(result.devices.items()))
        yield f"Runs by device: {devices}."


def _intervals(result: Reproduction) -> Iterator[Interval]:
    if result.comparison is not None:
        for row in result.comparison.rows:
            yield from (found.ours for found in row.metrics)
    for reading in result.capacities:
        yield from (n.interval for n in reading.numbers if n.interval is not None)
    for curve in result.curves:
        yield from (point.ours for point in curve.points)
    yield from (found.average_precision for found in result.rankings)
