"""The tables of an evaluation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from safr_study.features.evaluate.evaluate import Evaluation
    from safr_study.records import DeletionScores, Scores

UNITS = {"points": "percentage points", "nats": "nats", "share": "0 to 1", "": ""}
"""Of the metrics' catalogue, for people."""


def evaluation_tables(measured: Evaluation) -> list[TextTable]:
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


def _deletion_table(scores: Scores, title: str) -> TextTable:
    rows = [
        (
            _share(one),
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
        for one in scores.deletions
    ]
    columns = (">k %", ">deleted %", ">top ↓", ">random", ">bottom ↑", ">SRS ↑", ">p", ">excess ↑",
               ">contrast ↑", ">headroom ↑")  # fmt: skip
    return TextTable(title, columns, rows, caption="* saturated" if scores.saturated else "")


def _faithfulness_table(scores: Scores, title: str) -> TextTable:
    rows = [
        (
            _share(one),
            with_se(one.comprehensiveness, one.comprehensiveness_se),
            with_se(one.sufficiency, one.sufficiency_se),
            _number(one.log_odds, 3),
            _number(one.flip_rate),
        )
        for one in scores.deletions
    ]
    columns = (">k %", ">comprehensiveness ↑", ">sufficiency ↓", ">log-odds ↓", ">flip rate ↑")
    return TextTable(title, columns, rows)


def _share(one: DeletionScores) -> str:
    return f"{100 * one.k:g}" + ("*" if one.saturated else "")


def _summary_table(measured: Evaluation) -> TextTable:
    from safr_study.records.metric_values import measured_metrics

    rows = [
        (one.label, with_se(one.value, one.se), UNITS[one.unit], one.direction)
        for one in measured_metrics(measured.scores)
        if one.mode and "@" not in one.name
    ]
    columns = ("metric", ">value", "unit", "better")
    return TextTable(f"Over all k, mode {measured.mode}", columns, rows)


def _rankings_table(scores: Scores, mode: str) -> TextTable:
    shares = [one.k for one in scores.controls[0].deletions]
    columns = [
        column for k in shares for column in (f">SRS({100 * k:g}) ↑", f">compr.({100 * k:g}) ↑")
    ]
    deletions = {"capacity": [scores.deletion(k) for k in shares]}
    deletions |= {control.ranking: list(control.deletions) for control in scores.controls}
    rows = [
        (name.replace("_", " "), *(cell for one in found for cell in _cells(one)))
        for name, found in deletions.items()
    ]
    title = f"Capacity against other rankings, mode {mode}; points"
    return TextTable(title, ("ranking", *columns), rows)


def _cells(one: DeletionScores) -> tuple[str, str]:
    return (
        with_se(one.srs, one.srs_se) + ("*" if one.saturated else ""),
        with_se(one.comprehensiveness, one.comprehensiveness_se),
    )


def _agreement_table(scores: Scores) -> TextTable:
    rows = [
        (
            one.ranking.replace("_", " "),
            with_se(one.average_precision, one.average_precision_se, 3),
            with_se(one.auroc, one.auroc_se, 3),
            with_se(one.precision_at_gold, one.precision_at_gold_se, 3),
        )
        for one in scores.agreements
    ]
    return TextTable(
        f"Agreement with the gold rationale, {scores.agreements[0].texts:,} texts; 0 to 1",
        ("ranking", ">average precision ↑", ">AUROC ↑", ">precision@|gold| ↑"),
        rows,
    )


def _layer_tables(scores: Scores) -> list[TextTable]:
    """One for each block; the first has the layers before it too."""
    from safr_study.settings import OF_LAYER

    blocks = sorted({layer.block for layer in scores.superposition})
    tables = []
    for block in blocks:
        layers = [layer for layer in scores.superposition if layer.block == block]
        which = f", block {block + 1} of {len(blocks)}" if len(blocks) > 1 else ""
        rows = [
            (
                f"{metric.label} {'↑' if metric.maximise else '↓'}",
                *(_number(getattr(layer, name), 3) for layer in layers),
            )
            for name, metric in OF_LAYER.items()
        ]
        columns = ("", *(f">{layer.layer}" for layer in layers))
        tables.append(TextTable(f"Superposition by layer{which}", columns, rows))
    return tables


def _roar_table(measured: Evaluation) -> TextTable:
    seeds = [run.seed for run in measured.roar[0].runs]
    rows = []
    for one in measured.roar:
        run = one.only_run
        rows.append(
            (
                f"{100 * one.k:g}",
                f"{100 * one.realised_share:.1f}",
                _number(one.accuracy_original),
                _number(one.accuracy_random),
                _number(one.accuracy_top),
                with_se(one.roar, None if run is None else run.roar_se),
                f"{one.roar_low:.2f} to {one.roar_high:.2f}"
                if run is None
                else f"{run.mcnemar_p:.1g}",
            )
        )
    last = ">p" if len(seeds) == 1 else ">95 % interval"
    return TextTable(
        f"ROAR by capacity at {measured.capacity_layer}, "
        f"{f'seed {seeds[0]}' if len(seeds) == 1 else f'{len(seeds)} seeds'}; points",
        (">k %", ">deleted %", ">original", ">random", ">top ↓", ">ROAR ↑", last),
        rows,
    )


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def with_se(value: float | None, se: float | None, decimals: int = 2) -> str:
    """``12.34 ± 0.56``, as much of it as there is."""
    if value is None:
        return ""
    return _number(value, decimals) + ("" if se is None else f" ± {se:.{decimals}f}")
