"""One item of the paper for people: its tables, and the sentences that say how to read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from safr_study.features.paper.compare import PaperComparison, Reproduction, RowOutcome
from safr_study.features.paper.curves import CapacityNumber, CurvePoint
from safr_study.features.paper.lines import VMASK_ROW
from safr_study.features.paper.rows import METRICS, Metric
from safr_study.records import to_plain
from safr_study.render.text_table import TextPage, TextTable
from safr_study.text import plural
from safr_study.uncertainty.intervals import Interval

TITLES = {
    "table1": "Table 1: baseline, VMASK and SAFR",
    "table2": "Table 2: the weights of the regularisers",
    "table3": "Table 3: capacity of important and less important tokens",
    "table6": "Table 6: the weights of the regularisers, all rows",
    "figure3": "Figure 3: accuracy against the share of deleted tokens",
    "rationale": "Rankings against the gold rationale (not in the paper)",
}
_SHORT = dict(zip(METRICS, ("accuracy", "random 30", "top 30", "SRS(30)"), strict=True))
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


def paper_title(result: Reproduction) -> str:
    """One line that names the item, the data and the preset."""
    return f"{TITLES[result.item]} ({result.dataset}, preset {result.preset})"


def paper_page(result: Reproduction, *, wide: bool) -> TextPage:
    """The item's tables, what agrees with the paper, and how to read it.

    Args:
        result: the item.
        wide: intervals by their ends, for files; else by half their width, for a terminal.
    """
    made = []
    if result.comparison is not None:
        made += [_levels(result, result.comparison, wide), _differences(result.comparison, wide)]
        if result.item == "table6":
            made.append(_front(result, result.comparison, wide))
    if result.capacities:
        made.append(_capacities(result, wide))
    if result.curves:
        made.append(_curves(result, wide))
    if result.rankings:
        made += [_rankings(result, wide), _sentiments(result, wide)]
    return TextPage(paper_title(result), tuple(made), tuple(_notes(result)))


def _levels(result: Reproduction, comparison: PaperComparison, wide: bool) -> TextTable:
    names = METRIC_NAMES if wide else _SHORT
    rows: list[tuple[str, ...]] = []
    for outcome in comparison.rows:
        ours = tuple(_cell(metric.ours, wide) for metric in outcome.metrics)
        papers = tuple(f"{metric.paper:.2f} {_in(metric.inside)}" for metric in outcome.metrics)
        name = _marked(outcome)
        if wide:
            runs = len(outcome.seeds)
            rows.append((name, f"ours, {plural(runs, 'run')}", *ours))
            rows.append((_saturated(outcome), "paper", *papers))
        else:
            rows += [(name, *ours), ("  paper", *papers)]
    return TextTable(
        f"On test, {plural(result.seeds, 'run')} a row; in, out: of our interval"
        + _mark_key(result),
        ("row", *(("from",) if wide else ()), *(f">{names[metric]}" for metric in METRICS)),
        rows,
    )


def _differences(comparison: PaperComparison, wide: bool) -> TextTable:
    noise = comparison.noise["srs"]
    floor = "" if noise is None else f"; noise floor {noise:.2f}"
    rows = []
    for outcome in comparison.rows:
        srs, base = outcome.srs, outcome.entry.row == VMASK_ROW
        paper = srs.paper_difference
        rows.append(
            (
                _marked(outcome),
                "" if srs.difference is None else _cell(srs.difference, wide, sign="+"),
                "" if paper is None else f"{paper:+.2f}",
                "is compared with" if base else srs.verdict or "",
                "same" if outcome.same_sign else "other",
                f"{outcome.rank} ({outcome.paper_rank})",
            )
        )
    return TextTable(
        f"SRS(30) minus that of lambda (0, 0), paired{floor}; sign and rank of SRS",
        ("row", ">ours", ">paper", "verdict", "sign", ">rank"),
        rows,
    )


def _front(result: Reproduction, comparison: PaperComparison, wide: bool) -> TextTable:
    rows = [
        (
            _marked(outcome),
            _cell(outcome.metrics[METRICS.index("accuracy")].ours, wide),
            _cell(outcome.srs.ours, wide),
            _yes(outcome.on_front),
            f"{outcome.front_probability:.2f}",
            _yes(outcome.on_paper_front),
        )
        for outcome in comparison.rows
    ]
    return TextTable(
        f"Front in (accuracy, SRS); P: share of resamples on it{_mark_key(result)}",
        ("row", ">accuracy", ">SRS(30)", "front", ">P(front)", "paper's"),
        rows,
    )


def _capacities(result: Reproduction, wide: bool) -> TextTable:
    published = [number.paper for number in result.capacities[0].numbers]
    rows = [("paper", *(f"{value:.4f}" for value in published), "")]
    rows += [
        (
            f"{reading.layer}-ReLU, PAD {reading.pad}"
            if wide
            else f"{reading.layer}, {reading.pad}",
            *(_capacity_cell(number, wide) for number in reading.numbers),
            f"{reading.distance:.4f}{'+' if reading.nearest else ' '}",
        )
        for reading in result.capacities
    ]
    return TextTable(
        "Mean capacity at FFN1 by ReLU, PAD; *: paper inside our interval; +: nearest",
        ("reading", ">all", ">important", ">less important", ">distance"),
        rows,
    )


def _capacity_cell(number: CapacityNumber, wide: bool) -> str:
    if number.interval is None:
        return f"{number.ours:.4f}"
    return _cell(number.interval, wide, decimals=4) + ("*" if number.inside else " ")


def _curves(result: Reproduction, wide: bool) -> TextTable:
    rows = []
    # Each row of the paper has two: without the top tokens, and without random ones.
    for top, random in zip(result.curves[::2], result.curves[1::2], strict=True):
        others = {point.k: point for point in random.points}
        for point in top.points:
            k = f"{100 * point.k:g}{' !' if point.saturated else ''}"
            other = _point_cells(others.get(point.k), wide)
            rows.append((top.entry.name, k, *_point_cells(point, wide), *other))
    return TextTable(
        "Test accuracy without k % of the tokens; in, out: of our interval" + _mark_key(result),
        ("row", "k %", ">top", ">paper", ">random", ">paper"),
        rows,
    )


def _point_cells(point: CurvePoint | None, wide: bool) -> tuple[str, str]:
    if point is None:
        return "", ""
    paper = "" if point.paper is None else f"{point.paper:.2f} {_in(bool(point.inside))}"
    return _cell(point.ours, wide), paper


def _rankings(result: Reproduction, wide: bool) -> TextTable:
    rows = [
        (
            outcome.row.name,
            outcome.ranking.replace("_", " "),
            *(
                _cell(interval, wide, decimals=3)
                for interval in (
                    outcome.average_precision,
                    outcome.auroc,
                    outcome.precision_at_gold,
                )
            ),
            ""
            if outcome.srs is None
            else _cell(outcome.srs, wide) + (" !" if outcome.saturated else ""),
        )
        for outcome in result.rankings
    ]
    return TextTable(
        f"Agreement with the rationale, {result.rankings[0].texts:,} texts, 0 to 1, and SRS by "
        f"the ranking{_mark_key(result)}",
        ("row", "ranking", ">av. precision", ">AUROC", ">P@|gold|", ">SRS(30)"),
        rows,
    )


def _sentiments(result: Reproduction, wide: bool) -> TextTable:
    rows = [
        (
            outcome.row.name,
            f"{outcome.with_sentiment:.3f}",
            f"{outcome.without_sentiment:.3f}",
            _cell(outcome.difference, wide, decimals=3, sign="+"),
        )
        for outcome in result.sentiments
    ]
    return TextTable(
        "Mean capacity of the words of the rationale, and of the others of their text",
        ("row", ">in", ">others", ">difference"),
        rows,
    )


def _marked(outcome: RowOutcome) -> str:
    return outcome.entry.name + (" !" if outcome.saturated else "")


def _mark_key(result: Reproduction) -> str:
    return "; !: saturated" if _any_saturated(result) else ""


def _saturated(outcome: RowOutcome) -> str:
    return f"saturated: {outcome.saturated}/{len(outcome.seeds)}" if outcome.saturated else ""


def _cell(interval: Interval, wide: bool, *, decimals: int = 2, sign: str = "") -> str:
    shown = f"{sign}.{decimals}f"
    if wide:
        return f"{interval.mean:{shown}} [{interval.low:{shown}}, {interval.high:{shown}}]"
    return f"{interval.mean:{shown}} ± {interval.half:.{decimals - 1}f}"


def _in(inside: bool) -> str:
    return "in " if inside else "out"


def _yes(true: bool) -> str:
    return "yes" if true else "no"


def _any_saturated(result: Reproduction) -> bool:
    """Whether any run of the item predicts one class without the top tokens."""
    rows = () if result.comparison is None else result.comparison.rows
    points = (point for curve in result.curves for point in curve.points)
    rankings = any(ranking.saturated for ranking in result.rankings)
    return rankings or any(row.saturated for row in rows) or any(p.saturated for p in points)


def _notes(result: Reproduction) -> Iterator[str]:
    if result.comparison is not None:
        yield from _agreement_notes(result.comparison)
    if result.sentiment is not None:
        sentiment = result.sentiment
        yield (
            "Capacity of words with sentiment minus that of the other words of their text: "
            f"{sentiment.mean:+.4f} [{sentiment.low:+.4f}, {sentiment.high:+.4f}]."
        )
    if _any_saturated(result):
        yield (
            "Saturated: without the top tokens over 95 % of the predictions are one class, so SRS "
            "shows a collapsed prediction, not a good ranking."
        )
    yield from _reading_notes(result)
    yield from result.failures
    if result.comparison is not None and result.comparison.absent:
        yield f"No run of: {', '.join(result.comparison.absent)}."


def _agreement_notes(comparison: PaperComparison) -> Iterator[str]:
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
    limits = to_plain(result.limits).items()
    limited = [f"{name} {limit:,}" for name, limit in limits if limit is not None]
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
            yield from (metric.ours for metric in row.metrics)
    for reading in result.capacities:
        yield from (n.interval for n in reading.numbers if n.interval is not None)
    for curve in result.curves:
        yield from (point.ours for point in curve.points)
    yield from (ranking.average_precision for ranking in result.rankings)
