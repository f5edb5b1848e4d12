"""``evaluate`` and ``metrics``: one model's numbers, and what they mean."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safr_study.cli import output
from safr_study.cli.options import (
    HomeOption,
    JsonOption,
    LabelColumnOption,
    TextColumnOption,
    TrackingOption,
    corpus_spec,
    open_stores,
)
from safr_study.cli.progress import QUIET_SECONDS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from safr_study.records import DeletionScores, Scores
    from safr_study.workflows.evaluate import Evaluation
    from safr_study.workflows.roar import RoarStep


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A pulled model's folder, or models:/NAME@alias.", metavar="MODEL")
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Data set or path; else the one it was trained on."),
    ] = None,
    split: Annotated[
        Literal["dev", "test"], typer.Option("--split", help="Which texts to measure on.")
    ] = "dev",
    mode: Annotated[
        Literal["remove", "unk", "attn", "gate"] | None,
        typer.Option("--mode", help="How tokens are deleted; else as the model's study did."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Without leave-one-out, other rankings and the layers."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write every metric to FILE.csv or FILE.json too."),
    ] = None,
    roar: Annotated[
        list[float] | None,
        typer.Option(
            "--roar",
            metavar="K",
            help="Retrain without the top K % of the tokens, and without K % at random; repeat.",
        ),
    ] = None,
    roar_seeds: Annotated[
        int,
        typer.Option(
            "--roar-seeds", help="Retrain with seeds 0 .. N-1; 1: the model's own.", min=1
        ),
    ] = 1,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    json: JsonOption = False,
    home: HomeOption = None,
    tracking_uri: TrackingOption = None,
) -> None:
    """Measure one model: every metric, each with its direction, unit and deletion mode.

    Examples:

      safr-study evaluate model --dataset sst2 --split dev

      safr-study evaluate models:/safr-sst2@knee --split test --out knee.csv

      safr-study evaluate model --quick --roar 30 --roar-seeds 5
    """
    from safr_study.records import to_plain
    from safr_study.report.metrics import measured_metrics, write_metrics
    from safr_study.workflows.evaluate import check_metrics_file
    from safr_study.workflows.evaluate import evaluate as run
    from safr_study.workflows.roar import plan_roar, roar_metrics

    plan = plan_roar(roar or (), roar_seeds)
    if out is not None:
        check_metrics_file(out)
    spec = None
    if dataset is not None:
        spec = corpus_spec(dataset, text_column=text_column, label_column=label_column)
    stores = open_stores(home, tracking_uri=tracking_uri)
    hint = "" if quick else "; --quick leaves out the slow half"

    def begin(texts: int) -> None:
        output.err().print(f"measuring {texts:,} texts{hint}")

    measured = run(
        model,
        spec,
        stores,
        split=split,
        mode=mode,
        quick=quick,
        roar=plan,
        on_begin=begin,
        on_roar=RoarReport(output.err()),
    )
    retrained = roar_metrics(measured.roar)
    if out is not None:
        write_metrics(measured.scores, out, retrained)
    if json:
        metrics = to_plain([*measured_metrics(measured.scores), *retrained])
        output.print_json({**to_plain(measured), "metrics": metrics})
    else:
        _show(measured)
    if out is not None:
        output.err().print(f"all metrics are in {out}")


def metrics(json: JsonOption = False) -> None:
    """List the metrics: what a study can optimise, with unit and direction.

    Example:

      safr-study metrics
    """
    from safr_study.settings import AT_K, LAYERS, OF_LAYER, OF_MODEL

    groups = {"": OF_MODEL, "@K": AT_K, ".LAYER": OF_LAYER}
    rows = [
        (f"{name}{suffix}", metric)
        for suffix, group in groups.items()
        for name, metric in group.items()
    ]
    if json:
        document = [
            {
                "name": name,
                "label": metric.label,
                "unit": metric.unit,
                "better": "higher" if metric.maximise else "lower",
            }
            for name, metric in rows
        ]
        output.print_json({"metrics": document, "layers": list(LAYERS)})
        return
    table = output.table(["objective", "what", "unit", "better"], title="Metrics")
    for name, metric in rows:
        better = "higher" if metric.maximise else "lower"
        table.add_row(name, metric.label, UNITS[metric.unit], better)
    output.out().print(table)
    output.out().print(
        "K: percent of the tokens deleted, for example srs@30. LAYER: one of "
        f"{', '.join(LAYERS)}, for example mean_capacity.ffn1_pre."
    )


class RoarReport:
    """Progress of the retraining: a line for each training, and now and then one for an epoch."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0

    def __call__(self, step: RoarStep) -> None:
        """Say how far it is, if a training begins or nothing was said for a while."""
        report = step.report
        if report is not None and time.monotonic() - self._last < QUIET_SECONDS:
            return
        self._last = time.monotonic()
        done = (
            f"at most {step.epochs} epochs"
            if report is None
            else f"epoch {report.epoch} of at most {step.epochs}, dev accuracy "
            f"{report.dev_accuracy:.2f}, {report.seconds:.1f} s"
        )
        removed = "the top" if step.removed == "top" else "random tokens"
        self._console.print(
            f"ROAR({100 * step.k:g}), training {step.training} of {step.trainings}: without "
            f"{removed}, seed {step.seed}: {done}",
            soft_wrap=True,
        )


