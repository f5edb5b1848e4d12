"""``evaluate`` and ``metrics``: one model's numbers, and what they mean."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from safr_study.cli import output
from safr_study.cli.completion import complete_dataset, complete_model
from safr_study.cli.evaluation_tables import UNITS, evaluation_tables, with_se
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
from safr_study.render.text_table import TextTable

if TYPE_CHECKING:
    from rich.console import Console

    from safr_study.features.evaluate.evaluate import Evaluation
    from safr_study.features.evaluate.roar import RoarStep


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A pulled model's folder, or models:/NAME@alias.",
            autocompletion=complete_model,
            metavar="MODEL",
        ),
    ],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Data set or path; else the one it was trained on.",
            autocompletion=complete_dataset,
        ),
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
    from safr_study.features.evaluate.evaluate import check_metrics_file
    from safr_study.features.evaluate.evaluate import evaluate as run
    from safr_study.features.evaluate.roar import plan_roar, roar_metrics
    from safr_study.records import to_plain
    from safr_study.records.metric_values import measured_metrics, other_rankings, write_metrics

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
        metrics = to_plain(
            [*measured_metrics(measured.scores), *other_rankings(measured.scores), *retrained]
        )
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
    cells = [
        (name, metric.label, UNITS[metric.unit], "higher" if metric.maximise else "lower")
        for name, metric in rows
    ]
    output.show(TextTable("Metrics", ("objective", "what", "unit", "better"), cells))
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


def _show(measured: Evaluation) -> None:
    scores = measured.scores
    console = output.out()
    console.print(
        f"{measured.model} on {measured.dataset}, {scores.split} ({scores.examples:,} texts, "
        f"preset {measured.preset})"
    )
    console.print(
        f"accuracy {with_se(scores.accuracy, scores.accuracy_se)}, majority class "
        f"{scores.majority_accuracy:.2f} (percentage points); cross-entropy {scores.loss:.4f} nats"
        + ("" if scores.gate_openness is None else f"; gate openness {scores.gate_openness:.3f}")
    )
    console.print(
        "± is the standard error of one run, from its texts; ↑ higher, ↓ lower is better."
    )
    output.show(*evaluation_tables(measured))
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
