"""The tables of an evaluation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safr_study.cli import output

if TYPE_CHECKING:
    from rich.table import Table

    from safr_study.features.evaluate.evaluate import Evaluation
    from safr_study.records import DeletionScores, Scores

UNITS = {"points": "percentage points", "nats": "nats", "share": "0 to 1", "": ""}
"""Of the metrics' catalogue, for people."""


def evaluation_tables(measured: Evaluation) -> list[Table]:
    """All the tables of an evaluation, in the order of reading."""
    scores = measured.scores
    by = f"by capacity at {measured.capacity_layer}, mode {measured.mode}"
    tables = [
        _deletion_table(
            scores, f"Accuracy after deletion {by}, {measured.draws} random draws; points"
        ),
        _faithfulness_table(scores, f"Faithfulness {by}; points, log-odds in nats"),
    ]
    if scores.curve is not None or scores.kendall_tau is not None:
        tables.append(_summary_table(measured))
    if scores.controls:
        tables.append(_rankings_table(scores, measured.mode))
    if scores.agreements:
        tables.append(_agreement_table(scores))
    tables += _layer_tables(scores)
    if measured.roar:
        tables.append(_roar_table(measured))
    return tables


def _deletion_table(scores: Scores, title: str) -> Table:
    columns = [">k %", ">deleted %", ">top ↓", ">random", ">bottom ↑", ">SRS ↑", ">p", ">excess ↑"]
    table = output.table([*columns, ">contrast ↑", ">headroom ↑"], title=title)
    for one in scores.deletions:
        table.add_row(
            f"{100 * one.k:g}" + ("*" if one.saturated else ""),
            f"{100 * one.realised_share:.1f}",
            _number(one.accuracy_top),
            _number(one.accuracy_random),
            _number(one.accuracy_bottom),
            with_se(one.srs, one.srs_se),
            "" if one.mcnemar_p is None else f"{one.mcnemar_p:.1g}",
            with_se(one.srs_excess, one.srs_excess_se),
            with_se(one.contrast, one.contrast_se),
            _number(one.headroom),
        )
    if scores.saturated:
        table.caption = "* saturated"
    return table


def _faithfulness_table(scores: Scores, title: str) -> Table:
    columns = [">k %", ">comprehensiveness ↑", ">sufficiency ↓", ">log-odds ↓", ">flip rate ↑"]
    table = output.table(columns, title=title)
    for one in scores.deletions:
        table.add_row(
            f"{100 * one.k:g}" + ("*" if one.saturated else ""),
            with_se(one.comprehensiveness, one.comprehensiveness_se),
            with_se(one.sufficiency, one.sufficiency_se),
            _number(one.log_odds, 3),
            _number(one.flip_rate),
        )
    return table


def _summary_table(measured: Evaluation) -> Table:
    from safr_study.records.metric_values import measured_metrics

    table = output.table(
        ["metric", ">value", "unit", "better"], title=f"Over all k, mode {measured.mode}"
    )
    for metric in measured_metrics(measured.scores):
        if metric.mode and "@" not in metric.name:
            table.add_row(
                metric.label,
                with_se(metric.value, metric.se),
                UNITS[metric.unit],
                metric.direction,
            )
    return table


def _rankings_table(scores: Scores, mode: str) -> Table:
    shares = [one.k for one in scores.controls[0].deletions]
    columns = [
        column for k in shares for column in (f">SRS({100 * k:g}) ↑", f">compr.({100 * k:g}) ↑")
    ]
    table = output.table(
        ["ranking", *columns], title=f"Capacity against other rankings, mode {mode}; points"
    )
    rows = [("capacity", [scores.deletion(k) for k in shares])]
    rows += [(control.ranking, list(control.deletions)) for control in scores.controls]
    for name, deletions in rows:
        table.add_row(name.replace("_", " "), *(cell for one in deletions for cell in _cells(one)))
    return table


def _cells(one: DeletionScores) -> tuple[str, str]:
    return (
        with_se(one.srs, one.srs_se) + ("*" if one.saturated else ""),
        with_se(one.comprehensiveness, one.comprehensiveness_se),
    )


def _agreement_table(scores: Scores) -> Table:
    table = output.table(
        ["ranking", ">average precision ↑", ">AUROC ↑", ">precision@|gold| ↑"],
        title=f"Agreement with the gold rationale, {scores.agreements[0].texts:,} texts; 0 to 1",
    )
    for one in scores.agreements:
        table.add_row(
            one.ranking.replace("_", " "),
            with_se(one.average_precision, one.average_precision_se, 3),
            with_se(one.auroc, one.auroc_se, 3),
            with_se(one.precision_at_gold, one.precision_at_gold_se, 3),
        )
    return table


def _layer_tables(scores: Scores) -> list[Table]:
    """One for each block; the first has the layers before it too."""
    from safr_study.settings import OF_LAYER

    blocks = sorted({layer.block for layer in scores.superposition})
    tables = []
    for block in blocks:
        layers = [layer for layer in scores.superposition if layer.block == block]
        which = f", block {block + 1} of {len(blocks)}" if len(blocks) > 1 else ""
        table = output.table(
            ["", *(f">{layer.layer}" for layer in layers)], title=f"Superposition by layer{which}"
        )
        for name, metric in OF_LAYER.items():
            arrow = "↑" if metric.maximise else "↓"
            values = [_number(getattr(layer, name), 3) for layer in layers]
            table.add_row(f"{metric.label} {arrow}", *values)
        tables.append(table)
    return tables


def _roar_table(measured: Evaluation) -> Table:
    seeds = [run.seed for run in measured.roar[0].runs]
    columns = [">k %", ">deleted %", ">original", ">random", ">top ↓", ">ROAR ↑"]
    table = output.table(
        [*columns, ">p" if len(seeds) == 1 else ">95 % interval"],
        title=f"ROAR by capacity at {measured.capacity_layer}, "
        f"{f'seed {seeds[0]}' if len(seeds) == 1 else f'{len(seeds)} seeds'}; points",
    )
    for one in measured.roar:
        run = one.only_run
        table.add_row(
            f"{100 * one.k:g}",
            f"{100 * one.realised_share:.1f}",
            _number(one.accuracy_original),
            _number(one.accuracy_random),
            _number(one.accuracy_top),
            with_se(one.roar, None if run is None else run.roar_se),
            f"{one.roar_low:.2f} to {one.roar_high:.2f}" if run is None else f"{run.mcnemar_p:.1g}",
        )
    return table


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def with_se(value: float | None, se: float | None, decimals: int = 2) -> str:
    """``12.34 ± 0.56``, as much of it as there is."""
    if value is None:
        return ""
    return _number(value, decimals) + ("" if se is None else f" ± {se:.{decimals}f}")