UNITS = {"points": "percentage points", "nats": "nats", "share": "0 to 1", "": ""}


def _show(measured: Evaluation) -> None:
    scores = measured.scores
    console = output.out()
    console.print(
        f"{measured.model} on {measured.dataset}, {scores.split} ({scores.examples:,} texts, "
        f"preset {measured.preset})"
    )
    console.print(
        f"accuracy {_with_se(scores.accuracy, scores.accuracy_se)}, majority class "
        f"{scores.majority_accuracy:.2f} (percentage points); cross-entropy {scores.loss:.4f} nats"
        + ("" if scores.gate_openness is None else f"; gate openness {scores.gate_openness:.3f}")
    )
    console.print(
        "± is the standard error of one run, from its texts; ↑ higher, ↓ lower is better."
    )
    for table in _tables(measured):
        console.print(table)
    console.print(
        "SRS: accuracy lost without the top k %; excess: beyond a random deletion of the same "
        "size; contrast: beyond deleting the bottom k %."
    )
    if scores.saturated:
        console.print(
            "Saturated: without the top tokens nearly every prediction is one class, so SRS "
            "shows a collapsed prediction, not a good ranking."
        )
    if measured.roar:
        console.print(
            "ROAR: accuracy of a model trained anew on texts without random tokens, minus that of "
            "one trained on texts without as many top tokens."
        )


def _tables(measured: Evaluation) -> list[Table]:
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
    if scores.superposition:
        tables.append(_layer_table(scores))
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
            _with_se(one.srs, one.srs_se),
            "" if one.mcnemar_p is None else f"{one.mcnemar_p:.1g}",
            _with_se(one.srs_excess, one.srs_excess_se),
            _with_se(one.contrast, one.contrast_se),
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
            f"{100 * one.k:g}",
            _with_se(one.comprehensiveness, one.comprehensiveness_se),
            _with_se(one.sufficiency, one.sufficiency_se),
            _number(one.log_odds, 3),
            _number(one.flip_rate),
        )
    return table


def _summary_table(measured: Evaluation) -> Table:
    from safr_study.report.metrics import measured_metrics

    table = output.table(
        ["metric", ">value", "unit", "better"], title=f"Over all k, mode {measured.mode}"
    )
    for metric in measured_metrics(measured.scores):
        if metric.mode and "@" not in metric.name:
            table.add_row(
                metric.label,
                _with_se(metric.value, metric.se),
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
        _with_se(one.srs, one.srs_se) + ("*" if one.saturated else ""),
        _with_se(one.comprehensiveness, one.comprehensiveness_se),
    )


def _agreement_table(scores: Scores) -> Table:
    table = output.table(
        ["ranking", ">average precision ↑", ">AUROC ↑", ">precision@|gold| ↑"],
        title=f"Agreement with the gold rationale, {scores.agreements[0].texts:,} texts; 0 to 1",
    )
    for one in scores.agreements:
        table.add_row(
            one.ranking.replace("_", " "),
            _with_se(one.average_precision, one.average_precision_se, 3),
            _with_se(one.auroc, one.auroc_se, 3),
            _with_se(one.precision_at_gold, one.precision_at_gold_se, 3),
        )
    return table


def _layer_table(scores: Scores) -> Table:
    from safr_study.settings import OF_LAYER

    layers = scores.superposition
    blocks = {layer.block for layer in layers}
    names = [
        layer.layer if len(blocks) == 1 else f"{layer.layer} {layer.block + 1}" for layer in layers
    ]
    table = output.table(["", *(f">{name}" for name in names)], title="Superposition by layer")
    for name, metric in OF_LAYER.items():
        arrow = "↑" if metric.maximise else "↓"
        values = [_number(getattr(layer, name), 3) for layer in layers]
        table.add_row(f"{metric.label} {arrow}", *values)
    return table


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
            _with_se(one.roar, None if run is None else run.roar_se),
            f"{one.roar_low:.2f} to {one.roar_high:.2f}" if run is None else f"{run.mcnemar_p:.1g}",
        )
    return table


def _number(value: float | None, decimals: int = 2) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _with_se(value: float | None, se: Any, decimals: int = 2) -> str:
    if value is None:
        return ""
    return _number(value, decimals) + ("" if se is None else f" ± {se:.{decimals}f}")
