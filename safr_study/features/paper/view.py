"""One item of the paper for people: its tables, and the sentences that say how to read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from safr_study.features.paper.compare import (
    MetricOutcome,
    PaperComparison,
    Reproduction,
    RowOutcome,
)
from safr_study.features.paper.curves import CapacityNumber, CurvePoint, RankingOutcome
from safr_study.features.paper.lines import VMASK_ROW
from safr_study.features.paper.numbers import tidy_records
from safr_study.features.paper.rows import METRICS, PART_DRAWS, Metric
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
        ours = [_cell(metric.ours, wide) for metric in outcome.metrics]
        papers = [_paper_cell(metric) for metric in outcome.metrics]
        name, runs = _marked(outcome), len(outcome.seeds)
        if wide:
            saturated = f"saturated: {outcome.saturated}/{runs}" if outcome.saturated else ""
            rows.append((name, f"ours, {plural(runs, 'run')}", *ours))
            rows.append((saturated, "paper", *papers))
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

    def paper(row: RowOutcome) -> str:
        difference = row.srs.paper_difference
        return "" if difference is None else f"{difference:+.2f}"

    def verdict(row: RowOutcome) -> str:
        return "is compared with" if row.entry.row == VMASK_ROW else row.srs.verdict or ""

    return TextTable.of(
        f"SRS(30) minus that of lambda (0, 0), paired{floor}; sign and rank of SRS",
        comparison.rows,
        {
            "row": _marked,
            ">ours": lambda row: _cell(row.srs.difference, wide, sign="+"),
            ">paper": paper,
            "verdict": verdict,
            "sign": lambda row: "same" if row.same_sign else "other",
            ">rank": lambda row: f"{row.rank} ({row.paper_rank})",
        },
    )


def _front(result: Reproduction, comparison: PaperComparison, wide: bool) -> TextTable:
    return TextTable.of(
        f"Front in (accuracy, SRS); P: share of resamples on it{_mark_key(result)}",
        comparison.rows,
        {
            "row": _marked,
            ">accuracy": lambda row: _cell(row.accuracy.ours, wide),
            ">SRS(30)": lambda row: _cell(row.srs.ours, wide),
            "front": lambda row: "yes" if row.on_front else "no",
            ">P(front)": lambda row: f"{row.front_probability:.2f}",
            "paper's": lambda row: "yes" if row.on_paper_front else "no",
        },
    )


def _capacities(result: Reproduction, wide: bool) -> TextTable:
    published = (f"{number.paper:.4f}" for number in result.capacities[0].numbers)
    rows = [("paper", *published, "")]
    for reading in result.capacities:
        name = "{}-ReLU, PAD {}" if wide else "{}, {}"
        ours = (_capacity_cell(number, wide) for number in reading.numbers)
        distance = f"{reading.distance:.4f}{'+' if reading.nearest else ' '}"
        rows.append((name.format(reading.layer, reading.pad), *ours, distance))
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
            pair = (_point_cells(one, wide) for one in (point, others.get(point.k)))
            rows.append((top.entry.name, k, *chain(*pair)))
    return TextTable(
        "Test accuracy without k % of the tokens; in, out: of our interval" + _mark_key(result),
        ("row", "k %", ">top", ">paper", ">random", ">paper"),
        rows,
    )


def _point_cells(point: CurvePoint | None, wide: bool) -> tuple[str, str]:
    return ("", "") if point is None else (_cell(point.ours, wide), _paper_cell(point))


def _rankings(result: Reproduction, wide: bool) -> TextTable:
    def srs(one: RankingOutcome) -> str:
        return _cell(one.srs, wide) + (" !" if one.saturated else "")

    return TextTable.of(
        f"Agreement with the rationale, {result.rankings[0].texts:,} texts, 0 to 1, and SRS by "
        f"the ranking{_mark_key(result)}",
        result.rankings,
        {
            "row": lambda one: one.row.name,
            "ranking": lambda one: one.ranking.replace("_", " "),
            ">av. precision": lambda one: _cell(one.average_precision, wide, decimals=3),
            ">AUROC": lambda one: _cell(one.auroc, wide, decimals=3),
            ">P@|gold|": lambda one: _cell(one.precision_at_gold, wide, decimals=3),
            ">SRS(30)": srs,
        },
    )


def _sentiments(result: Reproduction, wide: bool) -> TextTable:
    return TextTable.of(
        "Mean capacity of the words of the rationale, and of the others of their text",
        result.sentiments,
        {
            "row": lambda one: one.row.name,
            ">in": lambda one: f"{one.with_sentiment:.3f}",
            ">others": lambda one: f"{one.without_sentiment:.3f}",
            ">difference": lambda one: _cell(one.difference, wide, decimals=3, sign="+"),
        },
    )


def _marked(outcome: RowOutcome) -> str:
    return outcome.entry.name + (" !" if outcome.saturated else "")


def _mark_key(result: Reproduction) -> str:
    return "; !: saturated" if _any_saturated(result) else ""


def _cell(interval: Interval | None, wide: bool, *, decimals: int = 2, sign: str = "") -> str:
    if interval is None:
        return ""
    shown = f"{sign}.{decimals}f"
    if wide:
        return f"{interval.mean:{shown}} [{interval.low:{shown}}, {interval.high:{shown}}]"
    return f"{interval.mean:{shown}} ± {interval.half:.{decimals - 1}f}"


def _paper_cell(number: MetricOutcome | CurvePoint) -> str:
    if number.paper is None:
        return ""
    return f"{number.paper:.2f} {'in ' if number.inside else 'out'}"


def _any_saturated(result: Reproduction) -> bool:
    """Whether any run of the item predicts one class without the top tokens."""
    return any(record.get("saturated_runs") for record in tidy_records(result))


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
    methods = list(dict.fromkeys(filter(None, (one["method"] for one in tidy_records(result)))))
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
    if result.measured != result.texts:
        yield (
            f"Measured on a fixed part of the test set: {result.measured:,} of its texts, "
            f"{PART_DRAWS} random draws."
        )
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
