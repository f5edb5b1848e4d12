"""One item of the paper for people: its tables of text."""

from __future__ import annotations

from safr_study.features.paper.compare import Comparison, RowOutcome
from safr_study.features.paper.curves import CapacityNumber, CurvePoint
from safr_study.features.paper.notes import METRIC_NAMES, any_saturated
from safr_study.features.paper.numbers import METRICS, Metric
from safr_study.features.paper.result import Reproduction
from safr_study.records.runs import VMASK_ROW
from safr_study.render.text_table import Sheet
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
_SHORT: dict[Metric, str] = {
    "accuracy": "accuracy",
    "accuracy_random_deletion": "random 30",
    "accuracy_capacity_deletion": "top 30",
    "srs": "SRS(30)",
}


def title(result: Reproduction) -> str:
    """One line that names the item, the data and the preset."""
    return f"{TITLES[result.item]} ({result.dataset}, preset {result.preset})"


def sheets(result: Reproduction, *, wide: bool) -> tuple[Sheet, ...]:
    """The item's tables.

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
    return tuple(made)


def _levels(result: Reproduction, comparison: Comparison, wide: bool) -> Sheet:
    names = METRIC_NAMES if wide else _SHORT
    rows: list[tuple[str, ...]] = []
    for outcome in comparison.rows:
        ours = tuple(_cell(found.ours, wide) for found in outcome.metrics)
        papers = tuple(f"{found.paper:.2f} {_in(found.inside)}" for found in outcome.metrics)
        name = _marked(outcome)
        if wide:
            runs = len(outcome.seeds)
            rows.append((name, f"ours, {plural(runs, 'run')}", *ours))
            rows.append((_saturated(outcome), "paper", *papers))
        else:
            rows += [(name, *ours), ("  paper", *papers)]
    return Sheet(
        f"On test, {plural(result.seeds, 'run')} a row; in, out: of our interval"
        + _mark_key(result),
        ("row", *(("from",) if wide else ()), *(f">{names[metric]}" for metric in METRICS)),
        tuple(rows),
    )


def _differences(comparison: Comparison, wide: bool) -> Sheet:
    noise = comparison.noise["srs"]
    floor = "" if noise is None else f"; noise floor {noise:.2f}"
    rows = [
        (
            _marked(outcome),
            *_difference_cells(outcome, wide),
            "same" if outcome.same_sign else "other",
            f"{outcome.rank} ({outcome.paper_rank})",
        )
        for outcome in comparison.rows
    ]
    return Sheet(
        f"SRS(30) minus that of lambda (0, 0), paired{floor}; sign and rank of SRS",
        ("row", ">ours", ">paper", "verdict", "sign", ">rank"),
        tuple(rows),
    )


def _difference_cells(outcome: RowOutcome, wide: bool) -> tuple[str, str, str]:
    found = outcome.srs
    if outcome.entry.row == VMASK_ROW:
        return "", "", "is compared with"
    paper = "" if found.paper_difference is None else f"{found.paper_difference:+.2f}"
    if found.difference is None:
        return "", paper, ""
    return _cell(found.difference, wide, sign="+"), paper, found.verdict or ""


def _front(result: Reproduction, comparison: Comparison, wide: bool) -> Sheet:
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
    return Sheet(
        f"Front in (accuracy, SRS); P: share of resamples on it{_mark_key(result)}",
        ("row", ">accuracy", ">SRS(30)", "front", ">P(front)", "paper's"),
        tuple(rows),
    )


def _capacities(result: Reproduction, wide: bool) -> Sheet:
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
    return Sheet(
        "Mean capacity at FFN1 by ReLU, PAD; *: paper inside our interval; +: nearest",
        ("reading", ">all", ">important", ">less important", ">distance"),
        tuple(rows),
    )


def _capacity_cell(number: CapacityNumber, wide: bool) -> str:
    if number.interval is None:
        return f"{number.ours:.4f}"
    return _cell(number.interval, wide, decimals=4) + ("*" if number.inside else " ")


def _curves(result: Reproduction, wide: bool) -> Sheet:
    by_row: dict[str, dict[str, dict[float, CurvePoint]]] = {}
    for curve in result.curves:
        points = {point.k: point for point in curve.points}
        by_row.setdefault(curve.entry.name, {})[curve.deletion] = points
    rows = []
    for name, deletions in by_row.items():
        top, random = deletions["top"], deletions["random"]
        for k, point in top.items():
            other = random.get(k)
            rows.append(
                (
                    name,
                    f"{100 * k:g}{' !' if point.saturated else ''}",
                    _cell(point.ours, wide),
                    _paper(point),
                    _cell(other.ours, wide) if other is not None else "",
                    _paper(other) if other is not None else "",
                )
            )
    return Sheet(
        "Test accuracy without k % of the tokens; in, out: of our interval" + _mark_key(result),
        ("row", "k %", ">top", ">paper", ">random", ">paper"),
        tuple(rows),
    )


def _rankings(result: Reproduction, wide: bool) -> Sheet:
    rows = [
        (
            found.row.name,
            found.ranking.replace("_", " "),
            _cell(found.average_precision, wide, decimals=3),
            _cell(found.auroc, wide, decimals=3),
            _cell(found.precision_at_gold, wide, decimals=3),
            "" if found.srs is None else _cell(found.srs, wide) + (" !" if found.saturated else ""),
        )
        for found in result.rankings
    ]
    return Sheet(
        f"Agreement with the rationale, {result.rankings[0].texts:,} texts, 0 to 1, and SRS by "
        f"the ranking{_mark_key(result)}",
        ("row", "ranking", ">av. precision", ">AUROC", ">P@|gold|", ">SRS(30)"),
        tuple(rows),
    )


def _sentiments(result: Reproduction, wide: bool) -> Sheet:
    rows = [
        (
            found.row.name,
            f"{found.with_sentiment:.3f}",
            f"{found.without_sentiment:.3f}",
            _cell(found.difference, wide, decimals=3, sign="+"),
        )
        for found in result.sentiments
    ]
    return Sheet(
        "Mean capacity of the words of the rationale, and of the others of their text",
        ("row", ">in", ">others", ">difference"),
        tuple(rows),
    )


def _marked(outcome: RowOutcome) -> str:
    return outcome.entry.name + (" !" if outcome.saturated else "")


def _mark_key(result: Reproduction) -> str:
    return "; !: saturated" if any_saturated(result) else ""


def _saturated(outcome: RowOutcome) -> str:
    return f"saturated: {outcome.saturated}/{len(outcome.seeds)}" if outcome.saturated else ""


def _paper(point: CurvePoint) -> str:
    if point.paper is None:
        return ""
    return f"{point.paper:.2f} {_in(point.ours.low <= point.paper <= point.ours.high)}"


def _cell(found: Interval, wide: bool, *, decimals: int = 2, sign: str = "") -> str:
    shown = f"{sign}.{decimals}f"
    if wide:
        return f"{found.mean:{shown}} [{found.low:{shown}}, {found.high:{shown}}]"
    return f"{found.mean:{shown}} ± {(found.high - found.low) / 2:.{decimals - 1}f}"


def _in(inside: bool) -> str:
    return "in " if inside else "out"


def _yes(true: bool) -> str:
    return "yes" if true else "no"
